{#- What drivers and readouts count: the units behind every rate of cases. -#}
{{ config(materialized='view') }}

with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

outcomes as (
    select *
    from {{ ref('int_cohort_outcomes') }}
    where is_judged
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

units as (
    select
        'conversion_rate' as metric_id,
        entries.journey_id,
        entries.stage_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.customer_id,
        entries.cluster_id,
        entries.entered_at,
        entries.entered_date,
        entries.cohort_start,
        cohort_stages.conversion_window_days as window_days,
        entries.is_converted as is_outcome,
        coalesce(
            {{ epoch_us('entries.entered_at') }}
            + cohort_stages.conversion_window_days * 86400000000
            <= {{ epoch_us('cohort_stages.observed_through') }},
            false
        ) as is_complete
    from entries
    inner join cohort_stages
        on entries.stage_number = cohort_stages.stage_number
    union all
    select
        outcomes.metric_id,
        outcomes.journey_id,
        outcomes.stage_id,
        outcomes.entity_id,
        outcomes.attempt_number,
        outcomes.visit_number,
        outcomes.customer_id,
        outcomes.cluster_id,
        outcomes.entered_at,
        outcomes.entered_date,
        outcomes.cohort_start,
        cohort_stages.conversion_window_days as window_days,
        outcomes.is_reached as is_outcome,
        coalesce(
            {{ epoch_us('outcomes.entered_at') }}
            + cohort_stages.conversion_window_days * 86400000000
            <= {{ epoch_us('cohort_stages.observed_through') }},
            false
        ) as is_complete
    from outcomes
    inner join cohort_stages
        on outcomes.stage_number = cohort_stages.stage_number
)

select * from units

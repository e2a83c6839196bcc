{#- What drivers and readouts count: the cases behind every rate of cases, and what is
    counted beside them. -#}
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

answers as (
    select *
    from {{ ref('int_survey_score_units') }}
    where {{ is_rate_of_answers('metric_id') }}
),

rate_units as (
    select *
    from {{ ref('int_rate_units') }}
    where only_dimension is null
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

-- Read apart: with a relation that is stored in between, DuckDB reads every column of
-- what is united here for whoever asks for one.
outcome_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

unit_stages as (
    select * from {{ ref('int_unit_stages') }}
),

local_days as (
    select * from {{ ref('int_local_days') }}
),

moments as (
    select
        metric_id,
        journey_id,
        stage_id,
        unit_id,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        measured_at,
        window_days,
        observed_through,
        score > 0 as is_outcome
    from answers
    union all
    select
        metric_id,
        journey_id,
        stage_id,
        unit_id,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        measured_at,
        window_days,
        observed_through,
        is_reached as is_outcome
    from rate_units
),

units as (
    select
        'conversion_rate' as metric_id,
        entries.journey_id,
        entries.stage_id,
        null::{{ type_text() }} as unit_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.customer_id,
        entries.cluster_id,
        entries.entered_at,
        entries.entered_date,
        entries.cohort_start,
        cohort_stages.conversion_window_days as window_days,
        null::integer as lookback_days,
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
        null::{{ type_text() }} as unit_id,
        outcomes.entity_id,
        outcomes.attempt_number,
        outcomes.visit_number,
        outcomes.customer_id,
        outcomes.cluster_id,
        outcomes.entered_at,
        outcomes.entered_date,
        outcomes.cohort_start,
        outcome_stages.conversion_window_days as window_days,
        null::integer as lookback_days,
        outcomes.is_reached as is_outcome,
        coalesce(
            {{ epoch_us('outcomes.entered_at') }}
            + outcome_stages.conversion_window_days * 86400000000
            <= {{ epoch_us('outcome_stages.observed_through') }},
            false
        ) as is_complete
    from outcomes
    inner join outcome_stages
        on outcomes.stage_number = outcome_stages.stage_number
    union all
    select
        moments.metric_id,
        moments.journey_id,
        moments.stage_id,
        moments.unit_id,
        moments.entity_id,
        moments.attempt_number,
        moments.visit_number,
        moments.customer_id,
        moments.cluster_id,
        moments.measured_at as entered_at,
        {{ on_local_day('moments.measured_at', 'local_days', 'local_date') }}
            as entered_date,
        {{ on_local_day('moments.measured_at', 'local_days', 'cohort_start') }}
            as cohort_start,
        moments.window_days,
        14 as lookback_days,
        moments.is_outcome,
        coalesce(
            {{ epoch_us('moments.measured_at') }} + moments.window_days * 86400000000
            <= {{ epoch_us('moments.observed_through') }},
            false
        ) as is_complete
    from moments
    inner join unit_stages
        on
            moments.metric_id = unit_stages.metric_id
            and moments.journey_id = unit_stages.journey_id
            and moments.stage_id = unit_stages.stage_id
    left join local_days
        on
            unit_stages.time_zone = local_days.time_zone
            and moments.measured_at::date = local_days.utc_day
)

select * from units

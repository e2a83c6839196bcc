with

cohort_visits as (
    select * from {{ ref('int_cohort_visits') }}
),

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

stages as (
    select * from {{ ref('stages') }}
),

ranked_visits as (
    select
        *,
        row_number() over (
            partition by case_id, stage_id
            order by visit_number
        ) as visit_rank
    from cohort_visits
),

first_visits as (
    select *
    from ranked_visits
    where visit_rank = 1
),

-- An exit is no conversion, whatever its order.
reachable_visits as (
    select
        visits.case_id,
        visits.stage_id,
        visits.stage_order,
        visits.visit_number,
        visits.entered_at
    from visits
    inner join stages
        on
            visits.journey_id = stages.journey_id
            and visits.stage_id = stages.stage_id
    where stages.stage_kind <> 'exit'
),

conversions as (
    select
        first_visits.case_id,
        first_visits.stage_id,
        min(reachable_visits.entered_at) as converted_at
    from first_visits
    inner join reachable_visits
        on
            first_visits.case_id = reachable_visits.case_id
            and first_visits.visit_number < reachable_visits.visit_number
            and case
                when first_visits.order_mode = 'any'
                    then first_visits.stage_id <> reachable_visits.stage_id
                else first_visits.stage_order < reachable_visits.stage_order
            end
    group by
        first_visits.case_id,
        first_visits.stage_id
),

entries as (
    select
        first_visits.case_id,
        first_visits.journey_id,
        first_visits.stage_id,
        first_visits.cluster_id,
        first_visits.entered_at,
        first_visits.entered_date,
        conversions.converted_at,
        coalesce(
            {{ epoch_us('conversions.converted_at') }}
            - {{ epoch_us('first_visits.entered_at') }}
            <= first_visits.conversion_window_us,
            false
        ) as is_converted
    from first_visits
    left join conversions
        on
            first_visits.case_id = conversions.case_id
            and first_visits.stage_id = conversions.stage_id
)

select * from entries

{#- What a key moment is counted from: the entry of its journey, in its window. -#}
with

stages as (
    select * from {{ ref('stages') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

cohort_stages as (
    select *
    from {{ ref('int_cohort_stages') }}
    where metric_id is null
),

entry_stages as (
    select
        cohort_stages.journey_id,
        cohort_stages.stage_id,
        cohort_stages.stage_number,
        cohort_stages.entity,
        cohort_stages.time_zone,
        cohort_stages.as_of,
        cohort_stages.observed_through,
        journeys.conversion_window_days as window_days
    from cohort_stages
    inner join stages
        on
            cohort_stages.journey_id = stages.journey_id
            and cohort_stages.stage_id = stages.stage_id
    inner join journeys
        on
            cohort_stages.journey_id = journeys.journey_id
            and stages.stage_order = journeys.entry_stage_order
),

key_moments as (
    select
        stages.journey_id,
        stages.stage_id,
        stages.key_moment,
        entry_stages.stage_id as entry_stage_id,
        entry_stages.stage_number as entry_stage_number,
        entry_stages.entity,
        entry_stages.time_zone,
        entry_stages.as_of,
        entry_stages.observed_through,
        entry_stages.window_days,
        stages.stage_id = entry_stages.stage_id as is_entry
    from stages
    inner join entry_stages
        on stages.journey_id = entry_stages.journey_id
    where stages.key_moment is not null
)

select * from key_moments

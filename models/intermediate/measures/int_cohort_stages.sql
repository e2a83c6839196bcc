{#- Numbers for journeys and for what is counted at their stages: the measures join and
    group millions of rows by them. -#}
with

observations as (
    select * from {{ ref('int_stage_observations') }}
),

anchors as (
    select * from {{ ref('int_metric_anchors') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

stages as (
    select * from {{ ref('stages') }}
),

segment_dimensions as (
    select * from {{ ref('segment_dimensions') }}
),

segmented_journeys as (
    select distinct journey_id
    from segment_dimensions
),

-- Where a journey has its first value, other than on entering it.
value_journeys as (
    select distinct stages.journey_id
    from stages
    inner join journeys
        on stages.journey_id = journeys.journey_id
    where
        stages.key_moment = 'first_value'
        and stages.stage_order > journeys.entry_stage_order
),

cohort_stages as (
    select
        null::{{ type_text() }} as metric_id,
        journey_id,
        stage_id,
        stage_order,
        time_zone,
        source_start,
        as_of,
        observed_through,
        conversion_window_days
    from observations
    where stage_kind = 'progress'
    union all
    select
        metric_id,
        journey_id,
        stage_id,
        stage_order,
        time_zone,
        source_start,
        as_of,
        observed_through,
        window_days as conversion_window_days
    from anchors
),

numbered_stages as (
    select
        cohort_stages.metric_id,
        cohort_stages.journey_id,
        cohort_stages.stage_id,
        journeys.entity,
        cohort_stages.time_zone,
        cohort_stages.source_start,
        cohort_stages.as_of,
        cohort_stages.observed_through,
        cohort_stages.conversion_window_days,
        dense_rank() over (
            order by {{ binary_order('cohort_stages.journey_id') }}
        )::integer as journey_number,
        row_number() over (
            order by
                {{ binary_order('cohort_stages.metric_id') }} nulls first,
                {{ binary_order('cohort_stages.journey_id') }},
                cohort_stages.stage_order
        )::integer as stage_number,
        cohort_stages.metric_id is null
        and value_journeys.journey_id is not null
        and cohort_stages.stage_order = journeys.entry_stage_order as is_value_start,
        segmented_journeys.journey_id is not null as has_segments
    from cohort_stages
    inner join journeys
        on cohort_stages.journey_id = journeys.journey_id
    left join value_journeys
        on cohort_stages.journey_id = value_journeys.journey_id
    left join segmented_journeys
        on cohort_stages.journey_id = segmented_journeys.journey_id
)

select * from numbered_stages

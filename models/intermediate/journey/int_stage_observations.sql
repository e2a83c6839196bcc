with

journeys as (
    select * from {{ ref('int_journeys') }}
),

stages as (
    select * from {{ ref('stages') }}
),

stage_rules as (
    select * from {{ ref('stage_rules') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

working_hours as (
    select * from {{ ref('int_working_hours') }}
),

rule_extents as (
    select
        stages.journey_id,
        stages.stage_kind,
        stages.stage_order,
        extents.source_start,
        extents.complete_through,
        extents.newest_occurred_at
    from stage_rules
    inner join stages
        on
            stage_rules.journey_id = stages.journey_id
            and stage_rules.stage_id = stages.stage_id
    left join extents
        on stage_rules.source = extents.source
),

journey_extents as (
    select
        journey_id,
        min(source_start) as source_start,
        coalesce(
            nullif('{{ var("as_of") }}', '')::timestamp,
            max(newest_occurred_at)
        ) as as_of
    from rule_extents
    group by journey_id
),

-- One lagging source must not turn conversions into failures, and of an empty one
-- nobody knows how far it is complete.
stage_extents as (
    select
        stages.journey_id,
        stages.stage_id,
        case
            when count(*) = count(rule_extents.complete_through)
                then min(rule_extents.complete_through)
        end as complete_through
    from stages
    inner join rule_extents
        on
            stages.journey_id = rule_extents.journey_id
            and (
                stages.stage_order < rule_extents.stage_order
                or rule_extents.stage_kind <> 'progress'
            )
    group by
        stages.journey_id,
        stages.stage_id
),

observations as (
    select
        stages.journey_id,
        stages.stage_id,
        stages.stage_order,
        stages.stage_kind,
        journeys.order_mode,
        journeys.time_zone,
        journey_extents.source_start,
        journey_extents.as_of,
        coalesce(
            stages.conversion_window_days, journeys.conversion_window_days
        ) as conversion_window_days,
        case
            when stage_extents.complete_through < journey_extents.as_of
                then stage_extents.complete_through
            when stage_extents.complete_through is not null then journey_extents.as_of
        end as observed_through
    from stages
    inner join journeys
        on stages.journey_id = journeys.journey_id
    inner join journey_extents
        on stages.journey_id = journey_extents.journey_id
    inner join stage_extents
        on
            stages.journey_id = stage_extents.journey_id
            and stages.stage_id = stage_extents.stage_id
),

timed_observations as (
    select
        observations.*,
        {{ working_us('observations.observed_through', 'working_hours') }}
            as observed_working_us
    from observations
    inner join journeys
        on observations.journey_id = journeys.journey_id
    left join working_hours
        on
            journeys.calendar_id = working_hours.calendar_id
            and {{ is_in_segment('observations.observed_through', 'working_hours') }}
)

select * from timed_observations

with

observations as (
    select * from {{ ref('int_stage_observations') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

builds as (
    select * from {{ ref('int_journey_builds') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

anchors as (
    select * from {{ ref('int_metric_anchors') }}
),

unit_stages as (
    select * from {{ ref('int_unit_stages') }}
),

stages as (
    select * from {{ ref('stages') }}
),

segment_dimensions as (
    select * from {{ ref('segment_dimensions') }}
),

-- Which stage is the first value, and how segments are cut, is no matter of the facts.
value_stages as (
    select
        journey_id,
        {{ ordered_text('stage_id') }} as value_stages
    from stages
    where key_moment = 'first_value'
    group by journey_id
),

dimension_lines as (
    select
        journey_id,
        {{ map_line('segment_dimensions', [
            'dimension', 'source', 'source_column', 'as_of_rule', 'is_immutable',
            'top_n', 'paired_with',
        ]) }} as map_line
    from segment_dimensions
),

dimensions as (
    select
        journey_id,
        {{ ordered_text('map_line') }} as dimensions
    from dimension_lines
    group by journey_id
),

definitions as (
    select
        observations.journey_id,
        observations.stage_id,
        metrics.metric_id,
        metrics.scale,
        observations.as_of,
        builds.through_load_id,
        dimensions.dimensions,
        coalesce(
            anchors.window_days,
            unit_stages.conversion_window_days,
            observations.conversion_window_days
        ) as conversion_window_days,
        {{ map_line('definition', [
            'journeys.journey_hash', 'observations.time_zone',
            'observations.conversion_window_days', 'metrics.definition_version',
        ]) }}
        || case
            when metrics.metric_id like 'time_to_value_%'
                then chr(31) || coalesce(value_stages.value_stages, chr(30))
            else ''
        end
        || case
            when anchors.metric_id is null then ''
            else chr(10) || {{ map_line('metric_rules', [
                'anchors.outcome', 'anchors.from_day', 'anchors.to_day',
                'anchors.due_property', 'anchors.is_negated', 'anchors.window_days',
            ]) }}
        end as definition
    from observations
    inner join journeys
        on observations.journey_id = journeys.journey_id
    inner join builds
        on observations.journey_id = builds.journey_id
    cross join metrics
    left join value_stages
        on observations.journey_id = value_stages.journey_id
    left join anchors
        on
            observations.journey_id = anchors.journey_id
            and observations.stage_id = anchors.stage_id
            and metrics.metric_id = anchors.metric_id
    left join unit_stages
        on
            observations.journey_id = unit_stages.journey_id
            and observations.stage_id = unit_stages.stage_id
            and {{ metric_family('metrics.metric_id') }} = unit_stages.metric_id
    left join dimensions
        on observations.journey_id = dimensions.journey_id
),

hashed_definitions as (
    select
        journey_id,
        stage_id,
        metric_id,
        scale,
        conversion_window_days,
        as_of,
        through_load_id,
        md5(definition) as definition_hash,
        md5(definition || chr(31) || coalesce(dimensions, chr(30)))
            as segment_definition_hash
    from definitions
)

select * from hashed_definitions

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

definitions as (
    select
        observations.journey_id,
        observations.stage_id,
        metrics.metric_id,
        metrics.scale,
        observations.conversion_window_days,
        observations.as_of,
        builds.through_load_id,
        md5({{ map_line('definition', [
            'journeys.journey_hash', 'observations.time_zone',
            'observations.conversion_window_days', 'metrics.definition_version',
        ]) }}) as definition_hash
    from observations
    inner join journeys
        on observations.journey_id = journeys.journey_id
    inner join builds
        on observations.journey_id = builds.journey_id
    cross join metrics
)

select * from definitions

{#- What this run has to do for each journey: the loads that are new since its last
    complete build, or everything where its map (or the facts' version) changed. -#}
with

journeys as (
    select * from {{ ref('int_journeys') }}
),

loads as (
    select * from {{ source('raw', 'loads') }}
),

previous_builds as (
    {{ previous_build_state() }}
),

newest_load as (
    select coalesce(max(load_id), 0) as load_id
    from loads
),

builds as (
    select
        journeys.journey_hash,
        previous_builds.through_load_id as from_load_id,
        newest_load.load_id as through_load_id,
        coalesce(journeys.journey_id, previous_builds.journey_id) as journey_id,
        coalesce(
            journeys.journey_hash <> previous_builds.journey_hash, true
        ) as is_full_rebuild
    from journeys
    full outer join previous_builds
        on journeys.journey_id = previous_builds.journey_id
    cross join newest_load
)

select * from builds

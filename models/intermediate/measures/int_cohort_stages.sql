{#- Numbers for journeys and stages: the measures join and group millions of rows by
    them. -#}
with

observations as (
    select * from {{ ref('int_stage_observations') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

numbered_stages as (
    select
        observations.journey_id,
        observations.stage_id,
        journeys.entity,
        observations.time_zone,
        observations.source_start,
        observations.as_of,
        observations.observed_through,
        observations.conversion_window_days,
        dense_rank() over (
            order by {{ binary_order('observations.journey_id') }}
        )::integer as journey_number,
        row_number() over (
            order by
                {{ binary_order('observations.journey_id') }},
                observations.stage_order
        )::integer as stage_number
    from observations
    inner join journeys
        on observations.journey_id = journeys.journey_id
    where observations.stage_kind = 'progress'
)

select * from numbered_stages

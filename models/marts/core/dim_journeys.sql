with

journeys as (
    select * from {{ ref('journeys') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

extents as (
    select
        journey_id,
        max(as_of) as as_of
    from observations
    group by journey_id
),

final as (
    select
        journeys.journey_id,
        journeys.name,
        journeys.entity,
        journeys.order_mode,
        journeys.attempt_gap_days,
        journeys.conversion_window_days,
        journeys.time_zone,
        journeys.currency,
        extents.as_of
    from journeys
    left join extents
        on journeys.journey_id = extents.journey_id
)

select * from final

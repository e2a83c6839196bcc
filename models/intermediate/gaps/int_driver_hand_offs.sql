{#- From owner to owner: into the stage, and within it until the case leaves it or its
    window ends. -#}
with

units as (
    select * from {{ ref('int_driver_units') }}
),

journey_events as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'touchpoint'
),

entered_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

left_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

unit_entities as (
    select distinct
        journey_id,
        entity_id
    from units
),

touchpoints as (
    select
        journey_events.journey_id,
        journey_events.entity_id,
        journey_events.occurred_at,
        {{ owner_name('journey_events.owner_team') }} as owner_name,
        lag(journey_events.occurred_at) over history as previous_at,
        lag({{ owner_name('journey_events.owner_team') }}) over history
            as previous_owner_name
    from journey_events
    inner join unit_entities
        on
            journey_events.journey_id = unit_entities.journey_id
            and journey_events.entity_id = unit_entities.entity_id
    window
        history as (
            partition by journey_events.journey_id, journey_events.entity_id
            order by
                journey_events.occurred_at,
                journey_events.event_seq nulls last,
                {{ binary_order('journey_events.source_row_id') }},
                {{ binary_order('journey_events.source') }}
        )
),

-- The wait of the stage does not begin before it.
inner_hand_offs as (
    select
        units.unit_number,
        touchpoints.previous_owner_name as from_owner,
        touchpoints.owner_name as to_owner,
        false as is_entering,
        touchpoints.occurred_at <= units.landmark_at as is_before_landmark,
        {{ epoch_us('touchpoints.occurred_at') }}
        - greatest(
            {{ epoch_us('touchpoints.previous_at') }},
            {{ epoch_us('units.entered_at') }}
        ) as wait_us
    from units
    inner join touchpoints
        on
            units.journey_id = touchpoints.journey_id
            and units.entity_id = touchpoints.entity_id
            and units.entered_at < touchpoints.occurred_at
            and units.window_ends_at >= touchpoints.occurred_at
    where
        touchpoints.previous_owner_name <> touchpoints.owner_name
        and (units.left_at is null or units.left_at >= touchpoints.occurred_at)
),

entering_hand_offs as (
    select
        units.unit_number,
        {{ owner_name('left_touchpoints.owner_team') }} as from_owner,
        {{ owner_name('entered_touchpoints.owner_team') }} as to_owner,
        true as is_entering,
        true as is_before_landmark,
        null::bigint as wait_us
    from units
    inner join entered_touchpoints
        on
            units.journey_id = entered_touchpoints.journey_id
            and units.entity_id = entered_touchpoints.entity_id
            and units.attempt_number = entered_touchpoints.attempt_number
            and units.visit_number = entered_touchpoints.visit_number
    inner join left_touchpoints
        on
            units.journey_id = left_touchpoints.journey_id
            and units.entity_id = left_touchpoints.entity_id
            and units.attempt_number = left_touchpoints.attempt_number
            and units.visit_number - 1 = left_touchpoints.visit_number
    where
        {{ owner_name('left_touchpoints.owner_team') }}
        <> {{ owner_name('entered_touchpoints.owner_team') }}
),

hand_offs as (
    select * from inner_hand_offs
    union all
    select * from entering_hand_offs
)

select * from hand_offs

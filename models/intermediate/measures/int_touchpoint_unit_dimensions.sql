with

-- A journey that links the source has the event again: it is one unit.
touchpoint_events as (
    select distinct
        source,
        source_row_id,
        touchpoint_id
    from {{ ref('fct_touchpoint_events') }}
    where visit_id is not null
),

touchpoints as (
    select *
    from {{ ref('dim_touchpoints') }}
    where response_event is not null
),

hand_offs as (
    select * from {{ ref('int_hand_offs') }}
),

dimensions as (
    select
        'touchpoint:' || touchpoint_events.source
        || ':' || touchpoint_events.source_row_id as unit_id,
        'touchpoint' as segment_dimension,
        touchpoint_events.touchpoint_id as segment_value
    from touchpoint_events
    inner join touchpoints
        on touchpoint_events.touchpoint_id = touchpoints.touchpoint_id
    union all
    select
        unit_id,
        'touchpoint' as segment_dimension,
        touchpoint_id as segment_value
    from hand_offs
    union all
    select
        unit_id,
        'hand_off' as segment_dimension,
        hand_off as segment_value
    from hand_offs
)

select * from dimensions

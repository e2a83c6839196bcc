with

touchpoint_events as (
    select *
    from {{ ref('fct_touchpoint_events') }}
    where visit_id is not null
),

touchpoints as (
    select *
    from {{ ref('dim_touchpoints') }}
    where response_event is not null
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

hand_offs as (
    select * from {{ ref('int_hand_offs') }}
),

-- Without a target a day is one.
limits as (
    select
        touchpoint_id,
        coalesce(response_target_minutes, 1440) * 60000000::bigint as limit_us
    from touchpoints
),

-- A period is mature once the slowest touchpoint's time is over.
windows as (
    select
        greatest(
            1, ceil(max(limit_us) / 86400000000::{{ type_double() }})
        )::integer as window_days
    from limits
),

asked as (
    select
        touchpoint_events.journey_id,
        touchpoint_events.stage_id,
        touchpoint_events.source,
        touchpoint_events.source_row_id,
        touchpoint_events.entity_id,
        touchpoint_events.attempt_number,
        touchpoint_events.visit_number,
        touchpoint_events.occurred_at,
        touchpoint_events.response_us,
        touchpoint_events.observed_through,
        limits.limit_us,
        coalesce(
            touchpoint_events.customer_id,
            {{ customer_of('visits', 'journeys.entity') }}
        ) as customer_id,
        {{ cluster_of('visits', 'customer_accounts') }} as cluster_id
    from touchpoint_events
    inner join limits
        on touchpoint_events.touchpoint_id = limits.touchpoint_id
    inner join visits
        on
            touchpoint_events.journey_id = visits.journey_id
            and touchpoint_events.entity_id = visits.entity_id
            and touchpoint_events.attempt_number = visits.attempt_number
            and touchpoint_events.visit_number = visits.visit_number
    inner join journeys
        on touchpoint_events.journey_id = journeys.journey_id
    left join customer_accounts
        on
            {{ customer_of('visits', 'journeys.entity') }}
            = customer_accounts.customer_id
),

units as (
    select
        'touchpoint_response_rate' as metric_id,
        asked.journey_id,
        asked.stage_id,
        'touchpoint:' || asked.source || ':' || asked.source_row_id as unit_id,
        null::{{ type_text() }} as only_dimension,
        asked.entity_id,
        asked.attempt_number,
        asked.visit_number,
        asked.customer_id,
        asked.cluster_id,
        asked.occurred_at as measured_at,
        windows.window_days,
        asked.observed_through,
        coalesce(asked.response_us <= asked.limit_us, false) as is_reached
    from asked
    cross join windows
    where
        {{ epoch_us('asked.occurred_at') }} + asked.limit_us
        <= {{ epoch_us('asked.observed_through') }}
    union all
    select
        'handoff_loss_rate' as metric_id,
        journey_id,
        stage_id,
        unit_id,
        null::{{ type_text() }} as only_dimension,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        began_at as measured_at,
        window_days,
        observed_through,
        is_lost as is_reached
    from hand_offs
    where is_judged
)

select * from units

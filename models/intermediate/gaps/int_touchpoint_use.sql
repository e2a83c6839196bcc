{#- A touchpoint is of no journey: an event of several counts once, and is answered
    where it is in one of them. -#}
with

touchpoints as (
    select * from {{ ref('dim_touchpoints') }}
),

journey_rules as (
    select *
    from {{ ref('int_journey_rules') }}
    where meaning = 'touchpoint'
),

touchpoint_events as (
    select * from {{ ref('fct_touchpoint_events') }}
),

ruled_touchpoints as (
    select distinct touchpoint_id
    from journey_rules
),

events as (
    select
        touchpoint_id,
        source,
        source_row_id,
        min({{ binary_order('owner_team') }}) as owner_team,
        min({{ binary_order('coalesce(customer_id, entity_id)') }}) as entity_id,
        max(occurred_at) as occurred_at,
        min(response_us) as response_us,
        max(observed_through) as observed_through
    from touchpoint_events
    group by
        touchpoint_id,
        source,
        source_row_id
),

judged_events as (
    select
        events.*,
        {{ epoch_us('events.occurred_at') }}
        + coalesce(touchpoints.response_target_minutes, 1440) * 60000000::bigint
        <= {{ epoch_us('events.observed_through') }} as is_judged,
        coalesce(
            events.response_us
            > touchpoints.response_target_minutes * 60000000::bigint,
            false
        ) as is_late
    from events
    inner join touchpoints
        on events.touchpoint_id = touchpoints.touchpoint_id
),

event_counts as (
    select
        touchpoint_id,
        count(*) as events,
        count(*) - count(owner_team) as unowned_events,
        count(distinct entity_id) as entities,
        max(occurred_at) as last_seen_at,
        sum(case when is_judged then 1 else 0 end)::bigint as judged_events,
        sum(
            case when is_judged and response_us is null then 1 else 0 end
        )::bigint as unanswered_events,
        sum(case when is_judged and is_late then 1 else 0 end)::bigint as late_events
    from judged_events
    group by touchpoint_id
),

ordered_answers as (
    select
        touchpoint_id,
        response_us,
        row_number() over (
            partition by touchpoint_id
            order by response_us
        ) as place,
        count(*) over (partition by touchpoint_id) as places
    from events
    where response_us is not null
),

median_answers as (
    select
        touchpoint_id,
        avg({{ days('response_us') }}) as median_response_days
    from ordered_answers
    where {{ is_middle('place', 'places') }}
    group by touchpoint_id
),

touchpoint_use as (
    select
        touchpoints.touchpoint_id,
        touchpoints.name,
        touchpoints.is_promoted,
        touchpoints.response_event,
        touchpoints.response_target_minutes,
        median_answers.median_response_days,
        event_counts.last_seen_at,
        touchpoints.owner_team is null
        and touchpoints.owner_column is null as is_unowned,
        ruled_touchpoints.touchpoint_id is not null as has_rules,
        coalesce(event_counts.events, 0) as events,
        coalesce(event_counts.unowned_events, 0) as unowned_events,
        coalesce(event_counts.entities, 0) as entities,
        coalesce(event_counts.judged_events, 0) as judged_events,
        coalesce(event_counts.unanswered_events, 0) as unanswered_events,
        coalesce(event_counts.late_events, 0) as late_events
    from touchpoints
    left join ruled_touchpoints
        on touchpoints.touchpoint_id = ruled_touchpoints.touchpoint_id
    left join event_counts
        on touchpoints.touchpoint_id = event_counts.touchpoint_id
    left join median_answers
        on touchpoints.touchpoint_id = median_answers.touchpoint_id
)

select * from touchpoint_use

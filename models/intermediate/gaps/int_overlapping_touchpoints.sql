{#- The map's checks refuse rules that match the same rows with one priority. With two
    priorities they are fine, but every event counts for one touchpoint only. -#}
with

events as (
    select * from {{ ref('int_source_events') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

-- Only rules of one event can match one. Of journeys that have them one will do.
touchpoint_rules as (
    select
        min({{ binary_order('journey_id') }}) as journey_id,
        meaning,
        stage_id,
        touchpoint_id,
        owner_team,
        owner_column,
        funnel_id,
        step_order,
        held_property,
        source,
        event_name,
        property_name,
        property_operator,
        property_value,
        min(rule_rank) as rule_rank
    from {{ ref('int_journey_rules') }}
    where
        meaning = 'touchpoint'
        and is_contested
    group by
        meaning,
        stage_id,
        touchpoint_id,
        owner_team,
        owner_column,
        funnel_id,
        step_order,
        held_property,
        source,
        event_name,
        property_name,
        property_operator,
        property_value
),

matches as (
    {{ rule_matches('events', 'touchpoint_rules', by_name=true) }}
),

extents as (
    select max(as_of) as as_of
    from journeys
),

event_touchpoints as (
    select distinct
        matches.source,
        matches.source_row_id,
        matches.touchpoint_id
    from matches
    inner join extents
        on matches.occurred_at <= extents.as_of
),

touchpoint_counts as (
    select
        source,
        touchpoint_id,
        count(*) as events
    from event_touchpoints
    group by
        source,
        touchpoint_id
),

double_matches as (
    select
        event_touchpoints.source,
        event_touchpoints.touchpoint_id,
        other_touchpoints.touchpoint_id as other_touchpoint_id,
        count(*) as events
    from event_touchpoints
    inner join event_touchpoints as other_touchpoints
        on
            event_touchpoints.source = other_touchpoints.source
            and event_touchpoints.source_row_id = other_touchpoints.source_row_id
    where
        {{ binary_order('event_touchpoints.touchpoint_id') }}
        < {{ binary_order('other_touchpoints.touchpoint_id') }}
    group by
        event_touchpoints.source,
        event_touchpoints.touchpoint_id,
        other_touchpoints.touchpoint_id
),

shares as (
    select
        double_matches.source,
        double_matches.touchpoint_id,
        double_matches.other_touchpoint_id,
        double_matches.events,
        touchpoint_counts.events + other_counts.events
        - double_matches.events as events_of_either
    from double_matches
    inner join touchpoint_counts
        on
            double_matches.source = touchpoint_counts.source
            and double_matches.touchpoint_id = touchpoint_counts.touchpoint_id
    inner join touchpoint_counts as other_counts
        on
            double_matches.source = other_counts.source
            and double_matches.other_touchpoint_id = other_counts.touchpoint_id
)

select * from shares

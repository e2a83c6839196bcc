with

events as (
    select * from {{ ref('int_source_events') }}
),

-- Read apart: entities are counted of the few events without a rule alone.
loose_events as (
    select * from {{ ref('int_source_events') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

journey_rules as (
    select *
    from {{ ref('int_journey_rules') }}
    where meaning in ('stage', 'touchpoint', 'response')
),

extents as (
    select max(as_of) as as_of
    from journeys
),

mapped_names as (
    select distinct
        source,
        event_name
    from journey_rules
),

-- The moments that a CRM's records are read for are no events.
named_events as (
    select
        events.source,
        events.event_name,
        count(*) as events,
        max(events.occurred_at) as last_seen_at
    from events
    inner join extents
        on events.occurred_at <= extents.as_of
    where
        events.source <> 'crm_opportunities'
        and events.event_name is not null
    group by
        events.source,
        events.event_name
),

shares as (
    select
        *,
        sum(events) over (partition by source)::bigint as source_events
    from named_events
),

unmapped as (
    select shares.*
    from shares
    left join mapped_names
        on
            shares.source = mapped_names.source
            and shares.event_name = mapped_names.event_name
    where mapped_names.event_name is null
),

entity_counts as (
    select
        loose_events.source,
        loose_events.event_name,
        count(
            distinct coalesce(
                loose_events.source_case_id,
                loose_events.opportunity_id,
                loose_events.support_contact_id,
                loose_events.account_id,
                loose_events.customer_id,
                loose_events.anonymous_id
            )
        ) as entities
    from loose_events
    inner join unmapped
        on
            loose_events.source = unmapped.source
            and loose_events.event_name = unmapped.event_name
    inner join extents
        on loose_events.occurred_at <= extents.as_of
    group by
        loose_events.source,
        loose_events.event_name
),

counted as (
    select
        unmapped.source,
        unmapped.event_name,
        unmapped.events,
        entity_counts.entities,
        unmapped.last_seen_at,
        unmapped.source_events
    from unmapped
    inner join entity_counts
        on
            unmapped.source = entity_counts.source
            and unmapped.event_name = entity_counts.event_name
)

select * from counted

with

events as (
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
        count(
            distinct coalesce(
                events.source_case_id,
                events.opportunity_id,
                events.support_contact_id,
                events.account_id,
                events.customer_id,
                events.anonymous_id
            )
        ) as entities,
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
)

select * from unmapped

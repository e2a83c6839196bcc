{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}

with

mapped_events as (
    select * from {{ ref('int_mapped_events') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

entity_links as (
    select * from {{ ref('entity_links') }}
),

identifications as (
    select * from {{ ref('int_device_identifications') }}
),

-- An anonymous event belongs to the next identification on its device within the
-- attempt gap, else to the device.
identified as (
    select
        mapped_events.journey_id,
        mapped_events.meaning,
        mapped_events.stage_id,
        mapped_events.touchpoint_id,
        mapped_events.owner_team,
        mapped_events.source,
        mapped_events.source_row_id,
        mapped_events.occurred_at,
        mapped_events.event_seq,
        mapped_events.account_id,
        mapped_events.opportunity_id,
        mapped_events.support_contact_id,
        mapped_events.source_case_id,
        entity_links.entity_column,
        coalesce(
            mapped_events.customer_id, identifications.customer_id
        ) as customer_id,
        coalesce(
            mapped_events.customer_id,
            identifications.customer_id,
            {{ anonymous_entity('mapped_events.anonymous_id') }}
        ) as customer_entity_id
    from mapped_events
    inner join journeys
        on mapped_events.journey_id = journeys.journey_id
    inner join entity_links
        on
            mapped_events.journey_id = entity_links.journey_id
            and mapped_events.source = entity_links.source
    left join identifications
        on
            mapped_events.anonymous_id = identifications.anonymous_id
            and mapped_events.customer_id is null
            and mapped_events.occurred_at <= identifications.identified_at
            and mapped_events.occurred_at > coalesce(
                identifications.previous_identified_at,
                timestamp '0001-01-01 00:00:00'
            )
            and {{ epoch_us('identifications.identified_at') }}
            - {{ epoch_us('mapped_events.occurred_at') }}
            <= coalesce(journeys.attempt_gap_us, 0)
),

with_entity as (
    select
        journey_id,
        meaning,
        stage_id,
        touchpoint_id,
        owner_team,
        source,
        source_row_id,
        occurred_at,
        event_seq,
        customer_id,
        account_id,
        case entity_column
            when 'customer_id' then customer_entity_id
            when 'account_id' then account_id
            when 'opportunity_id' then opportunity_id
            when 'support_contact_id' then support_contact_id
            when 'source_case_id' then source_case_id
        end as entity_id
    from identified
),

rebuilt as (
    select
        journey_id,
        entity_id,
        meaning,
        stage_id,
        touchpoint_id,
        owner_team,
        source,
        source_row_id,
        occurred_at,
        event_seq,
        customer_id,
        account_id
    from with_entity
    where
        entity_id is not null
        and {{ is_rebuilt('with_entity') }}
)

select * from rebuilt

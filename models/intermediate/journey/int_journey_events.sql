{#- A view: what it joins is small, and its readers ask for one meaning each. -#}
{{ config(materialized='view') }}

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

opportunities as (
    select * from {{ ref('int_current_opportunities') }}
),

contacts as (
    select * from {{ ref('int_current_contacts') }}
),

support_contacts as (
    select * from {{ ref('int_current_support_contacts') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

links as (
    select
        entity_links.journey_id,
        entity_links.source,
        entity_links.entity_column,
        coalesce(journeys.attempt_gap_us, 0) as attempt_gap_us
    from entity_links
    inner join journeys
        on entity_links.journey_id = journeys.journey_id
),

opportunity_links as (
    select
        opportunities.opportunity_id,
        contacts.customer_id,
        coalesce(opportunities.account_id, contacts.account_id) as account_id
    from opportunities
    left join contacts
        on opportunities.contact_id = contacts.contact_id
),

-- The first hops: a CRM row by its opportunity and its contact, a support event by its
-- contact, an anonymous event by the next identification on its device within the
-- attempt gap.
identified as (
    select
        mapped_events.journey_id,
        mapped_events.meaning,
        mapped_events.stage_id,
        mapped_events.touchpoint_id,
        mapped_events.owner_team,
        mapped_events.funnel_id,
        mapped_events.step_order,
        mapped_events.held_value,
        mapped_events.source,
        mapped_events.source_row_id,
        mapped_events.occurred_at,
        mapped_events.event_seq,
        mapped_events.opportunity_id,
        mapped_events.support_contact_id,
        mapped_events.source_case_id,
        links.entity_column,
        coalesce(
            mapped_events.customer_id,
            identifications.customer_id,
            opportunity_links.customer_id,
            support_contacts.customer_id
        ) as customer_id,
        coalesce(
            mapped_events.account_id, opportunity_links.account_id
        ) as account_id,
        {{ anonymous_entity('mapped_events.anonymous_id') }} as anonymous_entity_id
    from mapped_events
    inner join links
        on
            mapped_events.journey_id = links.journey_id
            and mapped_events.source = links.source
    left join identifications
        on
            mapped_events.anonymous_id = identifications.anonymous_id
            and mapped_events.occurred_at <= identifications.identified_at
            and mapped_events.occurred_at > coalesce(
                identifications.previous_identified_at,
                timestamp '0001-01-01 00:00:00'
            )
            -- Each side of its own: else DuckDB compares all with all.
            and {{ epoch_us('mapped_events.occurred_at') }} + links.attempt_gap_us
            >= {{ epoch_us('identifications.identified_at') }}
    left join opportunity_links
        on mapped_events.opportunity_id = opportunity_links.opportunity_id
    left join support_contacts
        on mapped_events.support_contact_id = support_contacts.support_contact_id
),

-- The last hop, of journeys of accounts: a customer's account is that of its contact.
-- Who has none yet is an entity as well, or merging would favour converters.
with_entity as (
    select
        identified.journey_id,
        identified.meaning,
        identified.stage_id,
        identified.touchpoint_id,
        identified.owner_team,
        identified.funnel_id,
        identified.step_order,
        identified.held_value,
        identified.source,
        identified.source_row_id,
        identified.occurred_at,
        identified.event_seq,
        identified.customer_id,
        coalesce(
            identified.account_id, customer_accounts.account_id
        ) as account_id,
        case identified.entity_column
            when 'customer_id'
                then coalesce(identified.customer_id, identified.anonymous_entity_id)
            when 'account_id'
                then coalesce(
                    identified.account_id,
                    customer_accounts.account_id,
                    {{ unlinked_entity('identified.customer_id') }},
                    identified.anonymous_entity_id
                )
            when 'opportunity_id' then identified.opportunity_id
            when 'support_contact_id' then identified.support_contact_id
            when 'source_case_id' then identified.source_case_id
        end as entity_id
    from identified
    left join customer_accounts
        on
            case
                when identified.entity_column = 'account_id'
                    then identified.customer_id
            end = customer_accounts.customer_id
),

known as (
    select
        journey_id,
        entity_id,
        meaning,
        stage_id,
        touchpoint_id,
        owner_team,
        funnel_id,
        step_order,
        held_value,
        source,
        source_row_id,
        occurred_at,
        event_seq,
        customer_id,
        account_id
    from with_entity
    where entity_id is not null
)

select * from known

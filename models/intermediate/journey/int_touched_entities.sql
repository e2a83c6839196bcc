{#- A new row touches every entity whose history it can change: its own, those whose
    time on its device it cuts anew, and those that any version of a record linked. -#}
with

builds as (
    select * from {{ ref('int_journey_builds') }}
),

entity_links as (
    select * from {{ ref('entity_links') }}
),

-- Read apart: a relation named twice would be stored whole in between. Only what is new
-- is wanted, and the rest for devices alone.
loaded_events as (
    select *
    from {{ ref('stg_events') }}
    where load_id > {{ first_new_load() }}
),

customer_events as (
    select *
    from {{ ref('stg_events') }}
    where anonymous_id is not null
),

account_events as (
    select *
    from {{ ref('stg_events') }}
    where
        anonymous_id is not null
        and customer_id is null
        and account_id is not null
),

identifications as (
    select * from {{ ref('int_device_identifications') }}
),

stage_changes as (
    select * from {{ ref('stg_crm_stage_changes') }}
),

opportunities as (
    select * from {{ ref('stg_crm_opportunities') }}
),

contacts as (
    select * from {{ ref('stg_crm_contacts') }}
),

support_contacts as (
    select * from {{ ref('stg_support_contacts') }}
),

support_events as (
    select * from {{ ref('stg_support_events') }}
),

process_events as (
    select * from {{ ref('stg_event_log') }}
),

withdrawn_rows as (
    select * from {{ ref('stg_withdrawn_rows') }}
),

incremental_builds as (
    select
        journey_id,
        from_load_id
    from builds
    where not is_full_rebuild
),

since as (
    select min(from_load_id) as from_load_id
    from incremental_builds
),

new_events as (
    select
        loaded_events.load_id,
        loaded_events.anonymous_id,
        loaded_events.customer_id,
        loaded_events.account_id,
        loaded_events.occurred_at
    from loaded_events
    inner join since
        on loaded_events.load_id > since.from_load_id
),

new_withdrawn_rows as (
    select withdrawn_rows.*
    from withdrawn_rows
    inner join since
        on withdrawn_rows.load_id > since.from_load_id
),

new_contacts as (
    select
        contacts.load_id,
        contacts.contact_id
    from contacts
    inner join since
        on contacts.load_id > since.from_load_id
),

device_keys as (
    select
        load_id,
        anonymous_id
    from new_events
    where anonymous_id is not null
    union distinct
    select
        load_id,
        anonymous_id
    from new_withdrawn_rows
    where anonymous_id is not null
),

opportunity_keys as (
    select
        stage_changes.load_id,
        stage_changes.opportunity_id
    from stage_changes
    inner join since
        on stage_changes.load_id > since.from_load_id
    union distinct
    select
        opportunities.load_id,
        opportunities.opportunity_id
    from opportunities
    inner join since
        on opportunities.load_id > since.from_load_id
    union distinct
    select
        new_contacts.load_id,
        opportunities.opportunity_id
    from new_contacts
    inner join opportunities
        on new_contacts.contact_id = opportunities.contact_id
    union distinct
    select
        load_id,
        opportunity_id
    from new_withdrawn_rows
    where opportunity_id is not null
),

contact_keys as (
    select
        load_id,
        contact_id
    from new_contacts
    union distinct
    select
        opportunity_keys.load_id,
        opportunities.contact_id
    from opportunity_keys
    inner join opportunities
        on opportunity_keys.opportunity_id = opportunities.opportunity_id
),

support_contact_keys as (
    select
        support_contacts.load_id,
        support_contacts.support_contact_id
    from support_contacts
    inner join since
        on support_contacts.load_id > since.from_load_id
    union distinct
    select
        support_events.load_id,
        support_events.support_contact_id
    from support_events
    inner join since
        on support_events.load_id > since.from_load_id
    union distinct
    select
        load_id,
        support_contact_id
    from new_withdrawn_rows
    where support_contact_id is not null
),

-- On a device, those whose time an event falls in, or whose time it ends or begins; of
-- a row that is gone nobody knows when it was.
customer_keys as (
    select
        load_id,
        customer_id
    from new_events
    union distinct
    select
        load_id,
        customer_id
    from new_withdrawn_rows
    union distinct
    select
        new_events.load_id,
        identifications.customer_id
    from new_events
    inner join identifications
        on
            new_events.anonymous_id = identifications.anonymous_id
            and new_events.occurred_at <= identifications.identified_at
            and new_events.occurred_at >= coalesce(
                identifications.previous_identified_at, new_events.occurred_at
            )
    union distinct
    select
        new_withdrawn_rows.load_id,
        customer_events.customer_id
    from new_withdrawn_rows
    inner join customer_events
        on new_withdrawn_rows.anonymous_id = customer_events.anonymous_id
    union distinct
    select
        contact_keys.load_id,
        contacts.customer_id
    from contact_keys
    inner join contacts
        on contact_keys.contact_id = contacts.contact_id
    union distinct
    select
        support_contact_keys.load_id,
        support_contacts.customer_id
    from support_contact_keys
    inner join support_contacts
        on
            support_contact_keys.support_contact_id
            = support_contacts.support_contact_id
),

account_keys as (
    select
        load_id,
        account_id
    from new_events
    union distinct
    select
        load_id,
        account_id
    from new_withdrawn_rows
    union distinct
    -- An event that names its account is still of whoever is identified on its device.
    select
        device_keys.load_id,
        account_events.account_id
    from device_keys
    inner join account_events
        on device_keys.anonymous_id = account_events.anonymous_id
    union distinct
    select
        opportunity_keys.load_id,
        opportunities.account_id
    from opportunity_keys
    inner join opportunities
        on opportunity_keys.opportunity_id = opportunities.opportunity_id
    union distinct
    select
        contact_keys.load_id,
        contacts.account_id
    from contact_keys
    inner join contacts
        on contact_keys.contact_id = contacts.contact_id
    union distinct
    select
        customer_keys.load_id,
        contacts.account_id
    from customer_keys
    inner join contacts
        on customer_keys.customer_id = contacts.customer_id
),

touched_keys as (
    select
        load_id,
        'customer_id' as entity_column,
        customer_id as entity_id
    from customer_keys
    union all
    select
        load_id,
        'customer_id' as entity_column,
        {{ anonymous_entity('anonymous_id') }} as entity_id
    from device_keys
    union all
    select
        load_id,
        'account_id' as entity_column,
        account_id as entity_id
    from account_keys
    union all
    select
        load_id,
        'account_id' as entity_column,
        {{ unlinked_entity('customer_id') }} as entity_id
    from customer_keys
    union all
    select
        load_id,
        'account_id' as entity_column,
        {{ anonymous_entity('anonymous_id') }} as entity_id
    from device_keys
    union all
    select
        load_id,
        'opportunity_id' as entity_column,
        opportunity_id as entity_id
    from opportunity_keys
    union all
    select
        load_id,
        'support_contact_id' as entity_column,
        support_contact_id as entity_id
    from support_contact_keys
    union all
    select
        process_events.load_id,
        'source_case_id' as entity_column,
        process_events.source_case_id as entity_id
    from process_events
    inner join since
        on process_events.load_id > since.from_load_id
    union all
    select
        load_id,
        'source_case_id' as entity_column,
        source_case_id as entity_id
    from new_withdrawn_rows
),

touched_entities as (
    select distinct
        incremental_builds.journey_id,
        touched_keys.entity_id
    from touched_keys
    inner join entity_links
        on touched_keys.entity_column = entity_links.entity_column
    inner join incremental_builds
        on
            entity_links.journey_id = incremental_builds.journey_id
            and touched_keys.load_id > incremental_builds.from_load_id
    where touched_keys.entity_id is not null
)

select * from touched_entities

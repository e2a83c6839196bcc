with

events as (
    select * from {{ ref('stg_events') }}
),

stage_changes as (
    select * from {{ ref('stg_crm_stage_changes') }}
),

process_events as (
    select * from {{ ref('stg_event_log') }}
),

support_events as (
    select * from {{ ref('stg_support_events') }}
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

product_events as (
    select
        'events' as source,
        event_id as source_row_id,
        event_name,
        occurred_at,
        null::bigint as event_seq,
        anonymous_id,
        customer_id,
        account_id,
        null::varchar as opportunity_id,
        null::varchar as support_contact_id,
        null::varchar as source_case_id,
        channel,
        null::varchar as lifecycle,
        null::varchar as resource,
        properties
    from events
),

crm_events as (
    select
        'crm_stage_changes' as source,
        stage_changes.change_id as source_row_id,
        stage_changes.stage_name as event_name,
        stage_changes.changed_at as occurred_at,
        null::bigint as event_seq,
        null::varchar as anonymous_id,
        contacts.customer_id,
        opportunities.account_id,
        stage_changes.opportunity_id,
        null::varchar as support_contact_id,
        null::varchar as source_case_id,
        null::varchar as channel,
        null::varchar as lifecycle,
        stage_changes.changed_by as resource,
        null::varchar as properties
    from stage_changes
    left join opportunities
        on stage_changes.opportunity_id = opportunities.opportunity_id
    left join contacts
        on opportunities.contact_id = contacts.contact_id
),

-- A CRM without a stage history still says when an opportunity opened and closed.
opportunity_moments as (
    select
        opportunity_id,
        account_id,
        contact_id,
        owner,
        'created' as event_name,
        created_at as occurred_at
    from opportunities
    union all
    select
        opportunity_id,
        account_id,
        contact_id,
        owner,
        case when is_won then 'won' else 'lost' end as event_name,
        closed_at as occurred_at
    from opportunities
    where is_won is not null
),

opportunity_events as (
    select
        'crm_opportunities' as source,
        moments.opportunity_id || ':' || moments.event_name as source_row_id,
        moments.event_name,
        moments.occurred_at,
        null::bigint as event_seq,
        null::varchar as anonymous_id,
        contacts.customer_id,
        moments.account_id,
        moments.opportunity_id,
        null::varchar as support_contact_id,
        null::varchar as source_case_id,
        null::varchar as channel,
        null::varchar as lifecycle,
        moments.owner as resource,
        null::varchar as properties
    from opportunity_moments as moments
    left join contacts
        on moments.contact_id = contacts.contact_id
    where moments.occurred_at is not null
),

desk_events as (
    select
        'support_events' as source,
        support_events.support_event_id as source_row_id,
        support_events.kind as event_name,
        support_events.occurred_at,
        null::bigint as event_seq,
        null::varchar as anonymous_id,
        support_contacts.customer_id,
        null::varchar as account_id,
        null::varchar as opportunity_id,
        support_events.support_contact_id,
        null::varchar as source_case_id,
        null::varchar as channel,
        null::varchar as lifecycle,
        support_events.agent_team as resource,
        null::varchar as properties
    from support_events
    left join support_contacts
        on support_events.support_contact_id = support_contacts.support_contact_id
),

log_events as (
    select
        'event_log' as source,
        event_id as source_row_id,
        activity as event_name,
        occurred_at,
        event_seq,
        null::varchar as anonymous_id,
        null::varchar as customer_id,
        null::varchar as account_id,
        null::varchar as opportunity_id,
        null::varchar as support_contact_id,
        source_case_id,
        null::varchar as channel,
        lifecycle,
        resource,
        attributes as properties
    from process_events
),

unioned as (
    select * from product_events
    union all
    select * from crm_events
    union all
    select * from opportunity_events
    union all
    select * from desk_events
    union all
    select * from log_events
)

select * from unioned

{{ config(materialized='view') }}

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

-- Read apart: with a relation that is stored in between, DuckDB reads every column of
-- all the tables below for whoever asks for one.
closed_opportunities as (
    select *
    from {{ ref('int_current_opportunities') }}
    where is_won is not null
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
        null::{{ type_text() }} as opportunity_id,
        null::{{ type_text() }} as support_contact_id,
        null::{{ type_text() }} as source_case_id,
        channel,
        null::{{ type_text() }} as lifecycle,
        null::{{ type_text() }} as resource,
        properties,
        load_id
    from events
),

crm_events as (
    select
        'crm_stage_changes' as source,
        change_id as source_row_id,
        stage_name as event_name,
        changed_at as occurred_at,
        null::bigint as event_seq,
        null::{{ type_text() }} as anonymous_id,
        null::{{ type_text() }} as customer_id,
        null::{{ type_text() }} as account_id,
        opportunity_id,
        null::{{ type_text() }} as support_contact_id,
        null::{{ type_text() }} as source_case_id,
        null::{{ type_text() }} as channel,
        null::{{ type_text() }} as lifecycle,
        changed_by as resource,
        null::{{ type_text() }} as properties,
        load_id
    from stage_changes
),

-- A CRM without a stage history still says when an opportunity opened and closed.
opportunity_moments as (
    select
        opportunity_id,
        owner,
        'created' as event_name,
        created_at as occurred_at
    from opportunities
    union all
    select
        opportunity_id,
        owner,
        case when is_won then 'won' else 'lost' end as event_name,
        closed_at as occurred_at
    from closed_opportunities
),

opportunity_events as (
    select
        'crm_opportunities' as source,
        opportunity_id || ':' || event_name as source_row_id,
        event_name,
        occurred_at,
        null::bigint as event_seq,
        null::{{ type_text() }} as anonymous_id,
        null::{{ type_text() }} as customer_id,
        null::{{ type_text() }} as account_id,
        opportunity_id,
        null::{{ type_text() }} as support_contact_id,
        null::{{ type_text() }} as source_case_id,
        null::{{ type_text() }} as channel,
        null::{{ type_text() }} as lifecycle,
        owner as resource,
        null::{{ type_text() }} as properties,
        null::bigint as load_id
    from opportunity_moments
    where occurred_at is not null
),

desk_events as (
    select
        'support_events' as source,
        support_event_id as source_row_id,
        kind as event_name,
        occurred_at,
        null::bigint as event_seq,
        null::{{ type_text() }} as anonymous_id,
        null::{{ type_text() }} as customer_id,
        null::{{ type_text() }} as account_id,
        null::{{ type_text() }} as opportunity_id,
        support_contact_id,
        null::{{ type_text() }} as source_case_id,
        null::{{ type_text() }} as channel,
        null::{{ type_text() }} as lifecycle,
        agent_team as resource,
        null::{{ type_text() }} as properties,
        load_id
    from support_events
),

log_events as (
    select
        'event_log' as source,
        event_id as source_row_id,
        activity as event_name,
        occurred_at,
        event_seq,
        null::{{ type_text() }} as anonymous_id,
        null::{{ type_text() }} as customer_id,
        null::{{ type_text() }} as account_id,
        null::{{ type_text() }} as opportunity_id,
        null::{{ type_text() }} as support_contact_id,
        source_case_id,
        null::{{ type_text() }} as channel,
        lifecycle,
        resource,
        attributes as properties,
        load_id
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

{#- Incremental by row: what an event means depends on it and on the map alone. Whose it
    is (int_journey_events) depends on others. -#}
{{ config(materialized='incremental', incremental_strategy='row_rebuild') }}

with

-- Read once per branch: a relation named twice would be stored whole in between.
events as (
    select *
    from {{ ref('int_source_events') }}
    where {{ is_new_row('load_id', 'source') }}
),

rival_events as (
    select *
    from {{ ref('int_source_events') }}
    where {{ is_new_row('load_id', 'source') }}
),

all_events as (
    select *
    from {{ ref('int_source_events') }}
    where {{ is_new_row('load_id', 'source') }}
),

journey_rules as (
    select * from {{ ref('int_journey_rules') }}
),

lone_rules as (
    select *
    from journey_rules
    where not is_contested
),

rival_rules as (
    select *
    from journey_rules
    where
        is_contested
        and event_name is not null
),

loose_rules as (
    select *
    from journey_rules
    where event_name is null
),

lone_matches as (
    {{ rule_matches('events', 'lone_rules', by_name=true) }}
),

rival_matches as (
    {{ rule_matches('rival_events', 'rival_rules', by_name=true) }}
    union all
    {{ rule_matches('all_events', 'loose_rules', by_name=false) }}
),

ranked_matches as (
    select
        *,
        row_number() over (
            partition by journey_id, meaning, source, source_row_id
            order by rule_rank
        ) as match_rank
    from rival_matches
),

mapped as (
    select
        journey_id,
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
        anonymous_id,
        customer_id,
        account_id,
        opportunity_id,
        support_contact_id,
        source_case_id,
        load_id
    from lone_matches
    union all
    select
        journey_id,
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
        anonymous_id,
        customer_id,
        account_id,
        opportunity_id,
        support_contact_id,
        source_case_id,
        load_id
    from ranked_matches
    where match_rank = 1
),

wanted as (
    select *
    from mapped
    where {{ is_new_row('mapped.load_id', 'mapped.source', 'mapped.journey_id') }}
)

select * from wanted

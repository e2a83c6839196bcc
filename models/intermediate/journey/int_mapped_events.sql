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
    select
        lone_rules.journey_id,
        lone_rules.meaning,
        lone_rules.stage_id,
        lone_rules.touchpoint_id,
        lone_rules.funnel_id,
        lone_rules.step_order,
        lone_rules.rule_rank,
        events.source,
        events.source_row_id,
        events.occurred_at,
        events.event_seq,
        events.customer_id,
        events.account_id,
        events.opportunity_id,
        events.support_contact_id,
        events.source_case_id,
        events.load_id,
        case when events.customer_id is null then events.anonymous_id end
            as anonymous_id,
        coalesce(
            {{ event_property('events', 'lone_rules.owner_column') }},
            lone_rules.owner_team
        ) as owner_team,
        {{ event_property('events', 'lone_rules.held_property') }} as held_value
    from events
    inner join lone_rules
        on
            events.source = lone_rules.source
            and events.event_name = lone_rules.event_name
            and {{ meets_property('events', 'lone_rules') }}
),

rival_matches as (
    select
        rival_rules.journey_id,
        rival_rules.meaning,
        rival_rules.stage_id,
        rival_rules.touchpoint_id,
        rival_rules.funnel_id,
        rival_rules.step_order,
        rival_rules.rule_rank,
        rival_events.source,
        rival_events.source_row_id,
        rival_events.occurred_at,
        rival_events.event_seq,
        rival_events.customer_id,
        rival_events.account_id,
        rival_events.opportunity_id,
        rival_events.support_contact_id,
        rival_events.source_case_id,
        rival_events.load_id,
        case when rival_events.customer_id is null then rival_events.anonymous_id end
            as anonymous_id,
        coalesce(
            {{ event_property('rival_events', 'rival_rules.owner_column') }},
            rival_rules.owner_team
        ) as owner_team,
        {{ event_property('rival_events', 'rival_rules.held_property') }} as held_value
    from rival_events
    inner join rival_rules
        on
            rival_events.source = rival_rules.source
            and rival_events.event_name = rival_rules.event_name
            and {{ meets_property('rival_events', 'rival_rules') }}
    union all
    select
        loose_rules.journey_id,
        loose_rules.meaning,
        loose_rules.stage_id,
        loose_rules.touchpoint_id,
        loose_rules.funnel_id,
        loose_rules.step_order,
        loose_rules.rule_rank,
        all_events.source,
        all_events.source_row_id,
        all_events.occurred_at,
        all_events.event_seq,
        all_events.customer_id,
        all_events.account_id,
        all_events.opportunity_id,
        all_events.support_contact_id,
        all_events.source_case_id,
        all_events.load_id,
        case when all_events.customer_id is null then all_events.anonymous_id end
            as anonymous_id,
        coalesce(
            {{ event_property('all_events', 'loose_rules.owner_column') }},
            loose_rules.owner_team
        ) as owner_team,
        {{ event_property('all_events', 'loose_rules.held_property') }}
            as held_value
    from all_events
    inner join loose_rules
        on
            all_events.source = loose_rules.source
            and {{ meets_property('all_events', 'loose_rules') }}
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

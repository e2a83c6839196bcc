{#- What is sorted is narrow, as in int_stage_visits: funnels are numbers, and a
    customer who is the entity is a flag, until every event has its place. -#}
{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}
{#- Where no step shares its events, a literal says so, and they are not read again. -#}
{%- set shared_steps = read_values(
    ref('int_funnel_steps'), 'count(*)', "is_shared or order_mode = 'strict'"
) %}

with

lone_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning = 'funnel_step'
),

-- Read apart: what is read twice would be stored in between, every event of a funnel.
shared_rows as (
    select *
    from {{ rebuilt_events() }}
    where
        meaning = 'funnel_step'
        and {{ (shared_steps | map('int') | list != [0]) | lower }}
),

other_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning in ('stage', 'touchpoint')
),

exclusion_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning = 'exclusion'
),

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

-- An event that may be several steps, or that a strict funnel counts with others.
lone_steps as (
    select *
    from funnel_steps
    where
        not is_shared
        and order_mode <> 'strict'
),

shared_steps as (
    select *
    from funnel_steps
    where
        is_shared
        or order_mode = 'strict'
),

strict_funnels as (
    select distinct
        funnel_number,
        journey_id
    from funnel_steps
    where order_mode = 'strict'
),

named_funnels as (
    select distinct
        funnel_number,
        funnel_id,
        journey_id
    from funnel_steps
),

excluded_entities as (
    select distinct
        journey_id,
        entity_id
    from exclusion_rows
    where {{ is_rebuilt('exclusion_rows') }}
),

{% for kind in ['lone', 'shared'] %}
    -- Without the held property an event is no step, but excludes whatever its value.
    {{ kind }}_events as (
        select
            {{ kind }}_steps.funnel_number,
            {{ kind }}_rows.entity_id,
            {{ hash_number(kind ~ '_rows.entity_id') }} as entity_hash,
            coalesce({{ kind }}_rows.customer_id = {{ kind }}_rows.entity_id, false)
                as is_customer,
            case
                when {{ kind }}_rows.customer_id <> {{ kind }}_rows.entity_id
                    then {{ kind }}_rows.customer_id
            end as other_customer_id,
            {{ kind }}_rows.account_id,
            {{ kind }}_rows.source,
            {{ kind }}_rows.source_row_id,
            {{ kind }}_rows.occurred_at,
            {{ kind }}_rows.event_seq,
            {{ kind }}_steps.step_order,
            {{ kind }}_steps.is_exclusion,
            case
                when
                    {{ kind }}_steps.held_property is null
                    or {{ kind }}_rows.held_value is not null
                    then {{ kind }}_steps.step_number
            end as step_number,
            case
                when {{ kind }}_steps.held_property is not null
                    then {{ kind }}_rows.held_value
            end as held_value
        from {{ kind }}_rows
        inner join {{ kind }}_steps
            on
                {{ kind }}_rows.funnel_id = {{ kind }}_steps.funnel_id
                and {{ kind }}_rows.step_order = {{ kind }}_steps.step_order
        left join excluded_entities
            on
                {{ kind }}_rows.journey_id = excluded_entities.journey_id
                and {{ kind }}_rows.entity_id = excluded_entities.entity_id
        where
            excluded_entities.entity_id is null
            and {{ is_rebuilt(kind ~ '_rows') }}
    ),
{% endfor %}
-- What a strict funnel does not allow between two steps.
other_events as (
    select
        strict_funnels.funnel_number,
        other_rows.entity_id,
        {{ hash_number('other_rows.entity_id') }} as entity_hash,
        coalesce(other_rows.customer_id = other_rows.entity_id, false) as is_customer,
        case
            when other_rows.customer_id <> other_rows.entity_id
                then other_rows.customer_id
        end as other_customer_id,
        other_rows.account_id,
        other_rows.source,
        other_rows.source_row_id,
        other_rows.occurred_at,
        other_rows.event_seq,
        null::integer as step_order,
        false as is_exclusion,
        null::integer as step_number,
        null::{{ type_text() }} as held_value
    from other_rows
    inner join strict_funnels
        on other_rows.journey_id = strict_funnels.journey_id
    left join excluded_entities
        on
            other_rows.journey_id = excluded_entities.journey_id
            and other_rows.entity_id = excluded_entities.entity_id
    where
        excluded_entities.entity_id is null
        and {{ is_rebuilt('other_rows') }}
),

-- An event can be several steps, or a step and a stage, and has one place: that of the
-- earliest step. Where the map says that it is one step it need not be sorted for.
contested_events as (
    select * from shared_events
    union all
    select * from other_events
),

placed_events as (
    select
        *,
        step_number as first_step
    from lone_events
    union all
    select
        *,
        min(step_number) over (
            partition by
                funnel_number,
                entity_hash,
                entity_id,
                occurred_at,
                source_row_id,
                source
        ) as first_step
    from contested_events
),

numbered_events as (
    select
        *,
        dense_rank() over (
            partition by funnel_number, entity_hash, entity_id
            order by
                occurred_at,
                first_step nulls last,
                event_seq nulls last,
                {{ binary_order('source_row_id') }},
                {{ binary_order('source') }}
        )::integer as event_number
    from placed_events
),

final as (
    select
        named_funnels.journey_id,
        numbered_events.entity_id,
        named_funnels.funnel_id,
        numbered_events.held_value,
        numbered_events.event_number,
        numbered_events.step_order,
        numbered_events.step_number,
        numbered_events.is_exclusion,
        numbered_events.occurred_at,
        numbered_events.account_id,
        case
            when numbered_events.is_customer then numbered_events.entity_id
            else numbered_events.other_customer_id
        end as customer_id
    from numbered_events
    inner join named_funnels
        on numbered_events.funnel_number = named_funnels.funnel_number
    where
        numbered_events.step_number is not null
        or numbered_events.is_exclusion
)

select * from final

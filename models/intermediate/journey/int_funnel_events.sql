{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}

with

all_step_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'funnel_step'
),

-- First, before anything is joined to them.
step_rows as (
    select *
    from all_step_rows
    where {{ is_rebuilt('all_step_rows') }}
),

other_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning in ('stage', 'touchpoint')
),

exclusion_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'exclusion'
),

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

strict_funnels as (
    select distinct
        funnel_id,
        journey_id
    from funnel_steps
    where order_mode = 'strict'
),

excluded_entities as (
    select distinct
        journey_id,
        entity_id
    from exclusion_rows
    where {{ is_rebuilt('exclusion_rows') }}
),

-- Without the held property an event is no step, but excludes whatever the value is.
step_events as (
    select
        step_rows.journey_id,
        step_rows.entity_id,
        step_rows.funnel_id,
        step_rows.customer_id,
        step_rows.account_id,
        step_rows.source,
        step_rows.source_row_id,
        step_rows.occurred_at,
        step_rows.event_seq,
        funnel_steps.step_order,
        funnel_steps.is_exclusion,
        funnel_steps.is_shared or funnel_steps.order_mode = 'strict' as is_shared,
        case
            when
                funnel_steps.held_property is null
                or step_rows.held_value is not null
                then funnel_steps.step_number
        end as step_number,
        case
            when funnel_steps.held_property is not null then step_rows.held_value
        end as held_value
    from step_rows
    inner join funnel_steps
        on
            step_rows.funnel_id = funnel_steps.funnel_id
            and step_rows.step_order = funnel_steps.step_order
    left join excluded_entities
        on
            step_rows.journey_id = excluded_entities.journey_id
            and step_rows.entity_id = excluded_entities.entity_id
    where excluded_entities.entity_id is null
),

-- What a strict funnel does not allow between two steps.
other_events as (
    select
        other_rows.journey_id,
        other_rows.entity_id,
        strict_funnels.funnel_id,
        other_rows.customer_id,
        other_rows.account_id,
        other_rows.source,
        other_rows.source_row_id,
        other_rows.occurred_at,
        other_rows.event_seq,
        null::integer as step_order,
        false as is_exclusion,
        true as is_shared,
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
shared_events as (
    select * from step_events
    where is_shared
    union all
    select * from other_events
),

placed_events as (
    select
        *,
        step_number as first_step
    from step_events
    where not is_shared
    union all
    select
        *,
        min(step_number) over (
            partition by funnel_id, entity_id, occurred_at, source_row_id, source
        ) as first_step
    from shared_events
),

numbered_events as (
    select
        *,
        dense_rank() over (
            partition by funnel_id, entity_id
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
        journey_id,
        entity_id,
        funnel_id,
        held_value,
        event_number,
        step_order,
        step_number,
        is_exclusion,
        occurred_at,
        customer_id,
        account_id
    from numbered_events
    where
        step_number is not null
        or is_exclusion
)

select * from final

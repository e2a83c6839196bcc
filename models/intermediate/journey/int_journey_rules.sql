{#- The map's rules of every kind in one shape, so that events are read once. -#}
with

journeys as (
    select * from {{ ref('journeys') }}
),

stages as (
    select * from {{ ref('stages') }}
),

stage_rules as (
    select * from {{ ref('stage_rules') }}
),

entity_links as (
    select * from {{ ref('entity_links') }}
),

touchpoints as (
    select * from {{ ref('touchpoints') }}
),

touchpoint_rules as (
    select * from {{ ref('touchpoint_rules') }}
),

funnels as (
    select * from {{ ref('funnels') }}
),

funnel_steps as (
    select * from {{ ref('funnel_steps') }}
),

exclusions as (
    select * from {{ ref('exclusions') }}
),

touchpoint_sources as (
    select distinct
        touchpoint_id,
        source
    from touchpoint_rules
),

rules as (
    select
        stage_rules.journey_id,
        'stage' as meaning,
        stage_rules.stage_id as target_id,
        stage_rules.stage_id,
        null::{{ type_text() }} as touchpoint_id,
        null::{{ type_text() }} as owner_team,
        null::{{ type_text() }} as owner_column,
        null::{{ type_text() }} as funnel_id,
        null::integer as step_order,
        null::{{ type_text() }} as held_property,
        stage_rules.source,
        stage_rules.event_name,
        stage_rules.property_name,
        stage_rules.property_operator,
        stage_rules.property_value,
        stage_rules.priority,
        stages.stage_order
    from stage_rules
    inner join stages
        on
            stage_rules.journey_id = stages.journey_id
            and stage_rules.stage_id = stages.stage_id
    union all
    select
        entity_links.journey_id,
        'touchpoint' as meaning,
        touchpoint_rules.touchpoint_id as target_id,
        null::{{ type_text() }} as stage_id,
        touchpoint_rules.touchpoint_id,
        touchpoints.owner_team,
        touchpoints.owner_column,
        null::{{ type_text() }} as funnel_id,
        null::integer as step_order,
        null::{{ type_text() }} as held_property,
        touchpoint_rules.source,
        touchpoint_rules.event_name,
        touchpoint_rules.property_name,
        touchpoint_rules.property_operator,
        touchpoint_rules.property_value,
        touchpoint_rules.priority,
        null::integer as stage_order
    from touchpoint_rules
    inner join touchpoints
        on touchpoint_rules.touchpoint_id = touchpoints.touchpoint_id
    inner join entity_links
        on touchpoint_rules.source = entity_links.source
    union all
    -- What answers a touchpoint is looked for where the touchpoint itself comes from.
    select
        entity_links.journey_id,
        'response' as meaning,
        touchpoints.touchpoint_id as target_id,
        null::{{ type_text() }} as stage_id,
        touchpoints.touchpoint_id,
        null::{{ type_text() }} as owner_team,
        null::{{ type_text() }} as owner_column,
        null::{{ type_text() }} as funnel_id,
        null::integer as step_order,
        null::{{ type_text() }} as held_property,
        touchpoint_sources.source,
        touchpoints.response_event as event_name,
        null::{{ type_text() }} as property_name,
        null::{{ type_text() }} as property_operator,
        null::{{ type_text() }} as property_value,
        null::integer as priority,
        null::integer as stage_order
    from touchpoints
    inner join touchpoint_sources
        on touchpoints.touchpoint_id = touchpoint_sources.touchpoint_id
    inner join entity_links
        on touchpoint_sources.source = entity_links.source
    where touchpoints.response_event is not null
    union all
    select
        funnels.journey_id,
        'funnel_step' as meaning,
        funnels.funnel_id || ':' || funnel_steps.step_order::{{ type_text() }}
            as target_id,
        null::{{ type_text() }} as stage_id,
        null::{{ type_text() }} as touchpoint_id,
        null::{{ type_text() }} as owner_team,
        null::{{ type_text() }} as owner_column,
        funnels.funnel_id,
        funnel_steps.step_order,
        funnels.held_property,
        funnel_steps.source,
        funnel_steps.event_name,
        funnel_steps.property_name,
        funnel_steps.property_operator,
        funnel_steps.property_value,
        null::integer as priority,
        null::integer as stage_order
    from funnel_steps
    inner join funnels
        on funnel_steps.funnel_id = funnels.funnel_id
    union all
    -- An exclusion without a journey counts for all.
    select
        journeys.journey_id,
        'exclusion' as meaning,
        'exclusion' as target_id,
        null::{{ type_text() }} as stage_id,
        null::{{ type_text() }} as touchpoint_id,
        null::{{ type_text() }} as owner_team,
        null::{{ type_text() }} as owner_column,
        null::{{ type_text() }} as funnel_id,
        null::integer as step_order,
        null::{{ type_text() }} as held_property,
        exclusions.source,
        exclusions.event_name,
        exclusions.property_name,
        exclusions.property_operator,
        exclusions.property_value,
        null::integer as priority,
        null::integer as stage_order
    from exclusions
    inner join journeys
        on coalesce(exclusions.journey_id, journeys.journey_id) = journeys.journey_id
),

-- Every step of every funnel, and every touchpoint that is answered, is a question of
-- its own; of the other kinds an event has one answer, and rules of one event compete
-- for it.
ranked_rules as (
    select
        *,
        row_number() over (
            partition by journey_id, meaning
            order by
                priority nulls last,
                stage_order nulls last,
                {{ binary_order('target_id') }}
        )::integer as rule_rank,
        count(*) over (
            partition by
                journey_id,
                meaning,
                source,
                coalesce(event_name, chr(30)),
                case when meaning in ('funnel_step', 'response') then target_id end
        ) > 1
        or meaning = 'exclusion' as is_contested
    from rules
),

final as (
    select
        journey_id,
        meaning,
        rule_rank,
        is_contested,
        stage_id,
        touchpoint_id,
        owner_team,
        owner_column,
        funnel_id,
        step_order,
        held_property,
        source,
        event_name,
        property_name,
        property_operator,
        property_value
    from ranked_rules
)

select * from final

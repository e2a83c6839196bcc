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

exclusions as (
    select * from {{ ref('exclusions') }}
),

touchpoints as (
    select * from {{ ref('touchpoints') }}
),

touchpoint_rules as (
    select * from {{ ref('touchpoint_rules') }}
),

segment_dimensions as (
    select * from {{ ref('segment_dimensions') }}
),

metric_rules as (
    select * from {{ ref('metric_rules') }}
),

funnels as (
    select * from {{ ref('funnels') }}
),

funnel_steps as (
    select * from {{ ref('funnel_steps') }}
),

calendars as (
    select * from {{ ref('calendars') }}
),

holidays as (
    select * from {{ ref('holidays') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

used_sources as (
    select distinct
        journey_id,
        source
    from stage_rules
),

-- A source's start cuts off cases only where the entity has no id of its own.
used_extents as (
    select
        used_sources.journey_id,
        used_sources.source,
        extents.is_date_only,
        case
            when journeys.entity in ('customer', 'account') then extents.source_start
        end as relevant_start
    from used_sources
    inner join journeys
        on used_sources.journey_id = journeys.journey_id
    inner join extents
        on used_sources.source = extents.source
),

-- Journeys that ask which row made an entry: for its touchpoint, for a property of the
-- event (a segment, a due date, what a success is worth) or for its opportunity.
keeping_journeys as (
    select entity_links.journey_id
    from entity_links
    inner join touchpoint_rules
        on entity_links.source = touchpoint_rules.source
    union distinct
    select used_sources.journey_id
    from used_sources
    inner join segment_dimensions
        on
            used_sources.journey_id = segment_dimensions.journey_id
            and used_sources.source = segment_dimensions.source
    where {{ is_of_events('segment_dimensions.source') }}
    union distinct
    select used_sources.journey_id
    from used_sources
    inner join journeys
        on used_sources.journey_id = journeys.journey_id
    where
        used_sources.source = journeys.success_value_source
        or (
            used_sources.source = 'crm_stage_changes'
            and journeys.success_value_source = 'crm_opportunities'
        )
    union distinct
    select journey_id
    from metric_rules
    where due_property is not null
),

-- Everything that the facts of a journey are made from, besides the rows.
map_lines as (
    select
        journey_id,
        {{ map_line('journeys', [
            'entity', 'attempt_gap_days', 'order_mode', 'calendar_id',
        ]) }} as map_line
    from journeys
    union all
    select
        journey_id,
        {{ map_line('stages', [
            'stage_id', 'stage_order', 'stage_kind', 'is_optional',
        ]) }} as map_line
    from stages
    union all
    select
        journey_id,
        {{ map_line('stage_rules', [
            'stage_id', 'source', 'event_name', 'property_name',
            'property_operator', 'property_value', 'priority',
        ]) }} as map_line
    from stage_rules
    union all
    select
        journey_id,
        {{ map_line('entity_links', ['source', 'entity_column']) }} as map_line
    from entity_links
    union all
    select
        journeys.journey_id,
        {{ map_line('exclusions', [
            'exclusions.source', 'event_name', 'property_name', 'property_operator',
            'property_value',
        ]) }} as map_line
    from journeys
    inner join exclusions
        on coalesce(exclusions.journey_id, journeys.journey_id) = journeys.journey_id
    union all
    select
        journeys.journey_id,
        {{ map_line('touchpoints', [
            'touchpoint_id', 'owner_team', 'owner_column', 'response_event',
        ]) }} as map_line
    from journeys
    cross join touchpoints
    union all
    select
        journeys.journey_id,
        {{ map_line('touchpoint_rules', [
            'touchpoint_id', 'source', 'event_name', 'property_name',
            'property_operator', 'property_value', 'priority',
        ]) }} as map_line
    from journeys
    cross join touchpoint_rules
    union all
    select
        journey_id,
        {{ map_line('funnels', [
            'funnel_id', 'order_mode', 'conversion_window_days',
            'conversion_window_seconds', 'held_property',
        ]) }} as map_line
    from funnels
    union all
    select
        funnels.journey_id,
        {{ map_line('funnel_steps', [
            'funnel_steps.funnel_id', 'step_order', 'source', 'event_name',
            'property_name', 'property_operator', 'property_value', 'is_optional',
            'is_exclusion', 'step_window_days', 'step_window_seconds',
            'min_gap_seconds', 'from_step', 'to_step',
        ]) }} as map_line
    from funnels
    inner join funnel_steps
        on funnels.funnel_id = funnel_steps.funnel_id
    union all
    select
        journeys.journey_id,
        {{ map_line('calendars', [
            'calendars.time_zone', 'weekday', 'opens_at', 'closes_at',
        ]) }} as map_line
    from journeys
    inner join calendars
        on journeys.calendar_id = calendars.calendar_id
    union all
    select
        journeys.journey_id,
        {{ map_line('holidays', ['holiday_date']) }} as map_line
    from journeys
    inner join holidays
        on journeys.calendar_id = holidays.calendar_id
    union all
    select
        journey_id,
        {{ map_line('extents', [
            'source', 'is_date_only', 'relevant_start',
        ]) }} as map_line
    from used_extents
    union all
    select
        journey_id,
        'keeps_source' as map_line
    from keeping_journeys
),

journey_hashes as (
    select
        journey_id,
        md5(
            '{{ var("facts_version") }}' || chr(10) || {{ ordered_text('map_line') }}
        ) as journey_hash
    from map_lines
    group by journey_id
),

entry_stages as (
    select
        journey_id,
        min(stage_order) as entry_stage_order
    from stages
    group by journey_id
),

final as (
    select
        journeys.journey_id,
        journeys.entity,
        journeys.order_mode,
        journeys.time_zone,
        journeys.calendar_id,
        journeys.conversion_window_days,
        entry_stages.entry_stage_order,
        journey_hashes.journey_hash,
        row_number() over (
            order by {{ binary_order('journeys.journey_id') }}
        )::integer as journey_number,
        (journeys.entity not in ('customer', 'account')) as has_own_id,
        keeping_journeys.journey_id is not null as keeps_source,
        journeys.attempt_gap_days::bigint * 86400000000 as attempt_gap_us
    from journeys
    inner join entry_stages
        on journeys.journey_id = entry_stages.journey_id
    inner join journey_hashes
        on journeys.journey_id = journey_hashes.journey_id
    left join keeping_journeys
        on journeys.journey_id = keeping_journeys.journey_id
)

select * from final

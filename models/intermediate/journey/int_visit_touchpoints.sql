{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}

with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

touchpoint_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning = 'touchpoint'
),

met_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning = 'touchpoint'
),

met_entities as (
    select distinct
        journey_id,
        entity_id
    from met_rows
    where {{ is_rebuilt('met_rows') }}
),

entries as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        visits.source,
        visits.source_row_id,
        visits.event_seq,
        visits.entered_at as occurred_at
    from visits
    inner join met_entities
        on
            visits.journey_id = met_entities.journey_id
            and visits.entity_id = met_entities.entity_id
),

touchpoint_events as (
    select
        journey_id,
        entity_id,
        touchpoint_id,
        owner_team,
        source,
        source_row_id,
        event_seq,
        occurred_at
    from touchpoint_rows
    where {{ is_rebuilt('touchpoint_rows') }}
),

moments as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        null::{{ type_text() }} as touchpoint_id,
        null::{{ type_text() }} as owner_team,
        source,
        source_row_id,
        event_seq,
        occurred_at,
        1 as is_entry
    from entries
    union all
    select
        journey_id,
        entity_id,
        null::integer as attempt_number,
        null::integer as visit_number,
        touchpoint_id,
        owner_team,
        source,
        source_row_id,
        event_seq,
        occurred_at,
        0 as is_entry
    from touchpoint_events
),

-- An event that is both counts for the entry it makes, so it sorts before it.
numbered_moments as (
    select
        *,
        sum(is_entry) over (
            partition by journey_id, entity_id
            order by
                occurred_at,
                event_seq nulls last,
                {{ binary_order('source_row_id') }},
                {{ binary_order('source') }},
                is_entry
            rows between unbounded preceding and current row
        ) - is_entry as entries_before
    from moments
),

latest_touchpoints as (
    select
        *,
        row_number() over (
            partition by journey_id, entity_id, entries_before
            order by
                occurred_at desc,
                event_seq desc nulls first,
                {{ binary_order('source_row_id') }} desc,
                {{ binary_order('source') }} desc
        ) as recency
    from numbered_moments
    where is_entry = 0
),

visit_touchpoints as (
    select
        entries.journey_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        latest_touchpoints.touchpoint_id,
        latest_touchpoints.owner_team
    from numbered_moments as entries
    inner join latest_touchpoints
        on
            entries.journey_id = latest_touchpoints.journey_id
            and entries.entity_id = latest_touchpoints.entity_id
            and entries.entries_before = latest_touchpoints.entries_before
    where
        entries.is_entry = 1
        and latest_touchpoints.recency = 1
)

select * from visit_touchpoints

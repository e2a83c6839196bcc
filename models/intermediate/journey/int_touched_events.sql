{#- What the histories of touched entities are rebuilt from. Whose an event is is asked
    of every event there is, so once for all models that want to know. -#}
with

journey_events as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning <> 'response'
),

touched_events as (
    select
        journey_events.journey_id,
        journey_events.entity_id,
        journey_events.meaning,
        journey_events.stage_id,
        journey_events.touchpoint_id,
        journey_events.owner_team,
        journey_events.funnel_id,
        journey_events.step_order,
        journey_events.held_value,
        journey_events.source,
        journey_events.source_row_id,
        journey_events.occurred_at,
        journey_events.event_seq,
        journey_events.customer_id,
        journey_events.account_id
    from journey_events
    where {{ is_touched('journey_events') }}
)

select * from touched_events

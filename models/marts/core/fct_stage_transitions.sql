{{ config(materialized='view') }}

with

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

left_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

entered_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

steps as (
    select
        visits.visit_id as transition_id,
        visits.case_id,
        visits.journey_id,
        visits.visit_id as from_visit_id,
        visits.stage_id as from_stage_id,
        visits.next_stage_id as to_stage_id,
        visits.exit_kind as transition_kind,
        visits.exited_at as occurred_at,
        visits.time_in_stage_us as duration_us,
        left_touchpoints.touchpoint_id as from_touchpoint_id,
        entered_touchpoints.touchpoint_id as to_touchpoint_id,
        left_touchpoints.owner_team as from_owner_team,
        entered_touchpoints.owner_team as to_owner_team,
        visits.case_id || ':' || (visits.visit_number + 1)::{{ type_text() }}
            as to_visit_id,
        coalesce(
            left_touchpoints.owner_team <> entered_touchpoints.owner_team, false
        ) as is_handoff
    from visits
    left join left_touchpoints
        on
            visits.journey_id = left_touchpoints.journey_id
            and visits.entity_id = left_touchpoints.entity_id
            and visits.attempt_number = left_touchpoints.attempt_number
            and visits.visit_number = left_touchpoints.visit_number
    left join entered_touchpoints
        on
            visits.journey_id = entered_touchpoints.journey_id
            and visits.entity_id = entered_touchpoints.entity_id
            and visits.attempt_number = entered_touchpoints.attempt_number
            and visits.visit_number + 1 = entered_touchpoints.visit_number
    where visits.next_stage_id is not null
),

final as (
    select
        transition_id,
        case_id,
        journey_id,
        from_visit_id,
        to_visit_id,
        from_stage_id,
        to_stage_id,
        transition_kind,
        occurred_at,
        duration_us,
        from_touchpoint_id,
        to_touchpoint_id,
        from_owner_team,
        to_owner_team,
        is_handoff
    from steps
)

select * from final

{{ config(materialized='view') }}

with

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

visit_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

steps as (
    select
        visits.visit_id as transition_id,
        visits.case_id,
        visits.journey_id,
        visits.visit_id as from_visit_id,
        next_visits.visit_id as to_visit_id,
        visits.stage_id as from_stage_id,
        next_visits.stage_id as to_stage_id,
        visits.exit_kind as transition_kind,
        next_visits.entered_at as occurred_at,
        visits.time_in_stage_us as duration_us,
        from_touchpoints.touchpoint_id as from_touchpoint_id,
        to_touchpoints.touchpoint_id as to_touchpoint_id,
        from_touchpoints.owner_team as from_owner_team,
        to_touchpoints.owner_team as to_owner_team,
        coalesce(
            from_touchpoints.owner_team <> to_touchpoints.owner_team, false
        ) as is_handoff
    from visits
    inner join visits as next_visits
        on
            visits.case_id = next_visits.case_id
            and visits.visit_number + 1 = next_visits.visit_number
    left join visit_touchpoints as from_touchpoints
        on visits.visit_id = from_touchpoints.visit_id
    left join visit_touchpoints as to_touchpoints
        on next_visits.visit_id = to_touchpoints.visit_id
)

select * from steps

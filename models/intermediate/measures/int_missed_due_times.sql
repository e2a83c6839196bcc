{#- Deadlines that the rules name and that passed without their outcome. -#}
with

anchors as (
    select *
    from {{ ref('int_metric_anchors') }}
    where due_property is not null
),

outcomes as (
    select *
    from {{ ref('int_cohort_outcomes') }}
    where is_judged
),

due_times as (
    select * from {{ ref('int_due_times') }}
),

missed_due_times as (
    select
        outcomes.journey_id,
        outcomes.entity_id,
        outcomes.attempt_number,
        min(due_times.due_at) as missed_at
    from outcomes
    inner join anchors
        on
            outcomes.metric_id = anchors.metric_id
            and outcomes.journey_id = anchors.journey_id
            and outcomes.stage_id = anchors.stage_id
            and outcomes.is_reached = anchors.is_negated
    inner join due_times
        on
            outcomes.journey_id = due_times.journey_id
            and outcomes.entity_id = due_times.entity_id
            and outcomes.attempt_number = due_times.attempt_number
            and outcomes.visit_number = due_times.visit_number
            and anchors.due_property = due_times.due_property
    group by
        outcomes.journey_id,
        outcomes.entity_id,
        outcomes.attempt_number
)

select * from missed_due_times

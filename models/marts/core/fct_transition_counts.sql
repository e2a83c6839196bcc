{#- The directly-follows graph of process mining. Counted once, here: distinct cases of
    parts cannot be added up, and steps are as many as events. -#}
with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

left_stages as (
    select * from {{ ref('int_stage_observations') }}
),

entered_stages as (
    select * from {{ ref('int_stage_observations') }}
),

-- Nothing later than as_of is seen. By case first: one row per case and step is less to
-- tell apart than its steps.
case_steps as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.stage_id,
        visits.next_stage_id,
        visits.transition_kind,
        count(*) as transitions
    from visits
    inner join observations
        on
            visits.journey_id = observations.journey_id
            and visits.stage_id = observations.stage_id
    where visits.exited_at <= observations.as_of
    group by
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.stage_id,
        visits.next_stage_id,
        visits.transition_kind
),

steps as (
    select
        journey_id,
        stage_id,
        next_stage_id,
        transition_kind,
        sum(transitions)::bigint as transitions,
        count(*) as cases
    from case_steps
    group by
        journey_id,
        stage_id,
        next_stage_id,
        transition_kind
),

final as (
    select
        steps.journey_id,
        steps.stage_id as from_stage_id,
        left_stages.stage_order as from_stage_order,
        steps.next_stage_id as to_stage_id,
        entered_stages.stage_order as to_stage_order,
        steps.transition_kind,
        steps.transitions,
        steps.cases
    from steps
    inner join left_stages
        on
            steps.journey_id = left_stages.journey_id
            and steps.stage_id = left_stages.stage_id
    inner join entered_stages
        on
            steps.journey_id = entered_stages.journey_id
            and steps.next_stage_id = entered_stages.stage_id
)

select * from final

{{ config(materialized='view') }}

with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

visit_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

-- Nothing later than as_of is seen, in any column.
seen as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.account_id,
        visits.attempt_number,
        visits.visit_number,
        visits.stage_id,
        visits.stage_order,
        visits.stage_kind,
        visits.is_left_truncated,
        visits.is_date_only,
        visits.entered_at,
        observations.observed_through,
        observations.observed_working_us,
        visits.entered_working_us,
        visit_touchpoints.touchpoint_id,
        visits.journey_id || ':' || visits.entity_id
        || ':' || visits.attempt_number::{{ type_text() }} as case_id,
        case
            when journeys.entity <> 'customer' then visits.other_customer_id
            when {{ is_identified('journeys.entity', 'visits.entity_id') }}
                then visits.entity_id
        end as customer_id,
        case
            when
                visits.exited_at <= observations.as_of
                or visits.lapsed_at <= observations.as_of
                then visits.left_working_us
        end as left_working_us,
        case
            when visits.exited_at <= observations.as_of then visits.exited_at
        end as exited_at,
        case
            when visits.exited_at <= observations.as_of then visits.next_stage_id
        end as next_stage_id,
        case
            when visits.exited_at <= observations.as_of then visits.transition_kind
        end as transition_kind,
        case
            when visits.lapsed_at <= observations.as_of then visits.lapsed_at
        end as lapsed_at
    from visits
    inner join journeys
        on visits.journey_id = journeys.journey_id
    inner join observations
        on
            visits.journey_id = observations.journey_id
            and visits.stage_id = observations.stage_id
    left join visit_touchpoints
        on
            visits.journey_id = visit_touchpoints.journey_id
            and visits.entity_id = visit_touchpoints.entity_id
            and visits.attempt_number = visit_touchpoints.attempt_number
            and visits.visit_number = visit_touchpoints.visit_number
    where {{ is_seen('visits.entered_at', 'observations.as_of') }}
),

timed as (
    select
        *,
        stage_kind = 'progress'
        and exited_at is null
        and lapsed_at is null as is_open,
        case
            when lapsed_at is not null then 'lapsed' else transition_kind
        end as exit_kind,
        coalesce(exited_at, lapsed_at, observed_through) as followed_until
    from seen
),

-- Terminal stages take no time; working time is unknown where time is.
known_times as (
    select
        *,
        case
            when stage_kind = 'progress'
                then {{ known_us('entered_at', 'followed_until', 'is_date_only') }}
        end as time_in_stage_us,
        case
            when followed_until < entered_at then 0
            else
                coalesce(left_working_us, observed_working_us) - entered_working_us
        end as working_us
    from timed
),

named_visits as (
    select
        *,
        case_id || ':' || visit_number::{{ type_text() }} as visit_id,
        case when time_in_stage_us is not null then working_us end
            as working_time_in_stage_us
    from known_times
),

final as (
    select
        visit_id,
        case_id,
        journey_id,
        entity_id,
        customer_id,
        account_id,
        attempt_number,
        visit_number,
        stage_id,
        stage_order,
        entered_at,
        exited_at,
        is_open,
        is_left_truncated,
        time_in_stage_us,
        working_time_in_stage_us,
        touchpoint_id as entered_via_touchpoint_id,
        next_stage_id,
        exit_kind
    from named_visits
)

select * from final

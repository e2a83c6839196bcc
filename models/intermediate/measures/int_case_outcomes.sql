{#- What became of a case besides advancing: fewer rows than entries to join. -#}
with

exit_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind = 'exit'
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

lapsed_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where lapsed_at is not null
),

entries as (
    select * from {{ ref('int_stage_entries') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

stages as (
    select * from {{ ref('stages') }}
),

value_starts as (
    select
        journey_id,
        stage_id
    from cohort_stages
    where is_value_start
),

value_stages as (
    select
        stages.journey_id,
        stages.stage_id
    from stages
    inner join value_starts
        on
            stages.journey_id = value_starts.journey_id
            and stages.stage_id <> value_starts.stage_id
    where stages.key_moment = 'first_value'
),

started_cases as (
    select
        entries.journey_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number
    from entries
    inner join value_starts
        on
            entries.journey_id = value_starts.journey_id
            and entries.stage_id = value_starts.stage_id
    where not entries.is_left_truncated
),

value_visits as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        visits.entered_at,
        visits.is_date_only
    from visits
    inner join value_stages
        on
            visits.journey_id = value_stages.journey_id
            and visits.stage_id = value_stages.stage_id
),

outcomes as (
    select
        journey_id,
        entity_id,
        attempt_number,
        entered_at as dropped_at,
        null::timestamp as value_at,
        null::timestamp as dated_value_at,
        null::timestamp as lapsed_at
    from exit_visits
    union all
    select
        value_visits.journey_id,
        value_visits.entity_id,
        value_visits.attempt_number,
        null::timestamp as dropped_at,
        value_visits.entered_at as value_at,
        case
            when value_visits.is_date_only then value_visits.entered_at
        end as dated_value_at,
        null::timestamp as lapsed_at
    from value_visits
    inner join started_cases
        on
            value_visits.journey_id = started_cases.journey_id
            and value_visits.entity_id = started_cases.entity_id
            and value_visits.attempt_number = started_cases.attempt_number
            and value_visits.visit_number > started_cases.visit_number
    union all
    select
        lapsed_visits.journey_id,
        lapsed_visits.entity_id,
        lapsed_visits.attempt_number,
        null::timestamp as dropped_at,
        null::timestamp as value_at,
        null::timestamp as dated_value_at,
        lapsed_visits.lapsed_at
    from lapsed_visits
    inner join value_starts
        on lapsed_visits.journey_id = value_starts.journey_id
),

case_outcomes as (
    select
        journey_id,
        entity_id,
        attempt_number,
        min(dropped_at) as dropped_at,
        min(value_at) as value_at,
        coalesce(min(dated_value_at) = min(value_at), false) as is_value_date_only,
        max(lapsed_at) as lapsed_at
    from outcomes
    group by
        journey_id,
        entity_id,
        attempt_number
)

select * from case_outcomes

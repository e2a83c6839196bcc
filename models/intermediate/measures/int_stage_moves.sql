{#- The 13 weeks are one for all stages of a journey, so that their moves make one
    chain. In any order nothing lies ahead of a stage: such a journey is no chain. -#}
with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

-- Read apart: a relation named twice would be stored whole in between.
success_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind = 'success'
),

periods as (
    select * from {{ ref('int_periods') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

progress_stages as (
    select
        journey_id,
        stage_id,
        stage_order,
        as_of
    from observations
    where
        stage_kind = 'progress'
        and order_mode <> 'any'
),

-- The latest of the trailing periods that are of the stage itself and no metric's.
stage_periods as (
    select
        journey_id,
        stage_id,
        max(period_end) as period_end
    from periods
    where
        period_grain = 'trailing_13_weeks'
        and metric_id is null
    group by
        journey_id,
        stage_id
),

-- A week is mature once, for good: the earliest end is mature for every stage.
journey_periods as (
    select
        progress_stages.journey_id,
        min(progress_stages.as_of) as as_of,
        (min(stage_periods.period_end) - interval '91' day)::date as period_start,
        min(stage_periods.period_end) as period_end
    from progress_stages
    left join stage_periods
        on
            progress_stages.journey_id = stage_periods.journey_id
            and progress_stages.stage_id = stage_periods.stage_id
    group by progress_stages.journey_id
    having count(*) = count(stage_periods.period_end)
),

period_entries as (
    select
        entries.journey_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.stage_id,
        progress_stages.stage_order,
        journey_periods.period_start,
        journey_periods.period_end,
        journey_periods.as_of,
        entries.advanced_at,
        entries.is_converted,
        entries.visit_number = 1 as is_case_start,
        case when entries.is_converted then entries.time_to_advance_us end as move_us
    from entries
    inner join journey_periods
        on
            entries.journey_id = journey_periods.journey_id
            and entries.entered_date >= journey_periods.period_start
            and entries.entered_date < journey_periods.period_end
    inner join progress_stages
        on
            entries.journey_id = progress_stages.journey_id
            and entries.stage_id = progress_stages.stage_id
),

-- Of later stages entered at one moment the earlier visit is the advance.
advances as (
    select
        period_entries.journey_id,
        period_entries.entity_id,
        period_entries.attempt_number,
        period_entries.stage_id,
        visits.stage_id as to_stage_id,
        row_number() over (
            partition by
                period_entries.journey_id,
                period_entries.entity_id,
                period_entries.attempt_number,
                period_entries.stage_id
            order by visits.visit_number
        ) as advance_rank
    from period_entries
    inner join visits
        on
            period_entries.journey_id = visits.journey_id
            and period_entries.entity_id = visits.entity_id
            and period_entries.attempt_number = visits.attempt_number
            and period_entries.advanced_at = visits.entered_at
            and period_entries.visit_number < visits.visit_number
            and period_entries.stage_order < visits.stage_order
    where period_entries.is_converted
),

first_advances as (
    select *
    from advances
    where advance_rank = 1
),

case_successes as (
    select
        journey_id,
        entity_id,
        attempt_number,
        min(entered_at) as succeeded_at
    from success_visits
    group by
        journey_id,
        entity_id,
        attempt_number
),

moves as (
    select
        period_entries.journey_id,
        period_entries.entity_id,
        period_entries.attempt_number,
        period_entries.stage_id,
        first_advances.to_stage_id,
        period_entries.period_start,
        period_entries.period_end,
        period_entries.is_case_start,
        period_entries.move_us,
        period_entries.is_case_start
        and coalesce(case_successes.succeeded_at <= period_entries.as_of, false)
            as is_start_of_success
    from period_entries
    left join first_advances
        on
            period_entries.journey_id = first_advances.journey_id
            and period_entries.entity_id = first_advances.entity_id
            and period_entries.attempt_number = first_advances.attempt_number
            and period_entries.stage_id = first_advances.stage_id
    left join case_successes
        on
            period_entries.journey_id = case_successes.journey_id
            and period_entries.entity_id = case_successes.entity_id
            and period_entries.attempt_number = case_successes.attempt_number
)

select * from moves

with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

local_days as (
    select * from {{ ref('int_local_days') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

trailing_periods as (
    select
        periods.journey_id,
        periods.stage_id,
        periods.period_start,
        periods.period_end,
        cohort_stages.time_zone,
        cohort_stages.as_of
    from periods
    inner join cohort_stages
        on periods.stage_number = cohort_stages.stage_number
    where periods.period_grain = 'trailing_13_weeks'
),

-- Stages of a journey mostly share their period: its cases are counted once for all.
journey_periods as (
    select distinct
        journey_id,
        period_start,
        period_end,
        time_zone,
        as_of
    from trailing_periods
),

period_days as (
    select
        journey_periods.journey_id,
        journey_periods.period_start,
        journey_periods.period_end,
        journey_periods.as_of,
        local_days.utc_day,
        local_days.turns_at,
        local_days.first_local_date >= journey_periods.period_start
        and local_days.first_local_date < journey_periods.period_end
            as is_within_before_turn,
        local_days.last_local_date >= journey_periods.period_start
        and local_days.last_local_date < journey_periods.period_end
            as is_within_after_turn
    from journey_periods
    inner join local_days
        on
            journey_periods.time_zone = local_days.time_zone
            and journey_periods.period_start <= local_days.last_local_date
            and journey_periods.period_end > local_days.first_local_date
),

period_cases as (
    select distinct
        period_days.journey_id,
        period_days.period_start,
        period_days.period_end,
        visits.stage_id,
        visits.attempt_number,
        {{ hash_number('visits.entity_id') }} as entity_number
    from visits
    inner join period_days
        on
            visits.journey_id = period_days.journey_id
            and visits.entered_at::date = period_days.utc_day
    where
        visits.entered_at <= period_days.as_of
        and case
            when visits.entered_at < period_days.turns_at
                then period_days.is_within_before_turn
            else period_days.is_within_after_turn
        end
),

stage_cases as (
    select
        journey_id,
        period_start,
        period_end,
        stage_id,
        count(*) as cases
    from period_cases
    group by
        journey_id,
        period_start,
        period_end,
        stage_id
),

distinct_cases as (
    select distinct
        journey_id,
        period_start,
        period_end,
        attempt_number,
        entity_number
    from period_cases
),

journey_cases as (
    select
        journey_id,
        period_start,
        period_end,
        count(*) as cases
    from distinct_cases
    group by
        journey_id,
        period_start,
        period_end
),

reaches as (
    select
        trailing_periods.journey_id,
        trailing_periods.stage_id,
        trailing_periods.period_start,
        coalesce(stage_cases.cases, 0)::{{ type_double() }}
        / journey_cases.cases as reach
    from trailing_periods
    inner join journey_cases
        on
            trailing_periods.journey_id = journey_cases.journey_id
            and trailing_periods.period_start = journey_cases.period_start
            and trailing_periods.period_end = journey_cases.period_end
    left join stage_cases
        on
            trailing_periods.journey_id = stage_cases.journey_id
            and trailing_periods.period_start = stage_cases.period_start
            and trailing_periods.period_end = stage_cases.period_end
            and trailing_periods.stage_id = stage_cases.stage_id
)

select * from reaches

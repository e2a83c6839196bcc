with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

cohort_stages as (
    select * from {{ ref('int_measured_stages') }}
),

local_days as (
    select * from {{ ref('int_local_days') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

segments as (
    select * from {{ ref('int_segments') }}
),

-- Of a rule's window too.
trailing_periods as (
    select distinct
        periods.journey_id,
        periods.stage_id,
        periods.period_start,
        periods.period_end,
        cohort_stages.time_zone,
        cohort_stages.as_of
    from periods
    inner join cohort_stages
        on periods.stage_number = cohort_stages.stage_number
    where periods.weeks_back = 0
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

period_visits as (
    select
        period_days.journey_id,
        period_days.period_start,
        period_days.period_end,
        visits.stage_id,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        {{ hash_number('visits.entity_id') }} as entity_number
    from visits
    inner join period_days
        on
            visits.journey_id = period_days.journey_id
            and visits.entered_at::date = period_days.utc_day
    where
        {{ is_seen('visits.entered_at', 'period_days.as_of') }}
        and case
            when visits.entered_at < period_days.turns_at
                then period_days.is_within_before_turn
            else period_days.is_within_after_turn
        end
),

ranked_visit_segments as (
    select
        visit_segments.journey_id,
        visit_segments.entity_id,
        visit_segments.attempt_number,
        visit_segments.visit_number,
        visit_segments.segment_number
    from visit_segments
    inner join segments
        on visit_segments.segment_number = segments.segment_number
    where segments.is_ranked
),

period_cases as (
    select distinct
        journey_id,
        period_start,
        period_end,
        stage_id,
        0 as segment_number,
        attempt_number,
        entity_number
    from period_visits
    union all
    select distinct
        period_visits.journey_id,
        period_visits.period_start,
        period_visits.period_end,
        period_visits.stage_id,
        ranked_visit_segments.segment_number,
        period_visits.attempt_number,
        period_visits.entity_number
    from period_visits
    inner join ranked_visit_segments
        on
            period_visits.journey_id = ranked_visit_segments.journey_id
            and period_visits.entity_id = ranked_visit_segments.entity_id
            and period_visits.attempt_number = ranked_visit_segments.attempt_number
            and period_visits.visit_number = ranked_visit_segments.visit_number
),

stage_cases as (
    select
        journey_id,
        period_start,
        period_end,
        stage_id,
        segment_number,
        count(*) as cases
    from period_cases
    group by
        journey_id,
        period_start,
        period_end,
        stage_id,
        segment_number
),

distinct_cases as (
    select distinct
        journey_id,
        period_start,
        period_end,
        attempt_number,
        entity_number
    from period_cases
    where segment_number = 0
),

-- Of the whole journey: a small segment reaches few, and must not lead the ranking.
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

stage_segments as (
    select
        journey_id,
        stage_id,
        period_start,
        period_end,
        0 as segment_number,
        'all' as segment_dimension,
        'all' as segment_value
    from trailing_periods
    union all
    select
        trailing_periods.journey_id,
        trailing_periods.stage_id,
        trailing_periods.period_start,
        trailing_periods.period_end,
        segments.segment_number,
        segments.segment_dimension,
        segments.segment_value
    from trailing_periods
    inner join segments
        on trailing_periods.journey_id = segments.journey_id
    where segments.is_ranked
),

reaches as (
    select
        stage_segments.journey_id,
        stage_segments.stage_id,
        stage_segments.segment_dimension,
        stage_segments.segment_value,
        stage_segments.period_start,
        coalesce(stage_cases.cases, 0)::{{ type_double() }}
        / journey_cases.cases as reach
    from stage_segments
    inner join journey_cases
        on
            stage_segments.journey_id = journey_cases.journey_id
            and stage_segments.period_start = journey_cases.period_start
            and stage_segments.period_end = journey_cases.period_end
    left join stage_cases
        on
            stage_segments.journey_id = stage_cases.journey_id
            and stage_segments.period_start = stage_cases.period_start
            and stage_segments.period_end = stage_cases.period_end
            and stage_segments.stage_id = stage_cases.stage_id
            and stage_segments.segment_number = stage_cases.segment_number
)

select * from reaches

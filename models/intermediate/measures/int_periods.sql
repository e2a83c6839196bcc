{#- Cohort periods in the journey's time zone; maturity is a property of the period. -#}
with

cohort_stages as (
    select * from {{ ref('int_measured_stages') }}
),

progress_stages as (
    select
        *,
        {{ to_local('source_start', 'time_zone') }}::date as first_date,
        {{ to_local('as_of', 'time_zone') }}::date as last_date
    from cohort_stages
),

stage_days as (
    select
        *,
        {{ unnest_days('first_date', 'last_date') }} as entered_date
    from progress_stages
),

calendar_periods as (
    select distinct
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        time_zone,
        source_start,
        as_of,
        observed_through,
        conversion_window_days,
        'week' as period_grain,
        date_trunc('week', entered_date)::date as period_start,
        (date_trunc('week', entered_date) + interval '7' day)::date as period_end
    from stage_days
    union all
    select distinct
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        time_zone,
        source_start,
        as_of,
        observed_through,
        conversion_window_days,
        'month' as period_grain,
        date_trunc('month', entered_date)::date as period_start,
        (date_trunc('month', entered_date) + interval '1' month)::date as period_end
    from stage_days
),

bounded_periods as (
    select
        *,
        {{ to_utc('period_start::timestamp', 'time_zone') }} as starts_at,
        {{ to_utc('period_end::timestamp', 'time_zone') }} as ends_at
    from calendar_periods
),

judged_periods as (
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        period_grain,
        period_start,
        period_end,
        coalesce(
            {{ epoch_us('ends_at') }} + conversion_window_days * 86400000000
            <= {{ epoch_us('observed_through') }},
            false
        ) as is_mature,
        starts_at < source_start or ends_at > as_of as is_partial
    from bounded_periods
),

mature_weeks as (
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        min(period_start) as first_start,
        max(period_end) as last_end,
        max(case when is_partial then period_end end) as last_partial_end
    from judged_periods
    where
        period_grain = 'week'
        and is_mature
    group by
        metric_id,
        journey_id,
        stage_id,
        stage_number
),

-- The latest, the one before it and the one of a year before: each is compared.
steps_back as (
    select 0 as weeks_back
    union all
    select 13 as weeks_back
    union all
    select 52 as weeks_back
),

trailing_ends as (
    select
        mature_weeks.*,
        steps_back.weeks_back,
        (
            mature_weeks.last_end - steps_back.weeks_back * interval '7' day
        )::date as period_end
    from mature_weeks
    cross join steps_back
),

trailing_periods as (
    select
        *,
        (period_end - interval '91' day)::date as period_start
    from trailing_ends
    where period_end > first_start
),

periods as (
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        period_grain,
        period_start,
        period_end,
        null::integer as weeks_back,
        is_mature,
        is_partial
    from judged_periods
    union all
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        'trailing_13_weeks' as period_grain,
        period_start,
        period_end,
        weeks_back,
        true as is_mature,
        period_start < first_start
        or coalesce(last_partial_end > period_start, false) as is_partial
    from trailing_periods
    union all
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        'all' as period_grain,
        first_start as period_start,
        last_end as period_end,
        null::integer as weeks_back,
        true as is_mature,
        last_partial_end is not null as is_partial
    from mature_weeks
),

numbered_periods as (
    select
        *,
        row_number() over (
            order by stage_number, period_grain, period_start
        )::integer as period_number
    from periods
)

select * from numbered_periods

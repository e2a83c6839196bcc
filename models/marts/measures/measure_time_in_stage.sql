with

cohort_visits as (
    select * from {{ ref('int_cohort_visits') }}
),

curves as (
    select * from {{ ref('int_survival_curves') }}
),

period_days as (
    select * from {{ ref('int_period_days') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

visit_counts as (
    select
        cohort_visits.journey_id,
        cohort_visits.stage_id,
        period_days.period_grain,
        period_days.period_start,
        count(*) as n,
        count(distinct cohort_visits.cluster_id) as n_clusters,
        sum(
            case when cohort_visits.has_exited then 1 else 0 end
        )::{{ type_double() }} as numerator
    from cohort_visits
    inner join period_days
        on
            cohort_visits.journey_id = period_days.journey_id
            and cohort_visits.stage_id = period_days.stage_id
            and cohort_visits.entered_date = period_days.entered_date
    where cohort_visits.time_in_stage_us is not null
    group by
        cohort_visits.journey_id,
        cohort_visits.stage_id,
        period_days.period_grain,
        period_days.period_start
),

-- Brookmeyer–Crowley: where the log-log band of S crosses the same height.
quantiles as (
    select
        journey_id,
        stage_id,
        period_grain,
        period_start,
        min(
            case when survival <= 0.5 + 1e-9 then duration_us end
        ) as value_us,
        min(
            case when survival_low <= 0.5 + 1e-9 then duration_us end
        ) as ci_low_us,
        min(
            case when survival_high <= 0.5 + 1e-9 then duration_us end
        ) as ci_high_us
    from curves
    group by
        journey_id,
        stage_id,
        period_grain,
        period_start
),

measures as (
    select
        visit_counts.journey_id,
        'time_in_stage_p50' as metric_id,
        visit_counts.stage_id,
        null::varchar as touchpoint_id,
        'all' as segment_dimension,
        'all' as segment_value,
        visit_counts.period_grain,
        visit_counts.period_start,
        periods.period_end,
        visit_counts.n,
        visit_counts.n_clusters,
        visit_counts.n::{{ type_double() }} as effective_n,
        visit_counts.numerator,
        {{ days('quantiles.value_us') }} as value,
        {{ days('quantiles.ci_low_us') }} as ci_low,
        {{ days('quantiles.ci_high_us') }} as ci_high,
        periods.is_mature,
        periods.is_partial
    from visit_counts
    inner join periods
        on
            visit_counts.journey_id = periods.journey_id
            and visit_counts.stage_id = periods.stage_id
            and visit_counts.period_grain = periods.period_grain
            and visit_counts.period_start = periods.period_start
    left join quantiles
        on
            visit_counts.journey_id = quantiles.journey_id
            and visit_counts.stage_id = quantiles.stage_id
            and visit_counts.period_grain = quantiles.period_grain
            and visit_counts.period_start = quantiles.period_start
)

select * from measures

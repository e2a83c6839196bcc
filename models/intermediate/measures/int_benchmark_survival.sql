{#- S at the benchmark's duration: judges a time even where its quantile is null. -#}
with

benchmarks as (
    select * from {{ ref('benchmarks') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

period_days as (
    select * from {{ ref('int_period_days') }}
),

cohort_visits as (
    select * from {{ ref('int_cohort_visits') }}
),

curves as (
    select * from {{ ref('int_survival_curves') }}
),

duration_benchmarks as (
    select
        benchmarks.benchmark_id,
        benchmarks.journey_id,
        benchmarks.stage_id,
        benchmarks.value * 86400000000 as benchmark_us,
        1 - {{ quantile_level('benchmarks.metric_id') }} as desired_survival
    from benchmarks
    inner join metrics
        on
            benchmarks.metric_id = metrics.metric_id
            and metrics.scale = 'duration'
),

cells as (
    select
        duration_benchmarks.benchmark_id,
        duration_benchmarks.journey_id,
        duration_benchmarks.stage_id,
        duration_benchmarks.benchmark_us,
        duration_benchmarks.desired_survival,
        periods.period_grain,
        periods.period_start
    from duration_benchmarks
    inner join periods
        on
            duration_benchmarks.journey_id = periods.journey_id
            and duration_benchmarks.stage_id = periods.stage_id
            and periods.period_grain = 'trailing_13_weeks'
),

still_there as (
    select
        cells.benchmark_id,
        cells.period_grain,
        cells.period_start,
        count(*)::{{ type_double() }} as visits,
        sum(
            case
                when cohort_visits.time_in_stage_us >= cells.benchmark_us then 1
                else 0
            end
        )::{{ type_double() }} as at_risk
    from cells
    inner join period_days
        on
            cells.journey_id = period_days.journey_id
            and cells.stage_id = period_days.stage_id
            and cells.period_grain = period_days.period_grain
            and cells.period_start = period_days.period_start
    inner join cohort_visits
        on
            cells.journey_id = cohort_visits.journey_id
            and cells.stage_id = cohort_visits.stage_id
            and period_days.entered_date = cohort_visits.entered_date
    where cohort_visits.time_in_stage_us is not null
    group by
        cells.benchmark_id,
        cells.period_grain,
        cells.period_start
),

-- S = 0 has no log-log band: the step before it is the honest bound.
earlier_steps as (
    select
        cells.benchmark_id,
        cells.period_grain,
        cells.period_start,
        curves.survival,
        curves.survival_low,
        curves.survival_high,
        curves.log_log_se,
        row_number() over (
            partition by cells.benchmark_id, cells.period_grain, cells.period_start
            order by
                case when curves.survival > 0 then 0 else 1 end,
                curves.duration_us desc
        ) as nearness
    from cells
    inner join curves
        on
            cells.journey_id = curves.journey_id
            and cells.stage_id = curves.stage_id
            and cells.period_grain = curves.period_grain
            and cells.period_start = curves.period_start
            and cells.benchmark_us >= curves.duration_us
),

steps as (
    select
        cells.benchmark_id,
        cells.period_grain,
        cells.period_start,
        cells.desired_survival,
        earlier_steps.survival_low,
        earlier_steps.survival_high,
        earlier_steps.log_log_se,
        coalesce(earlier_steps.survival, 1) as survival,
        -- Nobody had left, or all at once: a proportion of those at risk.
        case
            when earlier_steps.survival is null then nullif(still_there.at_risk, 0)
            when earlier_steps.survival = 0 then still_there.visits
        end as trials
    from cells
    inner join still_there
        on
            cells.benchmark_id = still_there.benchmark_id
            and cells.period_grain = still_there.period_grain
            and cells.period_start = still_there.period_start
    left join earlier_steps
        on
            cells.benchmark_id = earlier_steps.benchmark_id
            and cells.period_grain = earlier_steps.period_grain
            and cells.period_start = earlier_steps.period_start
            and earlier_steps.nearness = 1
),

judged as (
    select
        benchmark_id,
        period_grain,
        period_start,
        desired_survival,
        survival,
        case
            when survival in (0, 1) then {{ wilson_low('survival', 'trials') }}
            else survival_low
        end as survival_low,
        case
            when survival in (0, 1) then {{ wilson_high('survival', 'trials') }}
            else survival_high
        end as survival_high,
        case
            when survival in (0, 1)
                then (survival - desired_survival) / sqrt(
                    desired_survival * (1 - desired_survival) / trials
                )
            else (ln(-ln(desired_survival)) - ln(-ln(survival))) / log_log_se
        end as z
    from steps
)

select * from judged

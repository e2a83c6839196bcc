{#- S at the benchmark's duration: judges a time even where its quantile is null. -#}
with

duration_benchmarks as (
    select * from {{ ref('int_duration_benchmarks') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

period_cohorts as (
    select * from {{ ref('int_period_cohorts') }}
),

times as (
    select * from {{ ref('int_cohort_times') }}
),

curves as (
    select * from {{ ref('int_survival_curves') }}
),

cells as (
    select
        duration_benchmarks.benchmark_id,
        duration_benchmarks.is_advancing,
        duration_benchmarks.benchmark_us,
        duration_benchmarks.desired_survival,
        periods.period_number,
        periods.period_grain,
        periods.period_start
    from duration_benchmarks
    inner join periods
        on
            duration_benchmarks.journey_id = periods.journey_id
            and duration_benchmarks.stage_id = periods.stage_id
            and periods.period_grain = 'trailing_13_weeks'
),

-- S = 0 has no log-log band: the step before it is the honest bound.
earlier_steps as (
    select
        cells.benchmark_id,
        curves.survival,
        curves.survival_low,
        curves.survival_high,
        curves.log_log_se,
        row_number() over (
            partition by cells.benchmark_id
            order by
                case when curves.survival > 0 then 0 else 1 end,
                curves.duration_us desc
        ) as nearness
    from cells
    inner join curves
        on
            cells.is_advancing = curves.is_advancing
            and cells.period_number = curves.period_number
            and cells.benchmark_us >= curves.duration_us
),

nearest_steps as (
    select
        cells.benchmark_id,
        cells.is_advancing,
        cells.benchmark_us,
        cells.desired_survival,
        cells.period_number,
        cells.period_grain,
        cells.period_start,
        earlier_steps.survival_low,
        earlier_steps.survival_high,
        earlier_steps.log_log_se,
        coalesce(earlier_steps.survival, 1) as survival
    from cells
    left join earlier_steps
        on
            cells.benchmark_id = earlier_steps.benchmark_id
            and earlier_steps.nearness = 1
),

-- Nobody had left, or all at once: a proportion of those at risk.
bandless_cohorts as (
    select
        nearest_steps.benchmark_id,
        nearest_steps.is_advancing,
        nearest_steps.benchmark_us,
        period_cohorts.stage_number,
        period_cohorts.cohort_start
    from nearest_steps
    inner join period_cohorts
        on nearest_steps.period_number = period_cohorts.period_number
    where nearest_steps.survival in (0, 1)
),

still_there as (
    select
        bandless_cohorts.benchmark_id,
        count(*)::{{ type_double() }} as units,
        sum(
            case
                when times.duration_us >= bandless_cohorts.benchmark_us then 1 else 0
            end
        )::{{ type_double() }} as at_risk
    from times
    inner join bandless_cohorts
        on
            times.is_advancing = bandless_cohorts.is_advancing
            and times.stage_number = bandless_cohorts.stage_number
            and times.cohort_start = bandless_cohorts.cohort_start
    group by bandless_cohorts.benchmark_id
),

steps as (
    select
        nearest_steps.*,
        case
            when nearest_steps.survival = 1 then nullif(still_there.at_risk, 0)
            when nearest_steps.survival = 0 then still_there.units
        end as trials
    from nearest_steps
    left join still_there
        on nearest_steps.benchmark_id = still_there.benchmark_id
    -- Where nobody entered, nothing is judged.
    where
        still_there.benchmark_id is not null
        or nearest_steps.survival not in (0, 1)
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

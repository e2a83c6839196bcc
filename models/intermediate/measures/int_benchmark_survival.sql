{#- S at the benchmark's duration: judges a time even where its quantile is null. -#}
with

duration_benchmarks as (
    select * from {{ ref('int_duration_benchmarks') }}
),

cells as (
    select * from {{ ref('int_cells') }}
),

cell_cohorts as (
    select * from {{ ref('int_cell_cohorts') }}
),

times as (
    select * from {{ ref('int_cohort_times') }}
),

curves as (
    select * from {{ ref('int_survival_curves') }}
),

-- A segment without a benchmark of its own is held against the total's.
benchmark_cells as (
    select
        duration_benchmarks.benchmark_id,
        duration_benchmarks.curve_kind,
        duration_benchmarks.benchmark_us,
        duration_benchmarks.desired_survival,
        cells.cell_number,
        cells.segment_dimension,
        cells.segment_value,
        cells.period_grain,
        cells.period_start
    from duration_benchmarks
    inner join cells
        on
            duration_benchmarks.journey_id = cells.journey_id
            and duration_benchmarks.stage_id = cells.stage_id
            and duration_benchmarks.segment_dimension in (
                cells.segment_dimension, 'all'
            )
            and duration_benchmarks.segment_value in (cells.segment_value, 'all')
            and duration_benchmarks.curve_kind
            = coalesce(cells.metric_id, duration_benchmarks.curve_kind)
            and cells.weeks_back = 0
            and cells.has_curve
),

-- S = 0 has no log-log band: the step before it is the honest bound.
earlier_steps as (
    select
        benchmark_cells.benchmark_id,
        benchmark_cells.cell_number,
        curves.survival,
        curves.survival_low,
        curves.survival_high,
        curves.log_log_se,
        row_number() over (
            partition by benchmark_cells.benchmark_id, benchmark_cells.cell_number
            order by
                case when curves.survival > 0 then 0 else 1 end,
                curves.duration_us desc
        ) as nearness
    from benchmark_cells
    inner join curves
        on
            benchmark_cells.curve_kind = curves.curve_kind
            and benchmark_cells.cell_number = curves.cell_number
            and benchmark_cells.benchmark_us >= curves.duration_us
),

nearest_steps as (
    select
        benchmark_cells.benchmark_id,
        benchmark_cells.curve_kind,
        benchmark_cells.benchmark_us,
        benchmark_cells.desired_survival,
        benchmark_cells.cell_number,
        benchmark_cells.segment_dimension,
        benchmark_cells.segment_value,
        benchmark_cells.period_grain,
        benchmark_cells.period_start,
        earlier_steps.survival_low,
        earlier_steps.survival_high,
        earlier_steps.log_log_se,
        coalesce(earlier_steps.survival, 1) as survival
    from benchmark_cells
    left join earlier_steps
        on
            benchmark_cells.benchmark_id = earlier_steps.benchmark_id
            and benchmark_cells.cell_number = earlier_steps.cell_number
            and earlier_steps.nearness = 1
),

-- Nobody had left, or all at once: a proportion of those at risk.
bandless_cohorts as (
    select
        nearest_steps.benchmark_id,
        nearest_steps.curve_kind,
        nearest_steps.benchmark_us,
        nearest_steps.cell_number,
        cell_cohorts.stage_number,
        cell_cohorts.segment_number,
        cell_cohorts.cohort_start
    from nearest_steps
    inner join cell_cohorts
        on nearest_steps.cell_number = cell_cohorts.cell_number
    where nearest_steps.survival in (0, 1)
),

still_there as (
    select
        bandless_cohorts.benchmark_id,
        bandless_cohorts.cell_number,
        count(*)::{{ type_double() }} as units,
        sum(
            case
                when times.duration_us >= bandless_cohorts.benchmark_us then 1 else 0
            end
        )::{{ type_double() }} as at_risk
    from times
    inner join bandless_cohorts
        on
            times.curve_kind = bandless_cohorts.curve_kind
            and times.stage_number = bandless_cohorts.stage_number
            and times.segment_number = bandless_cohorts.segment_number
            and times.cohort_start = bandless_cohorts.cohort_start
    group by
        bandless_cohorts.benchmark_id,
        bandless_cohorts.cell_number
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
        on
            nearest_steps.benchmark_id = still_there.benchmark_id
            and nearest_steps.cell_number = still_there.cell_number
    -- Where nobody entered, nothing is judged.
    where
        still_there.benchmark_id is not null
        or nearest_steps.survival not in (0, 1)
),

judged as (
    select
        benchmark_id,
        segment_dimension,
        segment_value,
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

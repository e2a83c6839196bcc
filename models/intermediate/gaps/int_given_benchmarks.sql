with

benchmarks as (
    select * from {{ ref('benchmarks') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

metric_periods as (
    select * from {{ ref('int_metric_periods') }}
),

latest_periods as (
    select
        metric_id,
        journey_id,
        stage_id,
        window_days,
        period_start,
        period_end
    from metric_periods
    where coalesce(weeks_back, 0) = 0
),

given_benchmarks as (
    select
        benchmarks.benchmark_id,
        benchmarks.journey_id,
        benchmarks.metric_id,
        benchmarks.stage_id,
        coalesce(benchmarks.segment_dimension, 'all') as segment_dimension,
        coalesce(benchmarks.segment_value, 'all') as segment_value,
        benchmarks.kind as benchmark_kind,
        benchmarks.value as benchmark_value,
        coalesce(benchmarks.valid_from, date '0001-01-01') as valid_from,
        coalesce(benchmarks.valid_to, date '9999-12-31') as valid_to,
        latest_periods.period_start,
        latest_periods.period_end,
        benchmarks.definition_version <> metrics.definition_version
        or coalesce(
            metrics.scale = 'proportion'
            and benchmarks.window_days <> coalesce(
                latest_periods.window_days, observations.conversion_window_days
            ),
            false
        ) as is_mismatched,
        {{ to_local('observations.as_of', 'observations.time_zone') }}::date
            as as_of_date
    from benchmarks
    inner join metrics
        on benchmarks.metric_id = metrics.metric_id
    inner join observations
        on
            benchmarks.journey_id = observations.journey_id
            and benchmarks.stage_id = observations.stage_id
    left join latest_periods
        on
            benchmarks.metric_id = latest_periods.metric_id
            and benchmarks.journey_id = latest_periods.journey_id
            and benchmarks.stage_id = latest_periods.stage_id
)

select * from given_benchmarks

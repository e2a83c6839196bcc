with

benchmarks as (
    select * from {{ ref('benchmarks') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

-- Of other durations no curve is kept.
duration_benchmarks as (
    select
        benchmarks.benchmark_id,
        benchmarks.journey_id,
        benchmarks.stage_id,
        benchmarks.value * 86400000000 as benchmark_us,
        1 - {{ quantile_level('benchmarks.metric_id') }} as desired_survival,
        benchmarks.metric_id like 'time_to_advance_%' as is_advancing
    from benchmarks
    inner join metrics
        on
            benchmarks.metric_id = metrics.metric_id
            and metrics.scale = 'duration'
    where
        benchmarks.metric_id like 'time_in_stage_%'
        or benchmarks.metric_id like 'time_to_advance_%'
)

select * from duration_benchmarks

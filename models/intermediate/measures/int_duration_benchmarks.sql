with

benchmarks as (
    select * from {{ ref('benchmarks') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

timed_benchmarks as (
    select
        benchmarks.benchmark_id,
        benchmarks.journey_id,
        benchmarks.stage_id,
        benchmarks.value * 86400000000 as benchmark_us,
        coalesce(benchmarks.segment_dimension, 'all') as segment_dimension,
        coalesce(benchmarks.segment_value, 'all') as segment_value,
        1 - {{ quantile_level('benchmarks.metric_id') }} as desired_survival,
        case
            when benchmarks.metric_id like 'time_in_stage_%' then 'leaving'
            when benchmarks.metric_id like 'time_to_advance_%' then 'advancing'
            when benchmarks.metric_id like 'time_to_value_%' then 'first_value'
            else {{ metric_family('benchmarks.metric_id') }}
        end as curve_kind
    from benchmarks
    inner join metrics
        on
            benchmarks.metric_id = metrics.metric_id
            and metrics.scale = 'duration'
),

-- A duration that is no quantile has no curve.
duration_benchmarks as (
    select *
    from timed_benchmarks
    where desired_survival is not null
)

select * from duration_benchmarks

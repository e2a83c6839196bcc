{#- Kaplan–Meier curves: each time at which somebody left in the buckets where something
    is read off, the last such time of the others. S is exact at every one. -#}
with

times as (
    select * from {{ ref('int_cohort_times') }}
),

buckets as (
    select * from {{ ref('int_survival_buckets') }}
),

cells as (
    select * from {{ ref('int_cells') }}
),

cell_cohorts as (
    select * from {{ ref('int_cell_cohorts') }}
),

benchmarks as (
    select * from {{ ref('int_duration_benchmarks') }}
),

-- A benchmark needs the last time before it, and where S is 0 by then the one before.
benchmark_buckets as (
    select distinct
        buckets.curve_kind,
        buckets.cell_number,
        buckets.bucket
    from benchmarks
    inner join cells
        on
            benchmarks.journey_id = cells.journey_id
            and benchmarks.stage_id = cells.stage_id
            and benchmarks.segment_dimension = cells.segment_dimension
            and benchmarks.segment_value = cells.segment_value
            and benchmarks.curve_kind
            = coalesce(cells.metric_id, benchmarks.curve_kind)
            and cells.weeks_back = 0
            and cells.has_curve
    inner join buckets
        on
            benchmarks.curve_kind = buckets.curve_kind
            and cells.cell_number = buckets.cell_number
    where
        buckets.bucket = {{ duration_bucket('benchmarks.benchmark_us') }}
        or (
            buckets.survival = 0
            and buckets.bucket < {{ duration_bucket('benchmarks.benchmark_us') }}
        )
),

read_buckets as (
    select
        buckets.*,
        buckets.has_quantile or benchmark_buckets.bucket is not null as is_read
    from buckets
    left join benchmark_buckets
        on
            buckets.curve_kind = benchmark_buckets.curve_kind
            and buckets.cell_number = benchmark_buckets.cell_number
            and buckets.bucket = benchmark_buckets.bucket
),

read_cohorts as (
    select
        read_buckets.curve_kind,
        read_buckets.cell_number,
        read_buckets.bucket,
        read_buckets.last_event_us,
        cell_cohorts.stage_number,
        cell_cohorts.segment_number,
        cell_cohorts.cohort_start
    from read_buckets
    inner join cell_cohorts
        on read_buckets.cell_number = cell_cohorts.cell_number
    where read_buckets.is_read
),

read_times as (
    select
        read_cohorts.curve_kind,
        read_cohorts.cell_number,
        read_cohorts.bucket,
        times.duration_us,
        count(*) as units,
        sum(times.is_event) as events
    from times
    inner join read_cohorts
        on
            times.curve_kind = read_cohorts.curve_kind
            and times.stage_number = read_cohorts.stage_number
            and times.segment_number = read_cohorts.segment_number
            and times.cohort_start = read_cohorts.cohort_start
            and times.bucket = read_cohorts.bucket
            and times.duration_us <= read_cohorts.last_event_us
    group by
        read_cohorts.curve_kind,
        read_cohorts.cell_number,
        read_cohorts.bucket,
        times.duration_us
),

followed_times as (
    select
        *,
        sum(units) over (
            partition by cell_number, curve_kind, bucket
            order by duration_us
            rows between unbounded preceding and current row
        ) as units_through
    from read_times
),

event_times as (
    select
        followed_times.curve_kind,
        followed_times.cell_number,
        followed_times.bucket,
        followed_times.duration_us,
        read_buckets.all_events,
        read_buckets.events_before,
        read_buckets.log_survival_before,
        read_buckets.greenwood_before,
        followed_times.events::{{ type_double() }} as events,
        (
            read_buckets.at_risk
            - followed_times.units_through
            + followed_times.units
        )::{{ type_double() }} as at_risk,
        (
            read_buckets.at_risk - followed_times.units_through
        )::bigint as at_risk_after
    from followed_times
    inner join read_buckets
        on
            followed_times.curve_kind = read_buckets.curve_kind
            and followed_times.cell_number = read_buckets.cell_number
            and followed_times.bucket = read_buckets.bucket
    where followed_times.events > 0
),

-- The last unit leaving takes S to 0, where its logarithm and Greenwood's sum end.
accumulated as (
    select
        *,
        events_before + sum(events) over steps as events_through,
        log_survival_before + sum(
            case when events < at_risk then ln(1 - events / at_risk) else 0 end
        ) over steps as log_survival,
        greenwood_before + sum(
            case
                when events < at_risk then events / (at_risk * (at_risk - events))
                else 0
            end
        ) over steps as greenwood_sum
    from event_times
    window
        steps as (
            partition by cell_number, curve_kind, bucket
            order by duration_us
            rows between unbounded preceding and current row
        )
),

steps as (
    select
        *,
        case when events < at_risk then exp(log_survival) else 0 end as survival,
        case
            when events < at_risk
                then {{ log_log_se('log_survival', 'greenwood_sum') }}
        end as log_log_se
    from accumulated
),

points as (
    select
        curve_kind,
        cell_number,
        bucket,
        duration_us,
        at_risk_after,
        events_through::bigint as events_through,
        survival,
        log_log_se,
        1 - events_through::{{ type_double() }} / all_events as naive_survival,
        case
            when survival > 0
                then {{ log_log_bound('log_survival', 'log_log_se', '') }}
            else 0
        end as survival_low,
        case
            when survival > 0
                then {{ log_log_bound('log_survival', 'log_log_se', '-') }}
        end as survival_high
    from steps
    union all
    select
        curve_kind,
        cell_number,
        bucket,
        last_event_us as duration_us,
        at_risk_after,
        events_through::bigint as events_through,
        survival,
        log_log_se,
        naive_survival,
        survival_low,
        survival_high
    from read_buckets
    where not is_read
),

curves as (
    select
        cells.journey_id,
        cells.stage_id,
        cells.segment_number,
        cells.period_grain,
        cells.period_start,
        cells.weeks_back,
        points.curve_kind,
        points.cell_number,
        points.bucket,
        points.duration_us,
        points.at_risk_after,
        points.events_through,
        points.survival,
        points.log_log_se,
        points.survival_low,
        points.survival_high,
        points.naive_survival
    from points
    inner join cells
        on points.cell_number = cells.cell_number
)

select * from curves

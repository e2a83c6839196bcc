with

visit_clusters as (
    select * from {{ ref('int_visit_clusters') }}
),

entry_clusters as (
    select * from {{ ref('int_entry_clusters') }}
),

value_clusters as (
    select *
    from {{ ref('int_entry_clusters') }}
    where value_timed_entries > 0
),

unit_times as (
    select * from {{ ref('int_segment_times') }}
),

cell_cohorts as (
    select * from {{ ref('int_cell_cohorts') }}
),

registry as (
    select * from {{ ref('metrics') }}
),

curves as (
    select * from {{ ref('int_survival_curves') }}
),

cells as (
    select * from {{ ref('int_cells') }}
),

counts as (
    select
        'leaving' as curve_kind,
        cell_number,
        timed_visits as n,
        timed_clusters as n_clusters,
        timed_exits as numerator
    from visit_clusters
    where timed_visits > 0
    union all
    select
        'advancing' as curve_kind,
        cell_number,
        timed_entries as n,
        timed_clusters as n_clusters,
        timed_advances as numerator
    from entry_clusters
    where timed_entries > 0
    union all
    select
        'first_value' as curve_kind,
        cell_number,
        value_timed_entries as n,
        value_timed_clusters as n_clusters,
        timed_values as numerator
    from value_clusters
    union all
    select
        unit_times.metric_family as curve_kind,
        cell_cohorts.cell_number,
        count(*) as n,
        count(distinct unit_times.cluster_id) as n_clusters,
        sum(case when unit_times.is_event then 1 else 0 end) as numerator
    from unit_times
    inner join cell_cohorts
        on
            unit_times.stage_number = cell_cohorts.stage_number
            and unit_times.segment_number = cell_cohorts.segment_number
            and unit_times.cohort_start = cell_cohorts.cohort_start
    group by
        unit_times.metric_family,
        cell_cohorts.cell_number
),

metrics as (
    select
        'time_in_stage_p50' as metric_id,
        'leaving' as curve_kind,
        'p50' as level_name
    union all
    select
        'time_in_stage_p75' as metric_id,
        'leaving' as curve_kind,
        'p75' as level_name
    union all
    select
        'time_in_stage_p90' as metric_id,
        'leaving' as curve_kind,
        'p90' as level_name
    union all
    select
        'time_to_advance_p50' as metric_id,
        'advancing' as curve_kind,
        'p50' as level_name
    union all
    select
        'time_to_advance_p75' as metric_id,
        'advancing' as curve_kind,
        'p75' as level_name
    union all
    select
        'time_to_advance_p90' as metric_id,
        'advancing' as curve_kind,
        'p90' as level_name
    union all
    select
        'time_to_value_p50' as metric_id,
        'first_value' as curve_kind,
        'p50' as level_name
    union all
    select
        metric_id,
        {{ metric_family('metric_id') }} as curve_kind,
        right(metric_id, 3) as level_name
    from registry
    where {{ quantile_level('metric_id') }} is not null
),

crossings as (
    select
        curve_kind,
        cell_number,
        {{ quantile_crossings() }}
    from curves
    group by
        curve_kind,
        cell_number
),

quantiles as (
    select
        curve_kind,
        cell_number,
        'p50' as level_name,
        p50_value_us as value_us,
        p50_ci_low_us as ci_low_us,
        p50_ci_high_us as ci_high_us,
        p50_naive_us as naive_us
    from crossings
    union all
    select
        curve_kind,
        cell_number,
        'p75' as level_name,
        p75_value_us as value_us,
        p75_ci_low_us as ci_low_us,
        p75_ci_high_us as ci_high_us,
        p75_naive_us as naive_us
    from crossings
    union all
    select
        curve_kind,
        cell_number,
        'p90' as level_name,
        p90_value_us as value_us,
        p90_ci_low_us as ci_low_us,
        p90_ci_high_us as ci_high_us,
        p90_naive_us as naive_us
    from crossings
),

measures as (
    select
        cells.journey_id,
        metrics.metric_id,
        cells.stage_id,
        null::{{ type_text() }} as touchpoint_id,
        cells.segment_dimension,
        cells.segment_value,
        cells.period_grain,
        cells.period_start,
        cells.period_end,
        counts.n,
        counts.n_clusters,
        counts.n::{{ type_double() }} as effective_n,
        counts.numerator,
        {{ days('quantiles.value_us') }} as value,
        {{ days('quantiles.ci_low_us') }} as ci_low,
        {{ days('quantiles.ci_high_us') }} as ci_high,
        {{ days('quantiles.naive_us') }} as naive_value,
        cells.is_mature,
        cells.is_partial
    from counts
    inner join metrics
        on counts.curve_kind = metrics.curve_kind
    inner join cells
        on counts.cell_number = cells.cell_number
    left join quantiles
        on
            counts.curve_kind = quantiles.curve_kind
            and counts.cell_number = quantiles.cell_number
            and metrics.level_name = quantiles.level_name
    where cells.has_curve
)

select * from measures

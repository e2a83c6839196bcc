with

visit_clusters as (
    select * from {{ ref('int_visit_clusters') }}
),

entry_clusters as (
    select * from {{ ref('int_entry_clusters') }}
),

curves as (
    select * from {{ ref('int_survival_curves') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

counts as (
    select
        false as is_advancing,
        period_number,
        timed_visits as n,
        timed_clusters as n_clusters,
        timed_exits as numerator
    from visit_clusters
    union all
    select
        true as is_advancing,
        period_number,
        timed_entries as n,
        timed_clusters as n_clusters,
        timed_advances as numerator
    from entry_clusters
    where timed_entries > 0
),

levels as (
    select 'p50' as level_name
    union all
    select 'p75' as level_name
    union all
    select 'p90' as level_name
),

crossings as (
    select
        is_advancing,
        period_number,
        {{ quantile_crossings() }}
    from curves
    group by
        is_advancing,
        period_number
),

quantiles as (
    select
        is_advancing,
        period_number,
        'p50' as level_name,
        p50_value_us as value_us,
        p50_ci_low_us as ci_low_us,
        p50_ci_high_us as ci_high_us,
        p50_naive_us as naive_us
    from crossings
    union all
    select
        is_advancing,
        period_number,
        'p75' as level_name,
        p75_value_us as value_us,
        p75_ci_low_us as ci_low_us,
        p75_ci_high_us as ci_high_us,
        p75_naive_us as naive_us
    from crossings
    union all
    select
        is_advancing,
        period_number,
        'p90' as level_name,
        p90_value_us as value_us,
        p90_ci_low_us as ci_low_us,
        p90_ci_high_us as ci_high_us,
        p90_naive_us as naive_us
    from crossings
),

measures as (
    select
        periods.journey_id,
        case
            when counts.is_advancing then 'time_to_advance_' else 'time_in_stage_'
        end || levels.level_name as metric_id,
        periods.stage_id,
        null::varchar as touchpoint_id,
        'all' as segment_dimension,
        'all' as segment_value,
        periods.period_grain,
        periods.period_start,
        periods.period_end,
        counts.n,
        counts.n_clusters,
        counts.n::{{ type_double() }} as effective_n,
        counts.numerator,
        {{ days('quantiles.value_us') }} as value,
        {{ days('quantiles.ci_low_us') }} as ci_low,
        {{ days('quantiles.ci_high_us') }} as ci_high,
        {{ days('quantiles.naive_us') }} as naive_value,
        periods.is_mature,
        periods.is_partial
    from counts
    cross join levels
    inner join periods
        on counts.period_number = periods.period_number
    left join quantiles
        on
            counts.is_advancing = quantiles.is_advancing
            and counts.period_number = quantiles.period_number
            and levels.level_name = quantiles.level_name
)

select * from measures

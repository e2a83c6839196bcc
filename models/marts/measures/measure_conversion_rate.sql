with

entries as (
    select * from {{ ref('int_stage_entries') }}
),

period_days as (
    select * from {{ ref('int_period_days') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

clusters as (
    select
        entries.journey_id,
        entries.stage_id,
        period_days.period_grain,
        period_days.period_start,
        entries.cluster_id,
        count(*)::{{ type_double() }} as entries,
        sum(
            case when entries.is_converted then 1 else 0 end
        )::{{ type_double() }} as conversions
    from entries
    inner join period_days
        on
            entries.journey_id = period_days.journey_id
            and entries.stage_id = period_days.stage_id
            and entries.entered_date = period_days.entered_date
    group by
        entries.journey_id,
        entries.stage_id,
        period_days.period_grain,
        period_days.period_start,
        entries.cluster_id
),

sums as (
    select
        journey_id,
        stage_id,
        period_grain,
        period_start,
        count(*)::{{ type_double() }} as n_clusters,
        sum(entries) as n,
        sum(conversions) as numerator,
        sum(conversions * conversions) as sum_xx,
        sum(conversions * entries) as sum_xn,
        sum(entries * entries) as sum_nn
    from clusters
    group by
        journey_id,
        stage_id,
        period_grain,
        period_start
),

proportions as (
    select
        *,
        numerator / n as value
    from sums
),

-- Design effect of clustered sampling; one cluster says nothing of the variance.
design_effects as (
    select
        *,
        case
            when value in (0, 1) or n_clusters < 2 then 1
            else greatest(
                1,
                n_clusters / (n_clusters - 1)
                * (sum_xx - 2 * value * sum_xn + value * value * sum_nn)
                / (n * value * (1 - value))
            )
        end as design_effect
    from proportions
),

effective as (
    select
        *,
        n / design_effect as effective_n
    from design_effects
),

measures as (
    select
        effective.journey_id,
        'conversion_rate' as metric_id,
        effective.stage_id,
        null::varchar as touchpoint_id,
        'all' as segment_dimension,
        'all' as segment_value,
        effective.period_grain,
        effective.period_start,
        periods.period_end,
        effective.n::bigint as n,
        effective.n_clusters::bigint as n_clusters,
        effective.effective_n,
        effective.numerator,
        effective.value,
        {{ wilson_low('effective.value', 'effective.effective_n') }} as ci_low,
        {{ wilson_high('effective.value', 'effective.effective_n') }} as ci_high,
        periods.is_mature,
        periods.is_partial
    from effective
    inner join periods
        on
            effective.journey_id = periods.journey_id
            and effective.stage_id = periods.stage_id
            and effective.period_grain = periods.period_grain
            and effective.period_start = periods.period_start
)

select * from measures

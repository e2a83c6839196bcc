with

entry_clusters as (
    select * from {{ ref('int_entry_clusters') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

proportions as (
    select
        *,
        numerator / n as value
    from entry_clusters
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
        periods.journey_id,
        'conversion_rate' as metric_id,
        periods.stage_id,
        null::varchar as touchpoint_id,
        'all' as segment_dimension,
        'all' as segment_value,
        periods.period_grain,
        periods.period_start,
        periods.period_end,
        effective.n::bigint as n,
        effective.n_clusters::bigint as n_clusters,
        effective.effective_n,
        effective.numerator,
        effective.value,
        {{ wilson_low('effective.value', 'effective.effective_n') }} as ci_low,
        {{ wilson_high('effective.value', 'effective.effective_n') }} as ci_high,
        null::{{ type_double() }} as naive_value,
        periods.is_mature,
        periods.is_partial
    from effective
    inner join periods
        on effective.period_number = periods.period_number
)

select * from measures

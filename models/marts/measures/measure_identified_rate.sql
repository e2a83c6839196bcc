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
        known_entries / n as value
    from entry_clusters
    where known_entries is not null
),

design_effects as (
    select
        *,
        {{ design_effect(
            'value',
            'n_clusters',
            'known_xx',
            'known_xn',
            'sum_nn',
            'n',
        ) }} as design_effect
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
        'identified_rate' as metric_id,
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
        effective.known_entries as numerator,
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

with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

period_days as (
    select * from {{ ref('int_period_days') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

-- Only where merging devices into customers, and these into accounts, can favour those
-- who convert.
merged_entries as (
    select
        entries.stage_number,
        entries.entered_date,
        {{ hash_number('entries.cluster_id') }} as cluster_number,
        case
            when {{ is_identified('cohort_stages.entity', 'entries.entity_id') }} then 1
            else 0
        end as is_identified
    from entries
    inner join cohort_stages
        on entries.stage_number = cohort_stages.stage_number
    where cohort_stages.entity in ('customer', 'account')
),

clusters as (
    select
        period_days.period_number,
        merged_entries.cluster_number,
        count(*)::{{ type_double() }} as entries,
        sum(merged_entries.is_identified)::{{ type_double() }} as known_entries
    from merged_entries
    inner join period_days
        on
            merged_entries.stage_number = period_days.stage_number
            and merged_entries.entered_date = period_days.entered_date
    group by
        period_days.period_number,
        merged_entries.cluster_number
),

sums as (
    select
        period_number,
        count(*)::{{ type_double() }} as n_clusters,
        sum(entries) as n,
        sum(known_entries) as numerator,
        sum(known_entries * known_entries) as sum_xx,
        sum(known_entries * entries) as sum_xn,
        sum(entries * entries) as sum_nn
    from clusters
    group by period_number
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

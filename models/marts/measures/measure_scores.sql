{#- What answers say of a stage: of each customer the last one of the period. -#}
with

scores as (
    select * from {{ ref('int_segment_scores') }}
),

cell_cohorts as (
    select * from {{ ref('int_cell_cohorts') }}
),

cells as (
    select * from {{ ref('int_cells') }}
),

metrics as (
    select * from {{ ref('dim_metrics') }}
),

cell_scores as (
    select
        cell_cohorts.cell_number,
        scores.metric_id,
        scores.cluster_id,
        -- Decimals add up without rounding, in any order.
        scores.score::decimal(18, 6) as score,
        row_number() over (
            partition by cell_cohorts.cell_number, scores.customer_id
            order by
                scores.measured_at desc,
                {{ binary_order('scores.unit_id') }} desc
        ) as recency
    from scores
    inner join cell_cohorts
        on
            scores.stage_number = cell_cohorts.stage_number
            and scores.segment_number = cell_cohorts.segment_number
            and scores.cohort_start = cell_cohorts.cohort_start
),

sums as (
    select
        cell_number,
        metric_id,
        count(*)::{{ type_double() }} as n,
        count(distinct cluster_id) as n_clusters,
        sum(score)::{{ type_double() }} as total,
        sum(score * score)::{{ type_double() }} as squares,
        count(case when score > 0 then 1 end)::{{ type_double() }} as positives,
        count(case when score < 0 then 1 end)::{{ type_double() }} as negatives,
        min(score) < max(score) as is_varied
    from cell_scores
    where recency = 1
    group by
        cell_number,
        metric_id
),

means as (
    select
        *,
        total / n as mean,
        {{ mean_reach('n', 'total', 'squares', 'is_varied') }} as reach
    from sums
),

-- No mean lies off its range.
intervals as (
    select
        means.cell_number,
        means.metric_id,
        means.n,
        means.n_clusters,
        means.total,
        case
            when means.metric_id = 'nps'
                then {{ nps_value('means.positives', 'means.negatives', 'means.n') }}
            else means.mean
        end as value,
        case
            when means.metric_id = 'nps'
                then {{ nps_low('means.positives', 'means.negatives', 'means.n') }}
            when {{ is_rate_of_answers('means.metric_id') }}
                then {{ wilson_low('means.mean', 'means.n') }}
            when means.reach is not null
                then greatest(means.mean - means.reach, metrics.score_min)
        end as ci_low,
        case
            when means.metric_id = 'nps'
                then {{ nps_high('means.positives', 'means.negatives', 'means.n') }}
            when {{ is_rate_of_answers('means.metric_id') }}
                then {{ wilson_high('means.mean', 'means.n') }}
            when means.reach is not null
                then least(means.mean + means.reach, metrics.score_max)
        end as ci_high
    from means
    inner join metrics
        on means.metric_id = metrics.metric_id
),

measures as (
    select
        cells.journey_id,
        intervals.metric_id,
        cells.stage_id,
        null::{{ type_text() }} as touchpoint_id,
        cells.segment_dimension,
        cells.segment_value,
        cells.period_grain,
        cells.period_start,
        cells.period_end,
        intervals.n::bigint as n,
        intervals.n_clusters::bigint as n_clusters,
        intervals.n as effective_n,
        intervals.total as numerator,
        intervals.value,
        intervals.ci_low,
        intervals.ci_high,
        null::{{ type_double() }} as naive_value,
        cells.is_mature,
        cells.is_partial
    from intervals
    inner join cells
        on intervals.cell_number = cells.cell_number
)

select * from measures

{#- What each measure is held against: of each kind one benchmark, its segment's own or
    the total's, and its own past (domain.md §7). -#}
with

given_benchmarks as (
    select * from {{ ref('int_given_benchmarks') }}
),

metric_periods as (
    select * from {{ ref('int_metric_periods') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

ranked_segments as (
    select * from {{ ref('int_ranked_segments') }}
),

measures as (
    select * from {{ ref('fct_measures') }}
),

-- A grain to join by: a condition on one side alone would have DuckDB compare all with
-- all.
trailing_periods as (
    select
        *,
        'trailing_13_weeks' as period_grain
    from metric_periods
),

judged_measures as (
    select
        measures.journey_id,
        measures.metric_id,
        measures.stage_id,
        measures.segment_dimension,
        measures.segment_value,
        measures.period_grain,
        measures.period_start,
        measures.period_end,
        measures.n,
        measures.n_clusters,
        measures.effective_n,
        measures.value,
        measures.ci_low,
        measures.ci_high,
        trailing_periods.weeks_back,
        measures.is_mature and not measures.is_partial as is_whole
    from measures
    left join ranked_segments
        on
            measures.journey_id = ranked_segments.journey_id
            and measures.segment_dimension = ranked_segments.segment_dimension
            and measures.segment_value = ranked_segments.segment_value
    left join trailing_periods
        on
            measures.metric_id = trailing_periods.metric_id
            and measures.journey_id = trailing_periods.journey_id
            and measures.stage_id = trailing_periods.stage_id
            and measures.period_start = trailing_periods.period_start
            and measures.period_grain = trailing_periods.period_grain
    where
        measures.segment_dimension = 'all'
        or ranked_segments.segment_number is not null
),

-- A benchmark is shown for its own segment even where nothing is measured.
all_cells as (
    select
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        (period_end - interval '1' day)::date as valid_on,
        1 as may_fall_back
    from judged_measures
    where
        period_grain <> 'trailing_13_weeks'
        or weeks_back = 0
    union all
    select
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        'trailing_13_weeks' as period_grain,
        period_start,
        period_end,
        coalesce((period_end - interval '1' day)::date, as_of_date) as valid_on,
        0 as may_fall_back
    from given_benchmarks
),

cells as (
    select
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        valid_on,
        max(may_fall_back) as may_fall_back
    from all_cells
    group by
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        valid_on
),

-- The benchmark that is valid on the last day of the period counts.
candidates as (
    select
        cells.*,
        given_benchmarks.benchmark_id,
        given_benchmarks.benchmark_kind,
        given_benchmarks.benchmark_value,
        given_benchmarks.segment_dimension as benchmark_segment_dimension,
        given_benchmarks.segment_value as benchmark_segment_value,
        given_benchmarks.is_mismatched,
        given_benchmarks.segment_dimension <> cells.segment_dimension as is_fallback
    from cells
    inner join given_benchmarks
        on
            cells.journey_id = given_benchmarks.journey_id
            and cells.metric_id = given_benchmarks.metric_id
            and cells.stage_id = given_benchmarks.stage_id
            and cells.valid_on >= given_benchmarks.valid_from
            and cells.valid_on <= given_benchmarks.valid_to
            and given_benchmarks.segment_dimension in (cells.segment_dimension, 'all')
            and given_benchmarks.segment_value in (cells.segment_value, 'all')
    where
        cells.may_fall_back = 1
        or given_benchmarks.segment_dimension = cells.segment_dimension
),

preferred as (
    select
        *,
        row_number() over (
            partition by
                journey_id,
                metric_id,
                stage_id,
                segment_dimension,
                segment_value,
                period_grain,
                period_start,
                benchmark_kind
            order by
                case when is_fallback then 1 else 0 end,
                {{ binary_order('benchmark_id') }}
        ) as preference
    from candidates
),

latest_measures as (
    select *
    from judged_measures
    where weeks_back = 0
),

whole_past_measures as (
    select *
    from judged_measures
    where
        weeks_back in (13, 52)
        and is_whole
        and value is not null
),

-- The same period a year before, else the period before.
pasts as (
    select
        latest_measures.journey_id,
        latest_measures.metric_id,
        latest_measures.stage_id,
        latest_measures.segment_dimension,
        latest_measures.segment_value,
        latest_measures.period_grain,
        latest_measures.period_start,
        latest_measures.period_end,
        past_measures.value as benchmark_value,
        past_measures.weeks_back as past_weeks_back,
        past_measures.n as past_n,
        past_measures.n_clusters as past_n_clusters,
        past_measures.effective_n as past_effective_n,
        past_measures.ci_low as past_ci_low,
        past_measures.ci_high as past_ci_high,
        row_number() over (
            partition by
                latest_measures.journey_id,
                latest_measures.metric_id,
                latest_measures.stage_id,
                latest_measures.segment_dimension,
                latest_measures.segment_value
            order by past_measures.weeks_back desc
        ) as preference
    from latest_measures
    inner join whole_past_measures as past_measures
        on
            latest_measures.journey_id = past_measures.journey_id
            and latest_measures.metric_id = past_measures.metric_id
            and latest_measures.stage_id = past_measures.stage_id
            and latest_measures.segment_dimension = past_measures.segment_dimension
            and latest_measures.segment_value = past_measures.segment_value
),

benchmarks as (
    select
        benchmark_id,
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        benchmark_kind,
        benchmark_value,
        benchmark_segment_dimension,
        benchmark_segment_value,
        is_fallback,
        is_mismatched,
        null::integer as past_weeks_back,
        null::bigint as past_n,
        null::bigint as past_n_clusters,
        null::{{ type_double() }} as past_effective_n,
        null::{{ type_double() }} as past_ci_low,
        null::{{ type_double() }} as past_ci_high
    from preferred
    where preference = 1
    union all
    select
        'own_past:' || journey_id || ':' || metric_id || ':' || stage_id
            as benchmark_id,
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        'own_past' as benchmark_kind,
        benchmark_value,
        segment_dimension as benchmark_segment_dimension,
        segment_value as benchmark_segment_value,
        false as is_fallback,
        false as is_mismatched,
        past_weeks_back,
        past_n,
        past_n_clusters,
        past_effective_n,
        past_ci_low,
        past_ci_high
    from pasts
    where preference = 1
),

final as (
    select
        benchmarks.*,
        metrics.scale,
        metrics.score_min,
        metrics.score_max,
        metrics.loss_family,
        metrics.equivalence_margin,
        case
            when metrics.direction = 'higher_is_better' then 1 else -1
        end as direction
    from benchmarks
    inner join metrics
        on benchmarks.metric_id = metrics.metric_id
)

select * from final

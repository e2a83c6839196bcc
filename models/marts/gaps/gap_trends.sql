with

measures as (
    select * from {{ ref('fct_measures') }}
),

benchmarks as (
    select * from {{ ref('int_benchmarks') }}
),

metric_periods as (
    select * from {{ ref('int_metric_periods') }}
),

segments as (
    select * from {{ ref('int_ranked_segments') }}
),

metrics as (
    select * from {{ ref('dim_metrics') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

given_benchmarks as (
    select *
    from benchmarks
    where benchmark_kind in ('industry', 'target')
),

single_segments as (
    select *
    from segments
    where not is_pair
),

-- A grain to join by: a condition on one side alone would have DuckDB compare all with
-- all.
trailing_periods as (
    select
        *,
        'trailing_13_weeks' as period_grain
    from metric_periods
    where weeks_back = 0
),

periodic_measures as (
    select
        *,
        case
            when period_grain = 'week' then (period_start + interval '7' day)::date
            else (period_start + interval '91' day)::date
        end as next_start,
        max(
            case when period_grain = 'week' then period_start end
        ) over (partition by journey_id) as newest_start
    from measures
    where period_grain in ('week', 'trailing_13_weeks')
),

-- Half a year of weeks and the latest trailing period; of segments the single ones.
shown_measures as (
    select
        periodic_measures.*,
        journeys.name as journey_name,
        metrics.label,
        metrics.scale,
        metrics.score_min,
        metrics.score_max,
        metrics.equivalence_margin,
        metrics.alert_relative_change,
        case
            when metrics.direction = 'higher_is_better' then 1 else -1
        end as direction,
        row_number() over (
            order by
                periodic_measures.journey_id,
                periodic_measures.metric_id,
                periodic_measures.stage_id,
                periodic_measures.segment_dimension,
                periodic_measures.segment_value,
                periodic_measures.period_grain,
                periodic_measures.period_start
        ) as row_id
    from periodic_measures
    inner join metrics
        on periodic_measures.metric_id = metrics.metric_id
    inner join journeys
        on periodic_measures.journey_id = journeys.journey_id
    left join single_segments
        on
            periodic_measures.journey_id = single_segments.journey_id
            and periodic_measures.segment_dimension
            = single_segments.segment_dimension
            and periodic_measures.segment_value = single_segments.segment_value
    left join trailing_periods
        on
            periodic_measures.journey_id = trailing_periods.journey_id
            and periodic_measures.metric_id = trailing_periods.metric_id
            and periodic_measures.stage_id = trailing_periods.stage_id
            and periodic_measures.period_start = trailing_periods.period_start
            and periodic_measures.period_grain = trailing_periods.period_grain
    where
        (
            periodic_measures.segment_dimension = 'all'
            or single_segments.segment_number is not null
        )
        and (
            trailing_periods.period_start is not null
            or (
                periodic_measures.period_grain = 'week'
                and periodic_measures.period_start
                > periodic_measures.newest_start - interval '182' day
            )
        )
),

compared as (
    select
        shown_measures.*,
        previous_measures.value as previous_value,
        previous_measures.effective_n as previous_effective_n,
        {{ mover_low(
            'shown_measures.value',
            'shown_measures.ci_low',
            'shown_measures.ci_high',
            'previous_measures.value',
            'previous_measures.ci_low',
            'previous_measures.ci_high',
        ) }} as difference_low,
        {{ mover_high(
            'shown_measures.value',
            'shown_measures.ci_low',
            'shown_measures.ci_high',
            'previous_measures.value',
            'previous_measures.ci_low',
            'previous_measures.ci_high',
        ) }} as difference_high,
        {{ mover_z(
            'shown_measures.value',
            'shown_measures.ci_low',
            'shown_measures.ci_high',
            'previous_measures.value',
            'previous_measures.ci_low',
            'previous_measures.ci_high',
        ) }} as interval_z,
        -- Immature periods are shown and never compared.
        coalesce(
            shown_measures.is_mature
            and previous_measures.is_mature
            and not shown_measures.is_partial
            and not previous_measures.is_partial
            and least(
                shown_measures.n,
                shown_measures.n_clusters,
                previous_measures.n,
                previous_measures.n_clusters
            ) >= {{ var('minimum_n') }},
            false
        ) as is_comparable
    from shown_measures
    left join periodic_measures as previous_measures
        on
            shown_measures.journey_id = previous_measures.journey_id
            and shown_measures.metric_id = previous_measures.metric_id
            and shown_measures.stage_id = previous_measures.stage_id
            and shown_measures.segment_dimension
            = previous_measures.segment_dimension
            and shown_measures.segment_value = previous_measures.segment_value
            and shown_measures.period_grain = previous_measures.period_grain
            and shown_measures.period_start = previous_measures.next_start
),

rates as (
    select
        row_id,
        value as value_1,
        effective_n as trials_1,
        previous_value as value_2,
        previous_effective_n as trials_2
    from compared
    where
        is_comparable
        and scale = 'proportion'
),

{{ rate_difference_p('rates', 'row_id') }},

changes as (
    select
        compared.*,
        case
            when compared.is_comparable then compared.value - compared.previous_value
        end as change,
        case when compared.is_comparable then compared.difference_low end
            as change_ci_low,
        case when compared.is_comparable then compared.difference_high end
            as change_ci_high,
        case
            when compared.scale = 'proportion' then rates_p.p_value
            when compared.is_comparable
                then {{ normal_two_sided_p('compared.interval_z') }}
        end as p_value,
        case
            when compared.scale = 'duration'
                then compared.equivalence_margin * compared.previous_value
            else compared.equivalence_margin
        end as margin,
        compared.segment_dimension = 'all' as is_total,
        -- Stages mature at their own times: their latest 13 weeks are one news.
        case when compared.period_grain = 'week' then compared.period_start end
            as news_of,
        max(
            case when compared.is_comparable then compared.period_start end
        ) over (
            partition by
                compared.journey_id,
                compared.metric_id,
                compared.stage_id,
                compared.period_grain
        ) as newest_comparable_start
    from compared
    left join rates_p
        on compared.row_id = rates_p.row_id
),

-- All that is new in a period is one family: one week's news in twenty holds a false
-- verdict, not one verdict in twenty.
{{ benjamini_hochberg('changes', ['period_grain', 'news_of', 'is_total']) }},

trends as (
    select
        *,
        case
            when not is_comparable then null
            when
                change_ci_low * direction > 0
                and change_ci_high * direction > 0
                and adjusted_p_value <= {{ var('significance_level') }}
                then 'improving'
            when
                change_ci_low * direction < 0
                and change_ci_high * direction < 0
                and adjusted_p_value <= {{ var('significance_level') }}
                then 'worsening'
            when change_ci_low >= -margin and change_ci_high <= margin then 'steady'
            else 'unclear'
        end as trend,
        case
            when scale = 'score'
                then abs(change) / nullif(score_max - score_min, 0)
            when previous_value > 0 then abs(change) / previous_value
            -- From nothing, any change is endless.
            else 1
        end as relative_change
    from changes_adjusted
),

texts as (
    select
        *,
        coalesce(
            trend = 'worsening'
            and period_start = newest_comparable_start
            and relative_change >= alert_relative_change,
            false
        ) as is_alert,
        {{ subject_text(
            'label', 'stage_id', 'journey_name', 'segment_dimension', 'segment_value'
        ) }} as subject,
        coalesce({{ figure_text('value', 'scale') }}, 'unknown') as value_text,
        coalesce({{ figure_text('previous_value', 'scale') }}, 'unknown')
            as previous_text,
        case when period_grain = 'week' then 'the week' else 'the 13 weeks' end
            as period_text,
        case when period_grain = 'week' then ' of ' else ' from ' end as of_text
    from trends
),

sentences as (
    select
        *,
        subject
        || case
            when not is_comparable then ' is ' || value_text
            when value > previous_value
                then ' rose from ' || previous_text || ' to ' || value_text
            when value < previous_value
                then ' fell from ' || previous_text || ' to ' || value_text
            when value = previous_value then ' stayed at ' || value_text
            else ' went from ' || previous_text || ' to ' || value_text
        end
        || ' in ' || period_text || of_text || period_start::{{ type_text() }} || ': '
        || case
            when not is_mature then 'the window is not over yet'
            when is_partial then 'part of it lies outside the data'
            when not is_comparable
                then 'too few data, here or in ' || period_text || ' before'
            when trend = 'improving' then 'that is better'
            when trend = 'worsening' then 'that is worse'
            when trend = 'steady' then 'that is steady'
            when change is null then 'the change cannot be said'
            else 'the change may be chance'
        end
        || '.' as sentence
    from texts
),

final as (
    select
        sentences.journey_id,
        sentences.metric_id,
        sentences.stage_id,
        sentences.touchpoint_id,
        sentences.segment_dimension,
        sentences.segment_value,
        benchmarks.benchmark_id,
        benchmarks.benchmark_kind,
        benchmarks.benchmark_value,
        sentences.period_grain,
        sentences.period_start,
        sentences.period_end,
        sentences.n,
        sentences.n_clusters,
        sentences.value,
        sentences.ci_low,
        sentences.ci_high,
        sentences.is_mature,
        sentences.is_partial,
        sentences.previous_value,
        sentences.change,
        sentences.change_ci_low,
        sentences.change_ci_high,
        sentences.p_value,
        sentences.adjusted_p_value,
        sentences.trend,
        sentences.is_alert,
        sentences.sentence,
        case
            when benchmarks.is_mismatched then null
            when sentences.direction = 1
                then sentences.value - benchmarks.benchmark_value
            else benchmarks.benchmark_value - sentences.value
        end as gap
    from sentences
    left join given_benchmarks as benchmarks
        on
            sentences.journey_id = benchmarks.journey_id
            and sentences.metric_id = benchmarks.metric_id
            and sentences.stage_id = benchmarks.stage_id
            and sentences.segment_dimension = benchmarks.segment_dimension
            and sentences.segment_value = benchmarks.segment_value
            and sentences.period_grain = benchmarks.period_grain
            and sentences.period_start = benchmarks.period_start
)

select * from final

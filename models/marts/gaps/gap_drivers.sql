{#- What goes with each gap of a rate (domain.md §8): associations, never causes. -#}
with

verdicts as (
    select * from {{ ref('int_gap_verdicts') }}
),

metrics as (
    select * from {{ ref('dim_metrics') }}
),

measures as (
    select * from {{ ref('fct_measures') }}
),

ranked_segments as (
    select * from {{ ref('int_ranked_segments') }}
),

driver_tests as (
    select * from {{ ref('int_driver_tests') }}
),

judged_gaps as (
    select
        verdicts.gap_id,
        verdicts.journey_id,
        verdicts.metric_id,
        verdicts.stage_id,
        verdicts.benchmark_kind,
        verdicts.benchmark_value,
        verdicts.period_start,
        verdicts.period_end,
        verdicts.gap,
        verdicts.verdict = 'lagging' as is_lagging,
        case
            when metrics.direction = 'higher_is_better' then 1 else -1
        end as direction
    from verdicts
    inner join metrics
        on verdicts.metric_id = metrics.metric_id
    where
        metrics.scale = 'proportion'
        and verdicts.segment_dimension = 'all'
        and verdicts.verdict in ('lagging', 'ahead', 'at_par', 'unclear')
),

ranked_dimensions as (
    select distinct
        journey_id,
        segment_dimension,
        is_pair
    from ranked_segments
),

trailing_measures as (
    select
        *,
        numerator::{{ type_double() }} as outcomes
    from measures
    where
        period_grain = 'trailing_13_weeks'
        and n > 0
),

totals as (
    select
        judged_gaps.gap_id,
        judged_gaps.direction,
        judged_gaps.benchmark_value,
        judged_gaps.gap,
        latest.n,
        latest.outcomes,
        latest.effective_n,
        previous.n as previous_n,
        previous.outcomes as previous_outcomes,
        judged_gaps.direction * (latest.value - previous.value) as change
    from judged_gaps
    inner join trailing_measures as latest
        on
            judged_gaps.journey_id = latest.journey_id
            and judged_gaps.metric_id = latest.metric_id
            and judged_gaps.stage_id = latest.stage_id
            and judged_gaps.period_start = latest.period_start
            and latest.segment_dimension = 'all'
    left join trailing_measures as previous
        on
            judged_gaps.journey_id = previous.journey_id
            and judged_gaps.metric_id = previous.metric_id
            and judged_gaps.stage_id = previous.stage_id
            and judged_gaps.period_start
            = (previous.period_start + interval '91' day)::date
            and previous.segment_dimension = 'all'
            and not previous.is_partial
),

-- Of each kind a segment has one benchmark, its own or the total's.
segment_benchmarks as (
    select
        *,
        row_number() over (
            partition by
                journey_id,
                metric_id,
                stage_id,
                segment_dimension,
                segment_value,
                benchmark_kind
            order by {{ binary_order('benchmark_id') }}
        ) as preference
    from verdicts
    where segment_dimension <> 'all'
),

segment_periods as (
    select
        trailing_measures.*,
        judged_gaps.gap_id,
        judged_gaps.benchmark_kind,
        ranked_dimensions.is_pair,
        case
            when judged_gaps.period_start = trailing_measures.period_start then 1 else 0
        end as is_latest
    from judged_gaps
    inner join trailing_measures
        on
            judged_gaps.journey_id = trailing_measures.journey_id
            and judged_gaps.metric_id = trailing_measures.metric_id
            and judged_gaps.stage_id = trailing_measures.stage_id
    inner join ranked_dimensions
        on
            judged_gaps.journey_id = ranked_dimensions.journey_id
            and trailing_measures.segment_dimension
            = ranked_dimensions.segment_dimension
    where
        judged_gaps.period_start = trailing_measures.period_start
        or judged_gaps.period_start
        = (trailing_measures.period_start + interval '91' day)::date
),

segment_sums as (
    select
        gap_id,
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        benchmark_kind,
        is_pair,
        sum(is_latest * n)::{{ type_double() }} as n,
        sum(is_latest * outcomes) as outcomes,
        sum((1 - is_latest) * n)::{{ type_double() }} as previous_n,
        sum((1 - is_latest) * outcomes) as previous_outcomes,
        max(case when is_latest = 1 then n_clusters end) as n_clusters,
        max(case when is_latest = 1 then effective_n end) as effective_n,
        max(case when is_latest = 1 then ci_low end) as ci_low,
        max(case when is_latest = 1 then ci_high end) as ci_high
    from segment_periods
    group by
        gap_id,
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        benchmark_kind,
        is_pair
),

-- An empty cell takes the other period's rate.
cells as (
    select
        segment_sums.gap_id,
        segment_sums.segment_dimension,
        segment_sums.segment_value,
        segment_sums.is_pair,
        segment_sums.n,
        segment_sums.outcomes,
        segment_sums.previous_n,
        segment_sums.previous_outcomes,
        segment_sums.n_clusters,
        segment_sums.effective_n,
        segment_sums.ci_low,
        segment_sums.ci_high,
        totals.direction,
        totals.benchmark_value as total_benchmark_value,
        totals.gap,
        totals.change,
        totals.n as total_n,
        totals.outcomes as total_outcomes,
        totals.effective_n as total_effective_n,
        totals.previous_n as total_previous_n,
        totals.previous_outcomes as total_previous_outcomes,
        coalesce(
            segment_benchmarks.benchmark_value, totals.benchmark_value
        ) as benchmark_value,
        coalesce(
            segment_sums.outcomes / nullif(segment_sums.n, 0),
            segment_sums.previous_outcomes / segment_sums.previous_n
        ) as value,
        coalesce(
            segment_sums.previous_outcomes / nullif(segment_sums.previous_n, 0),
            segment_sums.outcomes / segment_sums.n
        ) as previous_value
    from segment_sums
    inner join totals
        on segment_sums.gap_id = totals.gap_id
    left join segment_benchmarks
        on
            segment_sums.journey_id = segment_benchmarks.journey_id
            and segment_sums.metric_id = segment_benchmarks.metric_id
            and segment_sums.stage_id = segment_benchmarks.stage_id
            and segment_sums.segment_dimension = segment_benchmarks.segment_dimension
            and segment_sums.segment_value = segment_benchmarks.segment_value
            and segment_sums.benchmark_kind = segment_benchmarks.benchmark_kind
            and segment_benchmarks.preference = 1
),

-- Only what partitions the cases adds up.
compared_cells as (
    select
        *,
        segment_value like '%(unknown)%' as is_unknown,
        direction * (value - benchmark_value) as segment_gap,
        direction * (value - previous_value) as segment_change,
        sum(n * benchmark_value) over dimension as weighted_benchmark,
        sum(n) over dimension = total_n
        and sum(outcomes) over dimension = total_outcomes as is_partition,
        coalesce(
            sum(previous_n) over dimension = total_previous_n
            and sum(previous_outcomes) over dimension = total_previous_outcomes
            and total_previous_n >= {{ var('minimum_n') }},
            false
        ) as is_previous_partition,
        {{ is_simpson('gap', 'direction * (value - benchmark_value)', 'n > 0') }}
            as is_gap_reversed,
        {{ is_simpson('change', 'direction * (value - previous_value)', 'true') }}
            as is_change_reversed
    from cells
    window dimension as (partition by gap_id, segment_dimension)
),

-- Kitagawa between two periods; against benchmarks their own mix is left over.
mix_terms as (
    select
        gap_id,
        segment_dimension,
        segment_value,
        'benchmark' as compared_with,
        'rate' as component,
        gap as whole,
        n::bigint as n,
        is_gap_reversed as is_reversed,
        direction * (outcomes - n * benchmark_value) / total_n as term
    from compared_cells
    where
        is_partition
        and not is_pair
        and n > 0
    union all
    select distinct
        gap_id,
        segment_dimension,
        null::{{ type_text() }} as segment_value,
        'benchmark' as compared_with,
        'benchmark_mix' as component,
        gap as whole,
        total_n as n,
        is_gap_reversed as is_reversed,
        direction * (weighted_benchmark - total_n * total_benchmark_value) / total_n
            as term
    from compared_cells
    where
        is_partition
        and not is_pair
    union all
    select
        gap_id,
        segment_dimension,
        segment_value,
        'previous_period' as compared_with,
        'mix' as component,
        change as whole,
        (n + previous_n)::bigint as n,
        is_change_reversed as is_reversed,
        direction * (n / total_n - previous_n / total_previous_n)
        * (value + previous_value) / 2 as term
    from compared_cells
    where
        is_partition
        and is_previous_partition
        and not is_pair
    union all
    select
        gap_id,
        segment_dimension,
        segment_value,
        'previous_period' as compared_with,
        'rate' as component,
        change as whole,
        (n + previous_n)::bigint as n,
        is_change_reversed as is_reversed,
        direction * (n / total_n + previous_n / total_previous_n) / 2
        * (value - previous_value) as term
    from compared_cells
    where
        is_partition
        and is_previous_partition
        and not is_pair
),

whole_terms as (
    select
        *,
        {{ to_pico('whole') }} as whole_pico,
        {{ to_pico('term') }} as term_pico
    from mix_terms
),

-- The largest term takes what rounding left over.
sized_terms as (
    select
        *,
        whole_pico - sum(term_pico) over decomposition as remainder_pico,
        row_number() over (
            partition by gap_id, segment_dimension, compared_with
            order by
                abs(term_pico) desc,
                {{ binary_order('component') }},
                {{ binary_order('segment_value') }}
        ) as size_rank
    from whole_terms
    window
        decomposition as (partition by gap_id, segment_dimension, compared_with)
),

exact_terms as (
    select
        *,
        (
            term_pico + case when size_rank = 1 then remainder_pico else 0 end
        )::bigint as exact_pico
    from sized_terms
),

mix_drivers as (
    select
        gap_id,
        'mix_and_rate' as driver_kind,
        component || ' of ' || segment_dimension
        || coalesce(' ' || segment_value, '') as driver,
        segment_dimension,
        segment_value,
        compared_with,
        component,
        'contribution' as effect_kind,
        exact_pico::{{ type_double() }} / 1e12::{{ type_double() }} as effect,
        null::{{ type_double() }} as ci_low,
        null::{{ type_double() }} as ci_high,
        null::{{ type_double() }} as p_value,
        null::{{ type_double() }} as risk_difference,
        null::{{ type_double() }} as risk_difference_low,
        null::{{ type_double() }} as risk_difference_high,
        {{ from_pico('exact_pico') }} as contribution,
        {{ from_pico('whole_pico') }} as contribution_total,
        whole,
        -- Nothing is nothing of a negative whole as well.
        case
            when exact_pico = 0 and whole_pico <> 0 then 0
            else exact_pico::{{ type_double() }} / nullif(whole_pico, 0)
        end as share_of_gap,
        n,
        null::bigint as exposed_n,
        null::{{ type_double() }} as exposed_value,
        null::{{ type_double() }} as other_value,
        exact_pico < 0 as is_unfavourable,
        case when is_reversed then 'simpson_reversal' end as warning,
        abs(exact_pico) / 1e6::{{ type_double() }} as strength
    from exact_terms
),

lagging_cells as (
    select
        *,
        greatest(-segment_gap, 0) * n as recoverable_cases,
        total_n - n as other_n,
        (total_outcomes - outcomes) / nullif(total_n - n, 0) as other_value,
        case
            when
                n >= {{ var('minimum_n') }}
                and n_clusters >= {{ var('minimum_n') }}
                and total_n - n >= {{ var('minimum_n') }}
                and not is_unknown
                then gap_id || ':' || segment_dimension || ':' || segment_value
        end as test_id
    from compared_cells
    where n > 0
),

-- The rest is clustered as the total is.
segment_rates as (
    select
        test_id,
        value as value_1,
        effective_n as trials_1,
        other_value as value_2,
        other_n * total_effective_n / total_n as trials_2
    from lagging_cells
    where test_id is not null
),

{{ rate_difference_p('segment_rates', 'test_id') }},

segment_drivers as (
    select
        lagging_cells.gap_id,
        'segment' as driver_kind,
        lagging_cells.segment_dimension || ' ' || lagging_cells.segment_value as driver,
        lagging_cells.segment_dimension,
        lagging_cells.segment_value,
        'other segments' as compared_with,
        null::{{ type_text() }} as component,
        'rate_gap' as effect_kind,
        lagging_cells.segment_gap as effect,
        case
            when lagging_cells.direction = 1
                then lagging_cells.ci_low - lagging_cells.benchmark_value
            else lagging_cells.benchmark_value - lagging_cells.ci_high
        end as ci_low,
        case
            when lagging_cells.direction = 1
                then lagging_cells.ci_high - lagging_cells.benchmark_value
            else lagging_cells.benchmark_value - lagging_cells.ci_low
        end as ci_high,
        segment_rates_p.p_value,
        null::{{ type_double() }} as risk_difference,
        null::{{ type_double() }} as risk_difference_low,
        null::{{ type_double() }} as risk_difference_high,
        null::decimal(18, 12) as contribution,
        null::decimal(18, 12) as contribution_total,
        null::{{ type_double() }} as whole,
        lagging_cells.recoverable_cases / nullif(
            sum(lagging_cells.recoverable_cases) over (
                partition by lagging_cells.gap_id, lagging_cells.segment_dimension
            ),
            0
        ) as share_of_gap,
        lagging_cells.total_n as n,
        lagging_cells.n::bigint as exposed_n,
        lagging_cells.value as exposed_value,
        lagging_cells.other_value,
        coalesce(
            lagging_cells.direction
            * (lagging_cells.value - lagging_cells.other_value) < 0,
            false
        ) as is_unfavourable,
        case
            when lagging_cells.is_unknown then 'unknown_value'
            when lagging_cells.is_gap_reversed then 'simpson_reversal'
            when lagging_cells.test_id is null then 'too_few_data'
        end as warning,
        lagging_cells.recoverable_cases as strength
    from lagging_cells
    left join segment_rates_p
        on lagging_cells.test_id = segment_rates_p.test_id
),

tested_drivers as (
    select
        judged_gaps.gap_id,
        driver_tests.driver_kind,
        driver_tests.driver,
        null::{{ type_text() }} as segment_dimension,
        null::{{ type_text() }} as segment_value,
        driver_tests.compared_with,
        null::{{ type_text() }} as component,
        driver_tests.effect_kind,
        driver_tests.effect,
        driver_tests.ci_low,
        driver_tests.ci_high,
        driver_tests.p_value,
        driver_tests.risk_difference,
        driver_tests.risk_difference_low,
        driver_tests.risk_difference_high,
        null::decimal(18, 12) as contribution,
        null::decimal(18, 12) as contribution_total,
        null::{{ type_double() }} as whole,
        null::{{ type_double() }} as share_of_gap,
        driver_tests.n,
        driver_tests.exposed_n,
        driver_tests.exposed_value,
        driver_tests.other_value,
        case
            when driver_tests.effect_kind = 'wait_days' then driver_tests.z > 1e-9
            else judged_gaps.direction * driver_tests.z < -1e-9
        end as is_unfavourable,
        case
            when driver_tests.is_reversed then 'simpson_reversal'
            when driver_tests.has_early_outcomes then 'early_outcomes'
        end as warning,
        abs(driver_tests.z) as strength
    from judged_gaps
    inner join driver_tests
        on
            judged_gaps.journey_id = driver_tests.journey_id
            and judged_gaps.metric_id = driver_tests.metric_id
            and judged_gaps.stage_id = driver_tests.stage_id
),

all_drivers as (
    select * from mix_drivers
    union all
    select * from segment_drivers
    union all
    select * from tested_drivers
),

-- One family for all that lags: a reader of hundreds of drivers meets few false ones.
judged_drivers as (
    select
        all_drivers.*,
        judged_gaps.is_lagging
    from all_drivers
    inner join judged_gaps
        on all_drivers.gap_id = judged_gaps.gap_id
),

{{ benjamini_hochberg('judged_drivers', ['driver_kind', 'is_lagging']) }},

-- What is told from chance comes first; of segments those behind the others. Two sides
-- of one comparison tie, however an engine rounds.
ranked as (
    select
        *,
        row_number() over (
            partition by
                gap_id,
                driver_kind,
                case when driver_kind = 'mix_and_rate' then compared_with end
            order by
                case
                    when driver_kind = 'mix_and_rate' then 0
                    when driver_kind = 'segment' and not is_unfavourable then 1
                    when adjusted_p_value <= {{ var('significance_level') }} then 0
                    else 1
                end,
                floor(strength * 1e6 + 0.5) desc nulls last,
                {{ binary_order('driver') }},
                {{ binary_order('compared_with') }},
                {{ binary_order('effect_kind') }}
        )::bigint as driver_rank
    from judged_drivers_adjusted
),

worded as (
    select
        ranked.*,
        judged_gaps.journey_id,
        judged_gaps.metric_id,
        judged_gaps.stage_id,
        'association' as evidence,
        lower(metrics.label) as metric_label,
        coalesce(
            {{ segment_text('ranked.segment_dimension', 'ranked.segment_value') }},
            {{ words_text('ranked.segment_dimension') }}
        ) as segment_name
    from ranked
    inner join judged_gaps
        on ranked.gap_id = judged_gaps.gap_id
    inner join metrics
        on judged_gaps.metric_id = metrics.metric_id
),

final as (
    select
        gap_id,
        journey_id,
        metric_id,
        stage_id,
        driver_kind,
        driver,
        segment_dimension,
        segment_value,
        compared_with,
        component,
        effect_kind,
        effect,
        ci_low,
        ci_high,
        p_value,
        adjusted_p_value,
        risk_difference,
        risk_difference_low,
        risk_difference_high,
        contribution,
        contribution_total,
        share_of_gap,
        n,
        exposed_n,
        exposed_value,
        other_value,
        is_unfavourable,
        evidence,
        warning,
        driver_rank,
        {{ driver_sentence() }} as sentence
    from worded
)

select * from final

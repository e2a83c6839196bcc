{#- How far each measure is behind its benchmarks, and how sure (domain.md §7). -#}
with

benchmarks as (
    select * from {{ ref('int_benchmarks') }}
),

measures as (
    select * from {{ ref('fct_measures') }}
),

benchmark_survival as (
    select * from {{ ref('int_benchmark_survival') }}
),

reaches as (
    select * from {{ ref('int_stage_reach') }}
),

total_reaches as (
    select *
    from reaches
    where segment_dimension = 'all'
),

trailing_benchmarks as (
    select *
    from benchmarks
    where period_grain = 'trailing_13_weeks'
),

trailing_measures as (
    select *
    from measures
    where period_grain = 'trailing_13_weeks'
),

total_measures as (
    select *
    from trailing_measures
    where segment_dimension = 'all'
),

-- Of a survey: how many of those asked answer. Who was asked of late may still do so,
-- so it is the latest period that is known.
response_rates as (
    select
        *,
        row_number() over (
            partition by
                journey_id,
                metric_id,
                stage_id,
                segment_dimension,
                segment_value
            order by period_start desc
        ) as recency
    from trailing_measures
    where right(metric_id, 14) = '_response_rate'
),

compared as (
    select
        benchmarks.*,
        measures.touchpoint_id,
        measures.effective_n,
        measures.value,
        measures.ci_low,
        measures.ci_high,
        benchmark_survival.survival,
        benchmark_survival.desired_survival,
        benchmark_survival.survival_low,
        benchmark_survival.survival_high,
        benchmark_survival.z as survival_z,
        response_rates.value as response_rate,
        benchmarks.benchmark_kind = 'own_past' as is_difference,
        benchmarks.benchmark_id || ':' || benchmarks.segment_dimension
        || ':' || benchmarks.segment_value as gap_id,
        coalesce(measures.n, 0) as n,
        coalesce(measures.n_clusters, 0) as n_clusters,
        case
            when benchmarks.direction = 1
                then measures.value - benchmarks.benchmark_value
            else benchmarks.benchmark_value - measures.value
        end as gap
    from trailing_benchmarks as benchmarks
    left join trailing_measures as measures
        on
            benchmarks.journey_id = measures.journey_id
            and benchmarks.metric_id = measures.metric_id
            and benchmarks.stage_id = measures.stage_id
            and benchmarks.segment_dimension = measures.segment_dimension
            and benchmarks.segment_value = measures.segment_value
            and benchmarks.period_start = measures.period_start
    left join benchmark_survival
        on
            benchmarks.benchmark_id = benchmark_survival.benchmark_id
            and benchmarks.segment_dimension = benchmark_survival.segment_dimension
            and benchmarks.segment_value = benchmark_survival.segment_value
            and benchmarks.period_start = benchmark_survival.period_start
    left join response_rates
        on
            benchmarks.journey_id = response_rates.journey_id
            and benchmarks.metric_id || '_response_rate' = response_rates.metric_id
            and benchmarks.stage_id = response_rates.stage_id
            and benchmarks.segment_dimension = response_rates.segment_dimension
            and benchmarks.segment_value = response_rates.segment_value
            and response_rates.recency = 1
),

-- A figure of the past is itself an estimate: the interval is that of the difference.
differences as (
    select
        *,
        case
            when is_difference
                then {{ mover_low(
                    'value', 'ci_low', 'ci_high',
                    'benchmark_value', 'past_ci_low', 'past_ci_high',
                ) }}
            else ci_low - benchmark_value
        end as difference_low,
        case
            when is_difference
                then {{ mover_high(
                    'value', 'ci_low', 'ci_high',
                    'benchmark_value', 'past_ci_low', 'past_ci_high',
                ) }}
            else ci_high - benchmark_value
        end as difference_high,
        case
            when is_difference
                then {{ mover_z(
                    'value', 'ci_low', 'ci_high',
                    'benchmark_value', 'past_ci_low', 'past_ci_high',
                ) }}
            else {{ mover_z(
                'value', 'ci_low', 'ci_high',
                'benchmark_value', 'benchmark_value', 'benchmark_value',
            ) }}
        end as interval_z
    from compared
),

rates as (
    select
        gap_id,
        value as value_1,
        effective_n as trials_1,
        benchmark_value as value_2,
        past_effective_n as trials_2
    from differences
    where
        is_difference
        and scale = 'proportion'
),

{{ rate_difference_p('rates', 'gap_id') }},

-- The nearer end of the interval, and whether the benchmark lies beyond it. A time is
-- judged by the interval of S(benchmark); where that is not kept, by its own, which is
-- the same interval read the other way.
judged as (
    select
        differences.*,
        rates_p.p_value as rate_p_value,
        case
            when differences.survival_z is not null
                then differences.survival_low > differences.desired_survival
            when differences.direction = 1 then differences.difference_high < 0
            else differences.difference_low > 0
        end as is_worse,
        case
            when differences.survival_z is not null
                then differences.survival_high < differences.desired_survival
            when differences.direction = 1 then differences.difference_low > 0
            else differences.difference_high < 0
        end as is_better,
        case
            when differences.scale = 'duration'
                then
                    differences.difference_low
                    >= -differences.equivalence_margin * differences.benchmark_value
                    and differences.difference_high
                    <= differences.equivalence_margin * differences.benchmark_value
            else
                differences.difference_low >= -differences.equivalence_margin
                and differences.difference_high <= differences.equivalence_margin
        end as is_equivalent,
        case
            when differences.is_difference and differences.direction = 1
                then differences.benchmark_value + differences.difference_high
            when differences.is_difference
                then differences.benchmark_value + differences.difference_low
            when differences.direction = 1 then differences.ci_high
            else differences.ci_low
        end as nearest_end,
        case
            when differences.survival_z is not null then differences.survival_z
            when differences.scale = 'proportion'
                then (differences.value - differences.benchmark_value) / nullif(
                    sqrt(
                        differences.benchmark_value
                        * (1 - differences.benchmark_value)
                        / differences.effective_n
                    ),
                    0
                )
            else differences.interval_z
        end as z,
        case
            when differences.is_mismatched then 'definition_mismatch'
            when differences.period_start is null then 'immature'
            when
                least(
                    differences.n,
                    differences.n_clusters,
                    coalesce(differences.past_n, differences.n),
                    coalesce(differences.past_n_clusters, differences.n_clusters)
                ) < {{ var('minimum_n') }}
                then 'too_few_data'
            when differences.response_rate < {{ var('minimum_response_rate') }}
                then 'too_few_data'
        end as exclusion
    from differences
    left join rates_p
        on differences.gap_id = rates_p.gap_id
),

tested as (
    select
        *,
        case
            when exclusion is not null then null
            when is_difference and scale = 'proportion' then rate_p_value
            -- Against 0 or 100 % the Wilson interval excludes all but itself.
            when scale = 'proportion' and benchmark_value in (0, 1)
                then case when value = benchmark_value then 1 else 0 end
            else {{ normal_two_sided_p('z') }}
        end::{{ type_double() }} as p_value
    from judged
),

{{ benjamini_hochberg('tested', ['journey_id', 'metric_id', 'benchmark_kind']) }},

verdicts as (
    select
        *,
        case when gap < 0 then -gap when gap >= 0 then 0 end as shortfall,
        case
            when exclusion is not null then exclusion
            when
                is_worse and adjusted_p_value <= {{ var('significance_level') }}
                then 'lagging'
            when
                is_better and adjusted_p_value <= {{ var('significance_level') }}
                then 'ahead'
            when is_equivalent then 'at_par'
            else 'unclear'
        end as verdict
    from tested_adjusted
),

-- No visit is at a touchpoint or on a topic: of what the stage reaches, their share of
-- what was counted.
sized as (
    select
        verdicts.*,
        coalesce(
            reaches.reach,
            total_reaches.reach
            * verdicts.n::{{ type_double() }} / nullif(total_measures.n, 0)
        ) as reach,
        case
            when
                verdicts.scale in ('proportion', 'duration')
                and verdicts.value > 0
                and verdicts.benchmark_value > 0
                then case
                    when verdicts.direction = 1
                        then verdicts.benchmark_value / verdicts.value
                    else verdicts.value / verdicts.benchmark_value
                end
        end as lag_factor,
        case
            when verdicts.verdict <> 'lagging' then null
            when verdicts.scale = 'proportion'
                then abs(
                    {{ smoothed_logit('verdicts.benchmark_value', 'verdicts.n') }}
                    - {{ smoothed_logit('verdicts.nearest_end', 'verdicts.n') }}
                )
            when verdicts.scale = 'duration'
                then abs(ln(
                    nullif(verdicts.nearest_end, 0)
                    / nullif(verdicts.benchmark_value, 0)
                ))
            else
                abs(verdicts.nearest_end - verdicts.benchmark_value)
                / nullif(verdicts.score_max - verdicts.score_min, 0)
        end as severity,
        case
            when
                verdicts.scale = 'proportion'
                and not {{ is_rate_of_units('verdicts.metric_id') }}
                then verdicts.shortfall * verdicts.n
        end as recoverable_cases,
        case
            when verdicts.scale = 'duration' then verdicts.shortfall * verdicts.n
        end as excess_customer_days
    from verdicts
    left join reaches
        on
            verdicts.journey_id = reaches.journey_id
            and verdicts.stage_id = reaches.stage_id
            and verdicts.segment_dimension = reaches.segment_dimension
            and verdicts.segment_value = reaches.segment_value
            and verdicts.period_start = reaches.period_start
    left join total_reaches
        on
            verdicts.journey_id = total_reaches.journey_id
            and verdicts.stage_id = total_reaches.stage_id
            and verdicts.period_start = total_reaches.period_start
    left join total_measures
        on
            verdicts.journey_id = total_measures.journey_id
            and verdicts.metric_id = total_measures.metric_id
            and verdicts.stage_id = total_measures.stage_id
            and verdicts.period_start = total_measures.period_start
),

final as (
    select
        gap_id,
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        segment_value,
        benchmark_id,
        benchmark_kind,
        benchmark_value,
        benchmark_segment_dimension,
        benchmark_segment_value,
        is_fallback,
        is_difference,
        past_weeks_back,
        past_n,
        past_n_clusters,
        scale,
        loss_family,
        period_grain,
        period_start,
        period_end,
        n,
        n_clusters,
        response_rate,
        value,
        ci_low,
        ci_high,
        gap,
        lag_factor,
        p_value,
        adjusted_p_value,
        verdict,
        severity,
        reach,
        recoverable_cases,
        excess_customer_days
    from sized
)

select * from final

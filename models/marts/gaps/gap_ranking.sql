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

periods as (
    select * from {{ ref('int_periods') }}
),

trailing_measures as (
    select *
    from measures
    where period_grain = 'trailing_13_weeks'
),

trailing_periods as (
    select *
    from periods
    where period_grain = 'trailing_13_weeks'
),

compared as (
    select
        benchmarks.*,
        measures.touchpoint_id,
        trailing_periods.period_start,
        trailing_periods.period_end,
        measures.effective_n,
        measures.value,
        measures.ci_low,
        measures.ci_high,
        benchmark_survival.survival,
        benchmark_survival.desired_survival,
        benchmark_survival.survival_low,
        benchmark_survival.survival_high,
        benchmark_survival.z as survival_z,
        coalesce(measures.n, 0) as n,
        coalesce(measures.n_clusters, 0) as n_clusters,
        case
            when benchmarks.direction = 1
                then measures.value - benchmarks.benchmark_value
            else benchmarks.benchmark_value - measures.value
        end as gap
    from benchmarks
    left join trailing_periods
        on
            benchmarks.journey_id = trailing_periods.journey_id
            and benchmarks.stage_id = trailing_periods.stage_id
    left join trailing_measures as measures
        on
            benchmarks.journey_id = measures.journey_id
            and benchmarks.metric_id = measures.metric_id
            and benchmarks.stage_id = measures.stage_id
            and benchmarks.segment_dimension = measures.segment_dimension
            and benchmarks.segment_value = measures.segment_value
    left join benchmark_survival
        on
            benchmarks.benchmark_id = benchmark_survival.benchmark_id
            and trailing_periods.period_start = benchmark_survival.period_start
    -- The benchmark that is valid on the last day of the period counts.
    where
        benchmarks.valid_from
        <= coalesce(
            (trailing_periods.period_end - interval '1' day)::date,
            benchmarks.as_of_date
        )
        and benchmarks.valid_to
        >= coalesce(
            (trailing_periods.period_end - interval '1' day)::date,
            benchmarks.as_of_date
        )
),

-- The nearer end of the interval, and whether the benchmark lies beyond it. A time is
-- judged by the interval of S(benchmark).
judged as (
    select
        *,
        case
            when scale = 'duration' then survival_low > desired_survival
            when direction = 1 then ci_high < benchmark_value
            else ci_low > benchmark_value
        end as is_worse,
        case
            when scale = 'duration' then survival_high < desired_survival
            when direction = 1 then ci_low > benchmark_value
            else ci_high < benchmark_value
        end as is_better,
        case
            when scale = 'duration'
                then
                    ci_low >= benchmark_value * (1 - equivalence_margin)
                    and ci_high <= benchmark_value * (1 + equivalence_margin)
            else
                ci_low >= benchmark_value - equivalence_margin
                and ci_high <= benchmark_value + equivalence_margin
        end as is_equivalent,
        case when direction = 1 then ci_high else ci_low end as nearest_end,
        case
            when scale = 'duration' then survival_z
            when scale = 'proportion'
                then (value - benchmark_value) / nullif(
                    sqrt(benchmark_value * (1 - benchmark_value) / effective_n), 0
                )
        end as z,
        case
            when is_mismatched then 'definition_mismatch'
            when period_start is null then 'immature'
            when
                n < {{ var('minimum_n') }} or n_clusters < {{ var('minimum_n') }}
                then 'too_few_data'
        end as exclusion
    from compared
),

tested as (
    select
        *,
        case
            -- Against 0 or 100 % the Wilson interval excludes all but itself.
            when scale = 'proportion' and benchmark_value in (0, 1)
                then case when value = benchmark_value then 1 else 0 end
            else {{ normal_two_sided_p('z') }}
        end::{{ type_double() }} as p_value
    from judged
),

families as (
    select
        *,
        count(p_value) over family as family_size,
        row_number() over (
            partition by
                journey_id, metric_id, benchmark_kind, exclusion is null
            order by p_value nulls last, {{ binary_order('benchmark_id') }}
        ) as p_rank
    from tested
    window
        family as (
            partition by
                journey_id, metric_id, benchmark_kind, exclusion is null
        )
),

adjusted as (
    select
        *,
        case
            when exclusion is null and p_value is not null
                then least(1, min(p_value * family_size / p_rank) over step_up)
        end as adjusted_p_value
    from families
    window
        step_up as (
            partition by
                journey_id, metric_id, benchmark_kind, exclusion is null
            order by p_rank desc
            rows between unbounded preceding and current row
        )
),

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
    from adjusted
),

sized as (
    select
        verdicts.*,
        reaches.reach,
        'trailing_13_weeks' as period_grain,
        verdicts.benchmark_id || ':' || verdicts.segment_dimension
        || ':' || verdicts.segment_value as gap_id,
        case when verdicts.exclusion is null then verdicts.p_value end
            as judged_p_value,
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
                    nullif(verdicts.nearest_end, 0) / verdicts.benchmark_value
                ))
        end as severity,
        case
            when verdicts.scale = 'proportion' then verdicts.shortfall * verdicts.n
        end as recoverable_cases,
        case
            when verdicts.scale = 'duration' then verdicts.shortfall * verdicts.n
        end as excess_customer_days
    from verdicts
    left join reaches
        on
            verdicts.journey_id = reaches.journey_id
            and verdicts.stage_id = reaches.stage_id
            and verdicts.period_start = reaches.period_start
),

-- One metric a loss family: conversion and drop-off at a stage are the same loss.
family_ranks as (
    select
        *,
        row_number() over (
            partition by
                journey_id, stage_id, segment_dimension, segment_value, loss_family
            order by
                severity * reach desc nulls last,
                {{ binary_order('benchmark_id') }} asc
        ) as family_rank
    from sized
    where
        verdict = 'lagging'
        and loss_family is not null
),

-- Totals and segments are separate lists: segments overlap.
ranks as (
    select
        benchmark_id,
        segment_dimension,
        segment_value,
        row_number() over (
            partition by segment_dimension = 'all'
            order by
                severity * reach desc nulls last,
                {{ binary_order('benchmark_id') }} asc
        ) as priority_rank,
        row_number() over (
            partition by segment_dimension = 'all'
            order by
                lag_factor desc nulls last,
                {{ binary_order('benchmark_id') }} asc
        ) as lag_rank
    from family_ranks
    where family_rank = 1
),

ranking as (
    select
        sized.gap_id,
        sized.journey_id,
        sized.metric_id,
        sized.stage_id,
        sized.touchpoint_id,
        sized.segment_dimension,
        sized.segment_value,
        sized.benchmark_id,
        sized.benchmark_kind,
        sized.benchmark_value,
        sized.period_grain,
        sized.period_start,
        sized.period_end,
        sized.n,
        sized.n_clusters,
        sized.value,
        sized.ci_low,
        sized.ci_high,
        sized.gap,
        sized.lag_factor,
        sized.judged_p_value as p_value,
        sized.adjusted_p_value,
        sized.verdict,
        sized.severity,
        sized.reach,
        sized.recoverable_cases,
        sized.excess_customer_days,
        ranks.priority_rank,
        ranks.lag_rank
    from sized
    left join ranks
        on
            sized.benchmark_id = ranks.benchmark_id
            and sized.segment_dimension = ranks.segment_dimension
            and sized.segment_value = ranks.segment_value
)

select * from ranking

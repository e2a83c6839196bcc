with

benchmarks as (
    select * from {{ ref('int_benchmarks') }}
),

measures as (
    select * from {{ ref('fct_measures') }}
),

weeks as (
    select
        *,
        max(period_start) over (partition by journey_id) as newest_start
    from measures
    where period_grain = 'week'
),

compared as (
    select
        weeks.*,
        benchmarks.benchmark_id,
        benchmarks.benchmark_kind,
        benchmarks.benchmark_value,
        benchmarks.direction,
        benchmarks.scale,
        benchmarks.equivalence_margin,
        benchmarks.is_mismatched
    from weeks
    inner join benchmarks
        on
            weeks.journey_id = benchmarks.journey_id
            and weeks.metric_id = benchmarks.metric_id
            and weeks.stage_id = benchmarks.stage_id
            and weeks.segment_dimension = benchmarks.segment_dimension
            and weeks.segment_value = benchmarks.segment_value
            and benchmarks.valid_from
            <= (weeks.period_end - interval '1' day)::date
            and benchmarks.valid_to
            >= (weeks.period_end - interval '1' day)::date
    where weeks.period_start > weeks.newest_start - interval '182' day
),

-- MOVER: the interval of a difference from the intervals of its two sides.
changes as (
    select
        compared.*,
        previous_weeks.value as previous_value,
        compared.value - previous_weeks.value as difference,
        compared.value - previous_weeks.value - sqrt(
            power(compared.value - compared.ci_low, 2)
            + power(previous_weeks.ci_high - previous_weeks.value, 2)
        ) as difference_low,
        compared.value - previous_weeks.value + sqrt(
            power(compared.ci_high - compared.value, 2)
            + power(previous_weeks.value - previous_weeks.ci_low, 2)
        ) as difference_high,
        compared.is_mature
        and previous_weeks.is_mature
        and not compared.is_partial
        and not previous_weeks.is_partial
        and compared.n >= {{ var('minimum_n') }}
        and previous_weeks.n >= {{ var('minimum_n') }} as is_comparable
    from compared
    left join weeks as previous_weeks
        on
            compared.journey_id = previous_weeks.journey_id
            and compared.metric_id = previous_weeks.metric_id
            and compared.stage_id = previous_weeks.stage_id
            and compared.segment_dimension = previous_weeks.segment_dimension
            and compared.segment_value = previous_weeks.segment_value
            and compared.period_start
            = (previous_weeks.period_start + interval '7' day)::date
),

margins as (
    select
        *,
        case
            when scale = 'duration' then equivalence_margin * previous_value
            else equivalence_margin
        end as margin
    from changes
),

trends as (
    select
        *,
        case
            when is_mismatched then null
            when direction = 1 then value - benchmark_value
            else benchmark_value - value
        end as gap,
        case when is_comparable then difference end as change,
        case when is_comparable then difference_low end as change_ci_low,
        case when is_comparable then difference_high end as change_ci_high,
        -- Immature weeks are shown and never compared.
        case
            when not coalesce(is_comparable, false) then null
            when difference_low * direction > 0 and difference_high * direction > 0
                then 'improving'
            when difference_low * direction < 0 and difference_high * direction < 0
                then 'worsening'
            when difference_low >= -margin and difference_high <= margin then 'steady'
            else 'unclear'
        end as trend
    from margins
),

final as (
    select
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        segment_value,
        benchmark_id,
        benchmark_kind,
        benchmark_value,
        period_start,
        n,
        value,
        ci_low,
        ci_high,
        is_mature,
        is_partial,
        gap,
        change,
        change_ci_low,
        change_ci_high,
        trend
    from trends
)

select * from final

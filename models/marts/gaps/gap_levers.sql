{#- What a scenario may close. Of several benchmarks of a stage the furthest counts: who
    reaches it has reached the others. -#}
with

gaps as (
    select * from {{ ref('gap_ranking') }}
),

flows as (
    select * from {{ ref('fct_stage_flows') }}
),

stage_rates as (
    select
        journey_id,
        from_stage_id,
        from_stage_order,
        sum(share) as rate
    from flows
    group by
        journey_id,
        from_stage_id,
        from_stage_order
),

lagging_gaps as (
    select
        gaps.journey_id,
        gaps.gap_id,
        gaps.stage_id,
        stage_rates.from_stage_order as stage_order,
        gaps.benchmark_value,
        gaps.value,
        gaps.ci_high,
        stage_rates.rate,
        case when gaps.metric_id = 'conversion_rate' then 'rate' else 'time' end
            as lever_kind
    from gaps
    inner join stage_rates
        on
            gaps.journey_id = stage_rates.journey_id
            and gaps.stage_id = stage_rates.from_stage_id
    where
        gaps.verdict = 'lagging'
        and gaps.segment_dimension = 'all'
        and gaps.metric_id
        in ('conversion_rate', 'time_to_advance_p50', 'time_in_stage_p50')
        -- Where nobody moves on, nobody knows where to.
        and stage_rates.rate > 0
),

-- To the benchmark from the rate of the chain's own period, so that it is met exactly;
-- and from the interval's end nearest to it, where the gap is smallest.
factors as (
    select
        journey_id,
        gap_id,
        stage_id,
        stage_order,
        lever_kind,
        case
            when lever_kind = 'rate'
                then greatest(1, least(benchmark_value, 1) / rate)
            else 1
        end::{{ type_double() }} as rate_factor,
        case
            when lever_kind = 'rate'
                then greatest(
                    1,
                    least(benchmark_value / greatest(rate, ci_high), 1 / rate)
                )
            else 1
        end::{{ type_double() }} as cautious_rate_factor,
        case
            when lever_kind = 'time' then least(1, benchmark_value / value)
            else 1
        end::{{ type_double() }} as days_factor
    from lagging_gaps
    -- A median that was not reached cannot be scaled.
    where
        lever_kind = 'rate'
        or value > 0
),

ranked as (
    select
        *,
        row_number() over (
            partition by journey_id, stage_id, lever_kind
            order by
                rate_factor desc,
                days_factor asc,
                {{ binary_order('gap_id') }} asc
        ) as lever_rank
    from factors
),

levers as (
    select
        journey_id,
        gap_id,
        stage_id,
        stage_order,
        lever_kind,
        rate_factor,
        cautious_rate_factor,
        days_factor,
        row_number() over (
            partition by journey_id
            order by stage_order, lever_kind
        )::integer as lever_number
    from ranked
    where lever_rank = 1
)

select * from levers

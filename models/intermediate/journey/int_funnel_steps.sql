with

funnels as (
    select * from {{ ref('funnels') }}
),

funnel_steps as (
    select * from {{ ref('funnel_steps') }}
),

declared_steps as (
    select
        funnels.funnel_id,
        funnels.journey_id,
        funnels.order_mode,
        funnels.held_property,
        funnel_steps.step_order,
        funnel_steps.step_name,
        funnel_steps.source,
        funnel_steps.event_name,
        funnel_steps.from_step,
        funnel_steps.to_step,
        coalesce(funnel_steps.is_exclusion, false) as is_exclusion,
        case when funnel_steps.is_exclusion then 0 else 1 end as is_step,
        case
            when funnel_steps.is_exclusion or funnel_steps.is_optional then 0
            else 1
        end as is_mandatory,
        coalesce(
            funnels.conversion_window_seconds::bigint,
            funnels.conversion_window_days::bigint * 86400
        ) * 1000000 as window_us,
        coalesce(
            funnel_steps.step_window_seconds::bigint,
            funnel_steps.step_window_days::bigint * 86400
        ) * 1000000 as step_window_us,
        coalesce(funnel_steps.min_gap_seconds, 0) as min_gap_seconds
    from funnels
    inner join funnel_steps
        on funnels.funnel_id = funnel_steps.funnel_id
),

numbered_steps as (
    select
        *,
        dense_rank() over (
            order by {{ binary_order('funnel_id') }}
        )::integer as funnel_number,
        (sum(is_step) over (partition by funnel_id))::integer as step_count,
        sum(is_step) over (partition by funnel_id, source, event_name) > 1 as is_shared,
        case
            when is_step = 1
                then sum(is_step) over (
                    partition by funnel_id
                    order by step_order
                    rows between unbounded preceding and current row
                )
        end::integer as step_number
    from declared_steps
),

-- Steps between the same two mandatory ones share a gap, named by the step before it.
placed_steps as (
    select
        *,
        max(case when is_mandatory = 1 then step_number end) over (
            partition by funnel_id
            order by step_order
            rows between unbounded preceding and 1 preceding
        ) as after_step
    from numbered_steps
),

bounded_steps as (
    select
        placed_steps.*,
        coalesce(first_steps.step_number, 1) as from_step_number,
        coalesce(last_steps.step_number, placed_steps.step_count) as to_step_number
    from placed_steps
    left join numbered_steps as first_steps
        on
            placed_steps.funnel_id = first_steps.funnel_id
            and placed_steps.from_step = first_steps.step_order
    left join numbered_steps as last_steps
        on
            placed_steps.funnel_id = last_steps.funnel_id
            and placed_steps.to_step = last_steps.step_order
),

final as (
    select
        funnel_id,
        funnel_number,
        journey_id,
        order_mode,
        held_property,
        step_order,
        step_number,
        step_name,
        source,
        is_exclusion,
        is_shared,
        step_count,
        window_us,
        step_window_us,
        min_gap_seconds,
        is_mandatory = 1 as is_mandatory,
        case when is_step = 1 then after_step end as after_step,
        case when is_step = 0 then from_step_number end as from_step_number,
        case when is_step = 0 then to_step_number end as to_step_number
    from bounded_steps
)

select * from final

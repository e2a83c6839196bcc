{#- In any order an attempt begins where the one before it ended: first it is found for
    each event where an attempt from there would end, then attempt follows attempt. -#}
{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}
{%- set step_numbers = range(1, funnel_step_limit() + 1) %}

with recursive

funnel_events as (
    select * from {{ ref('int_funnel_events') }}
),

-- Read apart: a relation named twice would be stored whole in between.
all_events as (
    select * from {{ ref('int_funnel_events') }}
),

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

any_funnels as (
    select distinct
        funnel_id,
        funnel_number,
        step_count,
        window_us
    from funnel_steps
    where order_mode = 'any'
),

rebuilt_events as (
    select
        funnel_events.entity_id,
        funnel_events.funnel_id,
        any_funnels.funnel_number,
        funnel_events.held_value,
        funnel_events.event_number,
        funnel_events.step_number,
        funnel_events.is_exclusion,
        funnel_events.occurred_at
    from funnel_events
    inner join any_funnels
        on funnel_events.funnel_id = any_funnels.funnel_id
    where {{ is_rebuilt('funnel_events') }}
),

entered as (
    select distinct
        entity_id,
        funnel_id,
        funnel_number,
        held_value
    from rebuilt_events
    where step_number is not null
),

-- Numbers that sort and join faster than names; they live as long as this query.
walks as (
    select
        *,
        row_number() over (order by funnel_id, entity_id, held_value) as walk_number,
        dense_rank() over (order by funnel_id, entity_id) as entity_number
    from entered
),

-- An event that is several steps counts as the earliest of them.
step_events as (
    select
        walks.walk_number,
        walks.funnel_number,
        rebuilt_events.event_number,
        min(rebuilt_events.step_number) as step_number,
        min(rebuilt_events.occurred_at) as occurred_at
    from rebuilt_events
    inner join walks
        on
            rebuilt_events.funnel_id = walks.funnel_id
            and rebuilt_events.entity_id = walks.entity_id
            and coalesce(rebuilt_events.held_value, '') = coalesce(walks.held_value, '')
    where rebuilt_events.step_number is not null
    group by
        walks.walk_number,
        walks.funnel_number,
        rebuilt_events.event_number
),

walked_events as (
    select
        *,
        row_number() over (
            partition by walk_number
            order by event_number
        )::integer as place
    from step_events
),

exclusions as (
    select
        walks.walk_number,
        rebuilt_events.occurred_at
    from rebuilt_events
    inner join walks
        on
            rebuilt_events.funnel_id = walks.funnel_id
            and rebuilt_events.entity_id = walks.entity_id
            and coalesce(rebuilt_events.held_value, walks.held_value, '')
            = coalesce(walks.held_value, '')
    where rebuilt_events.is_exclusion
),

-- From each event on, the first of each step and the first exclusion later than it.
track as (
    select
        walk_number,
        funnel_number,
        place,
        step_number,
        occurred_at,
        1 as sort_kind,
        null::timestamp as excluded_at
    from walked_events
    union all
    select
        walk_number,
        null::integer as funnel_number,
        0 as place,
        null::integer as step_number,
        occurred_at,
        0 as sort_kind,
        occurred_at as excluded_at
    from exclusions
),

tracked as (
    select
        walk_number,
        funnel_number,
        place,
        occurred_at,
        {%- for step_number in step_numbers %}
            min(case when step_number = {{ step_number }} then place end)
                over history as place_{{ step_number }},
        {%- endfor %}
        min(excluded_at) over history as excluded_at
    from track
    window
        history as (
            partition by walk_number
            order by occurred_at, sort_kind, place
            rows between current row and unbounded following
        )
),

-- An attempt that began here would be complete with the last of its steps.
completed as (
    select
        tracked.*,
        any_funnels.window_us,
        case
            when
                any_funnels.step_count = 0
                {%- for step_number in step_numbers %}
                    + case when place_{{ step_number }} is null then 0 else 1 end
                {%- endfor %}
                then greatest(
                    {%- for step_number in step_numbers %}
                        coalesce(tracked.place_{{ step_number }}, 0)
                        {%- if not loop.last %},{% endif %}
                    {%- endfor %}
                )
        end as last_place
    from tracked
    inner join any_funnels
        on tracked.funnel_number = any_funnels.funnel_number
),

timed as (
    select
        completed.*,
        last_events.occurred_at as last_reached_at,
        completed.occurred_at
        + (completed.window_us / 1000000) * interval '1' second as window_ends_at
    from completed
    left join walked_events as last_events
        on
            completed.walk_number = last_events.walk_number
            and completed.last_place = last_events.place
),

outcomes as (
    select
        *,
        coalesce(
            last_reached_at <= window_ends_at
            and (excluded_at is null or excluded_at >= last_reached_at),
            false
        ) as is_converted
    from timed
),

ends as (
    select
        *,
        case
            when is_converted then null
            when excluded_at <= window_ends_at then excluded_at
        end as ended_by_exclusion_at,
        case
            when is_converted then last_reached_at
            when excluded_at <= window_ends_at then excluded_at
            else window_ends_at
        end as ended_at
    from outcomes
),

-- The next attempt begins with the first event after the end of this one.
next_track as (
    select
        walk_number,
        place,
        occurred_at as sorted_at,
        0 as sort_kind,
        place as next_place
    from ends
    union all
    select
        walk_number,
        place,
        ended_at as sorted_at,
        1 as sort_kind,
        null::integer as next_place
    from ends
    where not is_converted
),

next_tracked as (
    select
        walk_number,
        place,
        sort_kind,
        min(next_place) over (
            partition by walk_number
            order by sorted_at, sort_kind
            rows between current row and unbounded following
        ) as next_place
    from next_track
),

pointers as (
    select
        walk_number,
        place,
        next_place
    from next_tracked
    where sort_kind = 1
    union all
    select
        walk_number,
        place,
        last_place + 1 as next_place
    from ends
    where is_converted
),

starts as (
    select
        walk_number,
        place,
        next_place
    from pointers
    where place = 1
    union all
    select
        pointers.walk_number,
        pointers.place,
        pointers.next_place
    from starts
    inner join pointers
        on
            starts.walk_number = pointers.walk_number
            and starts.next_place = pointers.place
),

started as (
    select ends.*
    from starts
    inner join ends
        on
            starts.walk_number = ends.walk_number
            and starts.place = ends.place
),

passed as (
    {%- for step_number in step_numbers %}
        select
            walk_number,
            place as start_place,
            {{ step_number }} as step_number,
            place_{{ step_number }} as place,
            occurred_at as started_at,
            ended_at,
            ended_by_exclusion_at as excluded_at
        from started
        where place_{{ step_number }} is not null
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

reached as (
    select
        passed.walk_number,
        passed.start_place,
        passed.step_number,
        passed.place,
        passed.started_at,
        passed.excluded_at,
        walked_events.occurred_at as reached_at
    from passed
    inner join walked_events
        on
            passed.walk_number = walked_events.walk_number
            and passed.place = walked_events.place
    where walked_events.occurred_at <= passed.ended_at
),

ordered as (
    select
        *,
        (row_number() over places)::integer as steps_reached,
        lead(reached_at) over places as next_reached_at
    from reached
    window
        places as (
            partition by walk_number, start_place
            order by place
        )
),

start_events as (
    select
        started.walk_number,
        started.place as start_place,
        walks.entity_id,
        walks.funnel_id,
        walks.held_value,
        walked_events.event_number,
        walked_events.step_number,
        row_number() over (
            partition by walks.entity_number
            order by walked_events.event_number
        )::integer as attempt_number
    from started
    inner join walks
        on started.walk_number = walks.walk_number
    inner join walked_events
        on
            started.walk_number = walked_events.walk_number
            and started.place = walked_events.place
),

-- Few, where most funnels have an order: what starts attempts is looked up among them.
named_events as (
    select *
    from all_events
    where funnel_id in (
        select any_funnels.funnel_id
        from any_funnels
    )
),

attempts as (
    select
        start_events.walk_number,
        start_events.start_place,
        start_events.held_value,
        start_events.attempt_number,
        named_events.journey_id,
        named_events.entity_id,
        named_events.funnel_id,
        named_events.customer_id,
        named_events.account_id
    from start_events
    inner join named_events
        on
            start_events.funnel_id = named_events.funnel_id
            and start_events.entity_id = named_events.entity_id
            and start_events.event_number = named_events.event_number
            and start_events.step_number = named_events.step_number
),

final as (
    select
        attempts.journey_id,
        attempts.entity_id,
        attempts.funnel_id,
        attempts.held_value,
        attempts.customer_id,
        attempts.account_id,
        attempts.attempt_number,
        ordered.step_number,
        ordered.steps_reached,
        ordered.started_at,
        ordered.reached_at,
        ordered.next_reached_at,
        null::timestamp as superseded_at,
        ordered.excluded_at
    from ordered
    inner join attempts
        on
            ordered.walk_number = attempts.walk_number
            and ordered.start_place = attempts.start_place
)

select * from final

{#- Step after step, all entities at once: each pass sorts the events of one step among
    those that reached the step before it, so that all passes together sort each event
    twice. Rows stay narrow: who and what is joined at the end. -#}
{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}
{%- set step_numbers = range(2, funnel_step_limit() + 1) %}
{#- In an increment they are few, and stored in between; else they are read anew. -#}
{%- set is_event_rebuilt = is_rebuilt('all_events') %}
{%- set steps_taken = (
    'touched_events' if is_incremental() else ref('int_funnel_events')
) %}

with
{% if is_incremental() %}
    all_events as (
        select * from {{ ref('int_funnel_events') }}
    ),

    touched_events as (
        select *
        from all_events
        where {{ is_event_rebuilt }}
    ),
{% endif %}
funnel_events as (
    select * from {{ steps_taken }}
),

-- Read apart: a relation named twice would be stored whole in between.
starting_events as (
    select *
    from {{ steps_taken }}
    where step_number = 1
),

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

ordered_steps as (
    select *
    from funnel_steps
    where
        order_mode <> 'any'
        and not is_exclusion
),

rebuilt_events as (
    select
        funnel_events.journey_id,
        funnel_events.entity_id,
        funnel_events.funnel_id,
        ordered_steps.funnel_number,
        funnel_events.held_value,
        funnel_events.event_number,
        funnel_events.step_order,
        funnel_events.step_number,
        funnel_events.is_exclusion,
        funnel_events.occurred_at
    from funnel_events
    inner join ordered_steps
        on
            funnel_events.funnel_id = ordered_steps.funnel_id
            and ordered_steps.step_number = 1
),

entered as (
    select distinct
        journey_id,
        entity_id,
        funnel_id,
        held_value
    from rebuilt_events
    where step_number = 1
),

-- Numbers that sort and join faster than names; they live as long as this query.
walks as (
    select
        *,
        row_number() over (order by funnel_id, entity_id, held_value) as walk_number,
        dense_rank() over (order by funnel_id, entity_id) as entity_number
    from entered
),

walked_events as (
    select
        walks.walk_number,
        rebuilt_events.funnel_number,
        rebuilt_events.step_number,
        rebuilt_events.event_number,
        rebuilt_events.occurred_at
    from rebuilt_events
    inner join walks
        on
            rebuilt_events.funnel_id = walks.funnel_id
            and rebuilt_events.entity_id = walks.entity_id
            and coalesce(rebuilt_events.held_value, '') = coalesce(walks.held_value, '')
    where not rebuilt_events.is_exclusion
),

exclusions as (
    select
        walks.walk_number,
        rebuilt_events.funnel_number,
        funnel_steps.from_step_number,
        funnel_steps.to_step_number,
        rebuilt_events.occurred_at
    from rebuilt_events
    inner join walks
        on
            rebuilt_events.funnel_id = walks.funnel_id
            and rebuilt_events.entity_id = walks.entity_id
            and coalesce(rebuilt_events.held_value, walks.held_value, '')
            = coalesce(walks.held_value, '')
    inner join funnel_steps
        on
            rebuilt_events.funnel_id = funnel_steps.funnel_id
            and rebuilt_events.step_order = funnel_steps.step_order
    where rebuilt_events.is_exclusion
),

-- An event of the first step is reached by itself.
reached_1 as (
    select
        walk_number,
        funnel_number,
        event_number,
        occurred_at,
        event_number as start_number,
        occurred_at as started_at
    from walked_events
    where step_number = 1
),

waiting_1 as (
    select * from reached_1
),
{% for step_number in step_numbers %}
    step_{{ step_number }} as (
        select *
        from ordered_steps
        where step_number = {{ step_number }}
    ),

    -- Events of the step, what they may continue, and what excludes in between. What
    -- has to wait for the gap is sorted later by it, before the events of that moment.
    track_{{ step_number }} as (
        select
            walked_events.walk_number,
            walked_events.funnel_number,
            walked_events.occurred_at as sorted_at,
            walked_events.event_number as sort_number,
            0 as sort_kind,
            walked_events.event_number,
            walked_events.occurred_at,
            null::integer as waiting_number,
            null::timestamp as waiting_since,
            null::integer as start_number,
            null::timestamp as started_at,
            null::timestamp as excluded_at
        from walked_events
        where walked_events.step_number = {{ step_number }}
        union all
        select
            waiting.walk_number,
            waiting.funnel_number,
            waiting.occurred_at
            + step_{{ step_number }}.min_gap_seconds * interval '1' second as sorted_at,
            case
                when step_{{ step_number }}.min_gap_seconds = 0
                    then waiting.event_number
                else 0
            end as sort_number,
            1 as sort_kind,
            null::integer as event_number,
            null::timestamp as occurred_at,
            waiting.event_number as waiting_number,
            waiting.occurred_at as waiting_since,
            waiting.start_number,
            waiting.started_at,
            null::timestamp as excluded_at
        from waiting_{{ step_number - 1 }} as waiting
        inner join step_{{ step_number }}
            on waiting.funnel_number = step_{{ step_number }}.funnel_number
        union all
        select
            exclusions.walk_number,
            exclusions.funnel_number,
            exclusions.occurred_at as sorted_at,
            2147483647 as sort_number,
            2 as sort_kind,
            null::integer as event_number,
            null::timestamp as occurred_at,
            null::integer as waiting_number,
            null::timestamp as waiting_since,
            null::integer as start_number,
            null::timestamp as started_at,
            exclusions.occurred_at as excluded_at
        from exclusions
        inner join step_{{ step_number }}
            on
                exclusions.funnel_number = step_{{ step_number }}.funnel_number
                and exclusions.from_step_number <= step_{{ step_number }}.after_step
                and exclusions.to_step_number >= step_{{ step_number }}.step_number
    ),

    tracked_{{ step_number }} as (
        select
            walk_number,
            funnel_number,
            event_number,
            occurred_at,
            max(waiting_number) over history as waiting_number,
            max(waiting_since) over history as waiting_since,
            max(start_number) over history as start_number,
            max(started_at) over history as started_at,
            max(excluded_at) over history as excluded_at
        from track_{{ step_number }}
        window
            history as (
                partition by walk_number
                order by sorted_at, sort_number, sort_kind
                rows between unbounded preceding and current row
            )
    ),

    reached_{{ step_number }} as (
        select
            tracked.walk_number,
            tracked.funnel_number,
            tracked.event_number,
            tracked.occurred_at,
            tracked.start_number,
            tracked.started_at
        from tracked_{{ step_number }} as tracked
        inner join step_{{ step_number }}
            on tracked.funnel_number = step_{{ step_number }}.funnel_number
        where
            tracked.event_number is not null
            and tracked.waiting_number is not null
            and {{ epoch_us('tracked.occurred_at') }}
            - {{ epoch_us('tracked.started_at') }}
            <= step_{{ step_number }}.window_us
            and (
                step_{{ step_number }}.step_window_us is null
                or {{ epoch_us('tracked.occurred_at') }}
                - {{ epoch_us('tracked.waiting_since') }}
                <= step_{{ step_number }}.step_window_us
            )
            and (
                tracked.excluded_at is null
                or tracked.excluded_at <= tracked.waiting_since
            )
            and (
                step_{{ step_number }}.order_mode <> 'strict'
                or tracked.event_number = tracked.waiting_number + 1
            )
    ),

    -- Past an optional step whoever reached the one before still waits.
    waiting_{{ step_number }} as (
        select * from reached_{{ step_number }}
        union all
        select waiting.*
        from waiting_{{ step_number - 1 }} as waiting
        inner join step_{{ step_number }}
            on waiting.funnel_number = step_{{ step_number }}.funnel_number
        where not step_{{ step_number }}.is_mandatory
    ),
{% endfor %}
reached as (
    select
        1 as step_number,
        *
    from reached_1
    {%- for step_number in step_numbers %}
        union all
        select
            {{ step_number }} as step_number,
            *
        from reached_{{ step_number }}
    {%- endfor %}
),

first_reached as (
    select
        walk_number,
        funnel_number,
        start_number,
        step_number,
        max(started_at) as started_at,
        min(event_number) as event_number,
        min(occurred_at) as reached_at
    from reached
    group by
        walk_number,
        funnel_number,
        start_number,
        step_number
),

compared as (
    select
        *,
        min(event_number) over further_steps as next_event_number,
        min(reached_at) over further_steps as next_reached_at
    from first_reached
    window
        further_steps as (
            partition by walk_number, start_number
            order by step_number
            rows between 1 following and unbounded following
        )
),

-- An optional step after the next one is none of the way.
progress as (
    select
        compared.walk_number,
        compared.funnel_number,
        compared.start_number,
        compared.started_at,
        compared.reached_at,
        compared.next_reached_at,
        ordered_steps.step_number,
        ordered_steps.window_us,
        ordered_steps.step_count,
        case when ordered_steps.is_mandatory then 1 else 0 end as is_mandatory,
        case
            when ordered_steps.is_mandatory then ordered_steps.step_number
            else ordered_steps.after_step
        end as mandatory_step
    from compared
    inner join ordered_steps
        on
            compared.funnel_number = ordered_steps.funnel_number
            and compared.step_number = ordered_steps.step_number
    where
        compared.next_event_number is null
        or compared.next_event_number > compared.event_number
),

-- A later attempt that got as far takes the place of the earlier one.
followed as (
    select
        *,
        min(case when is_mandatory = 1 then reached_at end) over (
            partition by walk_number, mandatory_step
            order by start_number desc, is_mandatory asc
            rows between unbounded preceding and 1 preceding
        ) as superseded_at
    from progress
),

exclusion_gaps as (
    select
        exclusions.walk_number,
        ordered_steps.step_number as mandatory_step,
        exclusions.occurred_at
    from exclusions
    inner join ordered_steps
        on
            exclusions.funnel_number = ordered_steps.funnel_number
            and exclusions.from_step_number <= ordered_steps.step_number
            and exclusions.to_step_number > ordered_steps.step_number
    where ordered_steps.is_mandatory
),

exclusion_track as (
    select
        walk_number,
        mandatory_step,
        reached_at as sorted_at,
        0 as sort_kind,
        start_number,
        step_number,
        null::timestamp as occurred_at
    from progress
    union all
    select
        walk_number,
        mandatory_step,
        occurred_at as sorted_at,
        1 as sort_kind,
        null::integer as start_number,
        null::integer as step_number,
        occurred_at
    from exclusion_gaps
),

next_exclusions as (
    select
        walk_number,
        start_number,
        step_number,
        min(occurred_at) over (
            partition by walk_number, mandatory_step
            order by sorted_at desc, sort_kind asc
            rows between unbounded preceding and current row
        ) as excluded_at
    from exclusion_track
),

ended as (
    select
        followed.walk_number,
        followed.start_number,
        followed.step_number,
        followed.started_at,
        followed.reached_at,
        followed.next_reached_at,
        case
            when
                followed.step_number < followed.step_count
                and {{ epoch_us('followed.superseded_at') }}
                - {{ epoch_us('followed.started_at') }} <= followed.window_us
                then followed.superseded_at
        end as superseded_at,
        case
            when
                followed.step_number < followed.step_count
                and {{ epoch_us('next_exclusions.excluded_at') }}
                - {{ epoch_us('followed.started_at') }} <= followed.window_us
                then next_exclusions.excluded_at
        end as excluded_at
    from followed
    inner join next_exclusions
        on
            followed.walk_number = next_exclusions.walk_number
            and followed.start_number = next_exclusions.start_number
            and followed.step_number = next_exclusions.step_number
),

attempts as (
    select
        walks.walk_number,
        starting_events.journey_id,
        starting_events.entity_id,
        starting_events.funnel_id,
        starting_events.held_value,
        starting_events.customer_id,
        starting_events.account_id,
        starting_events.event_number as start_number,
        row_number() over (
            partition by walks.entity_number
            order by starting_events.event_number
        )::integer as attempt_number
    from walks
    inner join starting_events
        on
            walks.funnel_id = starting_events.funnel_id
            and walks.entity_id = starting_events.entity_id
            and coalesce(walks.held_value, '')
            = coalesce(starting_events.held_value, '')
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
        ended.step_number,
        ended.step_number as steps_reached,
        ended.started_at,
        ended.reached_at,
        ended.next_reached_at,
        ended.superseded_at,
        ended.excluded_at
    from ended
    inner join attempts
        on
            ended.walk_number = attempts.walk_number
            and ended.start_number = attempts.start_number
)

select * from final

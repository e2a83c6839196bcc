{#- Rows of a log do not say which start belongs to which schedule. First in, first out,
    per case and activity: a start takes up the oldest item scheduled before it, a
    complete the oldest one started. Where none waits it is an item of its own. -#}
with

log_rows as (
    select *
    from {{ ref('int_source_events') }}
    where
        source = 'event_log'
        and source_case_id is not null
),

entity_links as (
    select *
    from {{ ref('entity_links') }}
    where
        source = 'event_log'
        and entity_column = 'source_case_id'
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

journeys as (
    select
        journey_id,
        max(as_of) as as_of
    from observations
    group by journey_id
),

-- Nothing later than as_of is seen, in any column.
seen_rows as (
    select
        entity_links.journey_id,
        log_rows.source_case_id as entity_id,
        log_rows.event_name as activity,
        log_rows.source_row_id,
        log_rows.resource,
        log_rows.occurred_at,
        log_rows.event_seq,
        lower(log_rows.lifecycle) as lifecycle
    from log_rows
    cross join entity_links
    inner join journeys
        on
            entity_links.journey_id = journeys.journey_id
            and log_rows.occurred_at <= journeys.as_of
),

-- What is only ever completed is an event and no work.
work_activities as (
    select distinct
        journey_id,
        activity
    from seen_rows
    where lifecycle in ('schedule', 'start')
),

work_rows as (
    select
        seen_rows.*,
        row_number() over (
            partition by seen_rows.journey_id, seen_rows.entity_id, seen_rows.activity
            order by
                seen_rows.occurred_at,
                seen_rows.event_seq nulls last,
                {{ binary_order('seen_rows.source_row_id') }}
        ) as row_number_in_case
    from seen_rows
    inner join work_activities
        on
            seen_rows.journey_id = work_activities.journey_id
            and seen_rows.activity = work_activities.activity
),

-- How many wait, were the queue to go below nothing: a start finds one where this is no
-- new low.
counted_rows as (
    select
        *,
        sum(
            case lifecycle when 'schedule' then 1 when 'start' then -1 else 0 end
        ) over history as waiting_balance,
        sum(
            case lifecycle when 'start' then 1 when 'complete' then -1 else 0 end
        ) over history as running_balance
    from work_rows
    window
        history as (
            partition by journey_id, entity_id, activity
            order by row_number_in_case
            rows between unbounded preceding and current row
        )
),

matched_rows as (
    select
        *,
        lifecycle = 'start'
        and waiting_balance >= least(
            0, coalesce(min(waiting_balance) over earlier_history, 0)
        ) as takes_up,
        lifecycle = 'complete'
        and running_balance >= least(
            0, coalesce(min(running_balance) over earlier_history, 0)
        ) as ends_work
    from counted_rows
    window
        earlier_history as (
            partition by journey_id, entity_id, activity
            order by row_number_in_case
            rows between unbounded preceding and 1 preceding
        )
),

-- The nth start that takes one up takes up the nth that was scheduled.
numbered_rows as (
    select
        *,
        row_number() over (
            partition by journey_id, entity_id, activity, lifecycle
            order by row_number_in_case
        ) as lifecycle_number,
        row_number() over (
            partition by journey_id, entity_id, activity, takes_up
            order by row_number_in_case
        ) as taken_number,
        row_number() over (
            partition by journey_id, entity_id, activity, ends_work
            order by row_number_in_case
        ) as ended_number
    from matched_rows
),

schedules as (
    select *
    from numbered_rows
    where lifecycle = 'schedule'
),

starts as (
    select *
    from numbered_rows
    where lifecycle = 'start'
),

completes as (
    select *
    from numbered_rows
    where lifecycle = 'complete'
),

begun_items as (
    select
        schedules.row_number_in_case as scheduled_number,
        schedules.occurred_at as scheduled_at,
        starts.row_number_in_case as started_number,
        starts.occurred_at as started_at,
        starts.resource as started_by,
        starts.lifecycle_number as start_number,
        coalesce(schedules.journey_id, starts.journey_id) as journey_id,
        coalesce(schedules.entity_id, starts.entity_id) as entity_id,
        coalesce(schedules.activity, starts.activity) as activity
    from schedules
    full outer join starts
        on
            schedules.journey_id = starts.journey_id
            and schedules.entity_id = starts.entity_id
            and schedules.activity = starts.activity
            and schedules.lifecycle_number
            = case when starts.takes_up then starts.taken_number end
),

worked_items as (
    select
        begun_items.scheduled_number,
        begun_items.scheduled_at,
        begun_items.started_number,
        begun_items.started_at,
        begun_items.started_by,
        completes.row_number_in_case as completed_number,
        completes.occurred_at as completed_at,
        completes.resource as completed_by,
        coalesce(begun_items.journey_id, completes.journey_id) as journey_id,
        coalesce(begun_items.entity_id, completes.entity_id) as entity_id,
        coalesce(begun_items.activity, completes.activity) as activity
    from begun_items
    full outer join completes
        on
            begun_items.journey_id = completes.journey_id
            and begun_items.entity_id = completes.entity_id
            and begun_items.activity = completes.activity
            and begun_items.start_number
            = case when completes.ends_work then completes.ended_number end
),

-- Every other row: of an interruption of the oldest item that runs, else of none.
other_rows as (
    select
        numbered_rows.journey_id,
        numbered_rows.entity_id,
        numbered_rows.activity,
        numbered_rows.row_number_in_case,
        numbered_rows.lifecycle,
        numbered_rows.occurred_at,
        min(worked_items.started_number) as started_number
    from numbered_rows
    left join worked_items
        on
            numbered_rows.journey_id = worked_items.journey_id
            and numbered_rows.entity_id = worked_items.entity_id
            and numbered_rows.activity = worked_items.activity
            and numbered_rows.lifecycle in ('suspend', 'resume')
            and numbered_rows.row_number_in_case > worked_items.started_number
            and (
                worked_items.completed_number is null
                or numbered_rows.row_number_in_case < worked_items.completed_number
            )
    where coalesce(numbered_rows.lifecycle, '') not in ('schedule', 'start', 'complete')
    group by
        numbered_rows.journey_id,
        numbered_rows.entity_id,
        numbered_rows.activity,
        numbered_rows.row_number_in_case,
        numbered_rows.lifecycle,
        numbered_rows.occurred_at
),

-- Suspended twice is suspended once, until the next resume.
interruptions as (
    select
        *,
        lag(lifecycle) over item_history as previous_lifecycle,
        min(case when lifecycle = 'resume' then occurred_at end) over (
            partition by journey_id, entity_id, activity, started_number
            order by row_number_in_case
            rows between 1 following and unbounded following
        ) as resumed_at
    from other_rows
    where started_number is not null
    window
        item_history as (
            partition by journey_id, entity_id, activity, started_number
            order by row_number_in_case
        )
),

interrupted_items as (
    select
        interruptions.journey_id,
        interruptions.entity_id,
        interruptions.activity,
        interruptions.started_number,
        count(*) as interruption_rows,
        sum(
            case
                when
                    interruptions.lifecycle = 'suspend'
                    and coalesce(interruptions.previous_lifecycle, '') <> 'suspend'
                    then
                        coalesce(
                            {{ epoch_us('interruptions.resumed_at') }},
                            {{ epoch_us('worked_items.completed_at') }}
                        )
                        - {{ epoch_us('interruptions.occurred_at') }}
                else 0
            end
        )::bigint as suspended_us
    from interruptions
    inner join worked_items
        on
            interruptions.journey_id = worked_items.journey_id
            and interruptions.entity_id = worked_items.entity_id
            and interruptions.activity = worked_items.activity
            and interruptions.started_number = worked_items.started_number
    group by
        interruptions.journey_id,
        interruptions.entity_id,
        interruptions.activity,
        interruptions.started_number
),

stray_items as (
    select
        journey_id,
        entity_id,
        activity,
        min(row_number_in_case) as first_number,
        count(*) as stray_rows
    from other_rows
    where started_number is null
    group by
        journey_id,
        entity_id,
        activity
),

items as (
    select
        worked_items.journey_id,
        worked_items.entity_id,
        worked_items.activity,
        coalesce(
            worked_items.scheduled_number,
            worked_items.started_number,
            worked_items.completed_number
        ) as first_number,
        worked_items.scheduled_at,
        worked_items.started_at,
        worked_items.completed_at,
        worked_items.started_by,
        worked_items.completed_by,
        case
            when
                worked_items.started_at is not null
                and worked_items.completed_at is not null
                then 'completed'
            when worked_items.started_at is not null then 'in_work'
            when worked_items.completed_at is not null then 'only_completed'
            else 'waiting'
        end as item_state,
        case when worked_items.scheduled_at is not null then 1 else 0 end
        + case when worked_items.started_at is not null then 1 else 0 end
        + case when worked_items.completed_at is not null then 1 else 0 end
        + coalesce(interrupted_items.interruption_rows, 0) as log_rows,
        {{ epoch_us('worked_items.started_at') }}
        - {{ epoch_us('worked_items.scheduled_at') }} as queue_us,
        {{ epoch_us('worked_items.completed_at') }}
        - {{ epoch_us('worked_items.started_at') }}
        - coalesce(interrupted_items.suspended_us, 0) as service_us
    from worked_items
    left join interrupted_items
        on
            worked_items.journey_id = interrupted_items.journey_id
            and worked_items.entity_id = interrupted_items.entity_id
            and worked_items.activity = interrupted_items.activity
            and worked_items.started_number = interrupted_items.started_number
    union all
    select
        journey_id,
        entity_id,
        activity,
        first_number,
        null::timestamp as scheduled_at,
        null::timestamp as started_at,
        null::timestamp as completed_at,
        null::{{ type_text() }} as started_by,
        null::{{ type_text() }} as completed_by,
        'stray' as item_state,
        stray_rows as log_rows,
        null::bigint as queue_us,
        null::bigint as service_us
    from stray_items
),

-- By what began first; an item that was never started is no rework.
numbered_items as (
    select
        *,
        row_number() over (
            partition by journey_id, entity_id, activity
            order by first_number
        ) as item_number,
        sum(
            case when coalesce(started_at, completed_at) is not null then 1 else 0 end
        ) over (
            partition by journey_id, entity_id, activity
            order by coalesce(started_at, completed_at) nulls last, first_number
            rows between unbounded preceding and current row
        ) as worked_number
    from items
),

work_items as (
    select
        journey_id,
        entity_id,
        activity,
        item_number::integer as item_number,
        item_state,
        scheduled_at,
        started_at,
        completed_at,
        started_by,
        completed_by,
        queue_us,
        service_us,
        log_rows::integer as log_rows,
        item_state in ('completed', 'in_work', 'only_completed')
        and worked_number > 1 as is_rework
    from numbered_items
)

select * from work_items

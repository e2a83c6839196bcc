with

work_items as (
    select * from {{ ref('int_work_items') }}
),

case_moments as (
    select
        journey_id,
        entity_id,
        activity,
        item_number,
        started_at as moment_at,
        1 as is_start
    from work_items
    where started_at is not null
    union all
    select
        journey_id,
        entity_id,
        activity,
        item_number,
        completed_at as moment_at,
        0 as is_start
    from work_items
    where completed_at is not null
),

-- What is completed at the moment of a start does not come before it.
counted_moments as (
    select
        *,
        sum(1 - is_start) over (
            partition by journey_id, entity_id
            order by
                moment_at,
                is_start desc,
                {{ binary_order('activity') }},
                item_number
            rows between unbounded preceding and current row
        ) as completed_items
    from case_moments
),

started_moments as (
    select *
    from counted_moments
    where is_start = 1
),

completed_moments as (
    select *
    from counted_moments
    where is_start = 0
),

previous_items as (
    select
        started_moments.journey_id,
        started_moments.entity_id,
        started_moments.activity,
        started_moments.item_number,
        work_items.activity as previous_activity,
        work_items.completed_by as previous_by,
        completed_moments.moment_at as previous_completed_at
    from started_moments
    inner join completed_moments
        on
            started_moments.journey_id = completed_moments.journey_id
            and started_moments.entity_id = completed_moments.entity_id
            and started_moments.completed_items = completed_moments.completed_items
    inner join work_items
        on
            completed_moments.journey_id = work_items.journey_id
            and completed_moments.entity_id = work_items.entity_id
            and completed_moments.activity = work_items.activity
            and completed_moments.item_number = work_items.item_number
),

final as (
    select
        work_items.journey_id,
        work_items.entity_id,
        work_items.activity,
        work_items.item_number,
        work_items.item_state,
        work_items.scheduled_at,
        work_items.started_at,
        work_items.completed_at,
        work_items.started_by,
        work_items.completed_by,
        work_items.queue_us,
        work_items.service_us,
        work_items.log_rows,
        previous_items.previous_activity,
        previous_items.previous_by,
        work_items.journey_id || ':' || work_items.entity_id
        || ':' || work_items.activity
        || ':' || work_items.item_number::{{ type_text() }} as work_item_id,
        {{ epoch_us('work_items.started_at') }}
        - {{ epoch_us('previous_items.previous_completed_at') }} as idle_us,
        coalesce(previous_items.previous_by <> work_items.started_by, false)
            as is_handoff,
        coalesce(work_items.started_by <> work_items.completed_by, false)
            as is_handed_over,
        work_items.is_rework
    from work_items
    left join previous_items
        on
            work_items.journey_id = previous_items.journey_id
            and work_items.entity_id = previous_items.entity_id
            and work_items.activity = previous_items.activity
            and work_items.item_number = previous_items.item_number
)

select * from final

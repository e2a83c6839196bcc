with

touchpoints as (
    select * from {{ ref('touchpoints') }}
),

final as (
    select
        touchpoint_id,
        name,
        channel,
        owner_team,
        owner_column,
        response_event,
        response_target_minutes,
        coalesce(is_promoted, false) as is_promoted
    from touchpoints
)

select * from final

{{ config(materialized='view') }}

with

responses as (
    select * from {{ ref('int_scored_responses') }}
),

final as (
    select
        response_id,
        customer_id,
        survey,
        touchpoint_id,
        score,
        scale_min,
        scale_max,
        is_higher_better,
        score_on_scale,
        nps_class,
        is_top_box,
        is_scored,
        unscored_reason,
        asked_at,
        answered_at,
        followed_up_at
    from responses
)

select * from final

with

stages as (
    select * from {{ ref('stages') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

final as (
    select
        stages.journey_id,
        stages.stage_id,
        stages.stage_order,
        stages.phase,
        stages.stage_kind,
        stages.key_moment,
        observations.conversion_window_days,
        observations.observed_through,
        coalesce(stages.is_optional, false) as is_optional
    from stages
    left join observations
        on
            stages.journey_id = observations.journey_id
            and stages.stage_id = observations.stage_id
)

select * from final

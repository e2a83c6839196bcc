{{ config(materialized='view') }}

with

progress as (
    select * from {{ ref('int_funnel_progress') }}
),

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

final as (
    select
        progress.attempt_id,
        progress.funnel_id,
        progress.journey_id,
        progress.entity_id,
        progress.attempt_number,
        progress.step_number,
        funnel_steps.step_name,
        progress.steps_reached,
        progress.reached_at,
        {{ epoch_us('progress.reached_at') }}
        - {{ epoch_us('progress.started_at') }} as since_start_us,
        progress.is_mature
    from progress
    inner join funnel_steps
        on
            progress.funnel_id = funnel_steps.funnel_id
            and progress.step_number = funnel_steps.step_number
)

select * from final

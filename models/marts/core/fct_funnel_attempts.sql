{{ config(materialized='view') }}

with

progress as (
    select * from {{ ref('int_funnel_progress') }}
),

-- What an attempt is at as_of is what its furthest step says.
furthest as (
    select
        *,
        steps_reached = step_count as is_converted
    from progress
    where is_furthest
),

ended as (
    select
        *,
        case
            when is_converted then 'converted'
            when
                superseded_at is not null
                and (excluded_at is null or superseded_at < excluded_at)
                then 'superseded'
            when excluded_at is not null then 'excluded'
            when is_mature then 'expired'
            else 'open'
        end as outcome
    from furthest
),

final as (
    select
        attempt_id,
        funnel_id,
        journey_id,
        entity_id,
        customer_id,
        account_id,
        held_value,
        attempt_number,
        started_at,
        steps_reached as furthest_step,
        step_count,
        reached_at as furthest_step_at,
        is_converted,
        outcome,
        window_ends_at,
        is_mature,
        case when is_converted then reached_at end as converted_at,
        case when outcome = 'excluded' then excluded_at end as excluded_at,
        case when outcome = 'superseded' then superseded_at end as superseded_at
    from ended
)

select * from final

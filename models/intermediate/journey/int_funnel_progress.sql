{{ config(materialized='view') }}

with

chains as (
    select * from {{ ref('int_funnel_chains') }}
),

rounds as (
    select * from {{ ref('int_funnel_rounds') }}
),

observations as (
    select * from {{ ref('int_funnel_observations') }}
),

progress as (
    select
        journey_id,
        entity_id,
        funnel_id,
        held_value,
        customer_id,
        account_id,
        attempt_number,
        step_number,
        steps_reached,
        started_at,
        reached_at,
        next_reached_at,
        superseded_at,
        excluded_at
    from chains
    union all
    select
        journey_id,
        entity_id,
        funnel_id,
        held_value,
        customer_id,
        account_id,
        attempt_number,
        step_number,
        steps_reached,
        started_at,
        reached_at,
        next_reached_at,
        superseded_at,
        excluded_at
    from rounds
),

-- Nothing later than as_of is seen, in any column.
seen as (
    select
        progress.journey_id,
        progress.entity_id,
        progress.funnel_id,
        progress.held_value,
        progress.customer_id,
        progress.account_id,
        progress.attempt_number,
        progress.step_number,
        progress.steps_reached,
        progress.started_at,
        progress.reached_at,
        observations.step_count,
        observations.observed_through,
        case
            when progress.next_reached_at <= observations.as_of
                then progress.next_reached_at
        end as next_reached_at,
        case
            when progress.superseded_at <= observations.as_of
                then progress.superseded_at
        end as superseded_at,
        case
            when progress.excluded_at <= observations.as_of then progress.excluded_at
        end as excluded_at,
        progress.started_at
        + (observations.window_us / 1000000) * interval '1' second as window_ends_at
    from progress
    inner join observations
        on progress.funnel_id = observations.funnel_id
    where {{ is_seen('progress.reached_at', 'observations.as_of') }}
),

-- Two steps can be reached at one time: the further one counts.
final as (
    select
        *,
        funnel_id || ':' || entity_id || ':' || attempt_number::{{ type_text() }}
            as attempt_id,
        next_reached_at is null as is_furthest,
        coalesce(window_ends_at <= observed_through, false) as is_mature
    from seen
)

select * from final

{#- Of all successes seen: those of 13 weeks may be a handful. -#}
with

success_values as (
    select * from {{ ref('int_success_values') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

journeys as (
    select distinct
        journey_id,
        as_of
    from observations
),

-- Decimals add up to the same in any order.
journey_values as (
    select
        success_values.journey_id,
        count(*) as successes,
        count(success_values.value) as valued_successes,
        sum(success_values.value::decimal(18, 4))::{{ type_double() }}
        / nullif(count(success_values.value), 0) as mean_success_value
    from success_values
    inner join journeys
        on success_values.journey_id = journeys.journey_id
    where success_values.succeeded_at <= journeys.as_of
    group by success_values.journey_id
)

select * from journey_values

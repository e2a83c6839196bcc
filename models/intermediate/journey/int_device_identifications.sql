{{ config(materialized='incremental', incremental_strategy='device_rebuild') }}

with

-- A device on which everybody is known needs no identification.
anonymous_events as (
    select *
    from {{ ref('stg_events') }}
    where
        anonymous_id is not null
        and customer_id is null
        and {{ is_new_on_device('anonymous_id') }}
),

identified_events as (
    select *
    from {{ ref('stg_events') }}
    where
        anonymous_id is not null
        and customer_id is not null
        and {{ is_new_on_device('anonymous_id') }}
),

anonymous_devices as (
    select distinct anonymous_id
    from anonymous_events
),

moments as (
    select
        identified_events.anonymous_id,
        identified_events.occurred_at as identified_at,
        identified_events.customer_id
    from identified_events
    inner join anonymous_devices
        on identified_events.anonymous_id = anonymous_devices.anonymous_id
    group by
        identified_events.anonymous_id,
        identified_events.occurred_at,
        identified_events.customer_id
),

-- Two customers identified on one device in one instant: the smaller id, for want of
-- any other order.
ranked_moments as (
    select
        *,
        row_number() over (
            partition by anonymous_id, identified_at
            order by {{ binary_order('customer_id') }}
        ) as customer_rank
    from moments
),

first_customers as (
    select *
    from ranked_moments
    where customer_rank = 1
),

-- Whoever comes second in an instant has no time of its own; kept, to know of whom an
-- earlier one took it.
periods as (
    select
        anonymous_id,
        customer_id,
        identified_at,
        lag(identified_at) over (
            partition by anonymous_id
            order by identified_at
        ) as previous_identified_at
    from first_customers
    union all
    select
        anonymous_id,
        customer_id,
        identified_at,
        identified_at as previous_identified_at
    from ranked_moments
    where customer_rank > 1
)

select * from periods

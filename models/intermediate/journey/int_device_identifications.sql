with

events as (
    select * from {{ ref('stg_events') }}
),

-- Two customers identified on one device in one instant: the smaller id, for want of
-- any other order.
identifications as (
    select
        anonymous_id,
        occurred_at as identified_at,
        min({{ binary_order('customer_id') }}) as customer_id
    from events
    where
        anonymous_id is not null
        and customer_id is not null
    group by
        anonymous_id,
        occurred_at
),

periods as (
    select
        anonymous_id,
        customer_id,
        identified_at,
        lag(identified_at) over (
            partition by anonymous_id
            order by identified_at
        ) as previous_identified_at
    from identifications
)

select * from periods

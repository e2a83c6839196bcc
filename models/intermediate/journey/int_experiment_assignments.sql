{{ config(materialized='view') }}

with

assignments as (
    select * from {{ ref('stg_experiment_assignments') }}
),

-- Landing refuses a customer of two arms; a warehouse's own table may have some.
customers as (
    select
        experiment_id,
        customer_id,
        min({{ binary_order('arm') }}) as arm,
        min(assigned_at) as assigned_at,
        count(distinct arm) > 1 as is_in_several_arms
    from assignments
    group by
        experiment_id,
        customer_id
)

select * from customers

{#- Of several contacts with an account the smallest, for want of any other order. -#}
with

contacts as (
    select * from {{ ref('int_current_contacts') }}
),

customer_accounts as (
    select
        customer_id,
        min({{ binary_order('account_id') }}) as account_id
    from contacts
    where
        customer_id is not null
        and account_id is not null
    group by customer_id
)

select * from customer_accounts

-- Each journey and currency in which successes have an amount, and no value for want of
-- a rate: they are missing from what is at stake.
{{ config(severity='warn') }}

with

success_values as (
    select * from {{ ref('int_success_values') }}
),

unrated as (
    select
        journey_id,
        amount_currency,
        count(*) as successes,
        min(succeeded_at) as first_succeeded_at
    from success_values
    where value_basis = 'missing_rate'
    group by
        journey_id,
        amount_currency
)

select * from unrated

with

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

contacts as (
    select * from {{ ref('int_current_contacts') }}
),

customer_accounts as (
    select
        customer_id,
        min({{ binary_order('account_id') }}) as account_id
    from contacts
    where customer_id is not null
    group by customer_id
),

cohort_visits as (
    select
        visits.visit_id,
        visits.case_id,
        visits.journey_id,
        visits.stage_id,
        visits.stage_order,
        visits.visit_number,
        visits.entered_at,
        visits.exited_at is not null as has_exited,
        visits.time_in_stage_us,
        observations.order_mode,
        observations.conversion_window_days * 86400000000 as conversion_window_us,
        {{ to_local('visits.entered_at', 'observations.time_zone') }}::date
            as entered_date,
        coalesce(
            visits.account_id,
            customer_accounts.account_id,
            visits.customer_id,
            visits.entity_id
        ) as cluster_id
    from visits
    inner join observations
        on
            visits.journey_id = observations.journey_id
            and visits.stage_id = observations.stage_id
    left join customer_accounts
        on visits.customer_id = customer_accounts.customer_id
    where
        observations.stage_kind = 'progress'
        and not visits.is_left_truncated
)

select * from cohort_visits

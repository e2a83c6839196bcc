{{ config(materialized='view') }}

with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

local_days as (
    select * from {{ ref('int_local_days') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

-- Nothing later than as_of is seen, in any column.
seen_visits as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        visits.stage_id,
        cohort_stages.stage_number,
        visits.entered_at,
        cohort_stages.time_zone,
        visits.is_date_only,
        coalesce(visits.exited_at <= cohort_stages.as_of, false) as has_exited,
        {{ cluster_of('visits', 'customer_accounts') }} as cluster_id,
        case
            when visits.exited_at <= cohort_stages.as_of then visits.exited_at
            when visits.lapsed_at <= cohort_stages.as_of then visits.lapsed_at
            else cohort_stages.observed_through
        end as followed_until
    from visits
    inner join cohort_stages
        on
            visits.journey_id = cohort_stages.journey_id
            and visits.stage_id = cohort_stages.stage_id
    left join customer_accounts
        on
            {{ customer_of('visits', 'cohort_stages.entity') }}
            = customer_accounts.customer_id
    where
        not visits.is_left_truncated
        and visits.entered_at <= cohort_stages.as_of
),

cohort_visits as (
    select
        seen_visits.journey_id,
        seen_visits.entity_id,
        seen_visits.attempt_number,
        seen_visits.visit_number,
        seen_visits.stage_id,
        seen_visits.stage_number,
        seen_visits.entered_at,
        seen_visits.cluster_id,
        seen_visits.has_exited,
        {{ on_local_day('seen_visits.entered_at', 'local_days', 'local_date') }}
            as entered_date,
        {{ on_local_day('seen_visits.entered_at', 'local_days', 'cohort_start') }}
            as cohort_start,
        {{ known_us(
            'seen_visits.entered_at',
            'seen_visits.followed_until',
            'seen_visits.is_date_only',
        ) }} as time_in_stage_us
    from seen_visits
    left join local_days
        on
            seen_visits.time_zone = local_days.time_zone
            and seen_visits.entered_at::date = local_days.utc_day
)

select * from cohort_visits

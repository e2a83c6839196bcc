{{ config(materialized='view') }}

with

visits as (
    select * from {{ ref('int_stage_visits') }}
),

cohort_stages as (
    select *
    from {{ ref('int_cohort_stages') }}
    where metric_id is null
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
        cohort_stages.has_segments,
        visits.is_date_only,
        visits.transition_kind,
        coalesce(visits.exited_at <= cohort_stages.as_of, false) as has_exited,
        coalesce(
            visits.exited_at <= cohort_stages.as_of
            and {{ epoch_us('visits.exited_at') }}
            - {{ epoch_us('visits.entered_at') }}
            <= cohort_stages.conversion_window_days * 86400000000,
            false
        ) as has_exited_in_time,
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
        and {{ is_seen('visits.entered_at', 'cohort_stages.as_of') }}
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
        seen_visits.has_segments,
        seen_visits.has_exited,
        seen_visits.has_exited_in_time
        and seen_visits.transition_kind = 'back' as has_gone_back,
        seen_visits.has_exited_in_time
        and seen_visits.transition_kind = 'skip' as has_skipped,
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

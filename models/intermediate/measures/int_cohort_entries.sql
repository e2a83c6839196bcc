{{ config(materialized='view') }}

with

entries as (
    select * from {{ ref('int_stage_entries') }}
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

case_outcomes as (
    select * from {{ ref('int_case_outcomes') }}
),

-- Nothing later than as_of is seen, in any column.
seen_entries as (
    select
        entries.journey_id,
        entries.entity_id,
        entries.attempt_number,
        entries.stage_id,
        entries.visit_number,
        cohort_stages.journey_number,
        cohort_stages.stage_number,
        cohort_stages.entity,
        entries.entered_at,
        cohort_stages.time_zone,
        cohort_stages.conversion_window_days,
        cohort_stages.is_value_start,
        cohort_stages.has_segments,
        entries.is_date_only,
        entries.is_date_only
        or coalesce(case_outcomes.is_value_date_only, false) as is_value_date_only,
        {{ customer_of('entries', 'cohort_stages.entity') }} as customer_id,
        {{ cluster_of('entries', 'customer_accounts') }} as cluster_id,
        case
            when entries.advanced_at <= cohort_stages.as_of then entries.advanced_at
        end as advanced_at,
        case
            when entries.advanced_at <= cohort_stages.as_of then entries.advanced_at
            when entries.lapsed_at <= cohort_stages.as_of then entries.lapsed_at
            else cohort_stages.observed_through
        end as followed_until,
        case
            when case_outcomes.dropped_at <= cohort_stages.as_of
                then case_outcomes.dropped_at
        end as dropped_at,
        case
            when case_outcomes.value_at <= cohort_stages.as_of
                then case_outcomes.value_at
        end as value_at,
        case
            when case_outcomes.value_at <= cohort_stages.as_of
                then case_outcomes.value_at
            when case_outcomes.lapsed_at <= cohort_stages.as_of
                then case_outcomes.lapsed_at
            else cohort_stages.observed_through
        end as value_followed_until
    from entries
    inner join cohort_stages
        on
            entries.journey_id = cohort_stages.journey_id
            and entries.stage_id = cohort_stages.stage_id
    left join customer_accounts
        on
            {{ customer_of('entries', 'cohort_stages.entity') }}
            = customer_accounts.customer_id
    left join case_outcomes
        on
            entries.journey_id = case_outcomes.journey_id
            and entries.entity_id = case_outcomes.entity_id
            and entries.attempt_number = case_outcomes.attempt_number
    where
        not entries.is_left_truncated
        and {{ is_seen('entries.entered_at', 'cohort_stages.as_of') }}
),

dated_entries as (
    select
        seen_entries.*,
        {{ on_local_day(
            'seen_entries.entered_at', 'local_days', 'local_date'
        ) }} as entered_date,
        {{ on_local_day(
            'seen_entries.entered_at', 'local_days', 'cohort_start'
        ) }} as cohort_start,
        coalesce(
            {{ epoch_us('seen_entries.advanced_at') }}
            - {{ epoch_us('seen_entries.entered_at') }}
            <= seen_entries.conversion_window_days * 86400000000,
            false
        ) as is_converted
    from seen_entries
    left join local_days
        on
            seen_entries.time_zone = local_days.time_zone
            and seen_entries.entered_at::date = local_days.utc_day
),

cohort_entries as (
    select
        journey_id,
        entity_id,
        attempt_number,
        stage_id,
        visit_number,
        journey_number,
        stage_number,
        entered_at,
        customer_id,
        cluster_id,
        advanced_at,
        entered_date,
        cohort_start,
        is_converted,
        is_value_start,
        has_segments,
        advanced_at is not null as has_advanced,
        -- Only where merging devices into customers, and these into accounts, can
        -- favour those who convert.
        case
            when entity in ('customer', 'account')
                then {{ is_identified('entity', 'entity_id') }}
        end as is_identified,
        -- An exit ends the case: an advance before it, if any, was in time as well.
        not is_converted
        and coalesce(
            {{ epoch_us('dropped_at') }} - {{ epoch_us('entered_at') }}
            <= conversion_window_days * 86400000000,
            false
        ) as is_dropped,
        {{ known_us('entered_at', 'followed_until', 'is_date_only') }}
            as time_to_advance_us,
        case when is_value_start then value_at is not null end as has_reached_value,
        case
            when is_value_start
                then {{ known_us(
                    'entered_at', 'value_followed_until', 'is_value_date_only'
                ) }}
        end as time_to_value_us
    from dated_entries
)

select * from cohort_entries

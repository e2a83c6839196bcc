{{ config(materialized='view') }}

with

entries as (
    select * from {{ ref('int_stage_entries') }}
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
        entries.is_date_only,
        {{ customer_of('entries', 'cohort_stages.entity') }} as customer_id,
        {{ cluster_of('entries', 'customer_accounts') }} as cluster_id,
        case
            when entries.advanced_at <= cohort_stages.as_of then entries.advanced_at
        end as advanced_at,
        case
            when entries.advanced_at <= cohort_stages.as_of then entries.advanced_at
            when entries.lapsed_at <= cohort_stages.as_of then entries.lapsed_at
            else cohort_stages.observed_through
        end as followed_until
    from entries
    inner join cohort_stages
        on
            entries.journey_id = cohort_stages.journey_id
            and entries.stage_id = cohort_stages.stage_id
    left join customer_accounts
        on
            {{ customer_of('entries', 'cohort_stages.entity') }}
            = customer_accounts.customer_id
    where
        not entries.is_left_truncated
        and entries.entered_at <= cohort_stages.as_of
),

cohort_entries as (
    select
        seen_entries.journey_id,
        seen_entries.entity_id,
        seen_entries.attempt_number,
        seen_entries.stage_id,
        seen_entries.visit_number,
        seen_entries.journey_number,
        seen_entries.stage_number,
        seen_entries.entered_at,
        seen_entries.customer_id,
        seen_entries.cluster_id,
        seen_entries.advanced_at,
        seen_entries.advanced_at is not null as has_advanced,
        -- Only where merging devices into customers, and these into accounts, can
        -- favour those who convert.
        case
            when seen_entries.entity in ('customer', 'account')
                then {{ is_identified(
                    'seen_entries.entity', 'seen_entries.entity_id'
                ) }}
        end as is_identified,
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
        ) as is_converted,
        {{ known_us(
            'seen_entries.entered_at',
            'seen_entries.followed_until',
            'seen_entries.is_date_only',
        ) }} as time_to_advance_us
    from seen_entries
    left join local_days
        on
            seen_entries.time_zone = local_days.time_zone
            and seen_entries.entered_at::date = local_days.utc_day
)

select * from cohort_entries

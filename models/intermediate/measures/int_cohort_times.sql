{#- Narrow, because it is read again and again. -#}
with

cohort_visits as (
    select * from {{ ref('int_cohort_visits') }}
),

cohort_entries as (
    select * from {{ ref('int_cohort_entries') }}
),

times as (
    select
        false as is_advancing,
        stage_number,
        cohort_start,
        time_in_stage_us as duration_us,
        case when has_exited then 1 else 0 end as is_event
    from cohort_visits
    where time_in_stage_us is not null
    union all
    select
        true as is_advancing,
        stage_number,
        cohort_start,
        time_to_advance_us as duration_us,
        case when has_advanced then 1 else 0 end as is_event
    from cohort_entries
    where time_to_advance_us is not null
),

bucketed_times as (
    select
        *,
        {{ duration_bucket('duration_us') }} as bucket
    from times
)

select * from bucketed_times

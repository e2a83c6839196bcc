{#- Narrow, because it is read again and again. -#}
with

visits as (
    select * from {{ ref('int_segment_visits') }}
),

entries as (
    select * from {{ ref('int_segment_entries') }}
),

-- Read apart: mostly there are none, and then nothing is read.
value_entries as (
    select *
    from {{ ref('int_segment_entries') }}
    where is_value_start
),

unit_times as (
    select * from {{ ref('int_segment_times') }}
),

times as (
    select
        'leaving' as curve_kind,
        stage_number,
        segment_number,
        cohort_start,
        time_in_stage_us as duration_us,
        case when has_exited then 1 else 0 end as is_event
    from visits
    where time_in_stage_us is not null
    union all
    select
        'advancing' as curve_kind,
        stage_number,
        segment_number,
        cohort_start,
        time_to_advance_us as duration_us,
        case when has_advanced then 1 else 0 end as is_event
    from entries
    where time_to_advance_us is not null
    union all
    select
        'first_value' as curve_kind,
        stage_number,
        segment_number,
        cohort_start,
        time_to_value_us as duration_us,
        case when has_reached_value then 1 else 0 end as is_event
    from value_entries
    where time_to_value_us is not null
    union all
    select
        metric_family as curve_kind,
        stage_number,
        segment_number,
        cohort_start,
        duration_us,
        case when is_event then 1 else 0 end as is_event
    from unit_times
),

bucketed_times as (
    select
        *,
        {{ duration_bucket('duration_us') }} as bucket
    from times
)

select * from bucketed_times

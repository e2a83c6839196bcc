{#- Where a stage is met, whether a case goes on or not: at its entry, while the case
    stays (for as long as the window) and at the next entry, which ends the stay. -#}
with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

stage_visits as (
    select * from {{ ref('int_stage_visits') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

periods as (
    select *
    from {{ ref('int_periods') }}
    where period_grain = 'trailing_13_weeks'
),

visit_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

touchpoint_events as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'touchpoint'
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

segments as (
    select *
    from {{ ref('int_segments') }}
    where is_ranked
),

latest_periods as (
    select
        stage_number,
        max(period_start) as period_start,
        max(period_end) as period_end
    from periods
    group by stage_number
),

period_entries as (
    select
        entries.journey_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.stage_id,
        entries.entered_at,
        latest_periods.period_start,
        cohort_stages.as_of,
        cohort_stages.conversion_window_days
    from entries
    inner join latest_periods
        on
            entries.stage_number = latest_periods.stage_number
            and entries.entered_date >= latest_periods.period_start
            and entries.entered_date < latest_periods.period_end
    inner join cohort_stages
        on entries.stage_number = cohort_stages.stage_number
),

stays as (
    select
        period_entries.*,
        least(
            coalesce({{ epoch_us('stage_visits.exited_at') }}, 9000000000000000),
            {{ epoch_us('period_entries.entered_at') }}
            + period_entries.conversion_window_days * 86400000000,
            {{ epoch_us('period_entries.as_of') }}
        ) as until_us
    from period_entries
    inner join stage_visits
        on
            period_entries.journey_id = stage_visits.journey_id
            and period_entries.entity_id = stage_visits.entity_id
            and period_entries.attempt_number = stage_visits.attempt_number
            and period_entries.visit_number = stage_visits.visit_number
),

meetings as (
    select
        stays.journey_id,
        stays.entity_id,
        stays.attempt_number,
        stays.visit_number,
        visit_touchpoints.touchpoint_id,
        visit_touchpoints.owner_team
    from stays
    inner join visit_touchpoints
        on
            stays.journey_id = visit_touchpoints.journey_id
            and stays.entity_id = visit_touchpoints.entity_id
            and stays.attempt_number = visit_touchpoints.attempt_number
            and stays.visit_number = visit_touchpoints.visit_number
    union all
    select
        stays.journey_id,
        stays.entity_id,
        stays.attempt_number,
        stays.visit_number,
        touchpoint_events.touchpoint_id,
        touchpoint_events.owner_team
    from stays
    inner join touchpoint_events
        on
            stays.journey_id = touchpoint_events.journey_id
            and stays.entity_id = touchpoint_events.entity_id
            and stays.entered_at <= touchpoint_events.occurred_at
            and stays.until_us >= {{ epoch_us('touchpoint_events.occurred_at') }}
),

distinct_meetings as (
    select distinct
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        touchpoint_id,
        coalesce(owner_team, '(no owner)') as owner_team
    from meetings
),

segment_entries as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        stage_id,
        period_start,
        'all' as segment_dimension,
        'all' as segment_value
    from period_entries
    union all
    select
        period_entries.journey_id,
        period_entries.entity_id,
        period_entries.attempt_number,
        period_entries.visit_number,
        period_entries.stage_id,
        period_entries.period_start,
        segments.segment_dimension,
        segments.segment_value
    from period_entries
    inner join visit_segments
        on
            period_entries.journey_id = visit_segments.journey_id
            and period_entries.entity_id = visit_segments.entity_id
            and period_entries.attempt_number = visit_segments.attempt_number
            and period_entries.visit_number = visit_segments.visit_number
    inner join segments
        on visit_segments.segment_number = segments.segment_number
),

entry_counts as (
    select
        journey_id,
        stage_id,
        period_start,
        segment_dimension,
        segment_value,
        count(*) as entries
    from segment_entries
    group by
        journey_id,
        stage_id,
        period_start,
        segment_dimension,
        segment_value
),

touchpoint_counts as (
    select
        segment_entries.journey_id,
        segment_entries.stage_id,
        segment_entries.period_start,
        segment_entries.segment_dimension,
        segment_entries.segment_value,
        distinct_meetings.touchpoint_id,
        distinct_meetings.owner_team,
        count(*) as cases
    from segment_entries
    inner join distinct_meetings
        on
            segment_entries.journey_id = distinct_meetings.journey_id
            and segment_entries.entity_id = distinct_meetings.entity_id
            and segment_entries.attempt_number = distinct_meetings.attempt_number
            and segment_entries.visit_number = distinct_meetings.visit_number
    group by
        segment_entries.journey_id,
        segment_entries.stage_id,
        segment_entries.period_start,
        segment_entries.segment_dimension,
        segment_entries.segment_value,
        distinct_meetings.touchpoint_id,
        distinct_meetings.owner_team
),

stage_touchpoints as (
    select
        touchpoint_counts.*,
        entry_counts.entries,
        touchpoint_counts.cases::{{ type_double() }}
        / entry_counts.entries as case_share
    from touchpoint_counts
    inner join entry_counts
        on
            touchpoint_counts.journey_id = entry_counts.journey_id
            and touchpoint_counts.stage_id = entry_counts.stage_id
            and touchpoint_counts.period_start = entry_counts.period_start
            and touchpoint_counts.segment_dimension = entry_counts.segment_dimension
            and touchpoint_counts.segment_value = entry_counts.segment_value
)

select * from stage_touchpoints

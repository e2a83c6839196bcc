{#- What the event entering the visit says; nothing where no rule has a due date. -#}
with

anchors as (
    select * from {{ ref('int_metric_anchors') }}
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

source_events as (
    select * from {{ ref('int_source_events') }}
),

due_stages as (
    select distinct
        journey_id,
        stage_id,
        due_property,
        time_zone
    from anchors
    where due_property is not null
),

due_visits as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        visits.source,
        visits.source_row_id,
        due_stages.due_property,
        due_stages.time_zone
    from visits
    inner join due_stages
        on
            visits.journey_id = due_stages.journey_id
            and visits.stage_id = due_stages.stage_id
    where not visits.is_left_truncated
),

due_texts as (
    select
        due_visits.journey_id,
        due_visits.entity_id,
        due_visits.attempt_number,
        due_visits.visit_number,
        due_visits.due_property,
        due_visits.time_zone,
        nullif(
            trim({{ event_property('source_events', 'due_visits.due_property') }}), ''
        ) as due_text
    from source_events
    inner join due_visits
        on
            source_events.source = due_visits.source
            and source_events.source_row_id = due_visits.source_row_id
),

due_moments as (
    select
        *,
        {{ safe_moment('due_text', 'time_zone') }} as first_moment
    from due_texts
),

-- A date is kept through its last moment in the journey's time zone. Databases write
-- one as its midnight.
due_times as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        due_property,
        due_text,
        case
            when
                substr(due_text, 11) in (
                    '', ' 00:00', 'T00:00', ' 00:00:00', 'T00:00:00'
                )
                then {{ to_utc(
                    "(" ~ to_local('first_moment', 'time_zone')
                    ~ " + interval '1' day)",
                    'time_zone',
                ) }} - interval '1 microsecond'
            else first_moment
        end as due_at
    from due_moments
)

select * from due_times

with

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

stage_visits as (
    select * from {{ ref('int_stage_visits') }}
),

entries as (
    select * from {{ ref('int_stage_entries') }}
),

-- Read apart: a relation named twice would be stored whole in between.
first_visits as (
    select *
    from {{ ref('fct_stage_visits') }}
    where
        attempt_number = 1
        and visit_number = 1
),

terminal_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind <> 'progress'
),

exclusion_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'exclusion'
),

stage_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'stage'
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

-- Mostly none: as_of is where the data end.
late_sources as (
    select distinct
        observations.journey_id,
        extents.source
    from observations
    inner join extents
        on observations.as_of < extents.newest_occurred_at
),

-- Mondays in the journey's time zone. A week is mature that ends a window before the
-- stage's outcomes are no longer known.
weeks as (
    select
        journey_id,
        stage_id,
        time_zone,
        date_trunc(
            'week', {{ to_local('source_start', 'time_zone') }}
        ) as first_monday,
        date_trunc(
            'week',
            {{ to_local(
                "(observed_through - conversion_window_days * interval '1' day)",
                'time_zone',
            ) }}
        ) as last_monday
    from observations
    where stage_kind = 'progress'
),

mature_weeks as (
    select
        journey_id,
        stage_id,
        first_monday::date as first_mature_week,
        (last_monday - interval '7' day)::date as last_mature_week,
        {{ to_utc('first_monday', 'time_zone') }} as starts_at,
        {{ to_utc('last_monday', 'time_zone') }} as ends_at,
        (
            ({{ epoch_us('last_monday') }} - {{ epoch_us('first_monday') }})
            / 604800000000
        )::bigint as mature_weeks
    from weeks
    where first_monday < last_monday
),

-- A case enters a terminal stage once, where its attempt ends.
stage_cases as (
    select
        journey_id,
        stage_id,
        entity_id,
        entered_at,
        is_left_truncated
    from entries
    union all
    select
        journey_id,
        stage_id,
        entity_id,
        entered_at,
        is_left_truncated
    from terminal_visits
),

case_counts as (
    select
        stage_cases.journey_id,
        stage_cases.stage_id,
        count(*) as cases,
        sum(case when stage_cases.is_left_truncated then 1 else 0 end)
            as left_truncated_cases,
        sum(
            case
                when {{ is_identified('journeys.entity', 'stage_cases.entity_id') }}
                    then 0
                else 1
            end
        ) as anonymous_cases,
        sum(
            case
                when
                    not stage_cases.is_left_truncated
                    and stage_cases.entered_at >= mature_weeks.starts_at
                    and stage_cases.entered_at < mature_weeks.ends_at
                    then 1
                else 0
            end
        ) as mature_cases
    from stage_cases
    inner join journeys
        on stage_cases.journey_id = journeys.journey_id
    inner join observations
        on
            stage_cases.journey_id = observations.journey_id
            and stage_cases.stage_id = observations.stage_id
    left join mature_weeks
        on
            stage_cases.journey_id = mature_weeks.journey_id
            and stage_cases.stage_id = mature_weeks.stage_id
    where {{ is_seen('stage_cases.entered_at', 'observations.as_of') }}
    group by
        stage_cases.journey_id,
        stage_cases.stage_id
),

-- An open visit of which nothing later is known is no matter of dates.
visit_counts as (
    select
        visits.journey_id,
        visits.stage_id,
        count(*) as visits,
        max(visits.entered_at) as newest_entry_at,
        sum(case when visits.is_open then 1 else 0 end) as open_visits,
        sum(
            case when visits.exit_kind = 'lapsed' then 1 else 0 end
        ) as lapsed_visits,
        sum(
            case when visits.is_left_truncated then 1 else 0 end
        ) as left_truncated_visits,
        sum(
            case
                when observations.stage_kind <> 'progress' then 0
                when visits.time_in_stage_us is not null then 0
                when visits.is_open and observations.observed_through is null then 0
                else 1
            end
        ) as unknown_time_visits
    from visits
    inner join observations
        on
            visits.journey_id = observations.journey_id
            and visits.stage_id = observations.stage_id
    group by
        visits.journey_id,
        visits.stage_id
),

entity_counts as (
    select
        journey_id,
        count(*) as journey_entities
    from first_visits
    group by journey_id
),

excluded_entities as (
    select distinct
        journey_id,
        entity_id
    from exclusion_rows
),

excluded_rows as (
    select *
    from stage_rows
    where (journey_id, entity_id) in (
        select
            excluded_entities.journey_id,
            excluded_entities.entity_id
        from excluded_entities
    )
),

excluded_stages as (
    select distinct
        excluded_rows.journey_id,
        excluded_rows.entity_id,
        excluded_rows.stage_id
    from excluded_rows
    inner join observations
        on
            excluded_rows.journey_id = observations.journey_id
            and excluded_rows.stage_id = observations.stage_id
    where excluded_rows.occurred_at <= observations.as_of
),

excluded_counts as (
    select
        journey_id,
        stage_id,
        count(*) as excluded_entities
    from excluded_stages
    group by
        journey_id,
        stage_id
),

excluded_journey_counts as (
    select
        journey_id,
        count(distinct entity_id) as journey_excluded_entities
    from excluded_stages
    group by journey_id
),

ended_visits as (
    select
        stage_visits.journey_id,
        stage_visits.entity_id,
        stage_visits.attempt_number,
        stage_visits.stage_id,
        stage_visits.orphan_events
    from stage_visits
    inner join observations
        on
            stage_visits.journey_id = observations.journey_id
            and stage_visits.stage_id = observations.stage_id
    where
        stage_visits.orphan_events > 0
        and {{ is_seen('stage_visits.entered_at', 'observations.as_of') }}
),

later_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where
        meaning = 'stage'
        and (journey_id, source) in (
            select
                late_sources.journey_id,
                late_sources.source
            from late_sources
        )
),

later_events as (
    select
        later_rows.journey_id,
        later_rows.entity_id,
        later_rows.occurred_at,
        observations.stage_order
    from later_rows
    inner join observations
        on
            later_rows.journey_id = observations.journey_id
            and later_rows.stage_id = observations.stage_id
    where
        later_rows.occurred_at > observations.as_of
),

attempt_starts as (
    select
        journey_id,
        entity_id,
        attempt_number,
        entered_at,
        stage_order
    from stage_visits
    where visit_number = 1
),

-- Orphans are counted with the history: what is later than as_of is none yet. An
-- attempt begins with its first event in the order of a history.
orphan_counts as (
    select
        journey_id,
        stage_id,
        sum(orphan_events) as orphan_events
    from ended_visits
    group by
        journey_id,
        stage_id
    union all
    select
        ended_visits.journey_id,
        ended_visits.stage_id,
        -count(*) as orphan_events
    from later_events
    inner join ended_visits
        on
            later_events.journey_id = ended_visits.journey_id
            and later_events.entity_id = ended_visits.entity_id
    left join attempt_starts
        on
            ended_visits.journey_id = attempt_starts.journey_id
            and ended_visits.entity_id = attempt_starts.entity_id
            and ended_visits.attempt_number + 1 = attempt_starts.attempt_number
    where
        attempt_starts.entered_at is null
        or later_events.occurred_at < attempt_starts.entered_at
        or (
            later_events.occurred_at = attempt_starts.entered_at
            and later_events.stage_order < attempt_starts.stage_order
        )
    group by
        ended_visits.journey_id,
        ended_visits.stage_id
),

seen_orphan_counts as (
    select
        journey_id,
        stage_id,
        sum(orphan_events) as orphan_events
    from orphan_counts
    group by
        journey_id,
        stage_id
),

final as (
    select
        observations.journey_id,
        observations.stage_id,
        observations.stage_order,
        observations.stage_kind,
        observations.as_of,
        observations.observed_through,
        mature_weeks.first_mature_week,
        mature_weeks.last_mature_week,
        visit_counts.newest_entry_at,
        coalesce(mature_weeks.mature_weeks, 0) as mature_weeks,
        coalesce(case_counts.cases, 0)::bigint as cases,
        coalesce(
            case_counts.cases - case_counts.left_truncated_cases, 0
        )::bigint as counted_cases,
        coalesce(case_counts.mature_cases, 0)::bigint as mature_cases,
        coalesce(case_counts.left_truncated_cases, 0)::bigint as left_truncated_cases,
        coalesce(case_counts.anonymous_cases, 0)::bigint as anonymous_cases,
        coalesce(visit_counts.visits, 0)::bigint as visits,
        coalesce(visit_counts.left_truncated_visits, 0)::bigint
            as left_truncated_visits,
        coalesce(visit_counts.open_visits, 0)::bigint as open_visits,
        coalesce(visit_counts.lapsed_visits, 0)::bigint as lapsed_visits,
        coalesce(visit_counts.unknown_time_visits, 0)::bigint as unknown_time_visits,
        coalesce(seen_orphan_counts.orphan_events, 0)::bigint as orphan_events,
        coalesce(excluded_counts.excluded_entities, 0)::bigint as excluded_entities,
        coalesce(entity_counts.journey_entities, 0)::bigint as journey_entities,
        coalesce(excluded_journey_counts.journey_excluded_entities, 0)::bigint
            as journey_excluded_entities
    from observations
    left join mature_weeks
        on
            observations.journey_id = mature_weeks.journey_id
            and observations.stage_id = mature_weeks.stage_id
    left join case_counts
        on
            observations.journey_id = case_counts.journey_id
            and observations.stage_id = case_counts.stage_id
    left join visit_counts
        on
            observations.journey_id = visit_counts.journey_id
            and observations.stage_id = visit_counts.stage_id
    left join seen_orphan_counts
        on
            observations.journey_id = seen_orphan_counts.journey_id
            and observations.stage_id = seen_orphan_counts.stage_id
    left join excluded_counts
        on
            observations.journey_id = excluded_counts.journey_id
            and observations.stage_id = excluded_counts.stage_id
    left join entity_counts
        on observations.journey_id = entity_counts.journey_id
    left join excluded_journey_counts
        on observations.journey_id = excluded_journey_counts.journey_id
)

select * from final

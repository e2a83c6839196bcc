-- What is counted, what is left out and what the measures rest on are the same rows:
-- each difference is a row.
with

coverage as (
    select * from {{ ref('fct_journey_coverage') }}
),

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

journey_events as (
    select * from {{ ref('int_journey_events') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

periods as (
    select *
    from {{ ref('int_periods') }}
    where metric_id is null
),

measures as (
    select * from {{ ref('fct_measures') }}
),

visit_counts as (
    select
        journey_id,
        stage_id,
        count(*) as visits,
        count(distinct case_id) as cases
    from visits
    group by
        journey_id,
        stage_id
),

-- Each entity with a stage event has a case or is excluded.
entity_counts as (
    select
        journey_events.journey_id,
        count(distinct journey_events.entity_id) as entities
    from journey_events
    inner join observations
        on
            journey_events.journey_id = observations.journey_id
            and journey_events.stage_id = observations.stage_id
    where
        journey_events.meaning = 'stage'
        and journey_events.occurred_at <= observations.as_of
    group by journey_events.journey_id
),

week_counts as (
    select
        journey_id,
        stage_id,
        min(period_start) as first_mature_week,
        max(period_start) as last_mature_week,
        count(*) as mature_weeks
    from periods
    where
        period_grain = 'week'
        and is_mature
    group by
        journey_id,
        stage_id
),

rates as (
    select
        journey_id,
        stage_id,
        n
    from measures
    where
        metric_id = 'conversion_rate'
        and segment_dimension = 'all'
        and period_grain = 'all'
),

differences as (
    select
        coverage.journey_id,
        coverage.stage_id,
        coverage.visits - coalesce(visit_counts.visits, 0) as visits,
        coverage.cases - coalesce(visit_counts.cases, 0) as cases,
        coverage.journey_entities
        + coverage.journey_excluded_entities
        - coalesce(entity_counts.entities, 0) as entities,
        coverage.mature_weeks - coalesce(week_counts.mature_weeks, 0) as weeks,
        coverage.mature_cases - coalesce(rates.n, 0) as mature_cases,
        (coverage.first_mature_week is distinct from week_counts.first_mature_week)
        or (coverage.last_mature_week is distinct from week_counts.last_mature_week)
            as is_of_other_weeks
    from coverage
    left join visit_counts
        on
            coverage.journey_id = visit_counts.journey_id
            and coverage.stage_id = visit_counts.stage_id
    left join entity_counts
        on coverage.journey_id = entity_counts.journey_id
    left join week_counts
        on
            coverage.journey_id = week_counts.journey_id
            and coverage.stage_id = week_counts.stage_id
    left join rates
        on
            coverage.journey_id = rates.journey_id
            and coverage.stage_id = rates.stage_id
)

select *
from differences
where
    visits <> 0
    or cases <> 0
    or entities <> 0
    or weeks <> 0
    or mature_cases <> 0
    or is_of_other_weeks

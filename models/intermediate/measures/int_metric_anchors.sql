{#- Metrics whose definition is a row: what is the outcome, and after which stage. -#}
with

metric_rules as (
    select * from {{ ref('metric_rules') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

stage_rules as (
    select * from {{ ref('stage_rules') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

-- A map without the journey's metric in its registry does not measure it.
anchors as (
    select
        metric_rules.metric_id,
        metric_rules.journey_id,
        metric_rules.anchor_stage as stage_id,
        metric_rules.outcome_stage as outcome,
        metric_rules.to_day,
        metric_rules.due_property,
        journeys.conversion_window_days as journey_window_days,
        false as is_success,
        coalesce(metric_rules.from_day, 0) as from_day,
        coalesce(metric_rules.is_negated, false) as is_negated
    from metric_rules
    inner join journeys
        on metric_rules.journey_id = journeys.journey_id
    union all
    select
        metrics.metric_id,
        observations.journey_id,
        observations.stage_id,
        'success' as outcome,
        journeys.conversion_window_days as to_day,
        null::{{ type_text() }} as due_property,
        journeys.conversion_window_days as journey_window_days,
        true as is_success,
        0 as from_day,
        false as is_negated
    from observations
    inner join journeys
        on
            observations.journey_id = journeys.journey_id
            and observations.stage_order = journeys.entry_stage_order
    inner join metrics
        on metrics.metric_id = 'journey_conversion_rate'
),

outcome_stages as (
    select
        anchors.metric_id,
        anchors.journey_id,
        anchors.stage_id,
        observations.stage_id as outcome_stage
    from anchors
    inner join observations
        on
            anchors.journey_id = observations.journey_id
            and case
                when anchors.is_success then observations.stage_kind = 'success'
                else anchors.outcome = observations.stage_id
            end
),

-- One lagging source must not turn outcomes into failures, and of an empty one nobody
-- knows how far it is complete.
outcome_extents as (
    select
        outcome_stages.metric_id,
        outcome_stages.journey_id,
        outcome_stages.stage_id,
        case
            when count(*) = count(extents.complete_through)
                then min(extents.complete_through)
        end as complete_through
    from outcome_stages
    inner join stage_rules
        on
            outcome_stages.journey_id = stage_rules.journey_id
            and outcome_stages.outcome_stage = stage_rules.stage_id
    left join extents
        on stage_rules.source = extents.source
    group by
        outcome_stages.metric_id,
        outcome_stages.journey_id,
        outcome_stages.stage_id
),

observed_anchors as (
    select
        anchors.metric_id,
        anchors.journey_id,
        anchors.stage_id,
        observations.stage_order,
        observations.stage_kind,
        anchors.outcome,
        anchors.is_success,
        anchors.from_day,
        anchors.to_day,
        anchors.due_property,
        anchors.is_negated,
        observations.time_zone,
        observations.source_start,
        observations.as_of,
        coalesce(anchors.to_day, anchors.journey_window_days) as window_days,
        case
            when outcome_extents.complete_through < observations.as_of
                then outcome_extents.complete_through
            when outcome_extents.complete_through is not null then observations.as_of
        end as observed_through
    from anchors
    inner join observations
        on
            anchors.journey_id = observations.journey_id
            and anchors.stage_id = observations.stage_id
    inner join outcome_extents
        on
            anchors.metric_id = outcome_extents.metric_id
            and anchors.journey_id = outcome_extents.journey_id
            and anchors.stage_id = outcome_extents.stage_id
)

select * from observed_anchors

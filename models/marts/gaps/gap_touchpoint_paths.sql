{#- As behaviours in gap_drivers: of cases still in the stage at the landmark, a fifth
    of the window, what they met until then and what became of them after it. Without the
    landmark those who stay longer meet more. -#}
with

units as (
    select *
    from {{ ref('int_metric_units') }}
    where
        metric_id = 'conversion_rate'
        and is_complete
),

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

touchpoint_events as (
    select *
    from {{ ref('fct_touchpoint_events') }}
    where visit_id is not null
),

touchpoints as (
    select * from {{ ref('dim_touchpoints') }}
),

stages as (
    select * from {{ ref('dim_stages') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

-- Read apart: mostly there are none, and then no unit is read.
met_visits as (
    select *
    from {{ ref('fct_stage_visits') }}
    where entered_via_touchpoint_id is not null
),

met_events as (
    select *
    from {{ ref('fct_touchpoint_events') }}
    where visit_id is not null
),

met_journeys as (
    select journey_id from met_visits
    union distinct
    select journey_id from met_events
),

-- A visit that lapsed did so after more than a window.
placed_units as (
    select
        visits.visit_id,
        units.journey_id,
        units.stage_id,
        visits.entered_via_touchpoint_id,
        units.is_outcome,
        units.entered_at
        + units.window_days * 17280 * interval '1' second as landmark_at,
        coalesce(
            visits.exited_at
            > units.entered_at + units.window_days * 17280 * interval '1' second,
            true
        ) as is_at_landmark
    from units
    inner join visits
        on
            units.journey_id = visits.journey_id
            and units.entity_id = visits.entity_id
            and units.attempt_number = visits.attempt_number
            and units.visit_number = visits.visit_number
    where
        units.journey_id in (
            select met_journeys.journey_id
            from met_journeys
        )
),

landmark_units as (
    select *
    from placed_units
    where is_at_landmark
),

-- A meeting is one however often it was repeated.
meetings as (
    select
        visit_id,
        entered_via_touchpoint_id as touchpoint_id
    from landmark_units
    where entered_via_touchpoint_id is not null
    union distinct
    select
        landmark_units.visit_id,
        touchpoint_events.touchpoint_id
    from landmark_units
    inner join touchpoint_events
        on
            landmark_units.visit_id = touchpoint_events.visit_id
            and landmark_units.landmark_at >= touchpoint_events.occurred_at
),

stage_counts as (
    select
        journey_id,
        stage_id,
        sum(case when is_at_landmark then 1 else 0 end)::bigint as n,
        sum(case when is_at_landmark and is_outcome then 1 else 0 end)::bigint
            as converters,
        sum(case when is_outcome and not is_at_landmark then 1 else 0 end)::bigint
            as early_converters
    from placed_units
    group by
        journey_id,
        stage_id
),

touchpoint_counts as (
    select
        landmark_units.journey_id,
        landmark_units.stage_id,
        meetings.touchpoint_id,
        count(*) as cases_with,
        sum(case when landmark_units.is_outcome then 1 else 0 end)::bigint
            as converters_with
    from landmark_units
    inner join meetings
        on landmark_units.visit_id = meetings.visit_id
    group by
        landmark_units.journey_id,
        landmark_units.stage_id,
        meetings.touchpoint_id
),

split_counts as (
    select
        touchpoint_counts.*,
        touchpoints.name as touchpoint_name,
        touchpoints.owner_team,
        stages.stage_order,
        journeys.name as journey_name,
        stage_counts.n,
        stage_counts.converters,
        stage_counts.early_converters,
        stage_counts.n - stage_counts.converters as leavers,
        touchpoint_counts.cases_with
        - touchpoint_counts.converters_with as leavers_with,
        stage_counts.n - touchpoint_counts.cases_with as cases_without,
        stage_counts.converters
        - touchpoint_counts.converters_with as converters_without
    from touchpoint_counts
    inner join stage_counts
        on
            touchpoint_counts.journey_id = stage_counts.journey_id
            and touchpoint_counts.stage_id = stage_counts.stage_id
    inner join touchpoints
        on touchpoint_counts.touchpoint_id = touchpoints.touchpoint_id
    inner join stages
        on
            touchpoint_counts.journey_id = stages.journey_id
            and touchpoint_counts.stage_id = stages.stage_id
    inner join journeys
        on touchpoint_counts.journey_id = journeys.journey_id
),

shares as (
    select
        *,
        converters_with::{{ type_double() }} / nullif(converters, 0)
            as converter_share,
        leavers_with::{{ type_double() }} / nullif(leavers, 0) as leaver_share,
        converters_with::{{ type_double() }} / cases_with as rate_with,
        converters_without::{{ type_double() }} / nullif(cases_without, 0)
            as rate_without,
        case
            when
                cases_with < {{ var('minimum_n') }}
                or cases_without < {{ var('minimum_n') }}
                then 'too_few_data'
            when early_converters > converters then 'early_outcomes'
        end as warning
    from split_counts
),

final as (
    select
        journey_id,
        stage_id,
        stage_order,
        touchpoint_id,
        touchpoint_name,
        owner_team,
        n,
        converters,
        early_converters,
        leavers,
        cases_with,
        converters_with,
        leavers_with,
        cases_without,
        converters_without,
        converter_share,
        leaver_share,
        rate_with,
        rate_without,
        warning,
        'association' as note,
        rate_with - rate_without as difference,
        touchpoint_name || ' at ' || {{ words_text('stage_id') }}
        || ' (' || journey_name || '): of '
        || {{ counted_text('cases_with', "'case'", "'cases'") }}
        || ' that had met it by a fifth of the window and were still there '
        || {{ percent_text('rate_with') }} || ' went on'
        || coalesce(
            ', of ' || {{ grouped_text('cases_without') }} || ' others '
            || {{ percent_text('rate_without') }},
            ''
        )
        || case warning
            when 'too_few_data' then '. Too few to tell.'
            when 'early_outcomes'
                then '. Most went on before: this is of who was left.'
            else '. An association.'
        end as sentence
    from shares
)

select * from final

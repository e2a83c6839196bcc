with

touchpoint_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'touchpoint'
),

-- Read apart: a relation named twice would be stored whole in between.
question_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'touchpoint'
),

response_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'response'
),

exclusion_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where meaning = 'exclusion'
),

touchpoints as (
    select * from {{ ref('dim_touchpoints') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind = 'progress'
),

excluded_entities as (
    select distinct
        journey_id,
        entity_id
    from exclusion_rows
),

moments as (
    select
        question_rows.journey_id,
        question_rows.entity_id,
        question_rows.touchpoint_id,
        question_rows.source,
        question_rows.source_row_id,
        question_rows.event_seq,
        question_rows.occurred_at,
        1 as is_question
    from question_rows
    inner join touchpoints
        on question_rows.touchpoint_id = touchpoints.touchpoint_id
    where touchpoints.response_event is not null
    union all
    select
        journey_id,
        entity_id,
        touchpoint_id,
        source,
        source_row_id,
        event_seq,
        occurred_at,
        0 as is_question
    from response_rows
),

-- Nothing later than as_of is seen, in any column. An event that means the touchpoint
-- answers no other, even where it has the answer's name.
seen_moments as (
    select
        moments.journey_id,
        moments.entity_id,
        moments.touchpoint_id,
        moments.source,
        moments.source_row_id,
        moments.event_seq,
        moments.occurred_at,
        max(moments.is_question) as is_question
    from moments
    inner join journeys
        on
            moments.journey_id = journeys.journey_id
            and moments.occurred_at <= journeys.as_of
    group by
        moments.journey_id,
        moments.entity_id,
        moments.touchpoint_id,
        moments.source,
        moments.source_row_id,
        moments.event_seq,
        moments.occurred_at
),

-- Where clock and file cannot tell, the question came first.
answered_moments as (
    select
        *,
        min(case when is_question = 0 then occurred_at end) over (
            partition by journey_id, entity_id, touchpoint_id, source
            order by
                occurred_at,
                event_seq nulls last,
                is_question desc,
                {{ binary_order('source_row_id') }}
            rows between 1 following and unbounded following
        ) as responded_at
    from seen_moments
),

responses as (
    select
        journey_id,
        source,
        source_row_id,
        responded_at
    from answered_moments
    where
        is_question = 1
        and responded_at is not null
),

seen_rows as (
    select
        touchpoint_rows.journey_id,
        touchpoint_rows.entity_id,
        touchpoint_rows.customer_id,
        touchpoint_rows.touchpoint_id,
        touchpoint_rows.owner_team,
        touchpoint_rows.source,
        touchpoint_rows.source_row_id,
        touchpoint_rows.event_seq,
        touchpoint_rows.occurred_at,
        touchpoints.response_event,
        touchpoints.response_target_minutes,
        case
            when extents.complete_through < journeys.as_of
                then extents.complete_through
            else journeys.as_of
        end as observed_through
    from touchpoint_rows
    inner join journeys
        on
            touchpoint_rows.journey_id = journeys.journey_id
            and touchpoint_rows.occurred_at <= journeys.as_of
    inner join touchpoints
        on touchpoint_rows.touchpoint_id = touchpoints.touchpoint_id
    inner join extents
        on touchpoint_rows.source = extents.source
    left join excluded_entities
        on
            touchpoint_rows.journey_id = excluded_entities.journey_id
            and touchpoint_rows.entity_id = excluded_entities.entity_id
    where excluded_entities.entity_id is null
),

placed_rows as (
    select
        seen_rows.*,
        visits.attempt_number,
        visits.visit_number,
        visits.stage_id,
        responses.responded_at,
        seen_rows.journey_id || ':' || seen_rows.source
        || ':' || seen_rows.source_row_id as touchpoint_event_id,
        visits.journey_id || ':' || visits.entity_id
        || ':' || visits.attempt_number::{{ type_text() }} as case_id,
        {{ epoch_us('responses.responded_at') }}
        - {{ epoch_us('seen_rows.occurred_at') }} as response_us,
        {{ epoch_us('seen_rows.observed_through') }}
        - {{ epoch_us('seen_rows.occurred_at') }} as observed_us,
        case
            when seen_rows.response_event is not null
                then seen_rows.response_target_minutes * 60000000::bigint
        end as target_us
    from seen_rows
    left join visits
        on
            seen_rows.journey_id = visits.journey_id
            and seen_rows.entity_id = visits.entity_id
            and seen_rows.occurred_at >= visits.entered_at
            and seen_rows.occurred_at < coalesce(
                visits.exited_at, visits.lapsed_at, timestamp '9999-12-31 00:00:00'
            )
    left join responses
        on
            seen_rows.journey_id = responses.journey_id
            and seen_rows.source = responses.source
            and seen_rows.source_row_id = responses.source_row_id
),

final as (
    select
        touchpoint_event_id,
        journey_id,
        entity_id,
        customer_id,
        case_id,
        attempt_number,
        visit_number,
        stage_id,
        touchpoint_id,
        owner_team,
        occurred_at,
        event_seq,
        source,
        source_row_id,
        responded_at,
        response_us,
        observed_through,
        case_id || ':' || visit_number::{{ type_text() }} as visit_id,
        -- Late is also what has no answer when its time is over.
        case
            when response_us > target_us then true
            when response_us is not null and target_us is not null then false
            when observed_us > target_us then true
        end as is_late
    from placed_rows
)

select * from final

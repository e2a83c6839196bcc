with

source_events as (
    select * from {{ ref('int_source_events') }}
),

journeys as (
    select * from {{ ref('journeys') }}
),

stages as (
    select * from {{ ref('stages') }}
),

stage_rules as (
    select * from {{ ref('stage_rules') }}
),

entity_links as (
    select * from {{ ref('entity_links') }}
),

touchpoints as (
    select * from {{ ref('touchpoints') }}
),

touchpoint_rules as (
    select * from {{ ref('touchpoint_rules') }}
),

exclusions as (
    select * from {{ ref('exclusions') }}
),

stage_matches as (
    select
        stage_rules.journey_id,
        stage_rules.stage_id,
        source_events.source,
        source_events.source_row_id,
        source_events.occurred_at,
        source_events.event_seq,
        source_events.anonymous_id,
        source_events.customer_id,
        source_events.account_id,
        source_events.opportunity_id,
        source_events.support_contact_id,
        source_events.source_case_id,
        row_number() over (
            partition by
                stage_rules.journey_id,
                source_events.source,
                source_events.source_row_id
            order by
                stage_rules.priority nulls last,
                stages.stage_order
        ) as match_rank
    from source_events
    inner join stage_rules
        on
            source_events.source = stage_rules.source
            and source_events.event_name = stage_rules.event_name
            and {{ meets_property('source_events', 'stage_rules') }}
    inner join stages
        on
            stage_rules.journey_id = stages.journey_id
            and stage_rules.stage_id = stages.stage_id
),

touchpoint_matches as (
    select
        touchpoint_rules.touchpoint_id,
        coalesce(
            {{ event_property('source_events', 'touchpoints.owner_column') }},
            touchpoints.owner_team
        ) as owner_team,
        source_events.source,
        source_events.source_row_id,
        source_events.occurred_at,
        source_events.event_seq,
        source_events.anonymous_id,
        source_events.customer_id,
        source_events.account_id,
        source_events.opportunity_id,
        source_events.support_contact_id,
        source_events.source_case_id,
        row_number() over (
            partition by
                source_events.source,
                source_events.source_row_id
            order by
                touchpoint_rules.priority nulls last,
                {{ binary_order('touchpoint_rules.touchpoint_id') }}
        ) as match_rank
    from source_events
    inner join touchpoint_rules
        on
            source_events.source = touchpoint_rules.source
            and source_events.event_name = touchpoint_rules.event_name
            and {{ meets_property('source_events', 'touchpoint_rules') }}
    inner join touchpoints
        on touchpoint_rules.touchpoint_id = touchpoints.touchpoint_id
),

-- An exclusion without an event name looks at every event of its source, one without a
-- journey counts for all.
exclusion_matches as (
    select distinct
        journeys.journey_id,
        source_events.source,
        source_events.source_row_id,
        source_events.occurred_at,
        source_events.event_seq,
        source_events.anonymous_id,
        source_events.customer_id,
        source_events.account_id,
        source_events.opportunity_id,
        source_events.support_contact_id,
        source_events.source_case_id
    from source_events
    inner join exclusions
        on
            source_events.source = exclusions.source
            and source_events.event_name
            = coalesce(exclusions.event_name, source_events.event_name)
            and {{ meets_property('source_events', 'exclusions') }}
    inner join journeys
        on coalesce(exclusions.journey_id, journeys.journey_id) = journeys.journey_id
),

mapped as (
    select
        journey_id,
        'stage' as meaning,
        stage_id,
        null::varchar as touchpoint_id,
        null::varchar as owner_team,
        source,
        source_row_id,
        occurred_at,
        event_seq,
        anonymous_id,
        customer_id,
        account_id,
        opportunity_id,
        support_contact_id,
        source_case_id
    from stage_matches
    where match_rank = 1
    union all
    select
        entity_links.journey_id,
        'touchpoint' as meaning,
        null::varchar as stage_id,
        touchpoint_matches.touchpoint_id,
        touchpoint_matches.owner_team,
        touchpoint_matches.source,
        touchpoint_matches.source_row_id,
        touchpoint_matches.occurred_at,
        touchpoint_matches.event_seq,
        touchpoint_matches.anonymous_id,
        touchpoint_matches.customer_id,
        touchpoint_matches.account_id,
        touchpoint_matches.opportunity_id,
        touchpoint_matches.support_contact_id,
        touchpoint_matches.source_case_id
    from touchpoint_matches
    inner join entity_links
        on touchpoint_matches.source = entity_links.source
    where touchpoint_matches.match_rank = 1
    union all
    select
        journey_id,
        'exclusion' as meaning,
        null::varchar as stage_id,
        null::varchar as touchpoint_id,
        null::varchar as owner_team,
        source,
        source_row_id,
        occurred_at,
        event_seq,
        anonymous_id,
        customer_id,
        account_id,
        opportunity_id,
        support_contact_id,
        source_case_id
    from exclusion_matches
)

select * from mapped

{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}

with

journey_events as (
    select * from {{ ref('int_journey_events') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

stages as (
    select * from {{ ref('stages') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

rebuilt_events as (
    select *
    from journey_events
    where {{ is_rebuilt('journey_events') }}
),

excluded_entities as (
    select distinct
        journey_id,
        entity_id
    from rebuilt_events
    where meaning = 'exclusion'
),

kept_events as (
    select rebuilt_events.*
    from rebuilt_events
    left join excluded_entities
        on
            rebuilt_events.journey_id = excluded_entities.journey_id
            and rebuilt_events.entity_id = excluded_entities.entity_id
    where excluded_entities.entity_id is null
),

stage_events as (
    select
        kept_events.journey_id,
        kept_events.entity_id,
        kept_events.customer_id,
        kept_events.account_id,
        kept_events.source,
        kept_events.source_row_id,
        kept_events.occurred_at,
        kept_events.event_seq,
        kept_events.stage_id,
        stages.stage_order,
        stages.stage_kind,
        journeys.has_own_id,
        journeys.attempt_gap_us,
        journeys.order_mode,
        stages.stage_order = journeys.entry_stage_order as is_entry,
        case when stages.stage_kind = 'progress' then 0 else 1 end as is_end
    from kept_events
    inner join stages
        on
            kept_events.journey_id = stages.journey_id
            and kept_events.stage_id = stages.stage_id
    inner join journeys
        on kept_events.journey_id = journeys.journey_id
    where kept_events.meaning = 'stage'
),

-- The declared total order of a history (domain.md §5).
ordered_events as (
    select
        *,
        row_number() over history as event_number,
        lag(occurred_at) over history as previous_occurred_at,
        lag(is_end) over history as previous_is_end,
        coalesce(sum(is_end) over earlier_history, 0) as ends_before
    from stage_events
    window
        history as (
            partition by journey_id, entity_id
            order by
                occurred_at,
                stage_order,
                event_seq nulls last,
                {{ binary_order('source_row_id') }},
                {{ binary_order('source') }}
        ),
        earlier_history as (
            partition by journey_id, entity_id
            order by
                occurred_at,
                stage_order,
                event_seq nulls last,
                {{ binary_order('source_row_id') }},
                {{ binary_order('source') }}
            rows between unbounded preceding and 1 preceding
        )
),

-- An entity with an id of its own is reopened by any progress event after the end. For
-- the others an entry event opens an attempt after quiet, or where the history ended
-- since the entry event before it: had it ended earlier, that one would have opened it.
attempt_starts as (
    select
        *,
        case
            when event_number = 1 then 1
            when has_own_id
                then case when is_end = 0 and previous_is_end = 1 then 1 else 0 end
            when not is_entry then 0
            when
                {{ epoch_us('occurred_at') }}
                - {{ epoch_us('previous_occurred_at') }} > attempt_gap_us
                then 1
            when
                ends_before > coalesce(
                    lag(ends_before) over (
                        partition by journey_id, entity_id, is_entry
                        order by event_number
                    ), 0
                )
                then 1
            else 0
        end as starts_attempt
    from ordered_events
),

attempts as (
    select
        *,
        sum(starts_attempt) over (
            partition by journey_id, entity_id
            order by event_number
            rows between unbounded preceding and current row
        )::integer as attempt_number
    from attempt_starts
),

attempt_events as (
    select
        *,
        coalesce(
            sum(is_end) over (
                partition by journey_id, entity_id, attempt_number
                order by event_number
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as ends_before_in_attempt,
        lag(stage_id) over (
            partition by journey_id, entity_id, attempt_number
            order by event_number
        ) as previous_stage_id
    from attempts
),

-- Events after the end are orphans; consecutive events of one stage are one visit.
entering_events as (
    select
        *,
        row_number() over (
            partition by journey_id, entity_id, attempt_number
            order by event_number
        )::integer as visit_number
    from attempt_events
    where
        ends_before_in_attempt = 0
        and stage_id is distinct from previous_stage_id
),

case_starts as (
    select
        entering_events.journey_id,
        entering_events.entity_id,
        entering_events.attempt_number,
        (
            not entering_events.is_entry
            and entering_events.order_mode <> 'any'
        )
        or (
            not entering_events.has_own_id
            and {{ epoch_us('entering_events.occurred_at') }}
            - {{ epoch_us('extents.source_start') }}
            < entering_events.attempt_gap_us
        ) as is_left_truncated,
        lead(entering_events.occurred_at) over (
            partition by entering_events.journey_id, entering_events.entity_id
            order by entering_events.attempt_number
        ) as next_attempt_at
    from entering_events
    inner join extents
        on entering_events.source = extents.source
    where entering_events.visit_number = 1
),

counted_stages as (
    select
        journey_id,
        stage_id,
        stage_order,
        case
            when stage_kind = 'progress' and not coalesce(is_optional, false) then 1
            else 0
        end as is_mandatory
    from stages
),

mandatory_stages as (
    select
        journey_id,
        stage_id,
        is_mandatory,
        sum(is_mandatory) over (
            partition by journey_id
            order by stage_order
            rows between unbounded preceding and current row
        ) as mandatory_through
    from counted_stages
),

named_entries as (
    select
        entering_events.*,
        extents.is_date_only,
        mandatory_stages.mandatory_through,
        mandatory_stages.mandatory_through
        - mandatory_stages.is_mandatory as mandatory_before,
        entering_events.journey_id || ':' || entering_events.entity_id
        || ':' || entering_events.attempt_number::varchar as case_id
    from entering_events
    inner join extents
        on entering_events.source = extents.source
    inner join mandatory_stages
        on
            entering_events.journey_id = mandatory_stages.journey_id
            and entering_events.stage_id = mandatory_stages.stage_id
),

visit_steps as (
    select
        *,
        case_id || ':' || visit_number::varchar as visit_id,
        lead(stage_id) over steps as next_stage_id,
        lead(stage_kind) over steps as next_stage_kind,
        lead(stage_order) over steps as next_stage_order,
        lead(mandatory_before) over steps as next_mandatory_before,
        lead(occurred_at) over steps as exited_at,
        lead(is_date_only) over steps as is_exit_date_only
    from named_entries
    window
        steps as (
            partition by journey_id, entity_id, attempt_number
            order by visit_number
        )
),

visits as (
    select
        visit_steps.visit_id,
        visit_steps.case_id,
        visit_steps.journey_id,
        visit_steps.entity_id,
        visit_steps.customer_id,
        visit_steps.account_id,
        visit_steps.attempt_number,
        visit_steps.visit_number,
        visit_steps.stage_id,
        visit_steps.stage_order,
        visit_steps.stage_kind,
        visit_steps.source,
        visit_steps.source_row_id,
        visit_steps.event_seq,
        visit_steps.occurred_at as entered_at,
        visit_steps.exited_at,
        visit_steps.next_stage_id,
        case_starts.is_left_truncated,
        case
            when visit_steps.next_stage_kind = 'success' then 'success'
            when visit_steps.next_stage_kind = 'exit' then 'exit'
            when visit_steps.next_stage_order < visit_steps.stage_order then 'back'
            when visit_steps.next_mandatory_before > visit_steps.mandatory_through
                then 'skip'
            when visit_steps.next_stage_id is not null then 'forward'
        end as transition_kind,
        case
            when visit_steps.is_end = 0 and visit_steps.exited_at is null
                then case_starts.next_attempt_at
        end as lapsed_at,
        visit_steps.is_date_only
        or coalesce(visit_steps.is_exit_date_only, false) as is_date_only
    from visit_steps
    inner join case_starts
        on
            visit_steps.journey_id = case_starts.journey_id
            and visit_steps.entity_id = case_starts.entity_id
            and visit_steps.attempt_number = case_starts.attempt_number
)

select * from visits

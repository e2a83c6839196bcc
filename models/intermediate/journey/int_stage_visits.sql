{#- A window costs as much as its rows are wide, so what is sorted is narrow: stages are
    numbers and the journey's rules flags, until the visits are found. Numbers also compare
    faster than texts: the hash decides where entities differ, the text where they agree. -#}
{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}
{#- Below every stage_order of a map. -#}
{%- set no_stage = "-2147483648" %}

with

all_stage_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning = 'stage'
),

-- First, before anything is joined to them.
stage_rows as (
    select *
    from all_stage_rows
    where {{ is_rebuilt('all_stage_rows') }}
),

exclusion_rows as (
    select *
    from {{ rebuilt_events() }}
    where meaning = 'exclusion'
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

working_hours as (
    select * from {{ ref('int_working_hours') }}
),

journey_hours as (
    select
        working_hours.*,
        journeys.journey_number
    from journeys
    inner join working_hours
        on journeys.calendar_id = working_hours.calendar_id
),

numbered_stages as (
    select
        journeys.journey_id,
        journeys.journey_number,
        journeys.attempt_gap_us,
        stages.stage_id,
        stages.stage_order,
        stages.stage_kind,
        journeys.has_own_id,
        journeys.keeps_source,
        journeys.entity = 'customer' as is_of_customers,
        journeys.order_mode = 'any' as has_any_order,
        stages.stage_kind <> 'progress' as is_end,
        stages.stage_order = journeys.entry_stage_order as is_entry,
        {{ is_mandatory('stages') }} as is_mandatory,
        {{ mandatory_through('stages') }} as mandatory_through
    from stages
    inner join journeys
        on stages.journey_id = journeys.journey_id
),

-- Every stage with every one that may follow it, and with none (0).
moves as (
    select
        left_stages.journey_number,
        left_stages.journey_id,
        left_stages.stage_order,
        left_stages.stage_id,
        left_stages.stage_kind,
        next_stages.stage_id as next_stage_id,
        next_stages.stage_order as next_stage_order,
        case
            when next_stages.stage_kind <> 'progress' then next_stages.stage_kind
            when next_stages.stage_order < left_stages.stage_order then 'back'
            when {{ is_passed_over('left_stages', 'next_stages') }} then 'skip'
            else 'forward'
        end as transition_kind
    from numbered_stages as left_stages
    inner join numbered_stages as next_stages
        on left_stages.journey_number = next_stages.journey_number
    union all
    select
        journey_number,
        journey_id,
        stage_order,
        stage_id,
        stage_kind,
        null::{{ type_text() }} as next_stage_id,
        null::integer as next_stage_order,
        null::{{ type_text() }} as transition_kind
    from numbered_stages
),

excluded_entities as (
    select distinct
        journey_id,
        entity_id
    from exclusion_rows
    where {{ is_rebuilt('exclusion_rows') }}
),

-- In a journey of customers the customer is the entity and need not be carried twice.
stage_events as (
    select
        numbered_stages.journey_number,
        stage_rows.entity_id,
        stage_rows.occurred_at,
        numbered_stages.stage_order,
        stage_rows.event_seq,
        stage_rows.source_row_id,
        stage_rows.source,
        stage_rows.account_id,
        numbered_stages.attempt_gap_us,
        numbered_stages.has_own_id,
        numbered_stages.keeps_source,
        numbered_stages.is_end,
        numbered_stages.is_entry,
        extents.is_date_only,
        case
            when not numbered_stages.is_of_customers then stage_rows.customer_id
        end as other_customer_id,
        {{ hash_number('stage_rows.entity_id') }} as entity_hash,
        (not numbered_stages.is_entry and not numbered_stages.has_any_order)
        or (
            not numbered_stages.has_own_id
            and {{ epoch_us('stage_rows.occurred_at') }}
            - {{ epoch_us('extents.source_start') }} < numbered_stages.attempt_gap_us
        ) as would_be_truncated
    from stage_rows
    inner join numbered_stages
        on
            stage_rows.journey_id = numbered_stages.journey_id
            and stage_rows.stage_id = numbered_stages.stage_id
    inner join extents
        on stage_rows.source = extents.source
    left join excluded_entities
        on
            stage_rows.journey_id = excluded_entities.journey_id
            and stage_rows.entity_id = excluded_entities.entity_id
    where excluded_entities.entity_id is null
),

-- The declared total order of a history (domain.md §5). The entry stage is the first in
-- order, so an end at the moment of an entry comes after it: the latest of both is an
-- end where the greatest of these numbers is odd.
ordered_events as (
    select
        *,
        row_number() over history as event_number,
        lag(occurred_at) over history as previous_occurred_at,
        lag(stage_order) over history as previous_stage_order,
        lag(is_end) over history as follows_end,
        lead(is_end) over history is null as is_last,
        max(
            case
                when is_end then {{ epoch_us('occurred_at') }} * 2 + 1
                when is_entry then {{ epoch_us('occurred_at') }} * 2
            end
        ) over earlier_history as latest_turn
    from stage_events
    window
        history as (
            partition by journey_number, entity_hash, entity_id
            order by
                occurred_at,
                stage_order,
                event_seq nulls last,
                {{ binary_order('source_row_id') }},
                {{ binary_order('source') }}
        ),
        earlier_history as (
            partition by journey_number, entity_hash, entity_id
            order by
                occurred_at,
                stage_order,
                event_seq nulls last,
                {{ binary_order('source_row_id') }},
                {{ binary_order('source') }}
            rows between unbounded preceding and 1 preceding
        )
),

ended_events as (
    select
        *,
        coalesce(latest_turn % 2 <> 0, false) as is_after_end,
        {{ epoch_us('occurred_at') }} - {{ epoch_us('previous_occurred_at') }}
        > attempt_gap_us as is_after_quiet
    from ordered_events
),

-- An entity with an id of its own is reopened by any progress event after the end, the
-- others by an entry event; of these one after quiet opens an attempt too.
judged_events as (
    select
        *,
        case
            when event_number = 1 then true
            when has_own_id then follows_end and not is_end
            else is_entry and (is_after_end or is_after_quiet)
        end as starts_attempt,
        case
            when event_number = 1 then false
            when has_own_id then follows_end and is_end
            else is_after_end and not is_entry
        end as is_orphan
    from ended_events
),

-- Consecutive events of one stage are one visit. Events after the end are orphans; the
-- last one of a history is kept to count them by. Which row made the entry is carried
-- where the map asks for it.
entering_events as (
    select
        journey_number,
        entity_hash,
        entity_id,
        event_number,
        occurred_at,
        stage_order,
        other_customer_id,
        account_id,
        is_date_only,
        is_end,
        is_orphan,
        would_be_truncated,
        case when keeps_source then event_seq end as event_seq,
        case when keeps_source then source_row_id end as source_row_id,
        case when keeps_source then source end as source,
        case when starts_attempt then 1 else 0 end as starts_attempt
    from judged_events
    where
        starts_attempt
        or (not is_orphan and stage_order <> previous_stage_order)
        or (is_orphan and is_last)
),

clocked_events as (
    select
        entering_events.*,
        {{ working_us('entering_events.occurred_at', 'journey_hours') }}
            as entered_working_us
    from entering_events
    left join journey_hours
        on
            entering_events.journey_number = journey_hours.journey_number
            and {{ is_in_segment('entering_events.occurred_at', 'journey_hours') }}
),

-- Of an attempt's start, its place in the history and whether it is truncated travel in
-- one number: only the latest start's is wanted.
steps as (
    select
        *,
        row_number() over history as entry_number,
        lead(occurred_at) over history as next_occurred_at,
        lead(stage_order) over history as next_stage_order,
        lead(is_date_only) over history as is_next_date_only,
        lead(entered_working_us) over history as next_working_us,
        lead(event_number) over history as next_event_number,
        lead(starts_attempt) over history as next_starts_attempt,
        (sum(starts_attempt) over history_so_far)::integer as attempt_number,
        max(
            case
                when starts_attempt = 1
                    then
                        event_number * 2
                        + case when would_be_truncated then 1 else 0 end
            end
        ) over history_so_far as latest_start
    from clocked_events
    window
        history as (
            partition by journey_number, entity_hash, entity_id
            order by event_number
        ),
        history_so_far as (
            partition by journey_number, entity_hash, entity_id
            order by event_number
            rows between unbounded preceding and current row
        )
),

later_starts as (
    select
        journey_number,
        entity_id,
        attempt_number,
        entry_number
    from steps
    where
        starts_attempt = 1
        and attempt_number > 1
),

numbered_visits as (
    select
        steps.*,
        (
            steps.entry_number - coalesce(later_starts.entry_number, 1) + 1
        )::integer as visit_number,
        not steps.is_end and coalesce(steps.next_starts_attempt = 0, false)
            as is_left,
        not steps.is_end and coalesce(steps.next_starts_attempt = 1, false)
            as is_lapsed
    from steps
    left join later_starts
        on
            steps.journey_number = later_starts.journey_number
            and steps.entity_id = later_starts.entity_id
            and steps.attempt_number = later_starts.attempt_number
    where not steps.is_orphan
),

visits as (
    select
        moves.journey_id,
        numbered_visits.entity_id,
        numbered_visits.attempt_number,
        numbered_visits.visit_number,
        numbered_visits.other_customer_id,
        numbered_visits.account_id,
        moves.stage_id,
        moves.stage_order,
        moves.stage_kind,
        numbered_visits.source,
        numbered_visits.source_row_id,
        numbered_visits.event_seq,
        numbered_visits.occurred_at as entered_at,
        numbered_visits.entered_working_us,
        moves.next_stage_id,
        moves.transition_kind,
        case when numbered_visits.is_left then numbered_visits.next_occurred_at end
            as exited_at,
        case when numbered_visits.is_lapsed then numbered_visits.next_occurred_at end
            as lapsed_at,
        case
            when numbered_visits.is_left or numbered_visits.is_lapsed
                then numbered_visits.next_working_us
        end as left_working_us,
        numbered_visits.latest_start % 2 = 1 as is_left_truncated,
        numbered_visits.is_date_only
        or (numbered_visits.is_left and numbered_visits.is_next_date_only)
            as is_date_only,
        case
            when numbered_visits.is_end and numbered_visits.next_event_number > 0
                then
                    numbered_visits.next_event_number
                    - numbered_visits.event_number
                    - numbered_visits.next_starts_attempt
            else 0
        end as orphan_events
    from numbered_visits
    inner join moves
        on
            numbered_visits.journey_number = moves.journey_number
            and numbered_visits.stage_order = moves.stage_order
            and coalesce(
                case
                    when numbered_visits.is_left
                        then numbered_visits.next_stage_order
                end,
                {{ no_stage }}
            )
            = coalesce(moves.next_stage_order, {{ no_stage }})
)

select * from visits

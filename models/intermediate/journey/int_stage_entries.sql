{#- Most of the cost is the width of rows that are kept for a second reading: the visits
    are read anew instead, and only cases that turn back are looked at twice. -#}
{{ config(materialized='incremental', incremental_strategy='entity_rebuild') }}

{#- In an increment they are few, and stored in between; else they are read anew. -#}
{%- set is_visit_rebuilt = is_rebuilt('all_visits') %}
{%- set stage_visits = (
    'rebuilt_visits' if is_incremental() else ref('int_stage_visits')
) %}

with
{% if is_incremental() %}
    all_visits as (
        select * from {{ ref('int_stage_visits') }}
    ),

    rebuilt_visits as (
        select *
        from all_visits
        where {{ is_visit_rebuilt }}
    ),
{% endif %}
visits as (
    select *
    from {{ stage_visits }}
    where stage_kind = 'progress'
),

turning_visits as (
    select *
    from {{ stage_visits }}
    where transition_kind in ('back', 'skip')
),

progress_visits as (
    select *
    from {{ stage_visits }}
    where stage_kind = 'progress'
),

following_visits as (
    select *
    from {{ stage_visits }}
    where visit_number > 1
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

stages as (
    select * from {{ ref('stages') }}
),

ordered_stages as (
    select
        stages.journey_id,
        stages.stage_id,
        stages.stage_order,
        stages.stage_kind,
        journeys.order_mode,
        {{ is_mandatory('stages') }} as is_mandatory,
        {{ mandatory_through('stages') }} as mandatory_through
    from stages
    inner join journeys
        on stages.journey_id = journeys.journey_id
),

-- What entering the second stage straight after the first is. In order a later stage is
-- an advance; strictly, only where no mandatory stage lies between; in any order each
-- other stage. An exit never is.
stage_pairs as (
    select
        ordered_stages.journey_id,
        ordered_stages.stage_id,
        next_stages.stage_id as next_stage_id,
        case
            when next_stages.stage_kind = 'exit' then false
            when ordered_stages.order_mode = 'any' then true
            when next_stages.stage_order < ordered_stages.stage_order then false
            when ordered_stages.order_mode = 'strict'
                then not {{ is_passed_over('ordered_stages', 'next_stages') }}
            else true
        end as is_advance
    from ordered_stages
    inner join ordered_stages as next_stages
        on
            ordered_stages.journey_id = next_stages.journey_id
            and ordered_stages.stage_id <> next_stages.stage_id
),

-- The others only go up: each visit is its stage's first, and what follows it at once
-- settles whether it advanced.
winding_cases as (
    select distinct
        turning_visits.journey_id,
        turning_visits.entity_id,
        turning_visits.attempt_number
    from turning_visits
    inner join journeys
        on turning_visits.journey_id = journeys.journey_id
    where
        turning_visits.transition_kind = 'back'
        or journeys.order_mode = 'strict'
),

winding_visits as (
    select
        progress_visits.journey_id,
        progress_visits.entity_id,
        progress_visits.attempt_number,
        progress_visits.visit_number,
        progress_visits.stage_order,
        progress_visits.transition_kind,
        row_number() over (
            partition by
                progress_visits.journey_id,
                progress_visits.entity_id,
                progress_visits.attempt_number,
                progress_visits.stage_order
            order by progress_visits.visit_number
        ) as visit_rank
    from progress_visits
    inner join winding_cases
        on
            progress_visits.journey_id = winding_cases.journey_id
            and progress_visits.entity_id = winding_cases.entity_id
            and progress_visits.attempt_number = winding_cases.attempt_number
),

unsettled_visits as (
    select
        winding_visits.journey_id,
        winding_visits.entity_id,
        winding_visits.attempt_number,
        winding_visits.visit_number,
        winding_visits.stage_order,
        journeys.order_mode = 'ordered' as may_advance_later
    from winding_visits
    inner join journeys
        on winding_visits.journey_id = journeys.journey_id
    where
        winding_visits.visit_rank = 1
        and journeys.order_mode <> 'any'
        and (
            winding_visits.transition_kind = 'back'
            or (
                winding_visits.transition_kind = 'skip'
                and journeys.order_mode = 'strict'
            )
        )
),

later_visits as (
    select
        unsettled_visits.journey_id,
        unsettled_visits.entity_id,
        unsettled_visits.attempt_number,
        unsettled_visits.visit_number,
        following_visits.entered_at,
        following_visits.lapsed_at,
        following_visits.is_date_only,
        unsettled_visits.may_advance_later
        and following_visits.stage_kind <> 'exit'
        and following_visits.stage_order > unsettled_visits.stage_order as is_advance
    from unsettled_visits
    inner join following_visits
        on
            unsettled_visits.journey_id = following_visits.journey_id
            and unsettled_visits.entity_id = following_visits.entity_id
            and unsettled_visits.attempt_number = following_visits.attempt_number
            and unsettled_visits.visit_number < following_visits.visit_number
),

later_outcomes as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        min(case when is_advance then entered_at end) as advanced_at,
        min(
            case when is_advance and is_date_only then entered_at end
        ) as dated_advanced_at,
        max(lapsed_at) as lapsed_at
    from later_visits
    where
        is_advance
        or lapsed_at is not null
    group by
        journey_id,
        entity_id,
        attempt_number,
        visit_number
),

second_looks as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        true as is_repeat,
        null::timestamp as advanced_at,
        null::timestamp as dated_advanced_at,
        null::timestamp as lapsed_at
    from winding_visits
    where visit_rank > 1
    union all
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        false as is_repeat,
        advanced_at,
        dated_advanced_at,
        lapsed_at
    from later_outcomes
),

entries as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.other_customer_id,
        visits.account_id,
        visits.attempt_number,
        visits.visit_number,
        visits.stage_id,
        visits.entered_at,
        visits.is_left_truncated,
        case
            when stage_pairs.is_advance then visits.exited_at
            else second_looks.advanced_at
        end as advanced_at,
        coalesce(visits.lapsed_at, second_looks.lapsed_at) as lapsed_at,
        visits.is_date_only
        or coalesce(
            second_looks.dated_advanced_at = second_looks.advanced_at, false
        ) as is_date_only
    from visits
    left join stage_pairs
        on
            visits.journey_id = stage_pairs.journey_id
            and visits.stage_id = stage_pairs.stage_id
            and visits.next_stage_id = stage_pairs.next_stage_id
    left join second_looks
        on
            visits.journey_id = second_looks.journey_id
            and visits.entity_id = second_looks.entity_id
            and visits.attempt_number = second_looks.attempt_number
            and visits.visit_number = second_looks.visit_number
    where not coalesce(second_looks.is_repeat, false)
)

select * from entries

{#- In-between moments. Who takes a case on is known of those that went on; who had it
    before of all. So a hand-off waits for whom the stage is most often advanced by, and
    the cases that nobody took on count as well. -#}
with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

cohort_stages as (
    select *
    from {{ ref('int_cohort_stages') }}
    where metric_id is null
),

stage_visits as (
    select * from {{ ref('int_stage_visits') }}
),

entered_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

next_touchpoints as (
    select * from {{ ref('int_visit_touchpoints') }}
),

touchpoint_events as (
    select *
    from {{ ref('fct_touchpoint_events') }}
    where visit_id is not null
),

advancing_touchpoints as (
    select
        stage_visits.journey_id,
        stage_visits.stage_id,
        {{ owner_name('next_touchpoints.owner_team') }} as owner_name,
        count(*) as visits
    from stage_visits
    inner join cohort_stages
        on
            stage_visits.journey_id = cohort_stages.journey_id
            and stage_visits.stage_id = cohort_stages.stage_id
            and {{ is_seen('stage_visits.exited_at', 'cohort_stages.as_of') }}
    inner join next_touchpoints
        on
            stage_visits.journey_id = next_touchpoints.journey_id
            and stage_visits.entity_id = next_touchpoints.entity_id
            and stage_visits.attempt_number = next_touchpoints.attempt_number
            and stage_visits.visit_number + 1 = next_touchpoints.visit_number
    where stage_visits.transition_kind in ('success', 'skip', 'forward')
    group by
        stage_visits.journey_id,
        stage_visits.stage_id,
        {{ owner_name('next_touchpoints.owner_team') }}
),

ranked_receivers as (
    select
        *,
        row_number() over (
            partition by journey_id, stage_id
            order by
                visits desc,
                {{ binary_order('owner_name') }} asc
        ) as receiver_rank
    from advancing_touchpoints
),

receivers as (
    select
        journey_id,
        stage_id,
        owner_name as to_owner
    from ranked_receivers
    where receiver_rank = 1
),

entry_holdings as (
    select
        entries.journey_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.entered_at as began_at,
        entered_touchpoints.touchpoint_id,
        {{ owner_name('entered_touchpoints.owner_team') }} as from_owner
    from entries
    inner join entered_touchpoints
        on
            entries.journey_id = entered_touchpoints.journey_id
            and entries.entity_id = entered_touchpoints.entity_id
            and entries.attempt_number = entered_touchpoints.attempt_number
            and entries.visit_number = entered_touchpoints.visit_number
),

-- Only the first: the longer a case is stuck, the more owners it meets.
other_holdings as (
    select
        touchpoint_events.journey_id,
        touchpoint_events.entity_id,
        touchpoint_events.attempt_number,
        touchpoint_events.visit_number,
        touchpoint_events.occurred_at as began_at,
        touchpoint_events.touchpoint_id,
        {{ owner_name('touchpoint_events.owner_team') }} as from_owner,
        row_number() over (
            partition by
                touchpoint_events.journey_id,
                touchpoint_events.entity_id,
                touchpoint_events.attempt_number,
                touchpoint_events.visit_number
            order by
                touchpoint_events.occurred_at,
                touchpoint_events.event_seq nulls last,
                {{ binary_order('touchpoint_events.source_row_id') }},
                {{ binary_order('touchpoint_events.source') }}
        ) as holding_number
    from touchpoint_events
    left join entry_holdings
        on
            touchpoint_events.journey_id = entry_holdings.journey_id
            and touchpoint_events.entity_id = entry_holdings.entity_id
            and touchpoint_events.attempt_number = entry_holdings.attempt_number
            and touchpoint_events.visit_number = entry_holdings.visit_number
    where
        {{ owner_name('touchpoint_events.owner_team') }}
        is distinct from entry_holdings.from_owner
),

holdings as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        began_at,
        touchpoint_id,
        from_owner
    from entry_holdings
    union all
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        began_at,
        touchpoint_id,
        from_owner
    from other_holdings
    where holding_number = 1
),

begun as (
    select
        entries.journey_id,
        entries.stage_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.customer_id,
        entries.cluster_id,
        entries.entered_at,
        entries.advanced_at,
        entries.time_to_advance_us,
        holdings.began_at,
        holdings.touchpoint_id,
        holdings.from_owner,
        receivers.to_owner,
        cohort_stages.conversion_window_days as window_days,
        cohort_stages.observed_through,
        {{ epoch_us('holdings.began_at') }}
        - {{ epoch_us('entries.entered_at') }} as held_after_us
    from holdings
    inner join entries
        on
            holdings.journey_id = entries.journey_id
            and holdings.entity_id = entries.entity_id
            and holdings.attempt_number = entries.attempt_number
            and holdings.visit_number = entries.visit_number
    inner join receivers
        on
            entries.journey_id = receivers.journey_id
            and entries.stage_id = receivers.stage_id
    inner join cohort_stages
        on entries.stage_number = cohort_stages.stage_number
    where holdings.from_owner <> receivers.to_owner
),

hand_offs as (
    select
        journey_id,
        stage_id,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        touchpoint_id,
        from_owner,
        to_owner,
        entered_at,
        began_at,
        advanced_at,
        window_days,
        observed_through,
        from_owner || ' → ' || to_owner as hand_off,
        'hand_off:' || journey_id || ':' || entity_id
        || ':' || attempt_number::{{ type_text() }} || ':'
        || visit_number::{{ type_text() }}
        || ':' || from_owner as unit_id,
        advanced_at is not null as has_advanced,
        case
            when time_to_advance_us is not null
                then greatest(time_to_advance_us - held_after_us, 0)
        end as wait_us,
        coalesce(
            {{ epoch_us('began_at') }} + window_days * 86400000000
            <= {{ epoch_us('observed_through') }},
            false
        ) as is_judged,
        coalesce(
            {{ epoch_us('advanced_at') }} - {{ epoch_us('began_at') }}
            > window_days * 86400000000,
            true
        ) as is_lost
    from begun
)

select * from hand_offs

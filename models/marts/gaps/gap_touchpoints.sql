with

unmapped_events as (
    select * from {{ ref('int_unmapped_events') }}
),

touchpoint_use as (
    select * from {{ ref('int_touchpoint_use') }}
),

double_matches as (
    select * from {{ ref('int_overlapping_touchpoints') }}
),

hand_offs as (
    select * from {{ ref('int_hand_off_effects') }}
),

transitions as (
    select * from {{ ref('fct_stage_transitions') }}
),

touchpoints as (
    select * from {{ ref('dim_touchpoints') }}
),

other_touchpoints as (
    select * from {{ ref('dim_touchpoints') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

owner_moves as (
    select
        journey_id,
        {{ owner_name('from_owner_team') }}
        || ' → ' || {{ owner_name('to_owner_team') }} as pair,
        transition_kind = 'back' as is_back,
        duration_us,
        occurred_at
    from transitions
    where
        from_touchpoint_id is not null
        and to_touchpoint_id is not null
        and {{ owner_name('from_owner_team') }} <> {{ owner_name('to_owner_team') }}
),

ordered_back_moves as (
    select
        journey_id,
        pair,
        duration_us,
        row_number() over (
            partition by journey_id, pair
            order by duration_us
        ) as place,
        count(*) over (partition by journey_id, pair) as places
    from owner_moves
    where
        is_back
        and duration_us is not null
),

median_back_moves as (
    select
        journey_id,
        pair,
        avg({{ days('duration_us') }}) as median_wait_days
    from ordered_back_moves
    where {{ is_middle('place', 'places') }}
    group by
        journey_id,
        pair
),

move_counts as (
    select
        journey_id,
        pair,
        count(*) as moves,
        sum(case when is_back then 1 else 0 end)::bigint as back_moves,
        max(case when is_back then occurred_at end) as last_seen_at
    from owner_moves
    group by
        journey_id,
        pair
),

touchpoint_findings as (
    select
        'no_owner' as finding_kind,
        touchpoint_id,
        events as n,
        unowned_events as n_affected,
        unowned_events::{{ type_double() }} as weight,
        entities,
        last_seen_at,
        null::{{ type_double() }} as median_wait_days,
        has_rules
    from touchpoint_use
    where
        unowned_events > 0
        or is_unowned
    union all
    select
        'no_events' as finding_kind,
        touchpoint_id,
        events as n,
        0 as n_affected,
        case when is_promoted then 1 else 0 end::{{ type_double() }} as weight,
        entities,
        last_seen_at,
        null::{{ type_double() }} as median_wait_days,
        has_rules
    from touchpoint_use
    where events = 0
    union all
    select
        'unanswered' as finding_kind,
        touchpoint_id,
        judged_events as n,
        unanswered_events as n_affected,
        unanswered_events::{{ type_double() }} as weight,
        null::bigint as entities,
        last_seen_at,
        median_response_days as median_wait_days,
        has_rules
    from touchpoint_use
    where
        response_event is not null
        and unanswered_events > 0
    union all
    select
        'late' as finding_kind,
        touchpoint_id,
        judged_events as n,
        late_events as n_affected,
        late_events::{{ type_double() }} as weight,
        null::bigint as entities,
        last_seen_at,
        median_response_days as median_wait_days,
        has_rules
    from touchpoint_use
    where
        response_event is not null
        and late_events > 0
),

findings as (
    select
        'unmapped_event' as finding_kind,
        null::{{ type_text() }} as journey_id,
        null::{{ type_text() }} as stage_id,
        null::{{ type_text() }} as touchpoint_id,
        source,
        event_name,
        null::{{ type_text() }} as pair,
        source_events as n,
        events as n_affected,
        events::{{ type_double() }} as weight,
        entities,
        last_seen_at,
        null::{{ type_double() }} as median_wait_days,
        null::{{ type_double() }} as median_working_wait_days,
        null::integer as window_days,
        null::bigint as other_n,
        null::{{ type_double() }} as other_share,
        null::{{ type_double() }} as other_median_wait_days,
        null::{{ type_double() }} as excess_days,
        null::boolean as has_rules,
        null::{{ type_text() }} as warning
    from unmapped_events
    union all
    select
        finding_kind,
        null::{{ type_text() }} as journey_id,
        null::{{ type_text() }} as stage_id,
        touchpoint_id,
        null::{{ type_text() }} as source,
        null::{{ type_text() }} as event_name,
        null::{{ type_text() }} as pair,
        n,
        n_affected,
        weight,
        entities,
        last_seen_at,
        median_wait_days,
        null::{{ type_double() }} as median_working_wait_days,
        null::integer as window_days,
        null::bigint as other_n,
        null::{{ type_double() }} as other_share,
        null::{{ type_double() }} as other_median_wait_days,
        null::{{ type_double() }} as excess_days,
        has_rules,
        null::{{ type_text() }} as warning
    from touchpoint_findings
    union all
    select
        'overlapping_rules' as finding_kind,
        null::{{ type_text() }} as journey_id,
        null::{{ type_text() }} as stage_id,
        null::{{ type_text() }} as touchpoint_id,
        double_matches.source,
        null::{{ type_text() }} as event_name,
        touchpoints.name || ', ' || other_touchpoints.name as pair,
        double_matches.events_of_either as n,
        double_matches.events as n_affected,
        double_matches.events::{{ type_double() }} as weight,
        null::bigint as entities,
        null::timestamp as last_seen_at,
        null::{{ type_double() }} as median_wait_days,
        null::{{ type_double() }} as median_working_wait_days,
        null::integer as window_days,
        null::bigint as other_n,
        null::{{ type_double() }} as other_share,
        null::{{ type_double() }} as other_median_wait_days,
        null::{{ type_double() }} as excess_days,
        true as has_rules,
        null::{{ type_text() }} as warning
    from double_matches
    inner join touchpoints
        on double_matches.touchpoint_id = touchpoints.touchpoint_id
    inner join other_touchpoints
        on double_matches.other_touchpoint_id = other_touchpoints.touchpoint_id
    union all
    -- Only what waits longer than the stage's other cases is a gap.
    select
        'hand_off' as finding_kind,
        journey_id,
        stage_id,
        touchpoint_id,
        null::{{ type_text() }} as source,
        null::{{ type_text() }} as event_name,
        hand_off as pair,
        n,
        lost as n_affected,
        excess_days as weight,
        null::bigint as entities,
        last_seen_at,
        median_wait_days,
        median_working_wait_days,
        window_days,
        other_n,
        other_lost_share as other_share,
        other_median_wait_days,
        excess_days,
        null::boolean as has_rules,
        case
            when n < {{ var('minimum_n') }} then null
            when other_n < {{ var('minimum_n') }} then 'no_comparison'
            when begins_late then 'begins_late'
            when excess_days <= 0 then 'no_excess'
        end as warning
    from hand_offs
    union all
    select
        'back_moves_between_owners' as finding_kind,
        move_counts.journey_id,
        null::{{ type_text() }} as stage_id,
        null::{{ type_text() }} as touchpoint_id,
        null::{{ type_text() }} as source,
        null::{{ type_text() }} as event_name,
        move_counts.pair,
        move_counts.moves as n,
        move_counts.back_moves as n_affected,
        move_counts.back_moves::{{ type_double() }} as weight,
        null::bigint as entities,
        move_counts.last_seen_at,
        median_back_moves.median_wait_days,
        null::{{ type_double() }} as median_working_wait_days,
        null::integer as window_days,
        null::bigint as other_n,
        null::{{ type_double() }} as other_share,
        null::{{ type_double() }} as other_median_wait_days,
        null::{{ type_double() }} as excess_days,
        null::boolean as has_rules,
        null::{{ type_text() }} as warning
    from move_counts
    left join median_back_moves
        on
            move_counts.journey_id = median_back_moves.journey_id
            and move_counts.pair = median_back_moves.pair
    where move_counts.back_moves > 0
),

named_findings as (
    select
        findings.*,
        touchpoints.name as touchpoint_name,
        touchpoints.is_promoted,
        touchpoints.response_target_minutes,
        journeys.name as journey_name,
        findings.n_affected::{{ type_double() }} / nullif(findings.n, 0) as share,
        concat_ws(
            ':',
            findings.finding_kind,
            findings.journey_id,
            findings.stage_id,
            case
                when findings.finding_kind <> 'hand_off' then findings.touchpoint_id
            end,
            findings.source,
            findings.event_name,
            findings.pair
        ) as finding_id,
        case
            when findings.finding_kind = 'no_events' then null
            when findings.n < {{ var('minimum_n') }} then 'too_few_data'
            else findings.warning
        end as shown_warning
    from findings
    left join touchpoints
        on findings.touchpoint_id = touchpoints.touchpoint_id
    left join journeys
        on findings.journey_id = journeys.journey_id
),

ranked_findings as (
    select
        *,
        row_number() over (
            partition by finding_kind, shown_warning is null
            order by
                weight desc,
                {{ binary_order('finding_id') }} asc
        )::bigint as place
    from named_findings
),

final as (
    select
        finding_id,
        finding_kind,
        journey_id,
        stage_id,
        touchpoint_id,
        touchpoint_name,
        source,
        event_name,
        pair,
        n,
        n_affected::bigint as n_affected,
        share,
        entities,
        last_seen_at,
        response_target_minutes,
        median_wait_days,
        median_working_wait_days,
        window_days,
        other_n,
        other_share,
        other_median_wait_days,
        excess_days,
        shown_warning as warning,
        case when shown_warning is null then place end as finding_rank,
        {{ touchpoint_sentence() }} as sentence
    from ranked_findings
)

select * from final

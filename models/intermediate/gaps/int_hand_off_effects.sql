{#- Hand-offs of a stage against its other cases. The wait is cut at the window, where
    a case that did not go on has waited all of it: waiting and loss are one figure. -#}
with

hand_offs as (
    select * from {{ ref('int_hand_offs') }}
),

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

cohort_stages as (
    select *
    from {{ ref('int_cohort_stages') }}
    where metric_id is null
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

begun_hours as (
    select * from {{ ref('int_working_hours') }}
),

ended_hours as (
    select * from {{ ref('int_working_hours') }}
),

-- All first visits as the hand-offs are counted: from the entry on.
judged_entries as (
    select
        entries.journey_id,
        entries.stage_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.has_advanced,
        entries.time_to_advance_us,
        not entries.is_converted as is_lost,
        least(
            entries.time_to_advance_us,
            cohort_stages.conversion_window_days * 86400000000
        ) as cut_wait_us
    from entries
    inner join cohort_stages
        on entries.stage_number = cohort_stages.stage_number
    where
        {{ epoch_us('entries.entered_at') }}
        + cohort_stages.conversion_window_days * 86400000000
        <= {{ epoch_us('cohort_stages.observed_through') }}
        and entries.time_to_advance_us is not null
),

stage_totals as (
    select
        journey_id,
        stage_id,
        count(*) as n,
        sum(case when is_lost then 1 else 0 end) as lost,
        sum(cut_wait_us) as cut_us
    from judged_entries
    group by
        journey_id,
        stage_id
),

exposed_entries as (
    select
        hand_offs.journey_id,
        hand_offs.stage_id,
        hand_offs.hand_off,
        count(*) as n,
        sum(case when judged_entries.is_lost then 1 else 0 end) as lost,
        sum(judged_entries.cut_wait_us) as cut_us
    from hand_offs
    inner join judged_entries
        on
            hand_offs.journey_id = judged_entries.journey_id
            and hand_offs.entity_id = judged_entries.entity_id
            and hand_offs.attempt_number = judged_entries.attempt_number
            and hand_offs.visit_number = judged_entries.visit_number
    group by
        hand_offs.journey_id,
        hand_offs.stage_id,
        hand_offs.hand_off
),

timed_hand_offs as (
    select
        hand_offs.journey_id,
        hand_offs.stage_id,
        hand_offs.hand_off,
        hand_offs.touchpoint_id,
        hand_offs.window_days,
        hand_offs.began_at,
        hand_offs.is_judged,
        hand_offs.is_lost,
        hand_offs.wait_us,
        hand_offs.has_advanced,
        hand_offs.is_judged and hand_offs.wait_us is not null as is_compared,
        least(
            hand_offs.wait_us, hand_offs.window_days * 86400000000
        ) as cut_wait_us,
        {{ epoch_us('hand_offs.began_at') }} - {{ epoch_us('hand_offs.entered_at') }}
        > hand_offs.window_days * 17280000000 as begins_late,
        case
            when hand_offs.has_advanced and hand_offs.advanced_at >= hand_offs.began_at
                then
                    {{ working_us('hand_offs.advanced_at', 'ended_hours') }}
                    - ({{ working_us('hand_offs.began_at', 'begun_hours') }})
        end as working_wait_us
    from hand_offs
    inner join journeys
        on hand_offs.journey_id = journeys.journey_id
    left join begun_hours
        on
            journeys.calendar_id = begun_hours.calendar_id
            and {{ is_in_segment('hand_offs.began_at', 'begun_hours') }}
    left join ended_hours
        on
            journeys.calendar_id = ended_hours.calendar_id
            and {{ is_in_segment('hand_offs.advanced_at', 'ended_hours') }}
),

hand_off_totals as (
    select
        journey_id,
        stage_id,
        hand_off,
        max(window_days) as window_days,
        count(*) as hand_offs,
        max(began_at) as last_seen_at,
        sum(case when is_compared then 1 else 0 end)::bigint as n,
        sum(case when is_compared and is_lost then 1 else 0 end)::bigint as lost,
        sum(case when is_compared then cut_wait_us else 0 end) as cut_us,
        sum(case when begins_late then 1 else 0 end) * 2 > count(*) as begins_late
    from timed_hand_offs
    group by
        journey_id,
        stage_id,
        hand_off
),

-- Each with all others of its stage: owners may be as many as persons.
ranked_pairs as (
    select
        *,
        row_number() over (
            partition by journey_id, stage_id
            order by
                n desc,
                {{ binary_order('hand_off') }} asc
        ) as pair_rank
    from hand_off_totals
),

touchpoint_counts as (
    select
        journey_id,
        stage_id,
        hand_off,
        touchpoint_id,
        row_number() over (
            partition by journey_id, stage_id, hand_off
            order by
                count(*) desc,
                {{ binary_order('touchpoint_id') }} asc
        ) as touchpoint_rank
    from timed_hand_offs
    group by
        journey_id,
        stage_id,
        hand_off,
        touchpoint_id
),

main_touchpoints as (
    select *
    from touchpoint_counts
    where touchpoint_rank = 1
),

-- The waits that ended, of all cases whose window is over.
ended_waits as (
    select
        journey_id,
        stage_id,
        hand_off,
        'calendar' as wait_kind,
        wait_us
    from timed_hand_offs
    where
        is_compared
        and has_advanced
    union all
    select
        journey_id,
        stage_id,
        hand_off,
        'working' as wait_kind,
        working_wait_us as wait_us
    from timed_hand_offs
    where
        is_compared
        and working_wait_us is not null
    union all
    select
        ranked_pairs.journey_id,
        ranked_pairs.stage_id,
        ranked_pairs.hand_off,
        'other' as wait_kind,
        judged_entries.time_to_advance_us as wait_us
    from ranked_pairs
    inner join judged_entries
        on
            ranked_pairs.journey_id = judged_entries.journey_id
            and ranked_pairs.stage_id = judged_entries.stage_id
    left join hand_offs
        on
            judged_entries.journey_id = hand_offs.journey_id
            and judged_entries.entity_id = hand_offs.entity_id
            and judged_entries.attempt_number = hand_offs.attempt_number
            and judged_entries.visit_number = hand_offs.visit_number
            and ranked_pairs.hand_off = hand_offs.hand_off
    where
        ranked_pairs.pair_rank <= 20
        and judged_entries.has_advanced
        and hand_offs.hand_off is null
),

ordered_waits as (
    select
        *,
        row_number() over (
            partition by journey_id, stage_id, hand_off, wait_kind
            order by wait_us
        ) as place,
        count(*) over (
            partition by journey_id, stage_id, hand_off, wait_kind
        ) as places
    from ended_waits
),

median_waits as (
    select
        journey_id,
        stage_id,
        hand_off,
        avg(case when wait_kind = 'calendar' then {{ days('wait_us') }} end)
            as median_wait_days,
        avg(case when wait_kind = 'working' then {{ days('wait_us') }} end)
            as median_working_wait_days,
        avg(case when wait_kind = 'other' then {{ days('wait_us') }} end)
            as other_median_wait_days
    from ordered_waits
    where {{ is_middle('place', 'places') }}
    group by
        journey_id,
        stage_id,
        hand_off
),

compared as (
    select
        hand_off_totals.journey_id,
        hand_off_totals.stage_id,
        hand_off_totals.hand_off,
        main_touchpoints.touchpoint_id,
        hand_off_totals.window_days,
        hand_off_totals.hand_offs,
        hand_off_totals.last_seen_at,
        hand_off_totals.n,
        hand_off_totals.lost,
        hand_off_totals.cut_us,
        hand_off_totals.begins_late,
        median_waits.median_wait_days,
        median_waits.median_working_wait_days,
        median_waits.other_median_wait_days,
        coalesce(stage_totals.n, 0) - coalesce(exposed_entries.n, 0) as other_n,
        coalesce(stage_totals.lost, 0) - coalesce(exposed_entries.lost, 0)
            as other_lost,
        coalesce(stage_totals.cut_us, 0) - coalesce(exposed_entries.cut_us, 0)
            as other_cut_us
    from hand_off_totals
    inner join main_touchpoints
        on
            hand_off_totals.journey_id = main_touchpoints.journey_id
            and hand_off_totals.stage_id = main_touchpoints.stage_id
            and hand_off_totals.hand_off = main_touchpoints.hand_off
    left join stage_totals
        on
            hand_off_totals.journey_id = stage_totals.journey_id
            and hand_off_totals.stage_id = stage_totals.stage_id
    left join exposed_entries
        on
            hand_off_totals.journey_id = exposed_entries.journey_id
            and hand_off_totals.stage_id = exposed_entries.stage_id
            and hand_off_totals.hand_off = exposed_entries.hand_off
    left join median_waits
        on
            hand_off_totals.journey_id = median_waits.journey_id
            and hand_off_totals.stage_id = median_waits.stage_id
            and hand_off_totals.hand_off = median_waits.hand_off
),

effects as (
    select
        journey_id,
        stage_id,
        hand_off,
        touchpoint_id,
        window_days,
        hand_offs,
        last_seen_at,
        n,
        lost,
        begins_late,
        median_wait_days,
        median_working_wait_days,
        other_median_wait_days,
        other_n::bigint as other_n,
        lost::{{ type_double() }} / nullif(n, 0) as lost_share,
        other_lost::{{ type_double() }} / nullif(other_n, 0) as other_lost_share,
        {{ days('cut_us') }}
        - n * {{ days('other_cut_us') }} / nullif(other_n, 0) as excess_days
    from compared
)

select * from effects

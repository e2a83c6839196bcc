{#- When the cases that entered a journey first reached each of its key moments. -#}
with

key_moments as (
    select * from {{ ref('int_key_moments') }}
),

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

-- Read apart: what made an entry says whether its time is a date.
entry_visits as (
    select * from {{ ref('int_stage_visits') }}
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

cases as (
    select
        key_moments.journey_id,
        key_moments.stage_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        entries.customer_id,
        entries.cluster_id,
        entries.entered_at,
        entries.entered_date,
        key_moments.as_of,
        key_moments.window_days,
        key_moments.is_entry
    from entries
    inner join key_moments
        on entries.stage_number = key_moments.entry_stage_number
),

-- Nothing later than as_of is seen, in any column.
moments as (
    select
        cases.journey_id,
        cases.stage_id,
        cases.entity_id,
        cases.attempt_number,
        min(visits.entered_at) as reached_at,
        min(
            case when visits.is_date_only then visits.entered_at end
        ) as dated_reached_at
    from visits
    inner join cases
        on
            visits.journey_id = cases.journey_id
            and visits.stage_id = cases.stage_id
            and visits.entity_id = cases.entity_id
            and visits.attempt_number = cases.attempt_number
            and visits.visit_number >= cases.visit_number
            and {{ is_seen('visits.entered_at', 'cases.as_of') }}
    group by
        cases.journey_id,
        cases.stage_id,
        cases.entity_id,
        cases.attempt_number
),

timed_cases as (
    select
        cases.journey_id,
        cases.stage_id,
        cases.entity_id,
        cases.attempt_number,
        cases.visit_number,
        cases.customer_id,
        cases.cluster_id,
        cases.entered_at,
        cases.entered_date,
        cases.as_of,
        cases.is_entry,
        moments.reached_at,
        entry_visits.is_date_only
        or coalesce(moments.dated_reached_at = moments.reached_at, false)
            as is_date_only,
        coalesce(
            {{ epoch_us('moments.reached_at') }} - {{ epoch_us('cases.entered_at') }}
            <= cases.window_days * 86400000000,
            false
        ) as is_reached
    from cases
    inner join entry_visits
        on
            cases.journey_id = entry_visits.journey_id
            and cases.entity_id = entry_visits.entity_id
            and cases.attempt_number = entry_visits.attempt_number
            and cases.visit_number = entry_visits.visit_number
    left join moments
        on
            cases.journey_id = moments.journey_id
            and cases.stage_id = moments.stage_id
            and cases.entity_id = moments.entity_id
            and cases.attempt_number = moments.attempt_number
),

final as (
    select
        journey_id,
        stage_id,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        entered_date,
        as_of,
        is_reached,
        case when is_reached then reached_at end as reached_at,
        case
            when is_reached and not is_entry
                then {{ known_us('entered_at', 'reached_at', 'is_date_only') }}
        end as time_to_reach_us
    from timed_cases
)

select * from final

{#- Every driver as the units that it applies to. A row without a driver says that the
    unit belongs to the base, among which a driver is compared with its absence. -#}
with

units as (
    select * from {{ ref('int_driver_units') }}
),

behaviours as (
    select * from {{ ref('int_driver_behaviours') }}
),

experiences as (
    select * from {{ ref('int_driver_experiences') }}
),

hand_offs as (
    select * from {{ ref('int_driver_hand_offs') }}
),

returning_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where transition_kind = 'back'
),

paths as (
    select
        unit_number,
        previous_stage_id,
        previous_us,
        'from ' || previous_stage_id as origin,
        case
            when previous_stage_id is null then 'entered directly'
            when previous_transition_kind = 'forward' then 'from ' || previous_stage_id
            else previous_transition_kind || ' from ' || previous_stage_id
        end as entry_path,
        -- Above the median of those with the same previous stage.
        percent_rank() over (
            partition by measure_number, previous_stage_id, previous_us is null
            order by previous_us
        ) > 0.5 as is_slow
    from units
),

returned_units as (
    select distinct units.unit_number
    from units
    inner join returning_visits
        on
            units.journey_id = returning_visits.journey_id
            and units.entity_id = returning_visits.entity_id
            and units.attempt_number = returning_visits.attempt_number
            and units.visit_number > returning_visits.visit_number
),

exposures as (
    select
        unit_number,
        'entries' as base,
        null::{{ type_text() }} as driver_kind,
        null::{{ type_text() }} as driver
    from units
    union all
    select
        unit_number,
        'at landmark' as base,
        null::{{ type_text() }} as driver_kind,
        null::{{ type_text() }} as driver
    from units
    where is_at_landmark
    union all
    select
        unit_number,
        'at landmark' as base,
        'behaviour' as driver_kind,
        event_name as driver
    from behaviours
    union all
    select
        unit_number,
        base,
        case when driver is not null then 'experience' end as driver_kind,
        driver
    from experiences
    union all
    select distinct
        unit_number,
        'entries' as base,
        'hand_off' as driver_kind,
        'entered by ' || from_owner || ' to ' || to_owner as driver
    from hand_offs
    where is_entering
    union all
    select distinct
        hand_offs.unit_number,
        'at landmark' as base,
        'hand_off' as driver_kind,
        hand_offs.from_owner || ' to ' || hand_offs.to_owner as driver
    from hand_offs
    inner join units
        on hand_offs.unit_number = units.unit_number
    where
        not hand_offs.is_entering
        and hand_offs.is_before_landmark
        and units.is_at_landmark
    union all
    select
        unit_number,
        'entries' as base,
        'upstream' as driver_kind,
        entry_path as driver
    from paths
    union all
    select
        unit_number,
        'entries' as base,
        'upstream' as driver_kind,
        'later attempt' as driver
    from units
    where attempt_number > 1
    union all
    select
        unit_number,
        'entries' as base,
        'upstream' as driver_kind,
        'after a move back' as driver
    from returned_units
    union all
    select
        unit_number,
        origin as base,
        null::{{ type_text() }} as driver_kind,
        null::{{ type_text() }} as driver
    from paths
    where previous_us is not null
    union all
    select
        unit_number,
        origin as base,
        'upstream' as driver_kind,
        'slow in ' || previous_stage_id as driver
    from paths
    where
        previous_us is not null
        and is_slow
)

select * from exposures

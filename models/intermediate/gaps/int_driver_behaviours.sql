{#- What customers did in the stage before the landmark. -#}
{#- Literals: events are stored as they came, and those of other times are skipped. -#}
{%- set first_at = read_values(
    ref('int_driver_units'), 'min(entered_at)', 'is_at_landmark'
) | select | first | default('0001-01-01', true) %}
{%- set last_at = read_values(
    ref('int_driver_units'), 'max(landmark_at)', 'is_at_landmark'
) | select | first | default('9999-12-31', true) %}
with

units as (
    select *
    from {{ ref('int_driver_units') }}
    where is_at_landmark
),

timely_events as (
    select *
    from {{ ref('int_source_events') }}
    where
        occurred_at > timestamp '{{ first_at }}'
        and occurred_at <= timestamp '{{ last_at }}'
),

identifications as (
    select * from {{ ref('int_device_identifications') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

entity_links as (
    select * from {{ ref('entity_links') }}
),

-- A device belongs to the next customer identified on it where the journey's attempt
-- gap is no shorter than the time between, else to nobody: as in int_journey_events.
device_events as (
    select
        timely_events.event_name,
        timely_events.occurred_at,
        timely_events.anonymous_id,
        identifications.customer_id,
        {{ epoch_us('identifications.identified_at') }}
        - {{ epoch_us('timely_events.occurred_at') }} as gap_us
    from timely_events
    left join identifications
        on
            timely_events.anonymous_id = identifications.anonymous_id
            and timely_events.occurred_at <= identifications.identified_at
            and timely_events.occurred_at > coalesce(
                identifications.previous_identified_at,
                timestamp '0001-01-01 00:00:00'
            )
    where
        timely_events.customer_id is null
        and timely_events.anonymous_id is not null
),

keyed_events as (
    select
        'customer_id' as key_column,
        customer_id as key_value,
        event_name,
        occurred_at,
        gap_us as gap_from_us,
        null::bigint as gap_below_us
    from device_events
    where customer_id is not null
    union all
    select
        'anonymous_id' as key_column,
        {{ anonymous_entity('anonymous_id') }} as key_value,
        event_name,
        occurred_at,
        null::bigint as gap_from_us,
        gap_us as gap_below_us
    from device_events
    union all
    select
        'customer_id' as key_column,
        customer_id as key_value,
        event_name,
        occurred_at,
        null::bigint as gap_from_us,
        null::bigint as gap_below_us
    from timely_events
    where customer_id is not null
    union all
    select
        'account_id' as key_column,
        account_id as key_value,
        event_name,
        occurred_at,
        null::bigint as gap_from_us,
        null::bigint as gap_below_us
    from timely_events
    where account_id is not null
    union all
    select
        'opportunity_id' as key_column,
        opportunity_id as key_value,
        event_name,
        occurred_at,
        null::bigint as gap_from_us,
        null::bigint as gap_below_us
    from timely_events
    where opportunity_id is not null
    union all
    select
        'support_contact_id' as key_column,
        support_contact_id as key_value,
        event_name,
        occurred_at,
        null::bigint as gap_from_us,
        null::bigint as gap_below_us
    from timely_events
    where support_contact_id is not null
    union all
    select
        'source_case_id' as key_column,
        source_case_id as key_value,
        event_name,
        occurred_at,
        null::bigint as gap_from_us,
        null::bigint as gap_below_us
    from timely_events
    where source_case_id is not null
),

entity_columns as (
    select distinct
        journey_id,
        entity_column
    from entity_links
    where entity_column <> 'customer_id'
),

-- An entity is looked for by its own id, by its customer, and by its device.
unit_keys as (
    select
        units.unit_number,
        units.measure_number,
        units.journey_id,
        units.entity_id,
        units.entered_at,
        units.landmark_at,
        'customer_id' as key_column,
        units.customer_id as key_value
    from units
    where units.customer_id is not null
    union all
    select
        units.unit_number,
        units.measure_number,
        units.journey_id,
        units.entity_id,
        units.entered_at,
        units.landmark_at,
        'anonymous_id' as key_column,
        units.entity_id as key_value
    from units
    union all
    select
        units.unit_number,
        units.measure_number,
        units.journey_id,
        units.entity_id,
        units.entered_at,
        units.landmark_at,
        entity_columns.entity_column as key_column,
        units.entity_id as key_value
    from units
    inner join entity_columns
        on units.journey_id = entity_columns.journey_id
),

unit_events as (
    select distinct
        unit_keys.unit_number,
        unit_keys.measure_number,
        unit_keys.entity_id,
        keyed_events.event_name
    from unit_keys
    inner join journeys
        on unit_keys.journey_id = journeys.journey_id
    inner join keyed_events
        on
            unit_keys.key_column = keyed_events.key_column
            and unit_keys.key_value = keyed_events.key_value
            and unit_keys.entered_at < keyed_events.occurred_at
            and unit_keys.landmark_at >= keyed_events.occurred_at
            and coalesce(journeys.attempt_gap_us, 0)
            >= coalesce(keyed_events.gap_from_us, 0)
            and (
                keyed_events.gap_below_us is null
                or coalesce(journeys.attempt_gap_us, 0) < keyed_events.gap_below_us
            )
    where keyed_events.event_name is not null
),

names as (
    select
        measure_number,
        event_name,
        count(distinct entity_id) as entities
    from unit_events
    group by
        measure_number,
        event_name
),

ranked_names as (
    select
        *,
        row_number() over (
            partition by measure_number
            order by
                entities desc,
                {{ binary_order('event_name') }}
        ) as name_rank
    from names
),

behaviours as (
    select
        unit_events.unit_number,
        unit_events.event_name
    from unit_events
    inner join ranked_names
        on
            unit_events.measure_number = ranked_names.measure_number
            and unit_events.event_name = ranked_names.event_name
    where ranked_names.name_rank <= 50
)

select * from behaviours

{#- The dimensions of a journey's units at their own moment, which may be long after the
    visit began: what a record said by then, what the visit has by its events. -#}
with

measured_units as (
    select * from {{ ref('int_measured_units') }}
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

visit_dimensions as (
    select * from {{ ref('int_visit_dimensions') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

dimensions as (
    select * from {{ ref('int_segment_dimensions') }}
),

record_values as (
    select * from {{ ref('int_record_values') }}
),

record_dimensions as (
    select *
    from dimensions
    where key_column is not null
),

event_dimensions as (
    select *
    from dimensions
    where key_column is null
),

units as (
    select distinct
        journey_id,
        unit_id,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        measured_at
    from measured_units
    where only_dimension is null
),

asking_units as (
    select
        units.journey_id,
        units.unit_id,
        units.measured_at,
        record_dimensions.segment_dimension,
        record_dimensions.lookup_number,
        case record_dimensions.key_column
            when 'customer_id' then units.customer_id
            when 'account_id'
                then
                    case
                        when record_dimensions.entity = 'account' then units.entity_id
                        else coalesce(visits.account_id, customer_accounts.account_id)
                    end
            else units.entity_id
        end as key_value
    from units
    inner join record_dimensions
        on units.journey_id = record_dimensions.journey_id
    inner join visits
        on
            units.journey_id = visits.journey_id
            and units.entity_id = visits.entity_id
            and units.attempt_number = visits.attempt_number
            and units.visit_number = visits.visit_number
    left join customer_accounts
        on units.customer_id = customer_accounts.customer_id
),

unit_values as (
    select
        asking_units.journey_id,
        asking_units.unit_id,
        asking_units.measured_at,
        asking_units.segment_dimension,
        coalesce(record_values.record_value, '(unknown)') as segment_value
    from asking_units
    left join record_values
        on
            asking_units.lookup_number = record_values.lookup_number
            and asking_units.key_value = record_values.key_value
            and asking_units.measured_at >= record_values.known_from
            and asking_units.measured_at < record_values.known_until
    union all
    select
        units.journey_id,
        units.unit_id,
        units.measured_at,
        event_dimensions.segment_dimension,
        visit_dimensions.segment_value
    from units
    inner join event_dimensions
        on units.journey_id = event_dimensions.journey_id
    inner join visit_dimensions
        on
            units.journey_id = visit_dimensions.journey_id
            and units.entity_id = visit_dimensions.entity_id
            and units.attempt_number = visit_dimensions.attempt_number
            and units.visit_number = visit_dimensions.visit_number
            and event_dimensions.segment_dimension
            = visit_dimensions.segment_dimension
)

select * from unit_values

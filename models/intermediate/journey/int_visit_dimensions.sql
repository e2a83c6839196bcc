{#- A journey without dimensions is left unread, and only where a dimension remembers
    earlier events are a history's visits put in order. -#}
with

recorded_visits as (
    select * from {{ ref('int_stage_visits') }}
),

stage_visits as (
    select * from {{ ref('int_stage_visits') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

dimensions as (
    select * from {{ ref('int_segment_dimensions') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

record_values as (
    select * from {{ ref('int_record_values') }}
),

source_events as (
    select *
    from {{ ref('int_source_events') }}
    where {{ is_of_events('source') }}
),

-- Nothing later than as_of is seen, in any column.
seen_stages as (
    select
        dimensions.*,
        observations.stage_id,
        observations.as_of
    from dimensions
    inner join observations
        on dimensions.journey_id = observations.journey_id
),

record_stages as (
    select *
    from seen_stages
    where key_column is not null
),

event_stages as (
    select *
    from seen_stages
    where key_column is null
),

asking_visits as (
    select
        recorded_visits.journey_id,
        recorded_visits.entity_id,
        recorded_visits.attempt_number,
        recorded_visits.visit_number,
        recorded_visits.entered_at,
        record_stages.segment_dimension,
        record_stages.lookup_number,
        case record_stages.key_column
            when 'customer_id'
                then {{ customer_of('recorded_visits', 'record_stages.entity') }}
            when 'account_id'
                then
                    case
                        when record_stages.entity = 'account'
                            then recorded_visits.entity_id
                        else recorded_visits.account_id
                    end
            else recorded_visits.entity_id
        end as key_value,
        case
            when
                record_stages.key_column = 'account_id'
                and record_stages.entity <> 'account'
                then {{ customer_of('recorded_visits', 'record_stages.entity') }}
        end as customer_with_account
    from recorded_visits
    inner join record_stages
        on
            recorded_visits.journey_id = record_stages.journey_id
            and recorded_visits.stage_id = record_stages.stage_id
            and {{ is_seen('recorded_visits.entered_at', 'record_stages.as_of') }}
),

record_visits as (
    select
        asking_visits.journey_id,
        asking_visits.entity_id,
        asking_visits.attempt_number,
        asking_visits.visit_number,
        asking_visits.entered_at,
        asking_visits.segment_dimension,
        record_values.record_value as segment_value
    from asking_visits
    left join customer_accounts
        on asking_visits.customer_with_account = customer_accounts.customer_id
    left join record_values
        on
            asking_visits.lookup_number = record_values.lookup_number
            and coalesce(asking_visits.key_value, customer_accounts.account_id)
            = record_values.key_value
            and asking_visits.entered_at >= record_values.known_from
            and asking_visits.entered_at < record_values.known_until
),

entering_visits as (
    select
        stage_visits.journey_id,
        stage_visits.entity_id,
        stage_visits.attempt_number,
        stage_visits.visit_number,
        stage_visits.entered_at,
        event_stages.segment_dimension,
        event_stages.as_of_rule,
        event_stages.source,
        event_stages.source_column,
        case
            when stage_visits.source = event_stages.source
                then stage_visits.source_row_id
        end as source_row_id
    from stage_visits
    inner join event_stages
        on
            stage_visits.journey_id = event_stages.journey_id
            and stage_visits.stage_id = event_stages.stage_id
            and {{ is_seen('stage_visits.entered_at', 'event_stages.as_of') }}
),

event_visits as (
    select
        entering_visits.journey_id,
        entering_visits.entity_id,
        entering_visits.attempt_number,
        entering_visits.visit_number,
        entering_visits.entered_at,
        entering_visits.segment_dimension,
        entering_visits.as_of_rule,
        nullif(
            {{ event_property('source_events', 'entering_visits.source_column') }}, ''
        ) as event_value
    from entering_visits
    left join source_events
        on
            entering_visits.source_row_id = source_events.source_row_id
            and entering_visits.source = source_events.source
),

-- Between two known values the first one holds: they are numbered.
remembering_visits as (
    select
        *,
        count(event_value) over (
            partition by journey_id, entity_id, segment_dimension
            order by
                attempt_number,
                visit_number
            rows between unbounded preceding and current row
        ) as value_number
    from event_visits
    where as_of_rule <> 'entering_event'
),

remembered_visits as (
    select
        *,
        max(event_value) over (
            partition by journey_id, entity_id, segment_dimension, value_number
        ) as latest_value,
        max(case when value_number = 1 then event_value end) over (
            partition by journey_id, entity_id, segment_dimension
        ) as first_value
    from remembering_visits
),

visit_values as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        entered_at,
        segment_dimension,
        segment_value
    from record_visits
    union all
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        entered_at,
        segment_dimension,
        event_value as segment_value
    from event_visits
    where as_of_rule = 'entering_event'
    union all
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        entered_at,
        segment_dimension,
        case
            when as_of_rule = 'latest_at_entry' then latest_value
            when as_of_rule = 'immutable' or value_number > 0 then first_value
        end as segment_value
    from remembered_visits
),

final as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        entered_at,
        segment_dimension,
        coalesce(segment_value, '(unknown)') as segment_value
    from visit_values
)

select * from final

{#- Whether the metric is measured at the stage at all, and what one more outcome was
    worth, as value_at_stake has it (domain.md §7). Only cases whose journey had its
    window count for that, so that none is taken for lost that is under way. -#}
with

actions as (
    select * from {{ ref('int_actions') }}
),

units as (
    select * from {{ ref('int_metric_units') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

success_values as (
    select * from {{ ref('int_success_values') }}
),

action_units as (
    select
        actions.action_id,
        actions.known_through,
        units.journey_id,
        units.entity_id,
        units.attempt_number,
        coalesce(
            actions.loss_family = 'conversion'
            and actions.direction = 1
            and units.is_outcome
            and units.is_complete
            and {{ epoch_us('units.entered_at') }}
            + journeys.conversion_window_days * 86400000000
            <= {{ epoch_us('actions.known_through') }},
            false
        ) as is_converter
    from units
    inner join actions
        on
            units.metric_id = actions.metric_id
            and units.journey_id = actions.journey_id
            and units.stage_id = actions.stage_id
    inner join journeys
        on units.journey_id = journeys.journey_id
),

counts as (
    select
        action_units.action_id,
        count(*) as units,
        count(case when action_units.is_converter then 1 end) as converters,
        count(success_values.succeeded_at)::{{ type_double() }} as successes,
        avg(success_values.value) as mean_value
    from action_units
    left join success_values
        on
            -- A condition on one side alone would have DuckDB compare all with all.
            case when action_units.is_converter then action_units.journey_id end
            = success_values.journey_id
            and action_units.entity_id = success_values.entity_id
            and action_units.attempt_number = success_values.attempt_number
            and action_units.known_through >= success_values.succeeded_at
    group by action_units.action_id
),

outcome_values as (
    select
        action_id,
        units,
        converters,
        case
            when converters >= {{ var('minimum_n') }}
                then successes / converters * mean_value
        end as value_per_outcome
    from counts
)

select * from outcome_values

{#- What the readouts compare: rates of units, by arm and by time. A placebo cuts the
    time before the action in two, at one of three moments. -#}
with

units as (
    select *
    from {{ ref('int_metric_units') }}
    where is_complete
),

actions as (
    select * from {{ ref('int_actions') }}
),

visit_dimensions as (
    select * from {{ ref('int_visit_dimensions') }}
),

assignments as (
    select *
    from {{ ref('int_experiment_assignments') }}
    where not is_in_several_arms
),

placebos as (
    select
        1 as cut,
        'placebo_1' as contrast
    union all
    select
        2 as cut,
        'placebo_2' as contrast
    union all
    select
        3 as cut,
        'placebo_3' as contrast
),

-- What is known when the action is read, and no more.
known_units as (
    select
        actions.action_id,
        actions.readout_kind,
        actions.segment_dimension,
        actions.segment_value,
        actions.control_segment_value,
        actions.experiment_id,
        actions.started_on,
        actions.ended_on,
        actions.before_end,
        actions.starts_at,
        units.journey_id,
        units.entity_id,
        units.attempt_number,
        units.visit_number,
        units.unit_id,
        units.customer_id,
        units.cluster_id,
        units.entered_at,
        units.entered_date,
        {{ epoch_us('units.entered_at') }} as entered_us,
        {{ epoch_us('units.entered_at') }}
        + coalesce(units.window_days, 0) * 86400000000 as complete_us,
        case when units.is_outcome then 1 else 0 end as outcome
    from units
    inner join actions
        on
            units.metric_id = actions.metric_id
            and units.journey_id = actions.journey_id
            and units.stage_id = actions.stage_id
    where
        {{ epoch_us('units.entered_at') }}
        + coalesce(units.window_days, 0) * 86400000000
        <= {{ epoch_us('actions.known_through') }}
),

sided_units as (
    select
        known_units.*,
        case
            when
                known_units.segment_dimension = 'all'
                or visit_dimensions.segment_value = known_units.segment_value
                then 'treated'
            when
                visit_dimensions.segment_value = known_units.control_segment_value
                then 'control'
        end as side,
        case
            when
                known_units.entered_date >= known_units.started_on
                and known_units.entered_date
                <= coalesce(known_units.ended_on, known_units.entered_date)
                then 'after'
            when
                known_units.entered_date < known_units.before_end
                and known_units.complete_us
                <= {{ epoch_us('known_units.starts_at') }}
                then 'before'
        end as phase
    from known_units
    left join visit_dimensions
        on
            known_units.journey_id = visit_dimensions.journey_id
            and known_units.entity_id = visit_dimensions.entity_id
            and known_units.attempt_number = visit_dimensions.attempt_number
            and known_units.visit_number = visit_dimensions.visit_number
            and known_units.segment_dimension = visit_dimensions.segment_dimension
),

-- Later entries of a customer depend on what became of the first.
ranked_entries as (
    select
        sided_units.action_id,
        sided_units.customer_id,
        sided_units.outcome,
        assignments.arm,
        row_number() over (
            partition by sided_units.action_id, sided_units.customer_id
            order by
                sided_units.entered_at,
                {{ binary_order('sided_units.entity_id') }},
                sided_units.attempt_number,
                sided_units.visit_number,
                {{ binary_order('sided_units.unit_id') }} nulls first
        ) as entry_rank
    from sided_units
    inner join assignments
        on
            sided_units.experiment_id = assignments.experiment_id
            and sided_units.customer_id = assignments.customer_id
    where
        sided_units.side = 'treated'
        and sided_units.phase = 'after'
        and sided_units.entered_at >= assignments.assigned_at
),

before_units as (
    select
        *,
        min(entered_us) over (partition by action_id) as first_us,
        max(entered_us) over (partition by action_id) as last_us
    from sided_units
    where
        readout_kind = 'difference_in_differences'
        and phase = 'before'
        and side is not null
),

tested_units as (
    select
        action_id,
        'effect' as contrast,
        arm,
        'after' as phase,
        customer_id as cluster_id,
        outcome
    from ranked_entries
    where entry_rank = 1
    union all
    select
        action_id,
        'effect' as contrast,
        side as arm,
        phase,
        cluster_id,
        outcome
    from sided_units
    where
        readout_kind <> 'experiment'
        and side is not null
        and phase is not null
    union all
    select
        before_units.action_id,
        placebos.contrast,
        before_units.side as arm,
        case
            when
                (before_units.entered_us - before_units.first_us) * 4
                >= (before_units.last_us - before_units.first_us) * placebos.cut
                then 'after'
            else 'before'
        end as phase,
        before_units.cluster_id,
        before_units.outcome
    from before_units
    cross join placebos
),

clusters as (
    select
        action_id,
        contrast,
        arm,
        phase,
        cluster_id,
        count(*)::{{ type_double() }} as units,
        sum(outcome)::{{ type_double() }} as outcomes
    from tested_units
    group by
        action_id,
        contrast,
        arm,
        phase,
        cluster_id
),

sums as (
    select
        action_id,
        contrast,
        arm,
        phase,
        count(*) as n_clusters,
        sum(units) as n,
        sum(outcomes) as numerator,
        sum(outcomes) / sum(units) as value,
        sum(outcomes * outcomes) as sum_xx,
        sum(outcomes * units) as sum_xn,
        sum(units * units) as sum_nn
    from clusters
    group by
        action_id,
        contrast,
        arm,
        phase
),

effective as (
    select
        *,
        n / {{ design_effect(
            'value', 'n_clusters', 'sum_xx', 'sum_xn', 'sum_nn', 'n'
        ) }} as effective_n
    from sums
),

cells as (
    select
        action_id,
        contrast,
        arm,
        phase,
        n::bigint as n,
        n_clusters::bigint as n_clusters,
        numerator,
        value,
        effective_n,
        {{ wilson_low('value', 'effective_n') }} as ci_low,
        {{ wilson_high('value', 'effective_n') }} as ci_high
    from effective
)

select * from cells

{#- Every comparison of a readout, its placebos too: before and after, of an
    experiment the control arm and the treated one; less the same of the control
    segment. -#}
with

actions as (
    select * from {{ ref('int_actions') }}
),

arms as (
    select *
    from {{ ref('int_action_arms') }}
    where not is_control
),

cells as (
    select * from {{ ref('int_action_cells') }}
),

contrasts as (
    select
        1 as contrast_number,
        'effect' as contrast
    union all
    select
        2 as contrast_number,
        'placebo_1' as contrast
    union all
    select
        3 as contrast_number,
        'placebo_2' as contrast
    union all
    select
        4 as contrast_number,
        'placebo_3' as contrast
),

comparisons as (
    select
        actions.action_id,
        contrasts.contrast,
        arms.arm,
        actions.action_id || ':' || contrasts.contrast || ':' || coalesce(arms.arm, '')
            as comparison_id,
        coalesce(arms.arm, 'treated') as treated_arm,
        case
            when actions.readout_kind = 'experiment' then actions.control_arm
            else 'treated'
        end as compared_arm,
        case
            when actions.readout_kind = 'experiment' then 'after' else 'before'
        end as compared_phase,
        actions.readout_kind = 'difference_in_differences' as has_control
    from actions
    inner join contrasts
        on
            contrasts.contrast = 'effect'
            or actions.readout_kind = 'difference_in_differences'
    left join arms
        on actions.action_id = arms.action_id
),

sides as (
    select
        comparisons.comparison_id,
        comparisons.action_id,
        comparisons.arm,
        comparisons.contrast,
        comparisons.has_control,
        before_cells.value as before_value,
        before_cells.ci_low as before_ci_low,
        before_cells.ci_high as before_ci_high,
        before_cells.effective_n as before_effective_n,
        after_cells.value as after_value,
        after_cells.ci_low as after_ci_low,
        after_cells.ci_high as after_ci_high,
        after_cells.effective_n as after_effective_n,
        control_before_cells.value as control_before_value,
        control_before_cells.ci_low as control_before_ci_low,
        control_before_cells.ci_high as control_before_ci_high,
        control_before_cells.effective_n as control_before_effective_n,
        control_after_cells.value as control_after_value,
        control_after_cells.ci_low as control_after_ci_low,
        control_after_cells.ci_high as control_after_ci_high,
        control_after_cells.effective_n as control_after_effective_n,
        coalesce(before_cells.n, 0) as before_n,
        coalesce(before_cells.n_clusters, 0) as before_clusters,
        coalesce(after_cells.n, 0) as after_n,
        coalesce(after_cells.n_clusters, 0) as after_clusters,
        case
            when comparisons.has_control then coalesce(control_before_cells.n, 0)
        end as control_before_n,
        case
            when comparisons.has_control
                then coalesce(control_before_cells.n_clusters, 0)
        end as control_before_clusters,
        case
            when comparisons.has_control then coalesce(control_after_cells.n, 0)
        end as control_after_n,
        case
            when comparisons.has_control
                then coalesce(control_after_cells.n_clusters, 0)
        end as control_after_clusters
    from comparisons
    left join cells as before_cells
        on
            comparisons.action_id = before_cells.action_id
            and comparisons.contrast = before_cells.contrast
            and comparisons.compared_arm = before_cells.arm
            and comparisons.compared_phase = before_cells.phase
    left join cells as after_cells
        on
            comparisons.action_id = after_cells.action_id
            and comparisons.contrast = after_cells.contrast
            and comparisons.treated_arm = after_cells.arm
            and after_cells.phase = 'after'
    left join cells as control_before_cells
        on
            comparisons.has_control
            and comparisons.action_id = control_before_cells.action_id
            and comparisons.contrast = control_before_cells.contrast
            and control_before_cells.arm = 'control'
            and control_before_cells.phase = 'before'
    left join cells as control_after_cells
        on
            comparisons.has_control
            and comparisons.action_id = control_after_cells.action_id
            and comparisons.contrast = control_after_cells.contrast
            and control_after_cells.arm = 'control'
            and control_after_cells.phase = 'after'
),

changes as (
    select
        *,
        after_value - before_value as change,
        {{ mover_low(
            'after_value', 'after_ci_low', 'after_ci_high',
            'before_value', 'before_ci_low', 'before_ci_high',
        ) }} as change_low,
        {{ mover_high(
            'after_value', 'after_ci_low', 'after_ci_high',
            'before_value', 'before_ci_low', 'before_ci_high',
        ) }} as change_high,
        control_after_value - control_before_value as control_change,
        {{ mover_low(
            'control_after_value', 'control_after_ci_low', 'control_after_ci_high',
            'control_before_value', 'control_before_ci_low', 'control_before_ci_high',
        ) }} as control_change_low,
        {{ mover_high(
            'control_after_value', 'control_after_ci_low', 'control_after_ci_high',
            'control_before_value', 'control_before_ci_low', 'control_before_ci_high',
        ) }} as control_change_high,
        before_value * (1 - before_value)
        * (1 / before_effective_n + 1 / after_effective_n) as change_variance,
        control_before_value * (1 - control_before_value)
        * (1 / control_before_effective_n + 1 / control_after_effective_n)
            as control_variance,
        least(
            before_n,
            before_clusters,
            after_n,
            after_clusters,
            coalesce(control_before_n, before_n),
            coalesce(control_before_clusters, before_clusters),
            coalesce(control_after_n, after_n),
            coalesce(control_after_clusters, after_clusters)
        ) as smallest_count
    from sides
),

differences as (
    select
        *,
        case
            when has_control then change - control_change else change
        end as difference,
        case
            when has_control
                then {{ mover_low(
                    'change', 'change_low', 'change_high',
                    'control_change', 'control_change_low', 'control_change_high',
                ) }}
            else change_low
        end as difference_low,
        case
            when has_control
                then {{ mover_high(
                    'change', 'change_low', 'change_high',
                    'control_change', 'control_change_low', 'control_change_high',
                ) }}
            else change_high
        end as difference_high,
        change_variance + case when has_control then control_variance else 0 end
            as variance
    from changes
),

rates as (
    select
        comparison_id,
        after_value as value_1,
        after_effective_n as trials_1,
        before_value as value_2,
        before_effective_n as trials_2,
        control_after_value as value_3,
        control_after_effective_n as trials_3,
        control_before_value as value_4,
        control_before_effective_n as trials_4
    from differences
    where difference is not null
),

{{ rate_difference_p('rates', 'comparison_id', sides=4) }},

effects as (
    select
        differences.action_id,
        differences.arm,
        differences.contrast,
        differences.smallest_count,
        differences.before_n,
        differences.before_clusters,
        differences.before_value,
        differences.before_ci_low,
        differences.before_ci_high,
        differences.after_n,
        differences.after_clusters,
        differences.after_value,
        differences.after_ci_low,
        differences.after_ci_high,
        differences.control_before_n,
        differences.control_before_clusters,
        differences.control_before_value,
        differences.control_after_n,
        differences.control_after_clusters,
        differences.control_after_value,
        differences.difference,
        differences.difference_low,
        differences.difference_high,
        rates_p.p_value,
        -- 80 % power at 5 % two-sided: the 0.975 and the 0.8 quantile of the normal.
        ({{ z_95() }} + 0.841621233572914e0::{{ type_double() }})
        * sqrt(nullif(differences.variance, 0)) as smallest_detectable_effect
    from differences
    left join rates_p
        on differences.comparison_id = rates_p.comparison_id
)

select * from effects

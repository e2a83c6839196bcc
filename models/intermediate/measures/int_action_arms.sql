{#- Equal shares are the design: a sample-ratio mismatch is the sign of a broken one
    (Fabijan et al. 2019). -#}
with

actions as (
    select *
    from {{ ref('int_actions') }}
    where readout_kind = 'experiment'
),

assignments as (
    select * from {{ ref('int_experiment_assignments') }}
),

assigned as (
    select
        actions.action_id,
        assignments.arm,
        assignments.is_in_several_arms,
        assignments.arm = actions.control_arm as is_control
    from actions
    inner join assignments
        on actions.experiment_id = assignments.experiment_id
    where
        assignments.assigned_at
        < coalesce(actions.ends_at, actions.known_through)
        and assignments.assigned_at <= actions.known_through
),

-- Who is in several arms is in none of them, and counted beside each.
excluded as (
    select
        action_id,
        count(*) as n_in_several_arms
    from assigned
    where is_in_several_arms
    group by action_id
),

arms as (
    select
        action_id,
        arm,
        is_control,
        count(*)::{{ type_double() }} as n_assigned
    from assigned
    where not is_in_several_arms
    group by
        action_id,
        arm,
        is_control
),

shares as (
    select
        *,
        count(*) over experiment as arms,
        sum(n_assigned) over experiment as n_experiment,
        max(case when is_control then n_assigned end) over experiment
            as n_control
    from arms
    window experiment as (partition by action_id)
),

-- Pearson's chi-square of one arm against the others, 1 degree of freedom.
deviations as (
    select
        *,
        (n_assigned - n_experiment / arms)
        / nullif(sqrt(n_experiment / arms * (1 - 1 / arms::{{ type_double() }})), 0)
            as z
    from shares
),

arm_tests as (
    select
        *,
        {{ normal_two_sided_p('z') }} as arm_p
    from deviations
),

-- Bonferroni; the two arms of a pair deviate alike and are one test.
experiment_tests as (
    select
        *,
        least(
            min(arm_p) over (partition by action_id)
            * case when arms = 2 then 1 else arms end,
            1
        )::{{ type_double() }} as split_p_value
    from arm_tests
),

splits as (
    select
        experiment_tests.action_id,
        experiment_tests.arm,
        experiment_tests.is_control,
        experiment_tests.arms::bigint as arms,
        experiment_tests.n_assigned::bigint as n_assigned,
        experiment_tests.n_control::bigint as n_control_assigned,
        experiment_tests.n_experiment::bigint as n_experiment,
        experiment_tests.split_p_value,
        coalesce(excluded.n_in_several_arms, 0)::bigint as n_in_several_arms
    from experiment_tests
    left join excluded
        on experiment_tests.action_id = excluded.action_id
)

select * from splits

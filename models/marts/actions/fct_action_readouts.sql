with

actions as (
    select * from {{ ref('actions') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

dated_actions as (
    select * from {{ ref('int_actions') }}
),

effects as (
    select * from {{ ref('int_action_effects') }}
),

arms as (
    select *
    from {{ ref('int_action_arms') }}
    where not is_control
),

arm_sets as (
    select
        action_id,
        max(arms) as arms,
        max(n_experiment) as n_experiment,
        max(n_control_assigned) as n_control_assigned,
        max(n_in_several_arms) as n_in_several_arms,
        max(split_p_value) as split_p_value
    from {{ ref('int_action_arms') }}
    group by action_id
),

outcome_values as (
    select * from {{ ref('int_action_values') }}
),

-- Holm: the smallest p of three decides whether any is significant.
control_tests as (
    select
        action_id,
        min(smallest_count) as smallest_count,
        max(
            case
                when
                    contrast = 'placebo_2'
                    and difference_low <= 0
                    and difference_high >= 0
                    then 1
                else 0
            end
        ) as is_trend_free,
        min(p_value) * 3 as placebo_p_value
    from effects
    where contrast <> 'effect'
    group by action_id
),

-- What stands against a verdict, the first that holds.
examined as (
    select
        effects.*,
        dated_actions.readout_kind,
        dated_actions.segment_dimension,
        dated_actions.segment_value,
        dated_actions.direction,
        dated_actions.family_date,
        dated_actions.known_through,
        arms.n_assigned,
        arm_sets.n_control_assigned,
        arm_sets.n_experiment,
        arm_sets.n_in_several_arms,
        arm_sets.split_p_value,
        outcome_values.value_per_outcome,
        effects.action_id || coalesce(':' || effects.arm, '') as readout_id,
        case
            when not dated_actions.has_started then 'not_started'
            when not dated_actions.is_due then 'not_due'
            when not dated_actions.is_rate then 'no_rate'
            when outcome_values.units is null then 'not_measured'
            when
                dated_actions.readout_kind = 'experiment'
                and arm_sets.n_experiment is null
                then 'no_assignments'
            when
                dated_actions.readout_kind = 'experiment'
                and arm_sets.n_control_assigned is null
                then 'no_control_arm'
            when
                dated_actions.readout_kind = 'experiment'
                and arm_sets.arms < 2
                then 'no_treated_arm'
            when
                arm_sets.n_in_several_arms
                > 0.01 * (arm_sets.n_experiment + arm_sets.n_in_several_arms)
                then 'several_arms'
            when arm_sets.split_p_value < 0.001 then 'unequal_split'
            when
                dated_actions.readout_kind = 'experiment'
                and least(effects.before_n, effects.after_n) = 0
                then 'empty_arm'
            when effects.after_n = 0 then 'nothing_complete'
            when effects.before_n = 0 then 'nothing_before'
            when dated_actions.readout_kind = 'before_after' then 'no_control'
            when effects.smallest_count < {{ var('minimum_n') }} then 'too_few'
            when
                dated_actions.readout_kind = 'difference_in_differences'
                and coalesce(control_tests.smallest_count, 0) < {{ var('minimum_n') }}
                then 'short_before'
            when control_tests.is_trend_free = 0 then 'trend'
            when
                control_tests.placebo_p_value <= {{ var('significance_level') }}
                then 'placebo'
        end as obstacle
    from dated_actions
    inner join effects
        on dated_actions.action_id = effects.action_id
    left join arms
        on
            effects.action_id = arms.action_id
            and effects.arm = arms.arm
    left join arm_sets
        on effects.action_id = arm_sets.action_id
    left join control_tests
        on effects.action_id = control_tests.action_id
    left join outcome_values
        on effects.action_id = outcome_values.action_id
    where effects.contrast = 'effect'
),

shown as (
    select
        *,
        obstacle is null
        or obstacle in ('no_control', 'too_few', 'short_before', 'trend', 'placebo')
            as has_figures
    from examined
),

tested as (
    select
        readout_id,
        family_date,
        p_value
    from shown
    where
        obstacle is null
        and p_value is not null
),

-- What is read later is no part of the family: a readout stays after its day.
families as (
    select
        tested.readout_id,
        tested.p_value,
        members.p_value as member_p_value,
        count(*) over (partition by tested.readout_id) as family_size,
        row_number() over (
            partition by tested.readout_id
            order by members.p_value, {{ binary_order('members.readout_id') }}
        ) as p_rank
    from tested
    inner join tested as members
        on tested.family_date >= members.family_date
),

adjusted as (
    select
        readout_id,
        least(
            min(
                case
                    when member_p_value >= p_value
                        then member_p_value * family_size / p_rank
                end
            ),
            1
        ) as adjusted_p_value
    from families
    group by readout_id
),

judged as (
    select
        shown.*,
        adjusted.adjusted_p_value,
        case
            when
                shown.obstacle in ('not_started', 'not_due', 'nothing_complete')
                then 'too_early'
            when
                shown.obstacle in (
                    'no_assignments',
                    'no_control_arm',
                    'no_treated_arm',
                    'several_arms',
                    'unequal_split',
                    'empty_arm'
                )
                then 'void'
            when shown.obstacle is not null then 'no_evidence'
            when
                adjusted.adjusted_p_value > {{ var('significance_level') }}
                then 'no_evidence'
            when
                shown.difference_low * shown.direction > 0
                and shown.difference_high * shown.direction > 0
                then 'improved'
            when
                shown.difference_low * shown.direction < 0
                and shown.difference_high * shown.direction < 0
                then 'worse'
            else 'no_evidence'
        end as verdict
    from shown
    left join adjusted
        on shown.readout_id = adjusted.readout_id
),

figures as (
    select
        judged.*,
        actions.title,
        actions.category,
        actions.owner,
        actions.journey_id,
        actions.metric_id,
        actions.stage_id,
        actions.control_segment_value,
        actions.experiment_id,
        actions.control_arm,
        actions.started_on,
        actions.ended_on,
        actions.readout_on,
        metrics.label || ' at ' || actions.stage_id as measure,
        case
            when judged.verdict <> 'too_early' then judged.known_through
        end as readout_at,
        case
            when judged.direction = 1 then judged.difference else -judged.difference
        end
            as effect,
        case
            when judged.direction = 1 then judged.difference_low
            else -judged.difference_high
        end as effect_ci_low,
        case
            when judged.direction = 1 then judged.difference_high
            else -judged.difference_low
        end as effect_ci_high,
        judged.before_n + judged.after_n
        + coalesce(judged.control_before_n + judged.control_after_n, 0) as n,
        judged.before_clusters + judged.after_clusters
        + coalesce(judged.control_before_clusters + judged.control_after_clusters, 0)
            as n_clusters,
        case
            when judged.verdict in ('improved', 'worse')
                then judged.difference * judged.after_n
        end as added_outcomes
    from judged
    inner join actions
        on judged.action_id = actions.action_id
    inner join metrics
        on actions.metric_id = metrics.metric_id
),

reasoned as (
    select
        *,
        case obstacle
            when 'not_started'
                then 'It starts on ' || started_on::{{ type_text() }} || '.'
            when 'not_due'
                then coalesce(
                    'It is read once, on ' || readout_on::{{ type_text() }}
                    || ', when the outcomes until then are in.',
                    'No outcome of the stage is known yet.'
                )
            when 'no_rate'
                then 'Only rates are read out, and ' || metric_id || ' is none.'
            when 'not_measured'
                then
                    'Nobody counts for ' || metric_id || ' at ' || stage_id
                    || ': it is not measured there, or nobody has entered.'
            when 'no_assignments'
                then 'Nobody was assigned to ' || experiment_id || '.'
            when 'no_control_arm'
                then 'Nobody was assigned to the control arm ' || control_arm || '.'
            when 'no_treated_arm'
                then 'Everybody was assigned to the control arm.'
            when 'several_arms'
                then
                    n_in_several_arms::{{ type_text() }}
                    || ' customers were assigned to several arms.'
            when 'unequal_split'
                then
                    'Sample-ratio mismatch: the ' || n_experiment::{{ type_text() }}
                    || ' customers assigned are not split equally (p < 0.001).'
            when 'empty_arm'
                then
                    'An arm has no case that had its window: '
                    || before_n::{{ type_text() }} || ' of ' || control_arm || ', '
                    || after_n::{{ type_text() }} || ' of ' || arm || '.'
            when 'nothing_complete'
                then
                    'No case since ' || started_on::{{ type_text() }}
                    || ' has had its window.'
            when 'nothing_before'
                then 'No case had its window and entered 13 weeks before the start.'
            when 'no_control'
                then 'Without a control nobody knows what would have been anyway.'
            when 'too_few'
                then 'Fewer than {{ var("minimum_n") }} cases or clusters on a side.'
            when 'short_before'
                then
                    'Too few cases before the start to see whether '
                    || segment_value || ' and ' || control_segment_value
                    || ' moved alike.'
            when 'trend'
                then
                    segment_value || ' and ' || control_segment_value
                    || ' moved apart before the start.'
            when 'placebo'
                then
                    'A date before the start shows an effect too.'
            else case
                when verdict = 'no_evidence'
                    then
                        'It cannot be told from chance'
                        || coalesce(
                            '; four in five times an effect of '
                            || {{ points_text('smallest_detectable_effect') }}
                            || ' would have been.',
                            '.'
                        )
            end
        end as reason,
        measure || ' was ' || {{ percent_text('after_value') }}
        || case
            when readout_kind = 'experiment' then ' with ' || arm || ' against '
            else ' after '
        end
        || {{ percent_text('before_value') }}
        || case
            when readout_kind = 'experiment' then ' with ' || control_arm || ', '
            else ' before, '
        end
        || {{ points_text('abs(effect)') }} || ' '
        || case when effect < 0 then 'worse' else 'better' end
        || case
            when readout_kind = 'difference_in_differences'
                then ' beside ' || control_segment_value
            else ''
        end
        || ' (95 % interval ' || {{ points_figure('effect_ci_low') }} || ' to '
        || {{ points_figure('effect_ci_high') }} || ')' as comparison
    from figures
),

readouts as (
    select
        readout_id,
        action_id,
        title,
        category,
        owner,
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        control_segment_value,
        readout_kind,
        experiment_id,
        arm,
        control_arm,
        started_on,
        ended_on,
        readout_on,
        readout_at,
        n::bigint as n,
        n_clusters::bigint as n_clusters,
        n_assigned,
        n_control_assigned,
        n_in_several_arms,
        split_p_value,
        before_n,
        after_n,
        control_before_n,
        control_after_n,
        adjusted_p_value,
        verdict,
        reason,
        added_outcomes,
        case when has_figures then before_value end as before_value,
        case when has_figures then before_ci_low end as before_ci_low,
        case when has_figures then before_ci_high end as before_ci_high,
        case when has_figures then after_value end as after_value,
        case when has_figures then after_ci_low end as after_ci_low,
        case when has_figures then after_ci_high end as after_ci_high,
        case when has_figures then control_before_value end as control_before_value,
        case when has_figures then control_after_value end as control_after_value,
        case when has_figures then difference end as difference,
        case when has_figures then effect end as effect,
        case when has_figures then effect_ci_low end as effect_ci_low,
        case when has_figures then effect_ci_high end as effect_ci_high,
        case when obstacle is null then p_value end as p_value,
        case when has_figures then smallest_detectable_effect end
            as smallest_detectable_effect,
        added_outcomes * value_per_outcome as realised_value,
        title || ': '
        || case verdict
            when 'too_early' then 'too early. '
            when 'void' then 'void. '
            when 'no_evidence' then 'no evidence. '
            else
                verdict
                || case
                    when readout_kind = 'experiment' then ' because of it' else ''
                end
                || '. '
        end
        || concat_ws(
            ' ', case when has_figures then comparison || '.' end, reason
        ) as sentence
    from reasoned
)

select * from readouts

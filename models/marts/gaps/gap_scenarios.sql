{#- The journey as an absorbing chain of first entries. Whoever closes a gap sends more
    cases into the stages behind it, so scenarios are computed and never added up.
    Recursion is not portable: each pass looks one move further ahead, and a case makes no
    more moves than its journey has stages to pass through. -#}
{%- set passes = progress_stage_limit() %}
with

flows as (
    select * from {{ ref('fct_stage_flows') }}
),

levers as (
    select * from {{ ref('gap_levers') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

journey_values as (
    select * from {{ ref('int_journey_values') }}
),

chains as (
    select
        journey_id,
        min(period_start) as period_start,
        min(period_end) as period_end,
        max(case when moves > 0 and mean_days is null then 1 else 0 end)
            as has_unknown_days
    from flows
    group by journey_id
),

inflows as (
    select distinct
        journey_id,
        from_stage_id,
        inflow,
        inflow_successes
    from flows
),

chain_inflows as (
    select
        journey_id,
        sum(inflow) as inflow,
        sum(inflow_successes) as observed_successes
    from inflows
    group by journey_id
),

pairs as (
    select
        levers.journey_id,
        levers.lever_number,
        other_levers.lever_number as other_lever_number,
        levers.journey_id || ':' || levers.gap_id || ' + ' || other_levers.gap_id
            as scenario_id
    from levers
    inner join levers as other_levers
        on
            levers.journey_id = other_levers.journey_id
            and levers.lever_number < other_levers.lever_number
),

closed_levers as (
    select
        journey_id,
        'one' as scenario_kind,
        lever_number,
        journey_id || ':' || gap_id as scenario_id
    from levers
    union all
    select
        journey_id,
        'two' as scenario_kind,
        lever_number,
        scenario_id
    from pairs
    union all
    select
        journey_id,
        'two' as scenario_kind,
        other_lever_number as lever_number,
        scenario_id
    from pairs
    union all
    select
        journey_id,
        'all' as scenario_kind,
        lever_number,
        journey_id || ':all' as scenario_id
    from levers
),

closed_gaps as (
    select
        levers.*,
        closed_levers.scenario_id,
        closed_levers.scenario_kind,
        levers.stage_id
        || case when levers.lever_kind = 'time' then ' (time)' else '' end
            as lever_name,
        case
            when
                row_number() over (
                    partition by closed_levers.scenario_id, levers.stage_id
                    order by levers.lever_number
                ) = 1
                then levers.stage_id
        end as new_stage_id
    from closed_levers
    inner join levers
        on
            closed_levers.journey_id = levers.journey_id
            and closed_levers.lever_number = levers.lever_number
),

closed_stages as (
    select
        scenario_id,
        stage_id,
        max(rate_factor) as rate_factor,
        max(cautious_rate_factor) as cautious_rate_factor,
        min(days_factor) as days_factor
    from closed_gaps
    group by
        scenario_id,
        stage_id
),

scenarios as (
    select
        journey_id,
        journey_id || ':as_is' as scenario_id,
        'as_is' as scenario_kind,
        null::{{ type_text() }} as gap_ids,
        null::{{ type_text() }} as stage_ids,
        null::{{ type_text() }} as lever_names
    from chains
    union all
    select
        journey_id,
        scenario_id,
        scenario_kind,
        {{ joined_by_number('gap_id', 'lever_number', 2 * passes) }} as gap_ids,
        {{ joined_by_number('new_stage_id', 'lever_number', 2 * passes) }}
            as stage_ids,
        {{ joined_by_number('lever_name', 'lever_number', 2 * passes) }} as lever_names
    from closed_gaps
    group by
        journey_id,
        scenario_id,
        scenario_kind
),

scenario_flows as (
    select
        scenarios.scenario_id,
        flows.from_stage_id,
        flows.to_stage_id,
        flows.is_success,
        coalesce(flows.share * coalesce(closed_stages.rate_factor, 1), 0)
            as share,
        coalesce(flows.share * coalesce(closed_stages.cautious_rate_factor, 1), 0)
            as cautious_share,
        coalesce(flows.mean_days * coalesce(closed_stages.days_factor, 1), 0)
            as mean_days
    from scenarios
    inner join flows
        on scenarios.journey_id = flows.journey_id
    left join closed_stages
        on
            scenarios.scenario_id = closed_stages.scenario_id
            and flows.from_stage_id = closed_stages.stage_id
),

{{ chain_passes('scenario_flows', passes) }},

expected as (
    select
        scenarios.scenario_id,
        sum(inflows.inflow * pass_{{ passes }}.success_rate) as successes,
        sum(inflows.inflow * pass_{{ passes }}.cautious_success_rate)
            as cautious_successes,
        sum(inflows.inflow * pass_{{ passes }}.success_days) as success_days
    from scenarios
    inner join inflows
        on scenarios.journey_id = inflows.journey_id
    inner join pass_{{ passes }}
        on
            scenarios.scenario_id = pass_{{ passes }}.scenario_id
            and inflows.from_stage_id = pass_{{ passes }}.from_stage_id
    group by scenarios.scenario_id
),

outcomes as (
    select
        scenarios.journey_id,
        scenarios.scenario_id,
        scenarios.scenario_kind,
        scenarios.gap_ids,
        scenarios.stage_ids,
        scenarios.lever_names,
        expected.successes,
        expected.cautious_successes,
        case
            when chains.has_unknown_days = 0
                then expected.success_days / nullif(expected.successes, 0)
        end as mean_days_to_success
    from scenarios
    inner join expected
        on scenarios.scenario_id = expected.scenario_id
    inner join chains
        on scenarios.journey_id = chains.journey_id
),

as_is as (
    select *
    from outcomes
    where scenario_kind = 'as_is'
),

single_effects as (
    select
        outcomes.journey_id,
        closed_levers.lever_number,
        {{ difference_or_zero('outcomes.successes', 'as_is.successes') }}
            as added_successes
    from outcomes
    inner join as_is
        on outcomes.journey_id = as_is.journey_id
    inner join closed_levers
        on outcomes.scenario_id = closed_levers.scenario_id
    where outcomes.scenario_kind = 'one'
),

summed_effects as (
    select
        closed_levers.scenario_id,
        sum(single_effects.added_successes) as sum_of_single_effects
    from closed_levers
    inner join single_effects
        on
            closed_levers.journey_id = single_effects.journey_id
            and closed_levers.lever_number = single_effects.lever_number
    group by closed_levers.scenario_id
),

compared as (
    select
        outcomes.journey_id,
        outcomes.scenario_id,
        outcomes.scenario_kind,
        outcomes.gap_ids,
        outcomes.stage_ids,
        outcomes.lever_names,
        chains.period_start,
        chains.period_end,
        outcomes.successes,
        as_is.successes as successes_as_is,
        outcomes.mean_days_to_success,
        as_is.mean_days_to_success as days_as_is,
        journey_values.mean_success_value,
        journeys.currency,
        chain_inflows.inflow::bigint as inflow,
        chain_inflows.observed_successes::bigint as observed_successes,
        {{ difference_or_zero('outcomes.successes', 'as_is.successes') }}
            as added_successes,
        {{ difference_or_zero('outcomes.cautious_successes', 'as_is.successes') }}
            as cautious_added_successes,
        coalesce(summed_effects.sum_of_single_effects, 0) as sum_of_single_effects,
        {{ difference_or_zero(
            'as_is.mean_days_to_success', 'outcomes.mean_days_to_success'
        ) }} as saved_days
    from outcomes
    inner join as_is
        on outcomes.journey_id = as_is.journey_id
    inner join chains
        on outcomes.journey_id = chains.journey_id
    inner join chain_inflows
        on outcomes.journey_id = chain_inflows.journey_id
    inner join journeys
        on outcomes.journey_id = journeys.journey_id
    left join journey_values
        on outcomes.journey_id = journey_values.journey_id
    left join summed_effects
        on outcomes.scenario_id = summed_effects.scenario_id
),

-- What is said, part by part; concat_ws leaves out what is null.
said as (
    select
        *,
        successes * mean_success_value as value,
        added_successes * mean_success_value as added_value,
        case
            when scenario_kind = 'as_is'
                then
                    'As it is, ' || {{ decimal_text('successes') }}
                    || ' successes are expected of '
                    || {{ counted_text('inflow', "'case'", "'cases'") }}
                    || ' that begin; ' || {{ grouped_text('observed_successes') }}
                    || ' have been seen so far'
            when added_successes = 0
                then
                    'With ' || lever_names || ' at the benchmark: '
                    || {{ decimal_text('successes') }} || ' successes as it is'
            else
                'With ' || lever_names || ' at the benchmark: '
                || {{ decimal_text('successes') }} || ' successes instead of '
                || {{ decimal_text('successes_as_is') }}
                || case
                    when abs(added_successes - sum_of_single_effects) >= 0.05
                        then
                            ' (together ' || {{ decimal_text('added_successes') }}
                            || ' more, one by one they add up to '
                            || {{ decimal_text('sum_of_single_effects') }} || ')'
                    else ''
                end
        end as successes_said,
        case
            when added_successes > 0
                then
                    {{ grouped_text(nearest_whole(
                        '(added_successes * mean_success_value)'
                    )) }} || coalesce(' ' || currency, '') || ' more'
        end as value_said,
        case
            when scenario_kind = 'as_is'
                then {{ days_text('mean_days_to_success') }} || ' to a success'
            when
                {{ days_text('mean_days_to_success') }}
                <> {{ days_text('days_as_is') }}
                then
                    {{ days_text('mean_days_to_success') }}
                    || ' to a success instead of ' || {{ days_text('days_as_is') }}
        end as days_said
    from compared
),

final as (
    select
        scenario_id,
        journey_id,
        scenario_kind,
        gap_ids,
        stage_ids,
        period_start,
        period_end,
        inflow,
        observed_successes,
        successes,
        added_successes,
        cautious_added_successes,
        sum_of_single_effects,
        mean_success_value,
        value,
        added_value,
        currency,
        mean_days_to_success,
        saved_days,
        concat_ws('; ', successes_said, value_said, days_said) || '.' as sentence
    from said
)

select * from final

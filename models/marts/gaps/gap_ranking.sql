with

verdicts as (
    select * from {{ ref('int_gap_verdicts') }}
),

success_shares as (
    select * from {{ ref('int_success_shares') }}
),

journeys as (
    select * from {{ ref('dim_journeys') }}
),

stages as (
    select * from {{ ref('dim_stages') }}
),

metrics as (
    select * from {{ ref('dim_metrics') }}
),

drivers as (
    select * from {{ ref('gap_drivers') }}
),

readouts as (
    select * from {{ ref('fct_action_readouts') }}
),

total_shares as (
    select *
    from success_shares
    where segment_dimension = 'all'
),

-- The total's where a segment has too few.
success_sizes as (
    select
        verdicts.*,
        journeys.currency as journey_currency,
        case
            when verdicts.metric_id = 'journey_conversion_rate' then 1
            when segment_shares.converters >= {{ var('minimum_n') }}
                then
                    segment_shares.successes::{{ type_double() }}
                    / segment_shares.converters
            else
                total_shares.successes::{{ type_double() }}
                / nullif(total_shares.converters, 0)
        end as success_share,
        case
            when segment_shares.valued_successes >= {{ var('minimum_n') }}
                then segment_shares.value_sum / segment_shares.valued_successes
            else total_shares.value_sum / nullif(total_shares.valued_successes, 0)
        end as mean_success_value,
        case
            when segment_shares.valued_successes >= {{ var('minimum_n') }}
                then {{ value_basis('segment_shares') }}
            else {{ value_basis('total_shares') }}
        end as value_basis
    from verdicts
    inner join journeys
        on verdicts.journey_id = journeys.journey_id
    left join success_shares as segment_shares
        on
            verdicts.journey_id = segment_shares.journey_id
            and verdicts.stage_id = segment_shares.stage_id
            and verdicts.segment_dimension = segment_shares.segment_dimension
            and verdicts.segment_value = segment_shares.segment_value
    left join total_shares
        on
            verdicts.journey_id = total_shares.journey_id
            and verdicts.stage_id = total_shares.stage_id
),

-- An upper bound: whoever is won back may be likelier to fail later than the others.
valued as (
    select
        gap_id,
        success_share,
        mean_success_value,
        coalesce(value_basis, 'missing') as value_basis,
        case when mean_success_value is not null then journey_currency end
            as currency,
        recoverable_cases * success_share as recoverable_successes,
        recoverable_cases * success_share * mean_success_value as value_at_stake
    from success_sizes
    where {{ leads_to_success('metric_id') }}
),

-- One metric a loss family: conversion and drop-off at a stage are the same loss. What
-- somebody gave as desired comes before the past.
family_ranks as (
    select
        verdicts.gap_id,
        verdicts.segment_dimension,
        verdicts.lag_factor,
        valued.value_at_stake,
        valued.currency,
        verdicts.severity * verdicts.reach as priority,
        row_number() over (
            partition by
                verdicts.journey_id,
                verdicts.stage_id,
                verdicts.segment_dimension,
                verdicts.segment_value,
                verdicts.loss_family
            order by
                case when verdicts.is_difference then 1 else 0 end,
                verdicts.severity * verdicts.reach desc nulls last,
                {{ binary_order('verdicts.gap_id') }} asc
        ) as family_rank
    from verdicts
    left join valued
        on verdicts.gap_id = valued.gap_id
    where
        verdicts.verdict = 'lagging'
        and verdicts.loss_family is not null
),

-- Totals and segments are separate lists: segments overlap. Money is ranked within its
-- currency.
ranks as (
    select
        gap_id,
        row_number() over (
            partition by segment_dimension = 'all'
            order by
                priority desc nulls last,
                {{ binary_order('gap_id') }} asc
        )::bigint as priority_rank,
        row_number() over (
            partition by segment_dimension = 'all'
            order by
                lag_factor desc nulls last,
                {{ binary_order('gap_id') }} asc
        )::bigint as lag_rank,
        case
            when value_at_stake is not null
                then row_number() over (
                    partition by segment_dimension = 'all', currency
                    order by
                        value_at_stake desc nulls last,
                        {{ binary_order('gap_id') }} asc
                )
        end::bigint as value_rank
    from family_ranks
    where family_rank = 1
),

success_stages as (
    select
        journey_id,
        min({{ binary_order('stage_id') }}) as stage_id
    from stages
    where stage_kind = 'success'
    group by journey_id
    having count(*) = 1
),

texts as (
    select
        verdicts.gap_id,
        verdicts.verdict,
        verdicts.scale,
        verdicts.n,
        verdicts.n_clusters,
        verdicts.past_n,
        verdicts.past_n_clusters,
        verdicts.response_rate,
        {{ subject_text(
            'metrics.label', 'verdicts.stage_id', 'journeys.name',
            'verdicts.segment_dimension', 'verdicts.segment_value',
        ) }} as subject,
        coalesce({{ figure_text('verdicts.value', 'verdicts.scale') }}, 'unknown')
            as value_text,
        {{ figure_text('verdicts.benchmark_value', 'verdicts.scale') }} || ' ('
        || case
            when verdicts.past_weeks_back = 52 then 'own past, a year before'
            when verdicts.is_difference then 'own past, the 13 weeks before'
            else verdicts.benchmark_kind
        end
        || case when verdicts.is_fallback then ', of the total' else '' end
        || ')' as benchmark_text,
        case
            when verdicts.lag_factor >= 1.005
                then {{ times_text('verdicts.lag_factor') }} || ' behind'
            else 'behind'
        end as behind_text,
        {{ plural_text(words_text('journeys.entity')) }} as cases_text,
        {{ words_text('journeys.entity') }} as case_text,
        {{ two_digits('verdicts.recoverable_cases') }} as some_cases,
        {{ two_digits('verdicts.excess_customer_days') }} as some_days,
        {{ two_digits('valued.recoverable_successes') }} as some_successes,
        {{ two_digits('valued.value_at_stake') }} as some_value,
        valued.currency,
        valued.value_basis,
        coalesce({{ words_text('success_stages.stage_id') }}, 'a success')
            as success_text
    from verdicts
    inner join journeys
        on verdicts.journey_id = journeys.journey_id
    inner join metrics
        on verdicts.metric_id = metrics.metric_id
    left join valued
        on verdicts.gap_id = valued.gap_id
    left join success_stages
        on verdicts.journey_id = success_stages.journey_id
),

clauses as (
    select
        *,
        case
            when some_successes is not null
                then
                    '; closing it is worth '
                    || case
                        when some_successes = 0
                            then 'less than one more ' || case_text
                        else 'up to about ' || {{ counted_text(
                            'some_successes',
                            "'more ' || case_text",
                            "'more ' || cases_text",
                        ) }}
                    end
                    || ' reaching ' || success_text
                    || case
                        when coalesce(some_value, 0) = 0 then ''
                        else
                            ' and ' || {{ grouped_text('some_value') }}
                            || coalesce(' ' || currency, '')
                    end
                    || ' a quarter'
                    || case
                        when value_basis = 'missing_rate' and some_value is null
                            then ' (no value in money: a currency rate is missing)'
                        when value_basis = 'missing_rate'
                            then ' (without those whose currency rate is missing)'
                        when value_basis = 'default'
                            then ' (at least in part by the default value)'
                        when value_basis = 'missing'
                            then ' (no value in money is known)'
                        else ''
                    end
            when some_cases is not null
                then
                    '; that is about '
                    || {{ counted_text('some_cases', 'case_text', 'cases_text') }}
                    || ' a quarter'
            when some_days is not null
                then
                    '; that is about '
                    || {{ counted_text(
                        'some_days',
                        "case_text || ' day'",
                        "case_text || ' days'",
                    ) }}
                    || ' a quarter'
            else ''
        end as worth_clause
    from texts
),

sentences as (
    select
        gap_id,
        subject
        || case
            when verdict = 'definition_mismatch'
                then
                    ' is not compared with ' || benchmark_text
                    || ': that is of another definition or window'
            when verdict = 'immature'
                then
                    ' is not yet compared with ' || benchmark_text
                    || ': no 13 weeks have had their window to the end'
            when
                verdict = 'too_few_data'
                and response_rate < {{ var('minimum_response_rate') }}
                and least(
                    n,
                    n_clusters,
                    coalesce(past_n, n),
                    coalesce(past_n_clusters, n_clusters)
                ) >= {{ var('minimum_n') }}
                then
                    ' has too few data to be compared with ' || benchmark_text
                    || ': only ' || {{ percent_text('response_rate') }}
                    || ' of those asked answered, where '
                    || {{ percent_text(var('minimum_response_rate')) }}
                    || ' are needed'
            when verdict = 'too_few_data'
                then
                    ' has too few data to be compared with ' || benchmark_text
                    || ': ' || {{ counted_text('n', "'case'", "'cases'") }} || ' in '
                    || {{ counted_text(
                        'n_clusters', "'cluster'", "'clusters'"
                    ) }}
                    || case
                        when past_n is null then ''
                        else
                            ', then ' || {{ grouped_text('past_n') }} || ' in '
                            || {{ counted_text(
                                'past_n_clusters', "'cluster'", "'clusters'"
                            ) }}
                    end
                    || ', where {{ var("minimum_n") }} of each are needed'
            else
                ' is ' || value_text || ' against ' || benchmark_text || ': '
                || case
                    when verdict = 'lagging' then behind_text || worth_clause
                    when verdict = 'ahead' then 'ahead'
                    when verdict = 'at_par' then 'at par'
                    else 'the difference may be chance'
                end
        end
        || '.' as sentence
    from clauses
),

-- Of a kind the first; of kinds the one told best: where, then whose, then what.
ranked_drivers as (
    select
        gap_id,
        sentence,
        row_number() over (
            partition by gap_id
            order by
                case driver_kind
                    when 'segment' then 1
                    when 'hand_off' then 2
                    when 'experience' then 3
                    when 'behaviour' then 4
                    else 5
                end,
                driver_rank,
                {{ binary_order('sentence') }}
        ) as preference
    from drivers
    where
        is_unfavourable
        and warning is null
        and adjusted_p_value <= {{ var('significance_level') }}
),

-- Of what was done about it, in the segment or for all, the last that was begun.
ranked_readouts as (
    select
        verdicts.gap_id,
        readouts.action_id,
        readouts.verdict,
        readouts.sentence,
        row_number() over (
            partition by verdicts.gap_id
            order by
                readouts.started_on desc,
                case when readouts.segment_dimension = 'all' then 1 else 0 end,
                {{ binary_order('readouts.readout_id') }}
        ) as preference
    from verdicts
    inner join readouts
        on
            verdicts.journey_id = readouts.journey_id
            and verdicts.metric_id = readouts.metric_id
            and verdicts.stage_id = readouts.stage_id
            and readouts.segment_dimension in (verdicts.segment_dimension, 'all')
            and readouts.segment_value in (verdicts.segment_value, 'all')
),

ranking as (
    select
        verdicts.gap_id,
        verdicts.journey_id,
        verdicts.metric_id,
        verdicts.stage_id,
        verdicts.touchpoint_id,
        verdicts.segment_dimension,
        verdicts.segment_value,
        verdicts.benchmark_id,
        verdicts.benchmark_kind,
        verdicts.benchmark_value,
        verdicts.benchmark_segment_dimension,
        verdicts.benchmark_segment_value,
        verdicts.is_fallback,
        verdicts.period_grain,
        verdicts.period_start,
        verdicts.period_end,
        verdicts.n,
        verdicts.n_clusters,
        verdicts.value,
        verdicts.ci_low,
        verdicts.ci_high,
        verdicts.gap,
        verdicts.lag_factor,
        verdicts.p_value,
        verdicts.adjusted_p_value,
        verdicts.verdict,
        verdicts.severity,
        verdicts.reach,
        verdicts.recoverable_cases,
        verdicts.excess_customer_days,
        valued.success_share,
        valued.mean_success_value,
        valued.value_basis,
        valued.currency,
        valued.value_at_stake,
        ranks.priority_rank,
        ranks.lag_rank,
        ranks.value_rank,
        sentences.sentence,
        ranked_drivers.sentence as top_reason,
        ranked_readouts.action_id as last_action_id,
        ranked_readouts.verdict as last_action_verdict,
        ranked_readouts.sentence as last_action_sentence
    from verdicts
    left join valued
        on verdicts.gap_id = valued.gap_id
    left join ranks
        on verdicts.gap_id = ranks.gap_id
    left join sentences
        on verdicts.gap_id = sentences.gap_id
    left join ranked_drivers
        on
            verdicts.gap_id = ranked_drivers.gap_id
            and ranked_drivers.preference = 1
    left join ranked_readouts
        on
            verdicts.gap_id = ranked_readouts.gap_id
            and ranked_readouts.preference = 1
)

select * from ranking

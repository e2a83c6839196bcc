{#- What customers answered within 14 days of a key moment, as points of nps (-1, 0
    or 1) and csat (0 or 1). Answers on another scale have none (domain.md §6). -#}
with

cases as (
    select *
    from {{ ref('int_key_moment_cases') }}
    where is_reached
),

key_moments as (
    select * from {{ ref('int_key_moments') }}
),

responses as (
    select * from {{ ref('int_scored_responses') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

scored_responses as (
    select
        responses.response_id,
        responses.customer_id,
        customer_accounts.account_id,
        responses.survey,
        responses.answered_at,
        case
            when responses.nps_class = 'promoter' or responses.is_top_box then 1
            when responses.nps_class = 'detractor' then -1
            else 0
        end as score
    from responses
    left join customer_accounts
        on responses.customer_id = customer_accounts.customer_id
    where
        responses.is_scored
        and responses.survey in ('nps', 'csat')
),

keyed_cases as (
    select
        cases.journey_id,
        cases.stage_id,
        cases.entity_id,
        cases.attempt_number,
        cases.reached_at,
        cases.as_of,
        case when key_moments.entity <> 'account' then cases.customer_id end
            as customer_key,
        case when key_moments.entity = 'account' then cases.entity_id end
            as account_key
    from cases
    inner join key_moments
        on
            cases.journey_id = key_moments.journey_id
            and cases.stage_id = key_moments.stage_id
),

answers as (
    select
        keyed_cases.journey_id,
        keyed_cases.stage_id,
        keyed_cases.entity_id,
        keyed_cases.attempt_number,
        keyed_cases.reached_at,
        keyed_cases.as_of,
        scored_responses.response_id,
        scored_responses.customer_id,
        scored_responses.survey,
        scored_responses.answered_at,
        scored_responses.score
    from keyed_cases
    inner join scored_responses
        on keyed_cases.customer_key = scored_responses.customer_id
    union all
    select
        keyed_cases.journey_id,
        keyed_cases.stage_id,
        keyed_cases.entity_id,
        keyed_cases.attempt_number,
        keyed_cases.reached_at,
        keyed_cases.as_of,
        scored_responses.response_id,
        scored_responses.customer_id,
        scored_responses.survey,
        scored_responses.answered_at,
        scored_responses.score
    from keyed_cases
    inner join scored_responses
        on keyed_cases.account_key = scored_responses.account_id
),

scores as (
    select
        journey_id,
        stage_id,
        entity_id,
        attempt_number,
        response_id,
        customer_id,
        survey,
        answered_at,
        score
    from answers
    where
        answered_at >= reached_at
        and answered_at <= as_of
        and {{ epoch_us('answered_at') }} - {{ epoch_us('reached_at') }}
        <= 14 * 86400000000
)

select * from scores

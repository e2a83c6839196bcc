{#- Answers, by what each adds to the measure of its survey. -#}
with

responses as (
    select *
    from {{ ref('int_scored_responses') }}
    where is_scored
),

answers as (
    select *
    from {{ ref('int_moments') }}
    where moment_kind = 'survey_response'
),

units as (
    select
        responses.survey as metric_id,
        answers.journey_id,
        answers.stage_id,
        'survey_response:' || responses.response_id as unit_id,
        null::{{ type_text() }} as only_dimension,
        answers.entity_id,
        answers.attempt_number,
        answers.visit_number,
        answers.customer_id,
        answers.cluster_id,
        answers.moment_at as measured_at,
        0 as window_days,
        answers.observed_through,
        case
            when responses.survey = 'ces' then responses.score_on_scale
            when responses.nps_class = 'promoter' or responses.is_top_box then 1
            when responses.nps_class = 'detractor' then -1
            else 0
        end::{{ type_double() }} as score
    from answers
    inner join responses
        on answers.moment_id = responses.response_id
)

select * from units

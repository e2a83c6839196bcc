{#- Who was asked, and answered within 14 days: where the customer stood when asked. -#}
with

responses as (
    select * from {{ ref('int_scored_responses') }}
),

questions as (
    select *
    from {{ ref('int_moments') }}
    where moment_kind = 'survey_question'
),

units as (
    select
        responses.survey || '_response_rate' as metric_id,
        questions.journey_id,
        questions.stage_id,
        'survey_question:' || responses.response_id as unit_id,
        null::{{ type_text() }} as only_dimension,
        questions.entity_id,
        questions.attempt_number,
        questions.visit_number,
        questions.customer_id,
        questions.cluster_id,
        questions.moment_at as measured_at,
        14 as window_days,
        questions.observed_through,
        coalesce(
            {{ epoch_us('responses.answered_at') }}
            - {{ epoch_us('questions.moment_at') }} <= 14 * 86400000000,
            false
        ) as is_reached
    from questions
    inner join responses
        on questions.moment_id = responses.response_id
    where
        {{ epoch_us('questions.moment_at') }} + 14 * 86400000000
        <= {{ epoch_us('questions.observed_through') }}
)

select * from units

with

responses as (
    select *
    from {{ ref('int_current_survey_responses') }}
    where answered_at is not null
),

texts as (
    select * from {{ ref('int_feedback_texts') }}
),

matches as (
    select * from {{ ref('int_feedback_matches') }}
),

patterns as (
    select * from {{ ref('int_feedback_patterns') }}
),

judged_values as (
    select distinct
        'feedback_topic' as segment_dimension,
        topic as segment_value
    from patterns
    {% for feedback_type in feedback_types() -%}
        union all
        select
            'feedback_type' as segment_dimension,
            '{{ feedback_type }}' as segment_value
    {% endfor %}
),

response_topics as (
    select
        response_id,
        count(*) as topics,
        min({{ binary_order('topic') }}) as topic
    from matches
    group by response_id
),

final as (
    select
        judged_values.segment_dimension,
        judged_values.segment_value,
        'survey_response:' || texts.response_id || ':' || judged_values.segment_value
            as unit_id
    from texts
    cross join judged_values
    union all
    select
        'touchpoint' as segment_dimension,
        coalesce(touchpoint_id, '(unknown)') as segment_value,
        'survey_response:' || response_id || ':(verbatim)' as unit_id
    from texts
    union all
    select
        'feedback_topic' as segment_dimension,
        case
            when texts.response_id is null then '(unknown)'
            when response_topics.topics is null then '(unclassified)'
            when response_topics.topics > 1 then 'several topics'
            else response_topics.topic
        end as segment_value,
        'survey_response:' || responses.response_id as unit_id
    from responses
    left join texts
        on responses.response_id = texts.response_id
    left join response_topics
        on responses.response_id = response_topics.response_id
)

select * from final

{%- set follow_up_us = 14 * 86400000000 -%}
with

moments as (
    select *
    from {{ ref('int_moments') }}
    where moment_kind = 'survey_response'
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

topics as (
    select distinct topic from patterns
),

feedback_types as (
    {% for feedback_type in feedback_types() -%}
        select '{{ feedback_type }}' as feedback_type
        {%- if not loop.last %}
            union all
        {% endif %}
    {%- endfor %}
),

classified as (
    select distinct response_id from matches
),

response_types as (
    select distinct
        response_id,
        feedback_type
    from matches
),

seen as (
    select
        moments.journey_id,
        moments.stage_id,
        moments.entity_id,
        moments.attempt_number,
        moments.visit_number,
        moments.customer_id,
        moments.cluster_id,
        moments.observed_through,
        texts.response_id,
        texts.answered_at,
        case
            when texts.followed_up_at <= moments.as_of then texts.followed_up_at
        end as followed_up_at
    from moments
    inner join texts
        on moments.moment_id = texts.response_id
),

verbatims as (
    select
        *,
        {{ epoch_us('observed_through') }} - {{ epoch_us('answered_at') }}
            as observed_us,
        {{ epoch_us('followed_up_at') }} - {{ epoch_us('answered_at') }}
            as follow_up_us
    from seen
),

judged as (
    select
        verbatims.*,
        'feedback_unclassified_rate' as metric_id,
        ':(verbatim)' as unit,
        null::{{ type_text() }} as only_dimension,
        0 as window_days,
        classified.response_id is null as is_reached
    from verbatims
    left join classified
        on verbatims.response_id = classified.response_id
    union all
    select
        *,
        'feedback_follow_up_rate' as metric_id,
        '' as unit,
        null::{{ type_text() }} as only_dimension,
        14 as window_days,
        coalesce(follow_up_us <= {{ follow_up_us }}, false) as is_reached
    from verbatims
    where observed_us >= {{ follow_up_us }} or follow_up_us <= {{ follow_up_us }}
    union all
    select
        verbatims.*,
        'feedback_topic_rate' as metric_id,
        ':' || topics.topic as unit,
        'feedback_topic' as only_dimension,
        0 as window_days,
        matches.topic is not null as is_reached
    from verbatims
    cross join topics
    left join matches
        on
            verbatims.response_id = matches.response_id
            and topics.topic = matches.topic
    union all
    select
        verbatims.*,
        'feedback_type_rate' as metric_id,
        ':' || feedback_types.feedback_type as unit,
        'feedback_type' as only_dimension,
        0 as window_days,
        response_types.feedback_type is not null as is_reached
    from verbatims
    cross join feedback_types
    left join response_types
        on
            verbatims.response_id = response_types.response_id
            and feedback_types.feedback_type = response_types.feedback_type
),

final as (
    select
        metric_id,
        journey_id,
        stage_id,
        only_dimension,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        window_days,
        observed_through,
        is_reached,
        answered_at as measured_at,
        'survey_response:' || response_id || unit as unit_id
    from judged
)

select * from final

with

texts as (
    select * from {{ ref('int_feedback_texts') }}
),

matches as (
    select * from {{ ref('int_feedback_matches') }}
),

topic_counts as (
    select
        response_id,
        count(*) as topics
    from matches
    group by response_id
),

final as (
    select
        texts.response_id,
        texts.survey,
        texts.touchpoint_id,
        texts.verbatim,
        texts.is_truncated,
        texts.answered_at,
        texts.followed_up_at,
        coalesce(topic_counts.topics, 0)::integer as topics,
        topic_counts.response_id is not null as is_classified,
        {{ epoch_us('texts.followed_up_at') }} - {{ epoch_us('texts.answered_at') }}
            as follow_up_us,
        texts.followed_up_at is not null as is_loop_closed
    from texts
    left join topic_counts
        on texts.response_id = topic_counts.response_id
)

select * from final

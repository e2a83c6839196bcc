with

matches as (
    select * from {{ ref('int_feedback_matches') }}
),

texts as (
    select * from {{ ref('int_feedback_texts') }}
),

final as (
    select
        matches.response_id,
        matches.topic,
        matches.feedback_type,
        matches.pattern,
        matches.language,
        texts.survey,
        texts.touchpoint_id,
        texts.score,
        texts.answered_at,
        case
            when
                texts.survey <> 'nps'
                or texts.scale_min <> 0
                or texts.scale_max <> 10
                or texts.score not between 0 and 10
                then null
            when texts.score >= 9 then 'promoter'
            when texts.score >= 7 then 'passive'
            when texts.score >= 0 then 'detractor'
        end as nps_class
    from matches
    inner join texts
        on matches.response_id = texts.response_id
)

select * from final

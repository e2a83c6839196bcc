with

responses as (
    select * from {{ ref('stg_survey_responses') }}
),

versions as (
    select
        response_id,
        customer_id,
        survey,
        score,
        scale_min,
        scale_max,
        is_higher_better,
        verbatim,
        touchpoint_id,
        asked_at,
        answered_at,
        followed_up_at,
        row_number() over (
            partition by response_id
            order by
                source_updated_at desc nulls last,
                {{ binary_order('content_hash') }} desc
        ) as version_rank
    from responses
),

newest as (
    select
        response_id,
        customer_id,
        survey,
        score,
        scale_min,
        scale_max,
        is_higher_better,
        verbatim,
        touchpoint_id,
        asked_at,
        answered_at,
        followed_up_at
    from versions
    where version_rank = 1
)

select * from newest

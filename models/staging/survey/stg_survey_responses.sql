with

source as (
    select * from {{ source('raw', 'survey_responses') }}
),

renamed as (
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
        source_updated_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

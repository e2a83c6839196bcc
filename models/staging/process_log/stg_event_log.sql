with

source as (
    select * from {{ source('raw', 'event_log') }}
),

renamed as (
    select
        event_id,
        source_case_id,
        event_seq,
        activity,
        lifecycle,
        resource,
        occurred_at,
        attributes,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

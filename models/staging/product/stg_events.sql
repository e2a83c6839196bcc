with

source as (
    select * from {{ source('raw', 'events') }}
),

renamed as (
    select
        event_id,
        anonymous_id,
        customer_id,
        account_id,
        session_id,
        event_name,
        occurred_at,
        received_at,
        channel,
        properties,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

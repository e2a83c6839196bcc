with

source as (
    select * from {{ source('raw', 'support_contacts') }}
),

renamed as (
    select
        support_contact_id,
        customer_id,
        channel,
        topic,
        opened_at,
        first_response_at,
        resolved_at,
        agent_team,
        source_updated_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

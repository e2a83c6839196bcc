with

source as (
    select * from {{ source('raw', 'crm_contacts') }}
),

renamed as (
    select
        contact_id,
        account_id,
        customer_id,
        email_hash,
        persona,
        acquisition_channel,
        created_at,
        source_updated_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

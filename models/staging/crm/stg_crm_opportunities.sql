with

source as (
    select * from {{ source('raw', 'crm_opportunities') }}
),

renamed as (
    select
        opportunity_id,
        account_id,
        contact_id,
        pipeline,
        amount,
        currency,
        owner,
        created_at,
        closed_at,
        is_won,
        source_updated_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

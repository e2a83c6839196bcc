with

source as (
    select * from {{ source('raw', 'crm_accounts') }}
),

renamed as (
    select
        account_id,
        name,
        industry,
        employee_count,
        region,
        plan,
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

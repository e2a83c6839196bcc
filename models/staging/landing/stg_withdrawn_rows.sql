with

source as (
    select * from {{ source('raw', 'withdrawn_rows') }}
),

renamed as (
    select
        table_name,
        row_id,
        anonymous_id,
        customer_id,
        account_id,
        opportunity_id,
        support_contact_id,
        source_case_id,
        load_id
    from source
)

select * from renamed

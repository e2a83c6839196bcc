with

source as (
    select * from {{ source('raw', 'fx_rates') }}
),

renamed as (
    select
        currency,
        rate_date,
        rate_to_reporting_currency,
        source_updated_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

with

source as (
    select * from {{ source('raw', 'experiment_assignments') }}
),

renamed as (
    select
        experiment_id,
        customer_id,
        arm,
        assigned_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

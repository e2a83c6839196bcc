with

source as (
    select * from {{ source('raw', 'crm_stage_changes') }}
),

renamed as (
    select
        change_id,
        opportunity_id,
        stage_name,
        changed_at,
        changed_by,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

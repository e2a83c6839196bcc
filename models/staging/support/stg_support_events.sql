with

source as (
    select * from {{ source('raw', 'support_events') }}
),

renamed as (
    select
        support_event_id,
        support_contact_id,
        kind,
        agent_team,
        occurred_at,
        content_hash,
        load_id,
        loaded_at,
        source_file,
        source_line
    from source
)

select * from renamed

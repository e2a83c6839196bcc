with

contacts as (
    select * from {{ ref('stg_crm_contacts') }}
),

versions as (
    select
        contact_id,
        account_id,
        customer_id,
        row_number() over (
            partition by contact_id
            order by
                source_updated_at desc nulls last,
                {{ binary_order('content_hash') }} desc
        ) as version_rank
    from contacts
),

newest as (
    select
        contact_id,
        account_id,
        customer_id
    from versions
    where version_rank = 1
)

select * from newest

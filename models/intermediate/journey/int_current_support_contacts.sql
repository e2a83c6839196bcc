with

support_contacts as (
    select * from {{ ref('stg_support_contacts') }}
),

versions as (
    select
        support_contact_id,
        customer_id,
        channel,
        topic,
        opened_at,
        first_response_at,
        resolved_at,
        agent_team,
        row_number() over (
            partition by support_contact_id
            order by
                source_updated_at desc nulls last,
                {{ binary_order('content_hash') }} desc
        ) as version_rank
    from support_contacts
),

newest as (
    select
        support_contact_id,
        customer_id,
        channel,
        topic,
        opened_at,
        first_response_at,
        resolved_at,
        agent_team
    from versions
    where version_rank = 1
)

select * from newest

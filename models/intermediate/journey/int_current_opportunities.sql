with

opportunities as (
    select * from {{ ref('stg_crm_opportunities') }}
),

versions as (
    select
        opportunity_id,
        account_id,
        contact_id,
        amount,
        currency,
        owner,
        created_at,
        closed_at,
        is_won,
        row_number() over (
            partition by opportunity_id
            order by
                source_updated_at desc nulls last,
                {{ binary_order('content_hash') }} desc
        ) as version_rank
    from opportunities
),

newest as (
    select
        opportunity_id,
        account_id,
        contact_id,
        amount,
        currency,
        owner,
        created_at,
        closed_at,
        is_won
    from versions
    where version_rank = 1
)

select * from newest

{#- How each dimension finds its value. One key per journey and source, so that all
    visits of a case ask the same way: in a journey of accounts all is the account's. -#}
with

dimensions as (
    select * from {{ ref('segment_dimensions') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

entity_links as (
    select * from {{ ref('entity_links') }}
),

own_records as (
    select distinct
        journey_id,
        entity_column
    from entity_links
    where entity_column in ('opportunity_id', 'support_contact_id')
),

keyed_dimensions as (
    select
        dimensions.journey_id,
        dimensions.dimension as segment_dimension,
        journeys.entity,
        dimensions.source,
        dimensions.source_column,
        dimensions.top_n,
        dimensions.is_ranked,
        dimensions.paired_with,
        coalesce(dimensions.as_of_rule, 'immutable') as as_of_rule,
        case
            when {{ is_of_events('dimensions.source') }} then null
            when
                dimensions.source = 'crm_accounts' or journeys.entity = 'account'
                then 'account_id'
            when
                own_records.entity_column = 'opportunity_id'
                and dimensions.source in ('crm_opportunities', 'crm_contacts')
                then 'opportunity_id'
            when
                own_records.entity_column = 'support_contact_id'
                and dimensions.source = 'support_contacts'
                then 'support_contact_id'
            else 'customer_id'
        end as key_column
    from dimensions
    inner join journeys
        on dimensions.journey_id = journeys.journey_id
    left join own_records
        on dimensions.journey_id = own_records.journey_id
),

-- Journeys that ask the same of the same records share the answers.
final as (
    select
        journey_id,
        segment_dimension,
        entity,
        source,
        source_column,
        as_of_rule,
        key_column,
        top_n,
        is_ranked,
        paired_with,
        dense_rank() over (
            order by
                source,
                source_column,
                as_of_rule,
                key_column
        )::integer as lookup_number
    from keyed_dimensions
)

select * from final

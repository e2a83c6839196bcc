{#- Only of the columns that a dimension names, by the keys it asks by. A version of a
    CRM record counts from its update to the next one; of the rest, which are occasions
    (a contact, an answer, an assignment), the newest version, from when it took place. -#}
{%- set ever = "timestamp '0001-01-01 00:00:00'" -%}
{%- set never = "timestamp '9999-12-31 00:00:00'" -%}
with

dimensions as (
    select * from {{ ref('int_segment_dimensions') }}
),

crm_accounts as (
    select * from {{ ref('stg_crm_accounts') }}
),

crm_contacts as (
    select * from {{ ref('stg_crm_contacts') }}
),

crm_opportunities as (
    select * from {{ ref('stg_crm_opportunities') }}
),

support_contacts as (
    select * from {{ ref('stg_support_contacts') }}
),

survey_responses as (
    select * from {{ ref('stg_survey_responses') }}
),

experiment_assignments as (
    select * from {{ ref('stg_experiment_assignments') }}
),

current_contacts as (
    select * from {{ ref('int_current_contacts') }}
),

current_opportunities as (
    select * from {{ ref('int_current_opportunities') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

wanted_columns as (
    select distinct
        source,
        source_column
    from dimensions
),

lookups as (
    select distinct
        lookup_number,
        source,
        source_column,
        as_of_rule,
        key_column
    from dimensions
    where key_column is not null
),

versions as (
    {{ record_versions('crm_accounts', ['account_id']) }}
    union all
    {{ record_versions('crm_contacts', ['contact_id']) }}
    union all
    {{ record_versions('crm_opportunities', ['opportunity_id']) }}
    union all
    {{ record_versions('support_contacts', ['support_contact_id'], 'opened_at') }}
    union all
    {{ record_versions('survey_responses', ['response_id'], 'answered_at') }}
    union all
    {{ record_versions(
        'experiment_assignments',
        ['experiment_id', 'customer_id'],
        'assigned_at',
        updated_at='assigned_at',
    ) }}
),

ranked_versions as (
    select
        source,
        source_column,
        record_id,
        customer_id,
        record_value,
        known_from,
        has_history,
        lag(updated_at) over newest_first as next_update,
        row_number() over newest_first as version_rank
    from versions
    window newest_first as (
        partition by source, source_column, record_id
        order by
            updated_at desc nulls last,
            {{ binary_order('content_hash') }} desc
    )
),

-- A version that was replaced at once was never seen.
known_values as (
    select
        source,
        source_column,
        record_id,
        customer_id,
        record_value,
        known_from,
        case when has_history then next_update end as known_until,
        version_rank = 1 as is_newest
    from ranked_versions
    where
        record_value <> ''
        and (
            version_rank = 1
            or (has_history and known_from < next_update)
        )
),

-- What is known of a record by its newest version: its customer, its account.
record_keys as (
    select
        'crm_contacts' as source,
        contact_id as record_id,
        'customer_id' as key_column,
        customer_id as key_value
    from current_contacts
    union all
    select
        'crm_contacts' as source,
        contact_id as record_id,
        'account_id' as key_column,
        account_id as key_value
    from current_contacts
    union all
    select
        'crm_contacts' as source,
        contact_id as record_id,
        'opportunity_id' as key_column,
        opportunity_id as key_value
    from current_opportunities
    union all
    select
        'crm_opportunities' as source,
        current_opportunities.opportunity_id as record_id,
        'customer_id' as key_column,
        current_contacts.customer_id as key_value
    from current_opportunities
    inner join current_contacts
        on current_opportunities.contact_id = current_contacts.contact_id
    union all
    select
        'crm_opportunities' as source,
        current_opportunities.opportunity_id as record_id,
        'account_id' as key_column,
        coalesce(
            current_opportunities.account_id, current_contacts.account_id
        ) as key_value
    from current_opportunities
    left join current_contacts
        on current_opportunities.contact_id = current_contacts.contact_id
),

keyed_values as (
    select
        known_values.*,
        record_keys.key_column,
        record_keys.key_value
    from known_values
    inner join record_keys
        on
            known_values.source = record_keys.source
            and known_values.record_id = record_keys.record_id
    union all
    select
        *,
        case source
            when 'crm_accounts' then 'account_id'
            when 'crm_opportunities' then 'opportunity_id'
            when 'support_contacts' then 'support_contact_id'
        end as key_column,
        record_id as key_value
    from known_values
    union all
    select
        *,
        'customer_id' as key_column,
        customer_id as key_value
    from known_values
    union all
    select
        known_values.*,
        'account_id' as key_column,
        customer_accounts.account_id as key_value
    from known_values
    inner join customer_accounts
        on known_values.customer_id = customer_accounts.customer_id
),

-- Of several that begin at once the record of the smallest id.
candidates as (
    select
        lookups.lookup_number,
        lookups.as_of_rule,
        keyed_values.key_value,
        keyed_values.record_id,
        keyed_values.record_value,
        keyed_values.known_from,
        keyed_values.known_until,
        row_number() over (
            partition by lookups.lookup_number, keyed_values.key_value
            order by
                case
                    when lookups.as_of_rule <> 'immutable' then keyed_values.known_from
                end,
                {{ binary_order('keyed_values.record_id') }}
        ) as first_rank,
        row_number() over (
            partition by
                lookups.lookup_number,
                keyed_values.key_value,
                keyed_values.known_from
            order by {{ binary_order('keyed_values.record_id') }}
        ) as start_rank
    from keyed_values
    inner join lookups
        on
            keyed_values.source = lookups.source
            and keyed_values.source_column = lookups.source_column
            and keyed_values.key_column = lookups.key_column
    where
        keyed_values.key_value is not null
        and case
            when lookups.as_of_rule = 'immutable' then keyed_values.is_newest
            else keyed_values.known_from is not null
        end
),

lasting_values as (
    select
        lookup_number,
        key_value,
        record_value,
        case when as_of_rule = 'immutable' then {{ ever }} else known_from end
            as known_from
    from candidates
    where
        as_of_rule <> 'latest_at_entry'
        and first_rank = 1
),

starts as (
    select
        lookup_number,
        key_value,
        known_from,
        record_value
    from candidates
    where
        as_of_rule = 'latest_at_entry'
        and start_rank = 1
),

-- Where a value ends and none begins, what other records say counts again, if any does.
ends as (
    select distinct
        candidates.lookup_number,
        candidates.key_value,
        candidates.known_until as ended_at
    from candidates
    left join starts
        on
            candidates.lookup_number = starts.lookup_number
            and candidates.key_value = starts.key_value
            and candidates.known_until = starts.known_from
    where
        candidates.as_of_rule = 'latest_at_entry'
        and candidates.known_until is not null
        and starts.known_from is null
),

values_after_ends as (
    select
        ends.lookup_number,
        ends.key_value,
        ends.ended_at,
        candidates.record_value,
        row_number() over (
            partition by ends.lookup_number, ends.key_value, ends.ended_at
            order by
                candidates.known_from desc,
                {{ binary_order('candidates.record_id') }}
        ) as value_rank
    from ends
    left join candidates
        on
            ends.lookup_number = candidates.lookup_number
            and ends.key_value = candidates.key_value
            and ends.ended_at >= candidates.known_from
            and ends.ended_at < coalesce(candidates.known_until, {{ never }})
),

moments as (
    select
        lookup_number,
        key_value,
        known_from,
        record_value
    from starts
    union all
    select
        lookup_number,
        key_value,
        ended_at as known_from,
        record_value
    from values_after_ends
    where value_rank = 1
),

stretches as (
    select
        lookup_number,
        key_value,
        record_value,
        known_from,
        coalesce(
            lead(known_from) over (
                partition by lookup_number, key_value
                order by known_from
            ),
            {{ never }}
        ) as known_until
    from moments
    union all
    select
        lookup_number,
        key_value,
        record_value,
        known_from,
        {{ never }} as known_until
    from lasting_values
),

final as (
    select
        lookup_number,
        key_value,
        known_from,
        known_until,
        record_value
    from stretches
    where record_value is not null
)

select * from final

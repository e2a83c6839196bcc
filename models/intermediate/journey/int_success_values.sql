{#- What a success was worth, in the journey's currency: the deal that it closed, or a
    property of its event, else the journey's default. -#}
with

stage_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind = 'success'
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

journeys as (
    select * from {{ ref('journeys') }}
),

-- Without a property to look for, neither visits nor events are read.
case_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where
        journey_id in (
            select journeys.journey_id
            from journeys
            where journeys.success_value_source in ('events', 'event_log')
        )
),

crm_events as (
    select *
    from {{ ref('int_source_events') }}
    where source in ('crm_stage_changes', 'crm_opportunities')
),

valued_events as (
    select *
    from {{ ref('int_source_events') }}
    where
        source in ('events', 'event_log')
        and source in (
            select journeys.success_value_source
            from journeys
        )
),

opportunities as (
    select * from {{ ref('int_current_opportunities') }}
),

contacts as (
    select * from {{ ref('int_current_contacts') }}
),

fx_rates as (
    select * from {{ ref('stg_fx_rates') }}
),

-- A success ends its case, so each has one. Nothing later than as_of is seen.
successes as (
    select
        stage_visits.journey_id,
        stage_visits.entity_id,
        stage_visits.attempt_number,
        stage_visits.visit_number,
        stage_visits.source,
        stage_visits.source_row_id,
        stage_visits.entered_at as succeeded_at,
        journeys.entity,
        journeys.success_value_source,
        journeys.success_value_column,
        journeys.currency as journey_currency,
        {{ customer_of('stage_visits', 'journeys.entity') }} as customer_id,
        journeys.default_success_value::{{ type_double() }} as default_value
    from stage_visits
    inner join observations
        on
            stage_visits.journey_id = observations.journey_id
            and stage_visits.stage_id = observations.stage_id
            and {{ is_seen('stage_visits.entered_at', 'observations.as_of') }}
    inner join journeys
        on stage_visits.journey_id = journeys.journey_id
),

-- A success that the CRM tells of is that of its deal.
named_deals as (
    select
        successes.journey_id,
        successes.entity_id,
        successes.attempt_number,
        opportunities.currency,
        opportunities.amount::{{ type_double() }} as amount
    from successes
    inner join crm_events
        on
            successes.source = crm_events.source
            and successes.source_row_id = crm_events.source_row_id
    inner join opportunities
        on crm_events.opportunity_id = opportunities.opportunity_id
    where successes.success_value_source = 'crm_opportunities'
),

won_deals as (
    select
        opportunities.opportunity_id,
        opportunities.closed_at,
        opportunities.currency,
        contacts.customer_id,
        opportunities.amount::{{ type_double() }} as amount,
        coalesce(opportunities.account_id, contacts.account_id) as account_id
    from opportunities
    left join contacts
        on opportunities.contact_id = contacts.contact_id
    where opportunities.is_won
),

held_deals as (
    select
        *,
        'customer' as holder,
        customer_id as holder_id
    from won_deals
    union all
    select
        *,
        'account' as holder,
        account_id as holder_id
    from won_deals
),

dealless_successes as (
    select
        *,
        case when entity = 'account' then 'account' else 'customer' end as holder,
        case when entity = 'account' then entity_id else customer_id end as holder_id
    from successes
    where
        success_value_source = 'crm_opportunities'
        and coalesce(source, '') not in ('crm_stage_changes', 'crm_opportunities')
),

-- The event of the success itself comes first, then the case's others: a log may have a
-- case's attribute on any of its events.
valued_visits as (
    select
        successes.journey_id,
        successes.entity_id,
        successes.attempt_number,
        successes.success_value_source,
        successes.success_value_column,
        case_visits.source_row_id,
        case
            when case_visits.visit_number = successes.visit_number then 0
            else case_visits.visit_number
        end as visit_place
    from successes
    inner join case_visits
        on
            successes.journey_id = case_visits.journey_id
            and successes.entity_id = case_visits.entity_id
            and successes.attempt_number = case_visits.attempt_number
            and successes.success_value_source = case_visits.source
    where successes.success_value_source in ('events', 'event_log')
),

event_values as (
    select
        valued_visits.journey_id,
        valued_visits.entity_id,
        valued_visits.attempt_number,
        valued_visits.visit_place,
        {{ safe_double(json_field(
            'valued_events.properties', 'valued_visits.success_value_column'
        )) }} as amount
    from valued_visits
    inner join valued_events
        on
            valued_visits.success_value_source = valued_events.source
            and valued_visits.source_row_id = valued_events.source_row_id
),

-- Any other success is worth the deal that its customer, or account, won last before.
-- No comparison lets what is no number, or infinite, through.
candidates as (
    select
        journey_id,
        entity_id,
        attempt_number,
        currency,
        amount,
        0 as visit_place,
        null::timestamp as closed_at,
        null::{{ type_text() }} as opportunity_id
    from named_deals
    union all
    select
        dealless_successes.journey_id,
        dealless_successes.entity_id,
        dealless_successes.attempt_number,
        held_deals.currency,
        held_deals.amount,
        0 as visit_place,
        held_deals.closed_at,
        held_deals.opportunity_id
    from dealless_successes
    inner join held_deals
        on
            dealless_successes.holder = held_deals.holder
            and dealless_successes.holder_id = held_deals.holder_id
            and dealless_successes.succeeded_at >= held_deals.closed_at
    union all
    select
        journey_id,
        entity_id,
        attempt_number,
        null::{{ type_text() }} as currency,
        amount,
        visit_place,
        null::timestamp as closed_at,
        null::{{ type_text() }} as opportunity_id
    from event_values
    where
        amount > -1e15
        and amount < 1e15
),

ranked_candidates as (
    select
        *,
        row_number() over (
            partition by
                journey_id,
                entity_id,
                attempt_number
            order by
                visit_place,
                closed_at desc nulls last,
                {{ binary_order('opportunity_id') }}
        ) as candidate_rank
    from candidates
),

amounts as (
    select *
    from ranked_candidates
    where candidate_rank = 1
),

priced_successes as (
    select
        successes.journey_id,
        successes.entity_id,
        successes.attempt_number,
        successes.succeeded_at,
        successes.journey_currency,
        successes.default_value,
        amounts.amount,
        case
            when amounts.amount is not null
                then coalesce(amounts.currency, successes.journey_currency)
        end as amount_currency
    from successes
    left join amounts
        on
            successes.journey_id = amounts.journey_id
            and successes.entity_id = amounts.entity_id
            and successes.attempt_number = amounts.attempt_number
),

rate_versions as (
    select
        currency,
        rate_date,
        rate_to_reporting_currency::{{ type_double() }} as rate,
        row_number() over (
            partition by currency, rate_date
            order by
                source_updated_at desc nulls last,
                {{ binary_order('content_hash') }} desc
        ) as version_rank
    from fx_rates
),

rates as (
    select
        currency,
        rate_date,
        rate
    from rate_versions
    where version_rank = 1
),

listed_currencies as (
    select distinct currency
    from rates
),

wanted_rates as (
    select
        amount_currency as currency,
        succeeded_at::date as success_date
    from priced_successes
    where amount_currency <> journey_currency
    union distinct
    select
        journey_currency as currency,
        succeeded_at::date as success_date
    from priced_successes
    where amount_currency <> journey_currency
),

rate_dates as (
    select
        wanted_rates.currency,
        wanted_rates.success_date,
        max(rates.rate_date) as rate_date
    from wanted_rates
    inner join rates
        on
            wanted_rates.currency = rates.currency
            and wanted_rates.success_date >= rates.rate_date
    group by
        wanted_rates.currency,
        wanted_rates.success_date
),

success_rates as (
    select
        rate_dates.currency,
        rate_dates.success_date,
        rates.rate
    from rate_dates
    inner join rates
        on
            rate_dates.currency = rates.currency
            and rate_dates.rate_date = rates.rate_date
),

journey_rates as (
    select * from success_rates
),

-- A journey's currency without any rate is taken for the one that rates lead to.
rated_successes as (
    select
        priced_successes.*,
        case
            when priced_successes.amount_currency = priced_successes.journey_currency
                then 1
            when listed_currencies.currency is null then success_rates.rate
            else success_rates.rate / nullif(journey_rates.rate, 0)
        end as rate
    from priced_successes
    left join success_rates
        on
            priced_successes.amount_currency = success_rates.currency
            and priced_successes.succeeded_at::date = success_rates.success_date
    left join journey_rates
        on
            priced_successes.journey_currency = journey_rates.currency
            and priced_successes.succeeded_at::date = journey_rates.success_date
    left join listed_currencies
        on priced_successes.journey_currency = listed_currencies.currency
),

final as (
    select
        journey_id,
        entity_id,
        attempt_number,
        succeeded_at,
        amount,
        amount_currency,
        case when amount is null then default_value else amount * rate end as value,
        case
            when amount is null and default_value is null then 'missing'
            when amount is null then 'default'
            when rate is null then 'missing_rate'
            else 'source'
        end as value_basis
    from rated_successes
)

select * from final

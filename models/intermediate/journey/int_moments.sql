{#- When a customer said something, and where the customer stood then: the stage of each
    journey. A moment in no stage of a journey is none of its measures. -#}
with

support_contacts as (
    select * from {{ ref('int_current_support_contacts') }}
),

responses as (
    select * from {{ ref('int_current_survey_responses') }}
),

-- Read apart: a relation named twice would be stored whole in between, and mostly few
-- visits are looked for.
customer_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind <> 'exit'
),

account_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind <> 'exit'
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

said as (
    select
        'support_contact' as moment_kind,
        support_contact_id as moment_id,
        'support_contacts' as source,
        customer_id,
        opened_at as moment_at
    from support_contacts
    where opened_at is not null
    union all
    select
        'survey_response' as moment_kind,
        response_id as moment_id,
        'survey_responses' as source,
        customer_id,
        coalesce(answered_at, asked_at) as moment_at
    from responses
    where coalesce(answered_at, asked_at) is not null
    union all
    -- Apart: it may be answered in a later stage, or after as_of.
    select
        'survey_question' as moment_kind,
        response_id as moment_id,
        'survey_responses' as source,
        customer_id,
        asked_at as moment_at
    from responses
    where asked_at is not null
),

moments as (
    select
        said.moment_kind,
        said.moment_id,
        said.customer_id,
        said.moment_at,
        extents.complete_through,
        coalesce(customer_accounts.account_id, '') as account_id
    from said
    inner join extents
        on said.source = extents.source
    left join customer_accounts
        on said.customer_id = customer_accounts.customer_id
    where said.customer_id is not null
),

-- Nothing later than as_of is seen, in any column. What is said after a success is said
-- of it for the journey's window: whether a parcel pleases is known once it is there.
{%- for party in ['customer', 'account'] %}
    {{ party }}_stays as (
        select
            {{ party }}_visits.journey_id,
            {{ party }}_visits.entity_id,
            {{ party }}_visits.attempt_number,
            {{ party }}_visits.visit_number,
            {{ party }}_visits.stage_id,
            {{ party }}_visits.account_id,
            {{ party }}_visits.entered_at,
            coalesce(
                {{ party }}_visits.exited_at,
                {{ party }}_visits.lapsed_at,
                case
                    when {{ party }}_visits.stage_kind = 'success'
                        then
                            {{ party }}_visits.entered_at
                            + journeys.conversion_window_days * interval '1' day
                end,
                timestamp '9999-12-31 00:00:00'
            ) as left_at,
            observations.as_of,
            case
                when journeys.entity = 'account' then {{ party }}_visits.entity_id
            end as account_key,
            case
                when journeys.entity <> 'account'
                    then {{ customer_of(party ~ '_visits', 'journeys.entity') }}
            end as customer_key
        from {{ party }}_visits
        inner join journeys
            on {{ party }}_visits.journey_id = journeys.journey_id
        inner join observations
            on
                {{ party }}_visits.journey_id = observations.journey_id
                and {{ party }}_visits.stage_id = observations.stage_id
    ),
{% endfor %}
placed as (
    select
        customer_stays.journey_id,
        customer_stays.entity_id,
        customer_stays.attempt_number,
        customer_stays.visit_number,
        customer_stays.stage_id,
        customer_stays.account_id,
        customer_stays.entered_at,
        customer_stays.as_of,
        moments.moment_kind,
        moments.moment_id,
        moments.customer_id,
        moments.moment_at,
        moments.complete_through,
        nullif(moments.account_id, '') as customer_account_id
    from customer_stays
    inner join moments
        on
            customer_stays.customer_key = moments.customer_id
            and customer_stays.entered_at <= moments.moment_at
            and customer_stays.left_at > moments.moment_at
            and customer_stays.as_of >= moments.moment_at
    union all
    select
        account_stays.journey_id,
        account_stays.entity_id,
        account_stays.attempt_number,
        account_stays.visit_number,
        account_stays.stage_id,
        account_stays.account_id,
        account_stays.entered_at,
        account_stays.as_of,
        moments.moment_kind,
        moments.moment_id,
        moments.customer_id,
        moments.moment_at,
        moments.complete_through,
        nullif(moments.account_id, '') as customer_account_id
    from account_stays
    inner join moments
        on
            account_stays.account_key = moments.account_id
            and account_stays.entered_at <= moments.moment_at
            and account_stays.left_at > moments.moment_at
            and account_stays.as_of >= moments.moment_at
),

-- Of a customer's opportunities the one that moved last: a moment counts once.
ranked as (
    select
        *,
        row_number() over (
            partition by moment_kind, moment_id, journey_id
            order by
                entered_at desc,
                {{ binary_order('entity_id') }},
                attempt_number desc,
                visit_number desc
        ) as recency
    from placed
),

final as (
    select
        moment_kind,
        moment_id,
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        stage_id,
        customer_id,
        moment_at,
        as_of,
        coalesce(account_id, customer_account_id, customer_id) as cluster_id,
        case
            when complete_through < as_of then complete_through else as_of
        end as observed_through
    from ranked
    where recency = 1
)

select * from final

{#- When a customer said something, and where the customer stood then: the stage of each
    journey. A moment in no stage of a journey is none of its measures. -#}
with

support_contacts as (
    select * from {{ ref('int_current_support_contacts') }}
),

responses as (
    select * from {{ ref('int_current_survey_responses') }}
),

visits as (
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
stays as (
    select
        visits.journey_id,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        visits.stage_id,
        visits.account_id,
        visits.entered_at,
        coalesce(
            visits.exited_at,
            visits.lapsed_at,
            case
                when visits.stage_kind = 'success'
                    then
                        visits.entered_at
                        + journeys.conversion_window_days * interval '1' day
            end,
            timestamp '9999-12-31 00:00:00'
        ) as left_at,
        observations.as_of,
        case
            when journeys.entity = 'account' then visits.entity_id
        end as account_key,
        case
            when journeys.entity <> 'account'
                then {{ customer_of('visits', 'journeys.entity') }}
        end as customer_key
    from visits
    inner join journeys
        on visits.journey_id = journeys.journey_id
    inner join observations
        on
            visits.journey_id = observations.journey_id
            and visits.stage_id = observations.stage_id
),

placed as (
    select
        stays.journey_id,
        stays.entity_id,
        stays.attempt_number,
        stays.visit_number,
        stays.stage_id,
        stays.account_id,
        stays.entered_at,
        stays.as_of,
        moments.moment_kind,
        moments.moment_id,
        moments.customer_id,
        moments.moment_at,
        moments.complete_through,
        nullif(moments.account_id, '') as customer_account_id
    from stays
    inner join moments
        on
            stays.customer_key = moments.customer_id
            and stays.entered_at <= moments.moment_at
            and stays.left_at > moments.moment_at
            and stays.as_of >= moments.moment_at
    union all
    select
        stays.journey_id,
        stays.entity_id,
        stays.attempt_number,
        stays.visit_number,
        stays.stage_id,
        stays.account_id,
        stays.entered_at,
        stays.as_of,
        moments.moment_kind,
        moments.moment_id,
        moments.customer_id,
        moments.moment_at,
        moments.complete_through,
        nullif(moments.account_id, '') as customer_account_id
    from stays
    inner join moments
        on
            stays.account_key = moments.account_id
            and stays.entered_at <= moments.moment_at
            and stays.left_at > moments.moment_at
            and stays.as_of >= moments.moment_at
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

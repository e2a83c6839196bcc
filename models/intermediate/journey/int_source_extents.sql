with

source_events as (
    select * from {{ ref('int_source_events') }}
),

support_contacts as (
    select * from {{ ref('int_current_support_contacts') }}
),

responses as (
    select * from {{ ref('int_current_survey_responses') }}
),

declarations as (
    select * from {{ source('raw', 'landing_sources') }}
),

observed as (
    select
        source,
        min(occurred_at) as oldest_occurred_at,
        max(occurred_at) as newest_occurred_at
    from source_events
    group by source
    union all
    select
        'support_contacts' as source,
        min(opened_at) as oldest_occurred_at,
        max(opened_at) as newest_occurred_at
    from support_contacts
    having count(opened_at) > 0
    union all
    select
        'survey_responses' as source,
        min(coalesce(asked_at, answered_at)) as oldest_occurred_at,
        max(coalesce(answered_at, asked_at)) as newest_occurred_at
    from responses
    having count(coalesce(asked_at, answered_at)) > 0
),

-- Each load declares all of its sources: one that it no longer names is no source.
ranked_declarations as (
    select
        *,
        rank() over (order by load_id desc) as declaration_rank
    from declarations
),

-- Several declared sources may feed one table: it is complete only where all are.
declared as (
    select
        table_name as source,
        max(source_start) as source_start,
        min(extract_time) as extract_time,
        max(
            case
                when ',' || date_only_columns || ',' like '%,occurred_at,%' then 1
                when ',' || date_only_columns || ',' like '%,changed_at,%' then 1
                when ',' || date_only_columns || ',' like '%,created_at,%' then 1
                when ',' || date_only_columns || ',' like '%,closed_at,%' then 1
                when ',' || date_only_columns || ',' like '%,opened_at,%' then 1
                when ',' || date_only_columns || ',' like '%,first_response_at,%' then 1
                when ',' || date_only_columns || ',' like '%,resolved_at,%' then 1
                else 0
            end
        ) = 1 as is_date_only
    from ranked_declarations
    where declaration_rank = 1
    group by table_name
),

extents as (
    select
        observed.newest_occurred_at,
        coalesce(observed.source, declared.source) as source,
        coalesce(
            declared.source_start, observed.oldest_occurred_at
        ) as source_start,
        coalesce(
            declared.extract_time, observed.newest_occurred_at
        ) as complete_through,
        coalesce(declared.is_date_only, false) as is_date_only
    from observed
    full outer join declared
        on observed.source = declared.source
)

select * from extents

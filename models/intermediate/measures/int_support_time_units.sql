with

moments as (
    select *
    from {{ ref('int_moments') }}
    where moment_kind = 'support_contact'
),

support_contacts as (
    select * from {{ ref('int_support_contacts') }}
),

journeys as (
    select * from {{ ref('int_journeys') }}
),

opening_hours as (
    select * from {{ ref('int_working_hours') }}
),

closing_hours as (
    select * from {{ ref('int_working_hours') }}
),

contacts as (
    select
        moments.journey_id,
        moments.stage_id,
        moments.entity_id,
        moments.attempt_number,
        moments.visit_number,
        moments.customer_id,
        moments.cluster_id,
        moments.as_of,
        moments.observed_through,
        journeys.calendar_id,
        support_contacts.opened_at,
        support_contacts.first_response_at,
        support_contacts.resolved_at,
        support_contacts.is_date_only,
        'support_contact:' || moments.moment_id as unit_id,
        {{ working_us('support_contacts.opened_at', 'opening_hours') }}
            as opened_working_us
    from moments
    inner join support_contacts
        on moments.moment_id = support_contacts.support_contact_id
    inner join journeys
        on moments.journey_id = journeys.journey_id
    left join opening_hours
        on
            journeys.calendar_id = opening_hours.calendar_id
            and {{ is_in_segment('support_contacts.opened_at', 'opening_hours') }}
),

answers as (
    select
        *,
        'first_response' as answer_kind,
        first_response_at as answered_at
    from contacts
    union all
    select
        *,
        'resolution' as answer_kind,
        resolved_at as answered_at
    from contacts
),

-- Nothing later than as_of is seen. An answer before the opening says nothing of how
-- long it took.
followed as (
    select
        *,
        coalesce(answered_at <= as_of, false) as is_event,
        case
            when answered_at <= as_of then answered_at else observed_through
        end as followed_until
    from answers
    where
        answered_at is null
        or answered_at >= opened_at
),

timed as (
    select
        followed.*,
        {{ known_us(
            'followed.opened_at', 'followed.followed_until', 'followed.is_date_only'
        ) }} as calendar_us,
        {{ working_us('followed.followed_until', 'closing_hours') }}
        - followed.opened_working_us as working_us
    from followed
    left join closing_hours
        on
            followed.calendar_id = closing_hours.calendar_id
            and {{ is_in_segment('followed.followed_until', 'closing_hours') }}
),

durations as (
    select
        *,
        null::{{ type_text() }} as only_dimension,
        7 as window_days,
        calendar_us as duration_us,
        answer_kind || '_time' as metric_family
    from timed
    where calendar_us is not null
    union all
    select
        *,
        null::{{ type_text() }} as only_dimension,
        7 as window_days,
        case when working_us < 0 then 0 else working_us end as duration_us,
        answer_kind || '_working_time' as metric_family
    from timed
    where
        calendar_us is not null
        and working_us is not null
),

units as (
    select
        metric_family,
        journey_id,
        stage_id,
        unit_id,
        only_dimension,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        opened_at as measured_at,
        window_days,
        observed_through,
        duration_us,
        is_event
    from durations
)

select * from units

{#- What customers met with in the stage before the landmark: contacts with support, the
    scores that they gave, a promise that was not kept. A driver is compared within its
    base: a row without a driver says that the unit belongs to the base. -#}
with

units as (
    select *
    from {{ ref('int_driver_units') }}
    where is_at_landmark
),

support_contacts as (
    select * from {{ ref('int_current_support_contacts') }}
),

responses as (
    select * from {{ ref('int_current_survey_responses') }}
),

missed_due_times as (
    select * from {{ ref('int_missed_due_times') }}
),

due_rules as (
    select distinct
        metric_id,
        journey_id
    from {{ ref('int_metric_anchors') }}
    where due_property is not null
),

-- A second contact on one topic within 24 hours of a call or chat, 12 of an email.
contacts as (
    select
        *,
        coalesce(
            {{ epoch_us('opened_at') }}
            - {{ epoch_us('lag(opened_at) over episode') }}
            <= case lag(channel) over episode when 'email' then 12 else 24 end
            * 3600000000,
            false
        ) as is_repeat
    from support_contacts
    where
        customer_id is not null
        and opened_at is not null
    window
        episode as (
            partition by customer_id, topic
            order by
                opened_at,
                {{ binary_order('support_contact_id') }}
        )
),

-- Slow is what had no answer after a day that was over by the landmark.
unit_contacts as (
    select
        units.unit_number,
        units.measure_number,
        contacts.topic,
        contacts.is_repeat and contacts.topic is not null as is_repeat,
        {{ epoch_us('contacts.opened_at') }} + 86400000000
        <= {{ epoch_us('units.landmark_at') }}
        and coalesce(
            {{ epoch_us('contacts.first_response_at') }}
            - {{ epoch_us('contacts.opened_at') }} > 86400000000,
            true
        ) as is_slow
    from units
    inner join contacts
        on
            units.customer_id = contacts.customer_id
            and units.entered_at < contacts.opened_at
            and units.landmark_at >= contacts.opened_at
    -- A contact is no reason of itself.
    where
        units.unit_id is null
        or units.unit_id <> 'support_contact:' || contacts.support_contact_id
),

unit_topics as (
    select distinct
        unit_number,
        measure_number,
        topic
    from unit_contacts
    where topic is not null
),

topics as (
    select
        measure_number,
        topic,
        count(*) as n
    from unit_topics
    group by
        measure_number,
        topic
),

ranked_topics as (
    select
        *,
        row_number() over (
            partition by measure_number
            order by
                n desc,
                {{ binary_order('topic') }}
        ) as topic_rank
    from topics
),

unit_responses as (
    select
        units.unit_number,
        responses.survey,
        responses.score,
        responses.scale_min,
        responses.scale_max,
        coalesce(responses.is_higher_better, true) as is_higher_better,
        row_number() over (
            partition by units.unit_number, responses.survey
            order by
                responses.answered_at desc,
                {{ binary_order('responses.response_id') }} desc
        ) as recency
    from units
    inner join responses
        on
            units.customer_id = responses.customer_id
            and units.entered_at - interval '90' day <= responses.answered_at
            and units.landmark_at >= responses.answered_at
    where
        responses.score is not null
        -- A score is no reason of itself.
        and units.metric_id is distinct from responses.survey
),

-- From 0 points of the scale, the worst, upwards.
latest_scores as (
    select
        unit_number,
        survey,
        case
            when is_higher_better then score - scale_min else scale_max - score
        end as points,
        scale_max - scale_min as best_points
    from unit_responses
    where recency = 1
),

-- Detractors of 0 to 6; of csat's 5 boxes the lower 3; of ces less than the middle.
judged_scores as (
    select
        unit_number,
        survey,
        case survey
            when 'nps' then points <= 6
            when 'csat' then (points + 1) * 5 <= (best_points + 1) * 3
            else points * 2 < best_points
        end as is_low
    from latest_scores
),

-- Whether a deadline is kept is no reason why it is not.
overdue_units as (
    select units.unit_number
    from units
    inner join missed_due_times
        on
            units.journey_id = missed_due_times.journey_id
            and units.entity_id = missed_due_times.entity_id
            and units.attempt_number = missed_due_times.attempt_number
            and units.landmark_at > missed_due_times.missed_at
    left join due_rules
        on
            units.metric_id = due_rules.metric_id
            and units.journey_id = due_rules.journey_id
    where due_rules.metric_id is null
),

experiences as (
    select distinct
        unit_number,
        'contacted support' as base,
        null::{{ type_text() }} as driver
    from unit_contacts
    union all
    select distinct
        unit_number,
        'at landmark' as base,
        'support contact' as driver
    from unit_contacts
    union all
    select distinct
        unit_number,
        'contacted support' as base,
        'repeat contact' as driver
    from unit_contacts
    where is_repeat
    union all
    select distinct
        unit_number,
        'contacted support' as base,
        'first response after more than 24 hours' as driver
    from unit_contacts
    where is_slow
    union all
    select
        unit_topics.unit_number,
        'contacted support' as base,
        'support contact on ' || unit_topics.topic as driver
    from unit_topics
    inner join ranked_topics
        on
            unit_topics.measure_number = ranked_topics.measure_number
            and unit_topics.topic = ranked_topics.topic
    where ranked_topics.topic_rank <= 20
    union all
    select
        unit_number,
        'answered ' || survey as base,
        null::{{ type_text() }} as driver
    from judged_scores
    where is_low is not null
    union all
    select
        unit_number,
        'answered ' || survey as base,
        'low ' || survey || ' score' as driver
    from judged_scores
    where is_low
    union all
    select
        unit_number,
        'at landmark' as base,
        'past its due date' as driver
    from overdue_units
)

select * from experiences

with

support_contacts as (
    select * from {{ ref('int_support_contacts') }}
),

desk_events as (
    select *
    from {{ ref('int_source_events') }}
    where source = 'support_events'
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

extents as (
    select *
    from {{ ref('int_source_extents') }}
    where source = 'support_contacts'
),

-- A contact is of no journey: what any of them sees is seen.
latest as (
    select max(as_of) as as_of
    from observations
),

observed as (
    select
        latest.as_of,
        case
            when extents.complete_through < latest.as_of then extents.complete_through
            else latest.as_of
        end as observed_through
    from latest
    cross join extents
),

-- Nothing later than as_of is seen, in any column.
seen as (
    select
        support_contacts.support_contact_id,
        support_contacts.customer_id,
        support_contacts.channel,
        support_contacts.topic,
        support_contacts.agent_team,
        support_contacts.opening_team,
        support_contacts.opened_at,
        support_contacts.episode_id,
        support_contacts.is_first_of_episode,
        support_contacts.is_repeated,
        support_contacts.is_repeated_on_channel,
        support_contacts.is_repeated_on_other_channel,
        observed.as_of,
        coalesce(
            {{ epoch_us('support_contacts.opened_at') }}
            + support_contacts.repeat_window_us
            <= {{ epoch_us('observed.observed_through') }},
            false
        ) as is_judged,
        case
            when support_contacts.first_response_at <= observed.as_of
                then support_contacts.first_response_at
        end as first_response_at,
        case
            when support_contacts.first_response_at <= observed.as_of
                then support_contacts.first_response_us
        end as first_response_us,
        case
            when support_contacts.resolved_at <= observed.as_of
                then support_contacts.resolved_at
        end as resolved_at,
        case
            when support_contacts.resolved_at <= observed.as_of
                then support_contacts.resolution_us
        end as resolution_us,
        case
            when support_contacts.next_opened_at <= observed.as_of
                then support_contacts.next_opened_at
        end as next_contact_at
    from support_contacts
    inner join observed
        on support_contacts.opened_at <= observed.as_of
),

event_counts as (
    select
        seen.support_contact_id,
        count(case when desk_events.event_name = 'reopened' then 1 end)::integer
            as reopenings,
        count(case when desk_events.event_name = 'team_changed' then 1 end)::integer
            as team_changes
    from seen
    inner join desk_events
        on
            seen.support_contact_id = desk_events.support_contact_id
            and seen.opened_at <= desk_events.occurred_at
            and seen.as_of >= desk_events.occurred_at
    group by seen.support_contact_id
),

judged as (
    select
        seen.support_contact_id,
        seen.customer_id,
        seen.channel,
        seen.topic,
        seen.agent_team,
        seen.opening_team,
        seen.opened_at,
        seen.first_response_at,
        seen.resolved_at,
        seen.next_contact_at,
        seen.first_response_us,
        seen.resolution_us,
        seen.episode_id,
        seen.is_first_of_episode,
        case
            when seen.is_judged and seen.is_first_of_episode then not seen.is_repeated
        end as is_resolved_at_first_contact,
        case when seen.is_judged then seen.is_repeated end as is_repeated,
        case
            when seen.is_judged then seen.is_repeated_on_channel
        end as is_repeated_on_channel,
        case
            when seen.is_judged then seen.is_repeated_on_other_channel
        end as is_repeated_on_other_channel,
        coalesce(event_counts.reopenings, 0) as reopenings,
        coalesce(event_counts.team_changes, 0) as team_changes
    from seen
    left join event_counts
        on seen.support_contact_id = event_counts.support_contact_id
),

final as (
    select
        support_contact_id,
        customer_id,
        channel,
        topic,
        agent_team,
        opening_team,
        opened_at,
        first_response_at,
        resolved_at,
        first_response_us,
        resolution_us,
        episode_id,
        is_first_of_episode,
        is_resolved_at_first_contact,
        is_repeated,
        is_repeated_on_channel,
        is_repeated_on_other_channel,
        next_contact_at,
        reopenings,
        team_changes
    from judged
)

select * from final

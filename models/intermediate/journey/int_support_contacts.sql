{#- What a contact with the support desk was followed by. On which journeys it lies, and
    what of it is seen at as_of, is asked later. W is how long a further contact of the
    same customer on the same topic counts as a repeat. -#}
with

support_contacts as (
    select * from {{ ref('int_current_support_contacts') }}
),

versions as (
    select * from {{ ref('stg_support_contacts') }}
),

desk_events as (
    select * from {{ ref('stg_support_events') }}
),

extents as (
    select *
    from {{ ref('int_source_extents') }}
    where source = 'support_contacts'
),

event_counts as (
    select
        support_contacts.support_contact_id,
        min(
            case when desk_events.kind = 'reopened' then desk_events.occurred_at end
        ) as first_reopened_at,
        min(
            case when desk_events.kind = 'team_changed' then desk_events.occurred_at end
        ) as first_team_changed_at,
        count(case when desk_events.kind = 'reopened' then 1 end)::integer
            as reopenings,
        count(case when desk_events.kind = 'team_changed' then 1 end)::integer
            as team_changes
    from support_contacts
    inner join desk_events
        on
            support_contacts.support_contact_id = desk_events.support_contact_id
            and support_contacts.opened_at <= desk_events.occurred_at
    group by support_contacts.support_contact_id
),

-- The team of today would tell which contacts were handed on.
unchanged_versions as (
    select
        versions.support_contact_id,
        versions.agent_team,
        row_number() over (
            partition by versions.support_contact_id
            order by
                versions.source_updated_at,
                {{ binary_order('versions.content_hash') }}
        ) as version_number
    from versions
    inner join event_counts
        on
            versions.support_contact_id = event_counts.support_contact_id
            and versions.source_updated_at < event_counts.first_team_changed_at
),

opening_teams as (
    select
        support_contact_id,
        agent_team
    from unchanged_versions
    where version_number = 1
),

-- Dates alone do not tell 12 hours from 24.
keyed_contacts as (
    select
        support_contacts.support_contact_id,
        support_contacts.customer_id,
        support_contacts.topic,
        support_contacts.channel,
        support_contacts.opened_at,
        case when support_contacts.channel = 'email' then 12 else 24 end
        * 3600000000 as repeat_window_us
    from support_contacts
    cross join extents
    where
        support_contacts.customer_id is not null
        and support_contacts.topic is not null
        and support_contacts.opened_at is not null
        and not extents.is_date_only
),

neighbours as (
    select
        *,
        lag(opened_at) over topic_history as previous_opened_at,
        lag(repeat_window_us) over topic_history as previous_repeat_window_us,
        lead(opened_at) over topic_history as next_opened_at,
        case
            when channel is not null then lead(opened_at) over channel_history
        end as next_on_channel_at,
        coalesce(channel <> lag(channel) over known_channels, false) as is_switch
    from keyed_contacts
    window
        topic_history as (
            partition by customer_id, topic
            order by opened_at, {{ binary_order('support_contact_id') }}
        ),
        channel_history as (
            partition by customer_id, topic, channel
            order by opened_at, {{ binary_order('support_contact_id') }}
        ),
        known_channels as (
            partition by customer_id, topic, channel is null
            order by opened_at, {{ binary_order('support_contact_id') }}
        )
),

-- Up to the next switch all are on one channel. Backwards, since not every engine is
-- fast where a window's start moves.
chained_contacts as (
    select
        *,
        case
            when
                {{ epoch_us('opened_at') }} - {{ epoch_us('previous_opened_at') }}
                <= previous_repeat_window_us
                then 0
            else 1
        end as starts_episode,
        case
            when channel is not null
                then min(case when is_switch then opened_at end) over later_contacts
        end as next_on_other_channel_at
    from neighbours
    window
        later_contacts as (
            partition by customer_id, topic
            order by
                opened_at desc,
                {{ binary_order('support_contact_id') }} desc
            rows between unbounded preceding and 1 preceding
        )
),

numbered_episodes as (
    select
        *,
        sum(starts_episode) over (
            partition by customer_id, topic
            order by opened_at, {{ binary_order('support_contact_id') }}
            rows between unbounded preceding and current row
        ) as episode_number
    from chained_contacts
),

episodes as (
    select
        *,
        first_value(support_contact_id) over episode as episode_id,
        (row_number() over episode)::integer as contact_number
    from numbered_episodes
    window
        episode as (
            partition by customer_id, topic, episode_number
            order by opened_at, {{ binary_order('support_contact_id') }}
        )
),

joined as (
    select
        support_contacts.support_contact_id,
        support_contacts.customer_id,
        support_contacts.channel,
        support_contacts.topic,
        support_contacts.agent_team,
        support_contacts.opened_at,
        support_contacts.first_response_at,
        support_contacts.resolved_at,
        extents.is_date_only,
        event_counts.first_reopened_at,
        event_counts.first_team_changed_at,
        episodes.episode_id,
        episodes.contact_number,
        episodes.repeat_window_us,
        episodes.next_opened_at,
        episodes.next_on_channel_at,
        episodes.next_on_other_channel_at,
        coalesce(event_counts.reopenings, 0) as reopenings,
        coalesce(event_counts.team_changes, 0) as team_changes,
        case
            when event_counts.first_team_changed_at is null
                then support_contacts.agent_team
            else opening_teams.agent_team
        end as opening_team,
        {{ epoch_us('episodes.next_opened_at') }}
        - {{ epoch_us('support_contacts.opened_at') }} as until_next_us,
        {{ epoch_us('episodes.next_on_channel_at') }}
        - {{ epoch_us('support_contacts.opened_at') }} as until_next_on_channel_us,
        {{ epoch_us('episodes.next_on_other_channel_at') }}
        - {{ epoch_us('support_contacts.opened_at') }}
            as until_next_on_other_channel_us,
        -- A response or resolution before the opening says nothing of how long it took.
        case
            when support_contacts.first_response_at >= support_contacts.opened_at
                then {{ known_us(
                    'support_contacts.opened_at',
                    'support_contacts.first_response_at',
                    'extents.is_date_only'
                ) }}
        end as first_response_us,
        case
            when support_contacts.resolved_at >= support_contacts.opened_at
                then {{ known_us(
                    'support_contacts.opened_at',
                    'support_contacts.resolved_at',
                    'extents.is_date_only'
                ) }}
        end as resolution_us
    from support_contacts
    cross join extents
    left join event_counts
        on support_contacts.support_contact_id = event_counts.support_contact_id
    left join opening_teams
        on support_contacts.support_contact_id = opening_teams.support_contact_id
    left join episodes
        on support_contacts.support_contact_id = episodes.support_contact_id
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
        is_date_only,
        episode_id,
        contact_number,
        repeat_window_us,
        next_opened_at,
        next_on_channel_at,
        next_on_other_channel_at,
        until_next_us,
        until_next_on_channel_us,
        until_next_on_other_channel_us,
        first_reopened_at,
        reopenings,
        first_team_changed_at,
        team_changes,
        first_response_us,
        resolution_us,
        contact_number = 1 as is_first_of_episode,
        case
            when episode_id is not null
                then coalesce(until_next_us <= repeat_window_us, false)
        end as is_repeated,
        case
            when episode_id is not null and channel is not null
                then coalesce(until_next_on_channel_us <= repeat_window_us, false)
        end as is_repeated_on_channel,
        case
            when episode_id is not null and channel is not null
                then coalesce(until_next_on_other_channel_us <= repeat_window_us, false)
        end as is_repeated_on_other_channel
    from joined
)

select * from final

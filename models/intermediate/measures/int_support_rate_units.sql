{#- Metric, of which contacts, whether it counts, when it was measured, until when is
    known what follows and after how many days it is judged. -#}
{%- set metrics = [
    (
        "first_contact_resolution_rate",
        "is_repeat_judged and is_first_of_episode",
        "not is_repeated",
        "opened_at",
        "observed_through",
        1,
    ),
    (
        "repeat_call_rate",
        "is_repeat_judged and channel = 'call'",
        "is_repeated_on_channel",
        "opened_at",
        "observed_through",
        1,
    ),
    (
        "repeat_email_rate",
        "is_repeat_judged and channel = 'email'",
        "is_repeated_on_channel",
        "opened_at",
        "observed_through",
        1,
    ),
    (
        "cross_channel_repeat_rate",
        "is_repeat_judged and channel is not null",
        "is_repeated_on_other_channel",
        "opened_at",
        "observed_through",
        1,
    ),
    (
        "reopen_rate",
        "is_reopening_judged",
        "is_reopened",
        "resolved_at",
        "desk_observed_through",
        7,
    ),
    (
        "team_change_rate",
        "is_team_change_judged",
        "is_team_changed",
        "opened_at",
        "desk_observed_through",
        7,
    ),
] -%}
with

moments as (
    select *
    from {{ ref('int_moments') }}
    where moment_kind = 'support_contact'
),

support_contacts as (
    select * from {{ ref('int_support_contacts') }}
),

-- One row, of nulls where the desk gives no events.
desk_extents as (
    select max(complete_through) as complete_through
    from {{ ref('int_source_extents') }}
    where source = 'support_events'
),

-- Without the desk's events nobody knows that a contact was not reopened.
contacts as (
    select
        moments.journey_id,
        moments.stage_id,
        moments.entity_id,
        moments.attempt_number,
        moments.visit_number,
        moments.customer_id,
        moments.cluster_id,
        moments.observed_through,
        support_contacts.channel,
        support_contacts.opened_at,
        support_contacts.repeat_window_us,
        support_contacts.is_first_of_episode,
        support_contacts.is_repeated,
        support_contacts.is_repeated_on_channel,
        support_contacts.is_repeated_on_other_channel,
        support_contacts.first_reopened_at,
        support_contacts.first_team_changed_at,
        'support_contact:' || moments.moment_id as unit_id,
        case
            when desk_extents.complete_through < moments.observed_through
                then desk_extents.complete_through
            when desk_extents.complete_through is not null
                then moments.observed_through
        end as desk_observed_through,
        case
            when support_contacts.resolved_at >= support_contacts.opened_at
                then support_contacts.resolved_at
        end as resolved_at
    from moments
    inner join support_contacts
        on moments.moment_id = support_contacts.support_contact_id
    cross join desk_extents
),

-- What follows within a window that has been seen to its end is no later than as_of. A
-- desk that moves resolved_at to the last resolution has reopened the contact before.
judged_contacts as (
    select
        *,
        {{ epoch_us('opened_at') }} + repeat_window_us
        <= {{ epoch_us('observed_through') }} as is_repeat_judged,
        {{ epoch_us('resolved_at') }} + 7 * 86400000000
        <= {{ epoch_us('desk_observed_through') }} as is_reopening_judged,
        {{ epoch_us('opened_at') }} + 7 * 86400000000
        <= {{ epoch_us('desk_observed_through') }} as is_team_change_judged,
        coalesce(
            {{ epoch_us('first_reopened_at') }} - {{ epoch_us('resolved_at') }}
            <= 7 * 86400000000,
            false
        ) as is_reopened,
        coalesce(
            {{ epoch_us('first_team_changed_at') }} - {{ epoch_us('opened_at') }}
            <= 7 * 86400000000,
            false
        ) as is_team_changed
    from contacts
),

units as (
    {%- for metric_id, judged, reached, measured_at, observed, window_days in metrics %}
        select
            '{{ metric_id }}' as metric_id,
            journey_id,
            stage_id,
            unit_id,
            null::{{ type_text() }} as only_dimension,
            entity_id,
            attempt_number,
            visit_number,
            customer_id,
            cluster_id,
            {{ measured_at }} as measured_at,
            {{ window_days }} as window_days,
            {{ observed }} as observed_through,
            {{ reached }} as is_reached
        from judged_contacts
        where {{ judged }}
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
)

select * from units

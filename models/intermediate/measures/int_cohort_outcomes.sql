with

cohort_stages as (
    select *
    from {{ ref('int_cohort_stages') }}
    where metric_id is not null
),

metric_anchors as (
    select * from {{ ref('int_metric_anchors') }}
),

entries as (
    select * from {{ ref('int_stage_entries') }}
),

-- A case enters a terminal stage once, where its attempt ends.
terminal_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind <> 'progress'
),

success_visits as (
    select *
    from {{ ref('int_stage_visits') }}
    where stage_kind = 'success'
),

stage_rows as (
    select *
    from {{ ref('int_journey_events') }}
    where
        meaning = 'stage'
        and (journey_id, stage_id) in (
            select
                metric_anchors.journey_id,
                metric_anchors.outcome as stage_id
            from metric_anchors
            where not metric_anchors.is_success
        )
),

due_times as (
    select * from {{ ref('int_due_times') }}
),

local_days as (
    select * from {{ ref('int_local_days') }}
),

customer_accounts as (
    select * from {{ ref('int_customer_accounts') }}
),

-- An event is no outcome of itself.
anchors as (
    select
        metric_anchors.*,
        cohort_stages.stage_number,
        cohort_stages.entity,
        metric_anchors.outcome = metric_anchors.stage_id
        and metric_anchors.from_day = 0 as is_repeat
    from metric_anchors
    inner join cohort_stages
        on
            metric_anchors.metric_id = cohort_stages.metric_id
            and metric_anchors.journey_id = cohort_stages.journey_id
            and metric_anchors.stage_id = cohort_stages.stage_id
),

first_visits as (
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        stage_id,
        other_customer_id,
        account_id,
        entered_at
    from entries
    where not is_left_truncated
    union all
    select
        journey_id,
        entity_id,
        attempt_number,
        visit_number,
        stage_id,
        other_customer_id,
        account_id,
        entered_at
    from terminal_visits
    where not is_left_truncated
),

-- Nothing later than as_of is seen, in any column.
units as (
    select
        anchors.stage_number,
        anchors.journey_id,
        first_visits.entity_id,
        first_visits.attempt_number,
        first_visits.visit_number,
        first_visits.other_customer_id,
        first_visits.account_id,
        first_visits.entered_at
    from first_visits
    inner join anchors
        on
            first_visits.journey_id = anchors.journey_id
            and first_visits.stage_id = anchors.stage_id
    where {{ is_seen('first_visits.entered_at', 'anchors.as_of') }}
),

-- A due date ends no window: whether the outcome was in time is asked of the first one.
outcomes as (
    select
        units.stage_number,
        units.entity_id,
        units.attempt_number,
        min(stage_rows.occurred_at) as outcome_at
    from stage_rows
    inner join units
        on
            stage_rows.journey_id = units.journey_id
            and stage_rows.entity_id = units.entity_id
    inner join anchors
        on
            units.stage_number = anchors.stage_number
            and stage_rows.stage_id = anchors.outcome
            and not anchors.is_success
    where
        {{ epoch_us('stage_rows.occurred_at') }}
        - {{ epoch_us('units.entered_at') }} >= anchors.from_day * 86400000000
        and (not anchors.is_repeat or stage_rows.occurred_at > units.entered_at)
        and case
            when anchors.due_property is not null
                then stage_rows.occurred_at <= anchors.observed_through
            else
                stage_rows.occurred_at <= anchors.as_of
                and {{ epoch_us('stage_rows.occurred_at') }}
                - {{ epoch_us('units.entered_at') }} <= anchors.to_day * 86400000000
        end
    group by
        units.stage_number,
        units.entity_id,
        units.attempt_number
    union all
    select
        units.stage_number,
        units.entity_id,
        units.attempt_number,
        success_visits.entered_at as outcome_at
    from success_visits
    inner join units
        on
            success_visits.journey_id = units.journey_id
            and success_visits.entity_id = units.entity_id
            and success_visits.attempt_number = units.attempt_number
    inner join anchors
        on
            units.stage_number = anchors.stage_number
            and anchors.is_success
    where
        {{ is_seen('success_visits.entered_at', 'anchors.as_of') }}
        and {{ epoch_us('success_visits.entered_at') }}
        - {{ epoch_us('units.entered_at') }} <= anchors.to_day * 86400000000
),

judged_units as (
    select
        anchors.metric_id,
        anchors.stage_number,
        anchors.journey_id,
        anchors.stage_id,
        units.entity_id,
        units.attempt_number,
        units.visit_number,
        units.entered_at,
        anchors.time_zone,
        anchors.is_negated,
        {{ customer_of('units', 'anchors.entity') }} as customer_id,
        {{ cluster_of('units', 'customer_accounts') }} as cluster_id,
        case
            when anchors.due_property is null then outcomes.outcome_at is not null
            else coalesce(outcomes.outcome_at <= due_times.due_at, false)
        end as has_outcome,
        case
            when anchors.due_property is null then true
            when due_times.due_at is null then false
            when outcomes.outcome_at is not null then true
            else coalesce(due_times.due_at <= anchors.observed_through, false)
        end as is_judged
    from units
    inner join anchors
        on units.stage_number = anchors.stage_number
    left join outcomes
        on
            units.stage_number = outcomes.stage_number
            and units.entity_id = outcomes.entity_id
            and units.attempt_number = outcomes.attempt_number
    left join due_times
        on
            units.journey_id = due_times.journey_id
            and units.entity_id = due_times.entity_id
            and units.attempt_number = due_times.attempt_number
            and units.visit_number = due_times.visit_number
            and anchors.due_property = due_times.due_property
    left join customer_accounts
        on
            {{ customer_of('units', 'anchors.entity') }}
            = customer_accounts.customer_id
),

cohort_outcomes as (
    select
        judged_units.metric_id,
        judged_units.stage_number,
        judged_units.journey_id,
        judged_units.stage_id,
        judged_units.entity_id,
        judged_units.attempt_number,
        judged_units.visit_number,
        judged_units.customer_id,
        judged_units.cluster_id,
        judged_units.entered_at,
        judged_units.is_judged,
        {{ on_local_day('judged_units.entered_at', 'local_days', 'local_date') }}
            as entered_date,
        {{ on_local_day('judged_units.entered_at', 'local_days', 'cohort_start') }}
            as cohort_start,
        judged_units.has_outcome <> judged_units.is_negated as is_reached
    from judged_units
    left join local_days
        on
            judged_units.time_zone = local_days.time_zone
            and judged_units.entered_at::date = local_days.utc_day
)

select * from cohort_outcomes

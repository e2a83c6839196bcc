{#- When a readout looks back to, and until when it counts: dates are days of the
    journey's time zone. -#}
with

actions as (
    select * from {{ ref('actions') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

placed_actions as (
    select
        actions.action_id,
        actions.journey_id,
        actions.stage_id,
        actions.metric_id,
        actions.control_segment_value,
        actions.started_on,
        actions.ended_on,
        actions.experiment_id,
        actions.control_arm,
        actions.readout_on,
        metrics.loss_family,
        observations.as_of,
        observations.observed_through,
        coalesce(actions.segment_dimension, 'all') as segment_dimension,
        coalesce(actions.segment_value, 'all') as segment_value,
        case
            when actions.experiment_id is not null then 'experiment'
            when actions.control_segment_value is not null
                then 'difference_in_differences'
            else 'before_after'
        end as readout_kind,
        metrics.scale = 'proportion' as is_rate,
        case
            when metrics.direction = 'higher_is_better' then 1 else -1
        end as direction,
        {{ to_local('observations.as_of', 'observations.time_zone') }}::date
            as as_of_date,
        {{ to_local('observations.observed_through', 'observations.time_zone') }}::date
            as observed_date,
        {{ to_utc('actions.started_on::timestamp', 'observations.time_zone') }}
            as starts_at,
        {{ to_utc(
            "(actions.ended_on + interval '1' day)::timestamp",
            'observations.time_zone',
        ) }} as ends_at,
        {{ to_utc('actions.readout_on::timestamp', 'observations.time_zone') }}
            as reads_at,
        -- Actions start where a metric happened to be bad: regression to the mean.
        (actions.started_on - interval '91' day)::date as before_end,
        coalesce(
            actions.readout_on,
            (
                actions.ended_on
                + (observations.conversion_window_days + 1) * interval '1' day
            )::date
        ) as closes_on
    from actions
    inner join metrics
        on actions.metric_id = metrics.metric_id
    inner join observations
        on
            actions.journey_id = observations.journey_id
            and actions.stage_id = observations.stage_id
),

dated_actions as (
    select
        action_id,
        readout_kind,
        journey_id,
        stage_id,
        metric_id,
        loss_family,
        direction,
        is_rate,
        segment_dimension,
        segment_value,
        control_segment_value,
        experiment_id,
        control_arm,
        started_on,
        ended_on,
        readout_on,
        as_of,
        as_of_date,
        before_end,
        starts_at,
        ends_at,
        coalesce(started_on <= as_of_date, false) as has_started,
        coalesce(
            case
                when reads_at is null then observed_through is not null
                else reads_at <= observed_through
            end,
            false
        ) as is_due,
        case
            when reads_at < observed_through then reads_at else observed_through
        end as known_through,
        -- A running readout changes, and must not change one that stays.
        case
            when closes_on <= observed_date then closes_on else date '9999-12-31'
        end as family_date
    from placed_actions
)

select * from dated_actions

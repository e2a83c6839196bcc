{#- A rule's window may be longer than its stage's, and its periods earlier. -#}
with

metrics as (
    select * from {{ ref('metrics') }}
),

cohort_stages as (
    select * from {{ ref('int_measured_stages') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

stages as (
    select
        journey_id,
        stage_id,
        conversion_window_days
    from cohort_stages
    where metric_id is null
),

rules as (
    select
        metric_id,
        journey_id,
        stage_id,
        conversion_window_days
    from cohort_stages
    where metric_id is not null
),

-- At a terminal stage only what has an extent of its own is measured.
terminal_rules as (
    select rules.*
    from rules
    left join stages
        on
            rules.journey_id = stages.journey_id
            and rules.stage_id = stages.stage_id
    where stages.stage_id is null
),

metric_stages as (
    select
        metrics.metric_id,
        stages.journey_id,
        stages.stage_id,
        rules.metric_id as rule_metric_id,
        coalesce(rules.conversion_window_days, stages.conversion_window_days)
            as window_days
    from metrics
    cross join stages
    left join rules
        on
            {{ metric_family('metrics.metric_id') }} = rules.metric_id
            and stages.journey_id = rules.journey_id
            and stages.stage_id = rules.stage_id
    union all
    select
        metrics.metric_id,
        terminal_rules.journey_id,
        terminal_rules.stage_id,
        terminal_rules.metric_id as rule_metric_id,
        terminal_rules.conversion_window_days as window_days
    from metrics
    inner join terminal_rules
        on {{ metric_family('metrics.metric_id') }} = terminal_rules.metric_id
),

metric_periods as (
    select
        metric_stages.metric_id,
        metric_stages.journey_id,
        metric_stages.stage_id,
        metric_stages.window_days,
        periods.weeks_back,
        periods.period_start,
        periods.period_end,
        periods.is_partial
    from metric_stages
    left join periods
        on
            metric_stages.journey_id = periods.journey_id
            and metric_stages.stage_id = periods.stage_id
            and coalesce(metric_stages.rule_metric_id, '')
            = coalesce(periods.metric_id, '')
            and periods.weeks_back is not null
)

select * from metric_periods

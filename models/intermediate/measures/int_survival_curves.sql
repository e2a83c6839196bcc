{#- Kaplan–Meier of the time in a stage until leaving for any reason; open and lapsed
    visits are censored. One row per time at which somebody left. -#}
with

cohort_visits as (
    select * from {{ ref('int_cohort_visits') }}
),

period_days as (
    select * from {{ ref('int_period_days') }}
),

timed_visits as (
    select
        journey_id,
        stage_id,
        entered_date,
        time_in_stage_us as duration_us,
        case when has_exited then 1 else 0 end as exits
    from cohort_visits
    where time_in_stage_us is not null
),

times as (
    select
        timed_visits.journey_id,
        timed_visits.stage_id,
        period_days.period_grain,
        period_days.period_start,
        timed_visits.duration_us,
        count(*) as visits,
        sum(timed_visits.exits) as exits
    from timed_visits
    inner join period_days
        on
            timed_visits.journey_id = period_days.journey_id
            and timed_visits.stage_id = period_days.stage_id
            and timed_visits.entered_date = period_days.entered_date
    group by
        timed_visits.journey_id,
        timed_visits.stage_id,
        period_days.period_grain,
        period_days.period_start,
        timed_visits.duration_us
),

risk_sets as (
    select
        *,
        sum(visits) over (
            partition by journey_id, stage_id, period_grain, period_start
            order by duration_us desc
            rows between unbounded preceding and current row
        ) as at_risk
    from times
),

exit_times as (
    select
        journey_id,
        stage_id,
        period_grain,
        period_start,
        duration_us,
        at_risk::{{ type_double() }} as at_risk,
        exits::{{ type_double() }} as exits
    from risk_sets
    where exits > 0
),

-- The last visit leaving takes S to 0, where its logarithm and Greenwood's sum end.
accumulated as (
    select
        *,
        sum(
            case when exits < at_risk then ln(1 - exits / at_risk) end
        ) over curve as log_survival,
        sum(
            case when exits < at_risk then exits / (at_risk * (at_risk - exits)) end
        ) over curve as greenwood_sum
    from exit_times
    window
        curve as (
            partition by journey_id, stage_id, period_grain, period_start
            order by duration_us
            rows between unbounded preceding and current row
        )
),

survivals as (
    select
        journey_id,
        stage_id,
        period_grain,
        period_start,
        duration_us,
        at_risk,
        exits,
        case when exits < at_risk then exp(log_survival) else 0 end as survival,
        case
            when exits < at_risk then sqrt(greenwood_sum) / abs(log_survival)
        end as log_log_se
    from accumulated
),

curves as (
    select
        journey_id,
        stage_id,
        period_grain,
        period_start,
        duration_us,
        at_risk::bigint as at_risk,
        exits::bigint as exits,
        survival,
        log_log_se,
        case
            when survival > 0
                then power(survival, exp({{ z_95() }} * log_log_se))
            else 0
        end as survival_low,
        case
            when survival > 0
                then power(survival, exp(-{{ z_95() }} * log_log_se))
        end as survival_high
    from survivals
)

select * from curves

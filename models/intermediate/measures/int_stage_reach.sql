with

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

trailing_periods as (
    select
        journey_id,
        stage_id,
        period_start,
        period_end
    from periods
    where period_grain = 'trailing_13_weeks'
),

visit_days as (
    select distinct
        visits.journey_id,
        visits.case_id,
        visits.stage_id,
        {{ to_local('visits.entered_at', 'observations.time_zone') }}::date
            as entered_date
    from visits
    inner join observations
        on
            visits.journey_id = observations.journey_id
            and visits.stage_id = observations.stage_id
),

reaches as (
    select
        trailing_periods.journey_id,
        trailing_periods.stage_id,
        trailing_periods.period_start,
        count(distinct case
            when visit_days.stage_id = trailing_periods.stage_id
                then visit_days.case_id
        end)::{{ type_double() }}
        / count(distinct visit_days.case_id) as reach
    from trailing_periods
    inner join visit_days
        on
            trailing_periods.journey_id = visit_days.journey_id
            and trailing_periods.period_start <= visit_days.entered_date
            and trailing_periods.period_end > visit_days.entered_date
    group by
        trailing_periods.journey_id,
        trailing_periods.stage_id,
        trailing_periods.period_start
)

select * from reaches

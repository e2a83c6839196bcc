{#- Every period is made of whole cohorts: what is counted by cohort adds up. -#}
with

periods as (
    select * from {{ ref('int_periods') }}
),

days as (
    select
        journey_id,
        stage_id,
        stage_number,
        period_number,
        period_grain,
        period_start,
        {{ unnest_days(
            'period_start', "(period_end - interval '1' day)::date"
        ) }}::date as entered_date
    from periods
),

cohorts as (
    select distinct
        journey_id,
        stage_id,
        stage_number,
        period_number,
        period_grain,
        period_start,
        {{ cohort_start('entered_date') }} as cohort_start
    from days
)

select * from cohorts

{#- Every period is made of whole cohorts: what is counted by cohort adds up. -#}
with

periods as (
    select * from {{ ref('int_periods') }}
),

cells as (
    select * from {{ ref('int_cells') }}
),

days as (
    select
        period_number,
        {{ unnest_days(
            'period_start', "(period_end - interval '1' day)::date"
        ) }} as entered_date
    from periods
),

period_cohorts as (
    select distinct
        period_number,
        {{ cohort_start('entered_date') }} as cohort_start
    from days
),

cell_cohorts as (
    select
        cells.cell_number,
        cells.stage_number,
        cells.segment_number,
        cells.has_curve,
        period_cohorts.cohort_start
    from cells
    inner join period_cohorts
        on cells.period_number = period_cohorts.period_number
)

select * from cell_cohorts

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
)

select * from days

{{ config(materialized='view') }}

with

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

unit_stages as (
    select * from {{ ref('int_unit_stages') }}
),

measured_stages as (
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        time_zone,
        source_start,
        as_of,
        observed_through,
        conversion_window_days
    from cohort_stages
    union all
    select
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        time_zone,
        source_start,
        as_of,
        observed_through,
        conversion_window_days
    from unit_stages
)

select * from measured_stages

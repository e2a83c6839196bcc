{#- The time spine of the semantic layer: nothing else reads it. -#}
{{ config(materialized='view') }}

with

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

-- Everywhere on earth.
extents as (
    select
        (min(source_start) - interval '1' day)::date as first_date,
        (max(as_of) + interval '1' day)::date as last_date
    from cohort_stages
),

days as (
    select {{ unnest_days('first_date', 'last_date') }} as date_day
    from extents
)

select * from days

{{ config(severity='warn') }}
-- The grid is bounded (domain.md §6): more rows are more than a report's tool can load.
with

measures as (
    select * from {{ ref('fct_measures') }}
),

sizes as (
    select count(*) as rows_of_measures
    from measures
)

select *
from sizes
where rows_of_measures >= 5000000

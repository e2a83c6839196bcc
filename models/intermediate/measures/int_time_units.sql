{{ config(materialized='view') }}

with

support_units as (
    select * from {{ ref('int_support_time_units') }}
),

touchpoint_units as (
    select * from {{ ref('int_touchpoint_time_units') }}
),

{%- set families = ['support_units', 'touchpoint_units'] %}

units as (
    {%- for family in families %}
        select
            metric_family,
            journey_id,
            stage_id,
            unit_id,
            only_dimension,
            entity_id,
            attempt_number,
            visit_number,
            customer_id,
            cluster_id,
            measured_at,
            window_days,
            observed_through,
            duration_us,
            is_event
        from {{ family }}
        {{- " union all" if not loop.last }}
    {%- endfor %}
)

select * from units

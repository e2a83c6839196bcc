{#- What is counted beside cases: contacts, answers, touchpoints, hand-offs. -#}
{{ config(materialized='view') }}

with

support_units as (
    select * from {{ ref('int_support_rate_units') }}
),

survey_units as (
    select * from {{ ref('int_survey_rate_units') }}
),

feedback_units as (
    select * from {{ ref('int_feedback_rate_units') }}
),

touchpoint_units as (
    select * from {{ ref('int_touchpoint_rate_units') }}
),

{%- set families = [
    'support_units', 'survey_units', 'feedback_units', 'touchpoint_units',
] %}

units as (
    {%- for family in families %}
        select
            metric_id,
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
            is_reached
        from {{ family }}
        {{- " union all" if not loop.last }}
    {%- endfor %}
)

select * from units

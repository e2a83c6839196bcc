{{ config(materialized='view') }}

with

support_dimensions as (
    select * from {{ ref('int_support_unit_dimensions') }}
),

survey_dimensions as (
    select * from {{ ref('int_survey_unit_dimensions') }}
),

feedback_dimensions as (
    select * from {{ ref('int_feedback_unit_dimensions') }}
),

touchpoint_dimensions as (
    select * from {{ ref('int_touchpoint_unit_dimensions') }}
),

{%- set families = [
    'support_dimensions',
    'survey_dimensions',
    'feedback_dimensions',
    'touchpoint_dimensions',
] %}

dimensions as (
    {%- for family in families %}
        select
            unit_id,
            segment_dimension,
            segment_value
        from {{ family }}
        {{- " union all" if not loop.last }}
    {%- endfor %}
)

select * from dimensions

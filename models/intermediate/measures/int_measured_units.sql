{#- What rates, times and scores of units share. -#}
{{ config(materialized='view') }}

with

rate_units as (
    select * from {{ ref('int_rate_units') }}
),

time_units as (
    select * from {{ ref('int_time_units') }}
),

score_units as (
    select * from {{ ref('int_survey_score_units') }}
),

{%- set families = {
    'rate_units': 'metric_id',
    'time_units': 'metric_family as metric_id',
    'score_units': 'metric_id',
} %}

measured_units as (
    {%- for family, metric in families.items() %}
        select
            {{ metric }},
            journey_id,
            stage_id,
            unit_id,
            only_dimension,
            entity_id,
            attempt_number,
            visit_number,
            customer_id,
            measured_at,
            window_days,
            observed_through
        from {{ family }}
        {{- " union all" if not loop.last }}
    {%- endfor %}
)

select * from measured_units

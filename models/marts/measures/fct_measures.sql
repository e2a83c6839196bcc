{%- set families = ['measure_conversion_rate', 'measure_time_in_stage'] -%}
{%- set columns = [
    'journey_id', 'metric_id', 'stage_id', 'touchpoint_id', 'segment_dimension',
    'segment_value', 'period_grain', 'period_start', 'period_end', 'n', 'n_clusters',
    'effective_n', 'numerator', 'value', 'ci_low', 'ci_high', 'is_mature', 'is_partial',
] -%}
with

{% for family in families -%}
{{ family }} as (
    select * from {{ ref(family) }}
),

{% endfor -%}
unioned as (
    {%- for family in families %}
    select
        {{ columns | join(',\n        ') }}
    from {{ family }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from unioned

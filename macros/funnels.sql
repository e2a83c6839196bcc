{#- How many steps the longest funnel of the map has: the passes that a model over funnels
    needs. Read from the seed, which is built before; without it (parsing, unit tests) five. -#}
{% macro funnel_step_limit() -%}
    {%- set counts = read_values(
        ref("funnel_steps"),
        "count(*) as steps",
        "not coalesce(is_exclusion, false) group by funnel_id",
    ) -%}
    {{ return([2, counts | map("int") | max | default(5, true)] | max) }}
{%- endmacro %}

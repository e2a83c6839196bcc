{#- How many steps the longest funnel of the map has: the passes that a model over funnels
    needs. Read from the seed, which is built before; without it (parsing, unit tests) five. -#}
{% macro funnel_step_limit() -%}
    {%- set steps = ref("funnel_steps") -%}
    {%- set relation = none -%}
    {%- if execute and steps.schema -%}
        {%- set relation = adapter.get_relation(
            database=steps.database, schema=steps.schema, identifier=steps.identifier
        ) -%}
    {%- endif -%}
    {%- if relation is none -%} {{ return(5) }} {%- endif -%}
    {%- set counts = run_query(
        "select count(*) from " ~ relation
        ~ " where not coalesce(is_exclusion, false) group by funnel_id"
    ).columns[0].values() -%}
    {{ return([2, counts | map("int") | max | default(2, true)] | max) }}
{%- endmacro %}

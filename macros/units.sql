{#- Microseconds as days: the last step, durations are whole microseconds until here. -#}
{% macro days(microseconds) -%}
    (({{ microseconds }})::{{ type_double() }} / 86400000000)
{%- endmacro %}

{#- Microseconds as days: the last step, durations are whole microseconds until here. -#}
{% macro days(microseconds) -%}
    (({{ microseconds }})::{{ type_double() }} / 86400000000)
{%- endmacro %}

{#- Microseconds from one time to another. Two dates say nothing of less than a day, and what
    is entered after its outcomes are known has been followed for no time at all. -#}
{% macro known_us(from_time, to_time, is_date_only) -%}
    {%- set elapsed = "(" ~ epoch_us(to_time) ~ " - " ~ epoch_us(from_time) ~ ")" -%}
    case
        when {{ is_date_only }} and {{ elapsed }} < 86400000000 then null
        when {{ elapsed }} < 0 then 0
        else {{ elapsed }}
    end
{%- endmacro %}

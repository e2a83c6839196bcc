{#- Snowflake's own way with what macros/engines.sql dispatches. Compiled and parsed in its
    dialect by `make test-dialects`; nobody has run it (docs/engines.md). -#}

{% macro snowflake__epoch_us(moment) -%}
    date_part(epoch_microsecond, {{ moment }})
{%- endmacro %}

{% macro snowflake__to_local(moment, time_zone) -%}
    convert_timezone('UTC', {{ time_zone }}, {{ moment }})
{%- endmacro %}
{% macro snowflake__to_utc(wall_clock, time_zone) -%}
    convert_timezone({{ time_zone }}, 'UTC', {{ wall_clock }})
{%- endmacro %}

{% macro snowflake__json_field(json, field) -%}
    get(try_parse_json({{ json }}), {{ field }})::varchar
{%- endmacro %}

{#- A group without texts is an empty one there. -#}
{% macro snowflake__ordered_text(expression) -%}
    case
        when count({{ expression }}) > 0
            then listagg({{ expression }}, chr(10)) within group (order by {{ expression }})
    end
{%- endmacro %}

{% macro snowflake__hash_number(text) -%} hash({{ text }}) {%- endmacro %}

{#- Its patterns are of the whole text, and have no groups without a number. -#}
{% macro snowflake__has_pattern(text, pattern) -%}
    regexp_like({{ text }}, '{{ pattern }}')
{%- endmacro %}
{% macro snowflake__finds_pattern(text, pattern) -%}
    (regexp_instr({{ text }}, {{ pattern }}) > 0)
{%- endmacro %}
{% macro snowflake__replace_pattern(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ pattern }}, '{{ replacement | replace("$", "\\\\") }}')
{%- endmacro %}

{% macro snowflake__safe_timestamp(text) -%} try_to_timestamp_ntz({{ text }}) {%- endmacro %}
{% macro snowflake__safe_instant(text) -%}
    convert_timezone('UTC', try_to_timestamp_tz({{ text }}))::timestamp_ntz
{%- endmacro %}

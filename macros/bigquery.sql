{#- BigQuery's own way with what macros/engines.sql dispatches. Compiled and parsed in its
    dialect by `make test-dialects`; nobody has run it (docs/engines.md). A timestamp there is
    a moment of UTC, also where it stands for a wall clock. -#}

{% macro bigquery__type_double() -%} float64 {%- endmacro %}
{% macro bigquery__type_text() -%} string {%- endmacro %}

{% macro bigquery__epoch_us(moment) -%} unix_micros({{ moment }}) {%- endmacro %}

{% macro bigquery__to_local(moment, time_zone) -%}
    timestamp(datetime({{ moment }}, {{ time_zone }}))
{%- endmacro %}
{% macro bigquery__to_utc(wall_clock, time_zone) -%}
    timestamp(datetime({{ wall_clock }}), {{ time_zone }})
{%- endmacro %}

{% macro bigquery__json_field(json, field) -%}
    coalesce(
        json_value(safe.parse_json({{ json }})[{{ field }}]),
        nullif(to_json_string(safe.parse_json({{ json }})[{{ field }}]), 'null')
    )
{%- endmacro %}

{% macro bigquery__ordered_text(expression) -%}
    string_agg({{ expression }}, '\n' order by {{ expression }})
{%- endmacro %}

{% macro bigquery__hash_number(text) -%} farm_fingerprint({{ text }}) {%- endmacro %}

{#- No literal goes over lines. -#}
{% macro bigquery__has_pattern(text, pattern) -%}
    {%- set written = pattern | replace("\t", "\\t") | replace("\r", "\\r") | replace("\n", "\\n") -%}
    regexp_contains({{ text }}, '^(?:{{ written }})$')
{%- endmacro %}
{% macro bigquery__finds_pattern(text, pattern) -%}
    regexp_contains({{ text }}, {{ pattern }})
{%- endmacro %}
{% macro bigquery__replace_pattern(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ pattern }}, '{{ replacement | replace("$", "\\\\") }}')
{%- endmacro %}

{% macro bigquery__safe_timestamp(text) -%} safe_cast({{ text }} as timestamp) {%- endmacro %}
{% macro bigquery__safe_instant(text) -%} safe_cast({{ text }} as timestamp) {%- endmacro %}

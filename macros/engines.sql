{#- What engines write differently, one dispatched macro each. Models call these and
    never ask for the target's type. -#}

{% macro type_double() -%} {{ return(adapter.dispatch("type_double")()) }} {%- endmacro %}
{% macro default__type_double() -%} double precision {%- endmacro %}
{% macro spark__type_double() -%} double {%- endmacro %}

{% macro type_text() -%} {{ return(adapter.dispatch("type_text")()) }} {%- endmacro %}
{% macro default__type_text() -%} varchar {%- endmacro %}
{% macro spark__type_text() -%} string {%- endmacro %}

{#- Microseconds since 1970 of a UTC timestamp: whole numbers compare equal everywhere. -#}
{% macro epoch_us(moment) -%}
    {{ return(adapter.dispatch("epoch_us")(moment)) }}
{%- endmacro %}
{% macro default__epoch_us(moment) -%}
    (extract(epoch from {{ moment }}) * 1000000)::bigint
{%- endmacro %}
{% macro duckdb__epoch_us(moment) -%} epoch_us({{ moment }}) {%- endmacro %}
{% macro spark__epoch_us(moment) -%} unix_micros({{ moment }}) {%- endmacro %}

{#- A UTC timestamp as the wall clock of a time zone, and back. A clock shown twice, as summer
    time ends, is the second time; one never shown goes on as if nothing had changed. -#}
{% macro to_local(moment, time_zone) -%}
    {{ return(adapter.dispatch("to_local")(moment, time_zone)) }}
{%- endmacro %}
{% macro default__to_local(moment, time_zone) -%}
    (({{ moment }} at time zone 'UTC') at time zone {{ time_zone }})
{%- endmacro %}
{% macro spark__to_local(moment, time_zone) -%}
    from_utc_timestamp({{ moment }}, {{ time_zone }})
{%- endmacro %}

{% macro to_utc(wall_clock, time_zone) -%}
    {{ return(adapter.dispatch("to_utc")(wall_clock, time_zone)) }}
{%- endmacro %}
{% macro default__to_utc(wall_clock, time_zone) -%}
    (({{ wall_clock }} at time zone {{ time_zone }}) at time zone 'UTC')
{%- endmacro %}
{#- Of a clock shown twice Spark takes the first moment. Whether the offset of a day later gives
    a second one is asked. -#}
{% macro spark__to_utc(wall_clock, time_zone) -%}
    {%- set a_day_later = "((" ~ wall_clock ~ ") + interval '24' hour)" -%}
    {%- set second -%}
        (to_utc_timestamp({{ a_day_later }}, {{ time_zone }}) - interval '24' hour)
    {%- endset -%}
    case
        when from_utc_timestamp({{ second }}, {{ time_zone }}) = {{ wall_clock }} then {{ second }}
        else to_utc_timestamp({{ wall_clock }}, {{ time_zone }})
    end
{%- endmacro %}

{#- One row per day from one date to another, both included, as a select item: a date. -#}
{% macro unnest_days(first_date, last_date) -%}
    {{ return(adapter.dispatch("unnest_days")(first_date, last_date)) }}
{%- endmacro %}
{% macro default__unnest_days(first_date, last_date) -%}
    generate_series(
        ({{ first_date }})::timestamp, ({{ last_date }})::timestamp, interval '1 day'
    )::date
{%- endmacro %}
{% macro duckdb__unnest_days(first_date, last_date) -%}
    unnest(generate_series({{ first_date }}, {{ last_date }}, interval '1 day'))::date
{%- endmacro %}
{% macro spark__unnest_days(first_date, last_date) -%}
    explode(
        case
            when {{ first_date }} <= {{ last_date }}
                then sequence(
                    ({{ first_date }})::date, ({{ last_date }})::date, interval 1 day
                )
        end
    )
{%- endmacro %}

{#- One row per whole number from one to another, both included, as a select item. -#}
{% macro unnest_numbers(first_number, last_number) -%}
    {{ return(adapter.dispatch("unnest_numbers")(first_number, last_number)) }}
{%- endmacro %}
{% macro default__unnest_numbers(first_number, last_number) -%}
    generate_series({{ first_number }}, {{ last_number }})
{%- endmacro %}
{% macro duckdb__unnest_numbers(first_number, last_number) -%}
    unnest(generate_series({{ first_number }}, {{ last_number }}))
{%- endmacro %}
{% macro spark__unnest_numbers(first_number, last_number) -%}
    explode(
        case
            when {{ first_number }} <= {{ last_number }}
                then sequence({{ first_number }}, {{ last_number }})
        end
    )
{%- endmacro %}

{#- The text of one field of a JSON object; its name may be an expression. PostgreSQL's json
    gives the text as it was landed (its jsonb would rewrite it) and knows no NUL; of two fields
    of one name it gives the last, the others the first. Spark writes a fraction of 10 million
    or more, or under 0.001, with a power of ten. A path with the name in it would read signs
    in the name. -#}
{% macro json_field(json, field) -%}
    {{ return(adapter.dispatch("json_field")(json, field)) }}
{%- endmacro %}
{% macro default__json_field(json, field) -%}
    (replace({{ json }}, '\u0000', '\ufffd')::json ->> {{ field }})
{%- endmacro %}
{% macro duckdb__json_field(json, field) -%}
    json_extract_string(
        {{ json }}, '/' || replace(replace({{ field }}, '~', '~0'), '/', '~1')
    )
{%- endmacro %}
{% macro spark__json_field(json, field) -%}
    from_json({{ json }}, 'map<string, string>')[{{ field }}]
{%- endmacro %}

{#- A number, or null where the text is none. Engines read different texts as numbers, and
    fail on or round away different ones: beyond 200 digits or a power of 99 is none. -#}
{% macro safe_double(text) -%}
    {%- set spaces = "[ \t\r\n]*" -%}
    {%- set digits = "([0-9]{1,200}([.][0-9]{0,200})?|[.][0-9]{1,200})([eE][-+]?[0-9]{1,2})?" -%}
    {%- set infinity = "[iI][nN][fF]([iI][nN][iI][tT][yY])?" -%}
    {%- set number = "[-+]?(" ~ digits ~ "|" ~ infinity ~ ")|[nN][aA][nN]" -%}
    case
        when {{ has_pattern(text, spaces ~ "(" ~ number ~ ")" ~ spaces) }}
            then ({{ text }})::{{ type_double() }}
    end
{%- endmacro %}

{#- Whether a moment of one relation is not later than as_of, of another that it is joined to by
    equality. DuckDB would take a comparison for a condition of the join, one that few rows meet,
    and then store the many that do in the hash table of every later join. -#}
{% macro is_seen(moment, as_of) -%}
    {{ return(adapter.dispatch("is_seen")(moment, as_of)) }}
{%- endmacro %}
{% macro default__is_seen(moment, as_of) -%} {{ moment }} <= {{ as_of }} {%- endmacro %}
{% macro duckdb__is_seen(moment, as_of) -%}
    epoch_us({{ as_of }}) - epoch_us({{ moment }}) >= 0
{%- endmacro %}

{#- A text that sorts by its bytes, whatever the database's collation says: write it in
    `order by`, `min` and `max` of a text, so that every engine has one order. -#}
{% macro binary_order(text) -%}
    {{ return(adapter.dispatch("binary_order")(text)) }}
{%- endmacro %}
{% macro default__binary_order(text) -%} {{ text }} {%- endmacro %}
{% macro postgres__binary_order(text) -%} ({{ text }}) collate "C" {%- endmacro %}

{#- Strings of a group joined by a line feed, in binary order. -#}
{% macro ordered_text(expression) -%}
    {{ return(adapter.dispatch("ordered_text")(expression)) }}
{%- endmacro %}
{% macro default__ordered_text(expression) -%}
    string_agg({{ expression }}, chr(10) order by {{ binary_order(expression) }})
{%- endmacro %}
{% macro spark__ordered_text(expression) -%}
    case
        when count({{ expression }}) > 0
            then array_join(array_sort(collect_list({{ expression }})), chr(10))
    end
{%- endmacro %}

{#- As a post-hook: statistics of the table just built. Without them PostgreSQL's planner
    joins what is large by nested loops; the other engines need none. -#}
{% macro analyze() -%} {{ return(adapter.dispatch("analyze")()) }} {%- endmacro %}
{% macro default__analyze() -%} {%- endmacro %}
{% macro postgres__analyze() -%}
    {%- if config.get("materialized") != "view" -%} analyze {{ this }} {%- endif -%}
{%- endmacro %}

{#- As a pre-hook: joins by hash alone, for PostgreSQL's planner takes many rows for one after
    a few CTEs, and then loops over all pairs or merges by one of several columns. No table
    has an index that would win by it. Loops that must be cost so much that it would compile. -#}
{% macro join_by_hash() -%} {{ return(adapter.dispatch("join_by_hash")()) }} {%- endmacro %}
{% macro default__join_by_hash() -%} {%- endmacro %}
{% macro postgres__join_by_hash() -%}
    set local enable_nestloop = off;
    set local enable_mergejoin = off;
    set local jit = off
{%- endmacro %}

{#- A test has no pre-hook. -#}
{% macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    {{ join_by_hash() }};
    {{ dbt.default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro %}

{#- A whole number for a text, to group by: 64 bits, of which two texts in a million share
    one with a chance of 3 in 100 million. Never stored: it may change with the engine. -#}
{% macro hash_number(text) -%}
    {{ return(adapter.dispatch("hash_number")(text)) }}
{%- endmacro %}
{% macro default__hash_number(text) -%} hashtextextended({{ text }}, 0) {%- endmacro %}
{% macro duckdb__hash_number(text) -%} hash({{ text }}) {%- endmacro %}
{% macro spark__hash_number(text) -%} xxhash64({{ text }}) {%- endmacro %}

{#- Whether a text has a pattern from its first character to its last. Write the pattern without
    backslashes, which Spark takes for itself. -#}
{% macro has_pattern(text, pattern) -%}
    {{ return(adapter.dispatch("has_pattern")(text, pattern)) }}
{%- endmacro %}
{% macro default__has_pattern(text, pattern) -%} {{ text }} ~ '^(?:{{ pattern }})$' {%- endmacro %}
{% macro duckdb__has_pattern(text, pattern) -%}
    regexp_full_match({{ text }}, '{{ pattern }}')
{%- endmacro %}
{#- Java's $ is also before a last line feed. -#}
{% macro spark__has_pattern(text, pattern) -%}
    {{ text }} rlike '(?s)^(?:{{ pattern }})(?!.)'
{%- endmacro %}

{#- The first moment that a text names, in UTC, or null where it names none: a time as the
    landing reads it (ISO 8601, without an offset by the clock of the time zone), or a date's
    midnight there. PostgreSQL fails on the 30th of February, so there it is asked beforehand. -#}
{% macro safe_moment(text, time_zone) -%}
    {%- set day = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])" -%}
    {%- set clock = "[T ]([01][0-9]|2[0-3]):[0-5][0-9]" -%}
    {%- set second = ":[0-5][0-9]([.][0-9]{1,9})?" -%}
    {%- set offset = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)" -%}
    case
        when
            {{ has_pattern(text, day ~ "(" ~ clock ~ "(" ~ second ~ ")?)?") }}
            then {{ to_utc(safe_timestamp(text), time_zone) }}
        when
            {{ has_pattern(text, day ~ clock ~ second ~ offset) }}
            then {{ safe_instant(text) }}
    end
{%- endmacro %}

{#- A wall clock's timestamp from a text of safe_moment without an offset, and the UTC timestamp
    of one with it; null where the month is shorter. -#}
{% macro safe_timestamp(text) -%}
    {{ return(adapter.dispatch("safe_timestamp")(text)) }}
{%- endmacro %}
{% macro default__safe_timestamp(text) -%}
    case when {{ is_day_of_month(text) }} then ({{ whole_microseconds(text) }})::timestamp end
{%- endmacro %}
{% macro duckdb__safe_timestamp(text) -%} try_cast({{ text }} as timestamp) {%- endmacro %}
{% macro spark__safe_timestamp(text) -%} try_cast({{ text }} as timestamp) {%- endmacro %}

{% macro safe_instant(text) -%}
    {{ return(adapter.dispatch("safe_instant")(text)) }}
{%- endmacro %}
{% macro default__safe_instant(text) -%}
    case
        when {{ is_day_of_month(text) }}
            then ({{ whole_microseconds(text) }})::timestamptz at time zone 'UTC'
    end
{%- endmacro %}
{% macro duckdb__safe_instant(text) -%}
    timezone('UTC', try_cast({{ text }} as timestamptz))
{%- endmacro %}
{% macro spark__safe_instant(text) -%} try_cast({{ text }} as timestamp) {%- endmacro %}

{#- PostgreSQL rounds what the others cut off. -#}
{% macro whole_microseconds(text) -%}
    {{ replace_pattern(text, "'([.][0-9]{6})[0-9]+'", "$1") }}
{%- endmacro %}

{% macro is_day_of_month(text) -%}
    substring({{ text }}, 9, 2)::integer <= extract(
        day from (substring({{ text }}, 1, 7) || '-01')::date
        + interval '1 month' - interval '1 day'
    )
{%- endmacro %}

{#- Every place of a text that has a pattern, replaced; $1 in the replacement is the pattern's
    first group. Text and pattern are expressions, the replacement is a literal without quotes.
    Write no backslashes, which Spark takes for itself, and in brackets no [, which Java nests. -#}
{% macro replace_pattern(text, pattern, replacement) -%}
    {{ return(adapter.dispatch("replace_pattern")(text, pattern, replacement)) }}
{%- endmacro %}
{% macro default__replace_pattern(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ pattern }}, '{{ replacement | replace("$", "\\") }}', 'g')
{%- endmacro %}
{% macro spark__replace_pattern(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ pattern }}, '{{ replacement }}')
{%- endmacro %}

{#- Whether a text has a pattern somewhere; both are expressions. -#}
{% macro finds_pattern(text, pattern) -%}
    {{ return(adapter.dispatch("finds_pattern")(text, pattern)) }}
{%- endmacro %}
{% macro default__finds_pattern(text, pattern) -%} {{ text }} ~ {{ pattern }} {%- endmacro %}
{% macro duckdb__finds_pattern(text, pattern) -%}
    regexp_matches({{ text }}, {{ pattern }})
{%- endmacro %}
{% macro spark__finds_pattern(text, pattern) -%} {{ text }} rlike {{ pattern }} {%- endmacro %}

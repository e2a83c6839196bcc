{#- The working clock W of int_working_hours: the working time from one moment to another is
    the difference of their W. Null without a calendar, and outside 1970 to 2099. -#}

{#- The join condition, beside calendar_id: each moment lies in exactly one segment. -#}
{% macro is_in_segment(moment, segments) -%}
    ({{ moment }})::date = {{ segments }}.utc_day
    and {{ epoch_us(moment) }} >= {{ segments }}.starts_us
    and {{ epoch_us(moment) }} < {{ segments }}.ends_us
{%- endmacro %}

{#- W at a moment, in its segment. -#}
{% macro working_us(moment, segments) -%}
    {{ segments }}.working_us_before + greatest(
        least({{ epoch_us(moment) }}, {{ segments }}.closes_us) - {{ segments }}.opens_us, 0
    )
{%- endmacro %}

{#- A time of day in the map, HH:MM with 24:00 the latest, as microseconds of its day. -#}
{% macro time_of_day_us(clock) -%}
    (
        split_part({{ clock }}, ':', 1)::bigint * 3600000000
        + split_part({{ clock }}, ':', 2)::bigint * 60000000
    )
{%- endmacro %}

{#- The days of the clock, 1970 to 2099, numbered from 1 January 1970. -#}
{% macro clock_days() -%}
    select {{ unnest_numbers(0, 47481) }} as day_number
{%- endmacro %}

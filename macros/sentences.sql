{#- Figures and words of the sentences that marts say: text, from columns or short expressions,
    in SQL that every engine has. A figure that is null gives a null text. -#}

{#- The nearest whole number of one not negative. Engines round halves their own ways, and a
    half may lack the last bits of one, by the order in which it was added up. -#}
{% macro nearest_whole(number) -%} floor({{ number }} + 0.500001)::bigint {%- endmacro %}

{#- 1234567 as 1,234,567; whole and not negative. -#}
{% macro grouped_text(whole) -%}
    {%- set thousands = "floor(" ~ whole ~ " / 1000e0)::bigint" -%}
    {%- set millions = "floor(" ~ whole ~ " / 1000000e0)::bigint" -%}
    case
        when {{ whole }} < 1000 then ({{ whole }})::{{ type_text() }}
        when {{ whole }} < 1000000
            then ({{ thousands }})::{{ type_text() }} || ',' || {{ last_digits(whole, 3) }}
        when {{ whole }} < 1000000000
            then ({{ millions }})::{{ type_text() }} || ',' || {{ last_digits(thousands, 3) }}
            || ',' || {{ last_digits(whole, 3) }}
        else (floor({{ whole }} / 1000000000e0)::bigint)::{{ type_text() }}
            || ',' || {{ last_digits(millions, 3) }}
            || ',' || {{ last_digits(thousands, 3) }}
            || ',' || {{ last_digits(whole, 3) }}
    end
{%- endmacro %}
{% macro last_digits(whole, digits) -%}
    lpad(mod({{ whole }}, {{ 10 ** digits }})::{{ type_text() }}, {{ digits }}, '0')
{%- endmacro %}

{#- One decimal, which is left out where it is 0: 40.6, 60, 1,234.5; not negative. -#}
{% macro decimal_text(number) -%}
    {%- set tenths = nearest_whole("(" ~ number ~ ") * 10") -%}
    {{ grouped_text("floor(" ~ tenths ~ " / 10e0)::bigint") }}
    || case
        when mod({{ tenths }}, 10) = 0 then ''
        else '.' || mod({{ tenths }}, 10)::{{ type_text() }}
    end
{%- endmacro %}

{#- 0.406 as 40.6 %. What is more than nothing never reads as nothing, nor less than all as
    all. -#}
{% macro percent_text(share) -%}
    case
        when {{ share }} > 0 and {{ share }} < 0.0005 then 'under 0.1 %'
        when {{ share }} < 1 and {{ share }} >= 0.9995 then 'over 99.9 %'
        else {{ decimal_text("100 * " ~ share) }} || ' %'
    end
{%- endmacro %}

{#- Days as a person says them: 12 minutes, 7.5 hours, 1 day, 5.1 days. -#}
{% macro days_text(days) -%}
    case
        when {{ days }} < 1 / 1440e0 then 'under a minute'
        when {{ days }} < 1 / 24e0
            then {{ counted_text(nearest_whole(days ~ " * 1440"), "'minute'", "'minutes'") }}
        when {{ days }} < 1.05 / 24e0 then '1 hour'
        when {{ days }} < 0.9995
            then {{ decimal_text(days ~ " * 24") }} || ' hours'
        when {{ days }} < 1.05 then '1 day'
        else {{ decimal_text(days) }} || ' days'
    end
{%- endmacro %}

{#- A whole number and its noun: 1 case, 1,200 cases. -#}
{% macro counted_text(whole, singular, plural) -%}
    {{ grouped_text(whole) }} || ' '
    || case when {{ whole }} = 1 then {{ singular }} else {{ plural }} end
{%- endmacro %}

{#- A measure of any scale, in its unit. -#}
{% macro figure_text(figure, scale) -%}
    case
        when {{ scale }} = 'proportion' then {{ percent_text(figure) }}
        when {{ scale }} = 'duration' then {{ days_text(figure) }}
        when {{ figure }} < 0 then '-' || {{ decimal_text("-" ~ figure) }}
        else {{ decimal_text(figure) }}
    end
{%- endmacro %}

{#- Rounded to two digits that count: 312345 is 310000, 62.4 is 62; whole, not negative. -#}
{% macro two_digits(number) -%}
    case
        {%- for power in range(13, 0, -1) %}
        when {{ number }} >= {{ 995 * 10 ** (power - 2) if power > 1 else "99.5" }}
            then {{ nearest_whole(number ~ " / 1e" ~ power) }} * {{ 10 ** power }}
        {%- endfor %}
        else {{ nearest_whole(number) }}
    end
{%- endmacro %}

{#- How many times: 3, 1.5, 1.04. -#}
{% macro times_text(ratio) -%}
    case
        when {{ ratio }} >= 1.095 then {{ decimal_text(ratio) }}
        else (floor({{ nearest_whole(ratio ~ " * 100") }} / 100e0)::bigint)::{{ type_text() }}
            || '.' || {{ last_digits(nearest_whole(ratio ~ " * 100"), 2) }}
    end || ' times'
{%- endmacro %}

{#- An id as words. -#}
{% macro words_text(id) -%} replace({{ id }}, '_', ' ') {%- endmacro %}

{#- An entity in the plural: customers, opportunities. -#}
{% macro plural_text(noun) -%}
    case
        when {{ noun }} like '%y'
            then substr({{ noun }}, 1, length({{ noun }}) - 1) || 'ies'
        else {{ noun }} || 's'
    end
{%- endmacro %}

{#- A segment: region north. What the map names by an id is said in words. -#}
{% macro segment_text(dimension, value) -%}
    {{ words_text(dimension) }} || ' ' || case
        when {{ dimension }} in ('touchpoint', 'feedback_topic', 'feedback_type')
            then {{ words_text(value) }}
        else {{ value }}
    end
{%- endmacro %}

{#- What is measured: Conversion rate of signed up (Lead to customer) for region north. -#}
{% macro subject_text(label, stage_id, journey, segment_dimension, segment_value) -%}
    {{ label }} || ' of ' || {{ words_text(stage_id) }} || ' (' || {{ journey }} || ')'
    || case
        when {{ segment_dimension }} = 'all' then ''
        else ' for ' || {{ segment_text(segment_dimension, segment_value) }}
    end
{%- endmacro %}

{#- A difference of shares in points of percent, without a unit: -12.8. -#}
{% macro points_figure(difference) -%}
    case when {{ difference }} < 0 then '-' else '' end
    || {{ decimal_text("abs(100 * " ~ difference ~ ")") }}
{%- endmacro %}

{#- Likewise, with it: -12.8 points. -#}
{% macro points_text(difference) -%} {{ points_figure(difference) }} || ' points' {%- endmacro %}

{#- A touchpoint with the share of the cases that met it. -#}
{% macro met_by() -%}
    touchpoint_id || ' (' || (100 * case_share)::decimal(18, 0)::{{ type_text() }} || ' %)'
{%- endmacro %}

{#- Formulas by their textbook names, in double precision. A literal without an exponent is
    a decimal on DuckDB, and with one too on PostgreSQL: cast it where it meets no double. -#}

{#- Two-sided 95 %: the 0.975 quantile of the standard normal distribution. -#}
{% macro z_95() -%} 1.959963984540054e0::{{ type_double() }} {%- endmacro %}

{#- One end of the Wilson score interval for a proportion of n trials. -#}
{% macro wilson_bound(proportion, trials, sign) -%}
    (
        (
            {{ proportion }} + {{ z_95() }} * {{ z_95() }} / (2 * {{ trials }})
            {{ sign }} {{ z_95() }} * sqrt(
                greatest(
                    {{ proportion }} * (1 - {{ proportion }}) / {{ trials }}
                    + {{ z_95() }} * {{ z_95() }} / (4 * {{ trials }} * {{ trials }}),
                    0
                )
            )
        ) / (1 + {{ z_95() }} * {{ z_95() }} / {{ trials }})
    )
{%- endmacro %}
{#- Rounding must not push an end past the proportion, where 0 or n of n were seen. -#}
{% macro wilson_low(proportion, trials) -%}
    greatest(least({{ wilson_bound(proportion, trials, "-") }}, {{ proportion }}), 0)
{%- endmacro %}
{% macro wilson_high(proportion, trials) -%}
    least(greatest({{ wilson_bound(proportion, trials, "+") }}, {{ proportion }}), 1)
{%- endmacro %}

{#- Two-sided p of a standard normal z. Hart's rational approximation in double precision
    (G. West, Better approximations to cumulative normal functions, 2005). -#}
{% macro normal_two_sided_p(z) -%}
    {%- set numerator = [
        "3.52624965998911e-2", "0.700383064443688e0", "6.37396220353165e0",
        "33.912866078383e0", "112.079291497871e0", "221.213596169931e0", "220.206867912376e0",
    ] -%}
    {%- set denominator = [
        "8.83883476483184e-2", "1.75566716318264e0", "16.064177579207e0",
        "86.7807322029461e0", "296.564248779674e0", "637.333633378831e0",
        "793.826512519948e0", "440.413735824752e0",
    ] -%}
    case
        when abs({{ z }}) > 37 then 0
        when abs({{ z }}) < 7.07106781186547e0
            then 2 * exp(-{{ z }} * {{ z }} / 2)
                * {{ horner(numerator, "abs(" ~ z ~ ")") }}
                / {{ horner(denominator, "abs(" ~ z ~ ")") }}
        else 2 * exp(-{{ z }} * {{ z }} / 2) / 2.506628274631e0
            / (abs({{ z }}) + 1 / (abs({{ z }}) + 2 / (abs({{ z }}) + 3 / (
                abs({{ z }}) + 4 / (abs({{ z }}) + 0.65)
            ))))
    end
{%- endmacro %}

{#- A polynomial with its coefficients from the highest power down, by Horner's scheme. -#}
{% macro horner(coefficients, x) -%}
    {%- set text = namespace(value=coefficients[0]) -%}
    {%- for coefficient in coefficients[1:] -%}
        {%- set text.value = "(" ~ text.value ~ " * " ~ x ~ " + " ~ coefficient ~ ")" -%}
    {%- endfor -%}
    {{ text.value }}
{%- endmacro %}

{#- The level of a quantile metric, which its name ends with: time_in_stage_p50 is 0.5. -#}
{% macro quantile_level(metric_id) -%}
    case
        when {{ metric_id }} like '%\_p50' escape '\' then 0.5e0
        when {{ metric_id }} like '%\_p75' escape '\' then 0.75e0
        when {{ metric_id }} like '%\_p90' escape '\' then 0.9e0
    end::{{ type_double() }}
{%- endmacro %}

{#- Log-odds of a proportion, kept half a count away from 0 and 1. -#}
{% macro smoothed_logit(proportion, trials) -%}
    {%- set half = "0.5e0::" ~ type_double() ~ " / (" ~ trials ~ " + 1)" -%}
    {%- set kept = (
        "least(greatest(" ~ proportion ~ ", " ~ half ~ "), 1 - " ~ half ~ ")"
    ) -%}
    ln({{ kept }} / (1 - {{ kept }}))
{%- endmacro %}

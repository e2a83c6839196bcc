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

{#- Design effect of a rate over clusters, from sums over them of the numerator x and the size
    n; at least 1. One cluster says nothing of the variance. -#}
{% macro design_effect(rate, clusters, sum_xx, sum_xn, sum_nn, trials) -%}
    case
        when {{ rate }} in (0, 1) or {{ clusters }} < 2 then 1
        else greatest(
            1,
            {{ clusters }}::{{ type_double() }} / ({{ clusters }} - 1)
            * (
                {{ sum_xx }}
                - 2 * {{ rate }} * {{ sum_xn }}
                + {{ rate }} * {{ rate }} * {{ sum_nn }}
            )
            / ({{ trials }} * {{ rate }} * (1 - {{ rate }}))
        )
    end
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

{#- CTEs for Benjamini–Hochberg (1995): `rows` with its adjusted_p_value over each family, in
    `<rows>_adjusted`. A row whose p_value is null is no member. Ties share their value. -#}
{% macro benjamini_hochberg(rows, family) -%}
    {{ rows }}_ranked as (
        select
            *,
            count(p_value) over (
                partition by {{ family | join(", ") }}
            ) as family_size,
            row_number() over (
                partition by {{ family | join(", ") }}
                order by p_value nulls last
            ) as p_rank
        from {{ rows }}
    ),

    {{ rows }}_adjusted as (
        select
            *,
            case
                when p_value is not null
                    then least(
                        1,
                        min(p_value * family_size / p_rank) over (
                            partition by {{ family | join(", ") }}
                            order by p_rank desc
                            rows between unbounded preceding and current row
                        )
                    )
            end as adjusted_p_value
        from {{ rows }}_ranked
    )
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
        when right({{ metric_id }}, 4) = '_p50' then 0.5e0
        when right({{ metric_id }}, 4) = '_p75' then 0.75e0
        when right({{ metric_id }}, 4) = '_p90' then 0.9e0
    end::{{ type_double() }}
{%- endmacro %}

{#- What the quantiles of one curve share: first_response_time_p50 is of first_response_time; a
    metric without a level is its own. -#}
{% macro metric_family(metric_id) -%}
    case
        when {{ quantile_level(metric_id) }} is not null
            then left({{ metric_id }}, length({{ metric_id }}) - 4)
        else {{ metric_id }}
    end
{%- endmacro %}

{#- Log-odds of a proportion, kept half a count away from 0 and 1. -#}
{% macro smoothed_logit(proportion, trials) -%}
    {%- set half = "0.5e0::" ~ type_double() ~ " / (" ~ trials ~ " + 1)" -%}
    {%- set kept = (
        "least(greatest(" ~ proportion ~ ", " ~ half ~ "), 1 - " ~ half ~ ")"
    ) -%}
    ln({{ kept }} / (1 - {{ kept }}))
{%- endmacro %}

{#- The levels of the quantiles that are measured, by the name's ending. -#}
{% macro quantile_levels() -%}
    {{ return({"p50": "0.5e0", "p75": "0.75e0", "p90": "0.9e0"}) }}
{%- endmacro %}

{#- Whether a curve has fallen to the height that a quantile is read off at (domain.md §6).
    Rounding must not push it past a tie. -#}
{% macro has_fallen_to(curve, level) -%}
    {{ curve }} <= 1 - {{ level }}::{{ type_double() }} + 1e-9
{%- endmacro %}

{#- Whether one of the curves falls here to the height of a quantile: pairs of a curve and the
    least that it was before. -#}
{% macro falls_to_quantile(curves) -%}
    coalesce(
        {%- for level in quantile_levels().values() %}
        {%- set is_last_level = loop.last %}
        {%- for curve, least in curves %}
        (
            {{ has_fallen_to(curve, level) }}
            and not coalesce({{ has_fallen_to(least, level) }}, false)
        )
        {{- ',' if loop.last and is_last_level else ' or' }}
        {%- endfor %}
        {%- endfor %}
        false
    )
{%- endmacro %}

{#- When a curve, its band (Brookmeyer–Crowley) and the curve of completers first have fallen to
    the height of each quantile, as select items. -#}
{% macro quantile_crossings() -%}
    {%- set curves = {
        "value": "survival",
        "ci_low": "survival_low",
        "ci_high": "survival_high",
        "naive": "naive_survival",
    } -%}
    {%- for name, level in quantile_levels().items() %}
    {%- set is_last_level = loop.last %}
    {%- for figure, curve in curves.items() %}
    min(
        case when {{ has_fallen_to(curve, level) }} then duration_us end
    ) as {{ name }}_{{ figure }}_us{{ "" if loop.last and is_last_level else "," }}
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}

{#- Durations 3 % apart share a number; the least, up to a second or so, share one. Only
    a way to find where to look: no figure depends on it. -#}
{% macro duration_bucket(microseconds) -%}
    greatest(
        floor(32 * ln(({{ microseconds }})::{{ type_double() }} + 1)), 440
    )::integer
{%- endmacro %}

{#- Standard error of log(-log S) from Greenwood's sum; S must lie between 0 and 1. -#}
{% macro log_log_se(log_survival, greenwood_sum) -%}
    sqrt({{ greenwood_sum }}) / abs({{ log_survival }})
{%- endmacro %}

{#- One end of the log-log band: `-` is the lower, with the error added. -#}
{% macro log_log_bound(log_survival, se, sign) -%}
    exp({{ log_survival }} * exp({{ sign }}{{ z_95() }} * {{ se }}))
{%- endmacro %}

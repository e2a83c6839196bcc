{#- Intervals of the scores of surveys: 95 %, in the metric's unit. Numbers of answers are double
    precision. -#}

{#- Net Promoter Score in points, 100 (p - d)/n of n answers with p promoters and d detractors. -#}
{% macro nps_value(promoters, detractors, answers) -%}
    (100 * ({{ promoters }} - {{ detractors }}) / {{ answers }})
{%- endmacro %}

{#- One end of its interval: adjusted Wald. With half a count more in each of the three classes
    (Jeffreys' prior), N = n + 3/2, P = (p + 1/2)/N and D = (d + 1/2)/N, it is
    100 (P - D ± z sqrt((P + D - (P - D)^2)/N)), from the variance of a difference of two shares
    of one multinomial sample. Rocks, Interval estimation for the Net Promoter Score (The American
    Statistician 2016), compares intervals of this kind; his adds 3/4, 3/2 and 3/4. -#}
{% macro nps_bound(promoters, detractors, answers, sign) -%}
    (
        100 * (
            ({{ promoters }} - {{ detractors }}) / ({{ answers }} + 1.5)
            {{ sign }} {{ z_95() }} * sqrt(
                (
                    ({{ promoters }} + {{ detractors }} + 1) / ({{ answers }} + 1.5)
                    - power(
                        ({{ promoters }} - {{ detractors }}) / ({{ answers }} + 1.5), 2
                    )
                ) / ({{ answers }} + 1.5)
            )
        )
    )
{%- endmacro %}
{#- The share is drawn to 0, so an end must not pass the value, nor what a score can be. -#}
{% macro nps_low(promoters, detractors, answers) -%}
    greatest(
        least(
            {{ nps_bound(promoters, detractors, answers, "-") }},
            {{ nps_value(promoters, detractors, answers) }}
        ),
        -100
    )
{%- endmacro %}
{% macro nps_high(promoters, detractors, answers) -%}
    least(
        greatest(
            {{ nps_bound(promoters, detractors, answers, "+") }},
            {{ nps_value(promoters, detractors, answers) }}
        ),
        100
    )
{%- endmacro %}

{#- The 0.975 quantile of Student's t, from 1 degree of freedom up. Of 15 and fewer as tabled;
    above by the Cornish–Fisher expansion (Abramowitz & Stegun 26.7.5), with the powers of z worked
    out: less than 8e-7 too small at 16 degrees, 2e-7 from 21 on. Null below 1. -#}
{% macro t_95(degrees) -%}
    {%- set tabled = [
        "12.7062047362", "4.30265272975", "3.18244630528", "2.7764451052", "2.57058183564",
        "2.44691185114", "2.36462425159", "2.3060041352", "2.2621571628", "2.22813885199",
        "2.20098516009", "2.17881282967", "2.16036865646", "2.14478668792", "2.13144954556",
    ] -%}
    {%- set powers = [
        "1.5895340533938225e0", "2.555849679507722e0", "2.8224986157396112e0",
        "2.372271230298562e0", "1.959963984540054e0",
    ] -%}
    {%- set inverse = "(1 / (" ~ degrees ~ ")::" ~ type_double() ~ ")" -%}
    case
        {%- for quantile in tabled %}
        when {{ degrees }} = {{ loop.index }} then {{ quantile }}e0::{{ type_double() }}
        {%- endfor %}
        when {{ degrees }} > {{ tabled | length }} then {{ horner(powers, inverse) }}
    end
{%- endmacro %}

{#- From a mean to either end of its t interval, of its answers, their sum and that of their
    squares. Of one answer nobody knows; equal ones must not differ by what rounding left. -#}
{% macro mean_reach(answers, total, squares, is_varied) -%}
    case
        when {{ answers }} > 1
            then {{ t_95("(" ~ answers ~ " - 1)") }} * sqrt(
                case
                    when {{ is_varied }}
                        then greatest(
                            {{ squares }} - {{ total }} * {{ total }} / {{ answers }}, 0
                        )
                    else 0
                end / ({{ answers }} - 1) / {{ answers }}
            )
    end
{%- endmacro %}

{#- The surveys, each a metric of its own name; `<survey>_response_rate` is how many answer. -#}
{% macro surveys() -%} {{ return(["nps", "csat", "ces"]) }} {%- endmacro %}

{#- Of the metrics of answers, the one rate. -#}
{% macro is_rate_of_answers(metric_id) -%} {{ metric_id }} = 'csat' {%- endmacro %}

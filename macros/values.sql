{#- What a shortfall is worth (domain.md §7). -#}

{#- Rates of visits, of which a case has several: no cases are won back. -#}
{% macro is_rate_of_visits(metric_id) -%}
    {{ metric_id }} in ('rework_rate', 'skip_rate')
{%- endmacro %}

{#- Rates of cases on their way to the success: more of them are more successes. -#}
{% macro leads_to_success(metric_id) -%}
    {{ metric_id }} in ('conversion_rate', 'drop_off_rate', 'journey_conversion_rate')
{%- endmacro %}

{#- Where the values of the successes that int_success_shares counts come from: the worst of
    `missing_rate`, `default`, `source`; `missing` where none has one. -#}
{% macro value_basis(shares) -%}
    case
        when {{ shares }}.missing_rates > 0 then 'missing_rate'
        when {{ shares }}.valued_successes = 0 then 'missing'
        when {{ shares }}.default_values > 0 then 'default'
        when {{ shares }}.valued_successes > 0 then 'source'
    end
{%- endmacro %}

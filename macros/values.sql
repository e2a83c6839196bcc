{#- What a shortfall is worth (domain.md §7). -#}

{#- Rates of visits, contacts, answers and the like, of which a case has several: no cases are
    won back. -#}
{% macro is_rate_of_units(metric_id) -%}
    {%- set metrics = [
        "rework_rate", "skip_rate", "csat", "nps_response_rate", "csat_response_rate",
        "ces_response_rate", "first_contact_resolution_rate", "repeat_call_rate",
        "repeat_email_rate", "cross_channel_repeat_rate", "reopen_rate", "team_change_rate",
        "touchpoint_response_rate", "feedback_follow_up_rate", "feedback_unclassified_rate",
        "feedback_topic_rate", "feedback_type_rate",
    ] -%}
    {{ metric_id }} in ({% for metric in metrics %}'{{ metric }}'{{ ", " if not loop.last }}{% endfor %})
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

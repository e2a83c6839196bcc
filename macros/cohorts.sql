{#- What cohorts of visits and of entries share. -#}

{#- The cohort of a date, by its first day: the part of a week that lies in one month. Weeks
    and months are both made of whole ones. -#}
{% macro cohort_start(date) -%}
    greatest(date_trunc('week', {{ date }}), date_trunc('month', {{ date }}))::date
{%- endmacro %}

{#- The `local_date` of a moment in a time zone, or its `cohort_start`, from its row of
    int_local_days. -#}
{% macro on_local_day(moment, local_days, column) -%}
    case
        when {{ moment }} < {{ local_days }}.turns_at
            then {{ local_days }}.first_{{ column }}
        else {{ local_days }}.last_{{ column }}
    end
{%- endmacro %}

{#- The customer of a visit, in a journey of customers its entity. -#}
{% macro customer_of(visits, entity) -%}
    case
        when {{ entity }} = 'customer' then {{ visits }}.entity_id
        else {{ visits }}.other_customer_id
    end
{%- endmacro %}

{#- What a visit varies with: its account, else its customer, else its entity (domain.md §6). -#}
{% macro cluster_of(visits, customer_accounts) -%}
    coalesce(
        {{ visits }}.account_id,
        {{ customer_accounts }}.account_id,
        {{ visits }}.other_customer_id,
        {{ visits }}.entity_id
    )
{%- endmacro %}

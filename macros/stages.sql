{#- Which stages a move passes over (domain.md §5). -#}

{#- 1 for a stage that a case has to pass on its way, else 0. -#}
{% macro is_mandatory(stages) -%}
    case
        when
            {{ stages }}.stage_kind = 'progress'
            and not coalesce({{ stages }}.is_optional, false)
            then 1
        else 0
    end
{%- endmacro %}

{#- How many of these a journey has up to a stage, itself among them. -#}
{% macro mandatory_through(stages) -%}
    sum({{ is_mandatory(stages) }}) over (
        partition by {{ stages }}.journey_id
        order by {{ stages }}.stage_order
        rows between unbounded preceding and current row
    )
{%- endmacro %}

{#- Whether one lies between two stages that have both columns. -#}
{% macro is_passed_over(stages, next_stages) -%}
    (
        {{ next_stages }}.mandatory_through - {{ next_stages }}.is_mandatory
        > {{ stages }}.mandatory_through
    )
{%- endmacro %}

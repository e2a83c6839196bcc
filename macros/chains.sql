{#- A journey as a chain of first entries: how often its shares have to be applied. -#}

{#- How many stages a case of the map's longest journey can pass through. Read from the seed,
    which is built before; without it (parsing, unit tests) five. -#}
{% macro progress_stage_limit() -%}
    {%- set counts = read_values(
        ref("stages"), "count(*) as stages", "stage_kind = 'progress' group by journey_id"
    ) -%}
    {{ return(counts | map("int") | max | default(5, true)) }}
{%- endmacro %}

{#- A difference of two figures that rounding alone sets apart is none: engines round in
    different orders. -#}
{% macro difference_or_zero(figure, other) -%}
    case
        when abs({{ figure }} - {{ other }}) <= 1e-9 * abs({{ other }}) then 0
        else {{ figure }} - {{ other }}
    end
{%- endmacro %}

{#- Texts of the rows of a group, joined by ` + ` in the order of a number from 1 to `limit`. -#}
{% macro joined_by_number(text, number, limit) -%}
    concat_ws(
        ' + ',
        {%- for place in range(1, limit + 1) %}
        max(case when {{ number }} = {{ place }} then {{ text }} end)
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    )
{%- endmacro %}

{#- CTEs pass_1 to pass_`passes`: of a case in a stage of a scenario the chance to succeed, and
    its days until then times that chance. Each pass looks one move further ahead than the one
    before. -#}
{% macro chain_passes(flows, passes) -%}
{%- for pass in range(1, passes + 1) -%}
{%- set ahead = "pass_" ~ (pass - 1) if pass > 1 else none -%}
pass_{{ pass }} as (
    select
        {{ flows }}.scenario_id,
        {{ flows }}.from_stage_id,
        sum(
            {{ flows }}.share
            * {{ chance_ahead(flows, ahead, "success_rate") }}
        ) as success_rate,
        sum(
            {{ flows }}.cautious_share
            * {{ chance_ahead(flows, ahead, "cautious_success_rate") }}
        ) as cautious_success_rate,
        sum(
            {{ flows }}.share * (
                {{ flows }}.mean_days
                * {{ chance_ahead(flows, ahead, "success_rate") }}
                {%- if ahead %}
                + coalesce({{ ahead }}.success_days, 0)
                {%- endif %}
            )
        ) as success_days
    from {{ flows }}
    {%- if ahead %}
    left join {{ ahead }}
        on
            {{ flows }}.scenario_id = {{ ahead }}.scenario_id
            and {{ flows }}.to_stage_id = {{ ahead }}.from_stage_id
    {%- endif %}
    group by
        {{ flows }}.scenario_id,
        {{ flows }}.from_stage_id
)
{%- if not loop.last %},

{% endif %}
{%- endfor -%}
{%- endmacro %}

{#- The chance to succeed from the stage a move leads to; a success ends the chain. -#}
{% macro chance_ahead(flows, ahead, rate) -%}
    case
        when {{ flows }}.is_success then 1
        else {{ "coalesce(" ~ ahead ~ "." ~ rate ~ ", 0)" if ahead else 0 }}
    end
{%- endmacro %}

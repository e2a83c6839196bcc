{#- The log of restatements compares with the figures that the last complete run had. These
    are read from their relation: measure_state is written last, and a ref would be a cycle.
    A full refresh changes no figure, so it compares as well. -#}
{% macro previous_measures() -%}
    {%- set columns = {
        "run_number": "bigint",
        "journey_id": type_text(),
        "metric_id": type_text(),
        "stage_id": type_text(),
        "touchpoint_id": type_text(),
        "segment_dimension": type_text(),
        "segment_value": type_text(),
        "period_grain": type_text(),
        "period_start": "date",
        "period_end": "date",
        "n": "bigint",
        "numerator": type_double(),
        "value": type_double(),
        "ci_low": type_double(),
        "ci_high": type_double(),
        "as_of": "timestamp",
        "through_load_id": "bigint",
        "definition_hash": type_text(),
    } -%}
    {%- set state = measure_state_relation() -%}
    {%- if state is not none -%}
        select {{ columns | join(", ") }} from {{ state }}
    {%- else -%}
        select
            {%- for column, type in columns.items() %}
            null::{{ type }} as {{ column }}{{ "," if not loop.last }}
            {%- endfor %}
        where false
    {%- endif -%}
{%- endmacro %}

{% macro measure_state_relation() -%}
    {%- if execute -%}
        {{ return(built_relation("measure_state")) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#- The strategy `restatement_log`: appends. What a run found that broke off before its
    state was written is found again, and so goes first. -#}
{% macro get_incremental_restatement_log_sql(arg_dict) %}
    {%- set state = measure_state_relation() -%}
    {{ delete_and_insert(
        arg_dict,
        ["run_number > (select max(run_number) from " ~ state ~ ")"] if state else [],
    ) }}
{% endmacro %}

{#- Whether two doubles are the same figure: engines add up in orders of their own. -#}
{% macro is_same_figure(left, right) -%}
    (
        coalesce(
            abs({{ left }} - {{ right }})
            <= 1e-9 * greatest(abs({{ left }}), abs({{ right }})),
            false
        )
        or ({{ left }} is null and {{ right }} is null)
    )
{%- endmacro %}

{#- The number of this run: one more than the last whose figures were kept, or, where none
    were, than the last that logged. -#}
{% macro this_run_number(previous_measures, restatements) -%}
    select
        coalesce(
            (select max(run_number) from {{ previous_measures }}),
            (select max(run_number) from {{ restatements }}),
            0
        ) + 1 as run_number
{%- endmacro %}

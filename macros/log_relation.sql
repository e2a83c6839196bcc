{#- What the asset graph shows of a relation just built, as a post-hook: the types of its
    columns and, unless told not to, its number of rows. Said only to Dagster, which reads
    JSON from dbt's log. -#}
{% macro log_relation(count_rows=true) -%}
    {%- if execute and env_var("DAGSTER_DBT_CLI", "") -%}
        {%- set columns = {} -%}
        {%- for column in adapter.get_columns_in_relation(this) -%}
            {%- set type = column.dtype if column.is_string() else column.data_type -%}
            {%- do columns.update({column.name: {"data_type": type}}) -%}
        {%- endfor -%}
        {%- set relation = {"columns": columns} -%}
        {%- if count_rows -%}
            {%- set counted = run_query("select count(*) as row_count from " ~ this) -%}
            {%- do relation.update({"row_count": counted[0][0] | int}) -%}
        {%- endif -%}
        {%- do log(tojson(relation), info=true) -%}
    {%- endif -%}
{%- endmacro %}

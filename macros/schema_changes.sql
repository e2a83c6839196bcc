{#- New versions of incremental tables on PostgreSQL, which ties a view to each column of its
    tables: the views go first, known to dbt, and are built anew after the table. -#}

{% macro postgres__alter_relation_add_remove_columns(
    relation, add_columns=none, remove_columns=none
) -%}
    {%- if remove_columns -%} {%- do drop_views_on(relation) -%} {%- endif -%}
    {%- do default__alter_relation_add_remove_columns(
        relation, add_columns, remove_columns
    ) -%}
{%- endmacro %}

{% macro postgres__alter_column_type(relation, column_name, new_column_type) -%}
    {%- do drop_views_on(relation) -%}
    {%- do default__alter_column_type(relation, column_name, new_column_type) -%}
{%- endmacro %}

{% macro drop_views_on(relation) -%}
    {%- set views = run_query(
        "select view_schema, view_name from information_schema.view_table_usage "
        ~ "where table_schema = '" ~ relation.schema ~ "' "
        ~ "and table_name = '" ~ relation.identifier ~ "'"
    ) -%}
    {%- for view in views -%}
        {%- do adapter.drop_relation(
            api.Relation.create(
                database=relation.database,
                schema=view["view_schema"],
                identifier=view["view_name"],
                type="view",
            )
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{#- The first column of a query over a relation, as a list for a statement to be written
    with; empty while the relation is not built, or is a unit test's fixture. -#}
{% macro read_values(relation, column, condition) -%}
    {%- set values = [] -%}
    {#- A fixture has no schema. -#}
    {%- if execute and relation.schema and load_relation(relation) -%}
        {%- set query -%}
            select {{ column }} from {{ relation }} where {{ condition }}
        {%- endset -%}
        {%- for row in run_query(query) -%} {%- do values.append(row[0]) -%} {%- endfor -%}
    {%- endif -%}
    {{ return(values) }}
{%- endmacro %}

{#- The relation of a name beside the model's own, or none while it is not built. -#}
{% macro built_relation(identifier) -%}
    {{ return(adapter.get_relation(
        database=this.database, schema=this.schema, identifier=identifier
    )) }}
{%- endmacro %}

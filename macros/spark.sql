{#- What Spark calls a type that YAML names as the other engines do. -#}
{% macro spark_type(type) -%}
    {{ return({"varchar": "string", "double precision": "double", "timestamp": "timestamp"}.get(type | lower, type)) }}
{%- endmacro %}

{% macro spark__get_empty_schema_sql(columns) -%}
    select
    {% for name, column in columns.items() %}
        cast(null as {{ spark_type(column.data_type) }}) as {{ name }}{{ ", " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- As dbt-spark's own, with types that Spark knows. -#}
{% macro spark__create_csv_table(model, agate_table) -%}
    {%- set types = model["config"].get("column_types", {}) -%}
    {%- set columns = [] -%}
    {%- for column in agate_table.column_names -%}
        {%- set inferred = adapter.convert_type(agate_table, loop.index0) -%}
        {%- do columns.append(column ~ " " ~ spark_type(types.get(column, inferred))) -%}
    {%- endfor -%}
    {%- set sql -%}
        create table {{ this.render() }} ({{ columns | join(", ") }}) using parquet
    {%- endset -%}
    {% call statement("_") %} {{ sql }} {% endcall %}
    {{ return(sql) }}
{%- endmacro %}

{% macro spark__load_csv_rows(model, agate_table) -%}
    {%- set types = model["config"].get("column_types", {}) -%}
    {%- set casts = [] -%}
    {%- for column in agate_table.column_names -%}
        {%- set inferred = adapter.convert_type(agate_table, loop.index0) -%}
        {%- do casts.append("cast(%s as " ~ spark_type(types.get(column, inferred)) ~ ")") -%}
    {%- endfor -%}
    {%- set row_sql = "(" ~ casts | join(", ") ~ ")" -%}
    {%- for chunk in agate_table.rows | batch(get_batch_size()) -%}
        {%- set bindings = [] -%}
        {%- set rows = [] -%}
        {%- for row in chunk -%}
            {%- do bindings.extend(row) -%}
            {%- do rows.append(row_sql) -%}
        {%- endfor -%}
        {%- do adapter.add_query(
            "insert into " ~ this.render() ~ " values " ~ rows | join(", "),
            bindings=bindings,
            abridge_sql_log=True,
        ) -%}
    {%- endfor -%}
    {{ return("") }}
{%- endmacro %}

{#- Our own strategies beside dbt-spark's. -#}
{% macro dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format) -%}
    {{ return(raw_strategy) }}
{%- endmacro %}

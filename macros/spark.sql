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

{#- As dbt-spark's own, but the old table is there until the new one is: `measure_state` is made
    from itself, and readers miss nothing meanwhile. -#}
{% materialization table, adapter="spark" -%}
    {%- set target = this.incorporate(type="table") -%}
    {%- set new = target.incorporate(path={"identifier": this.identifier ~ "__new"}) -%}
    {%- set old = load_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {%- do run_query("drop table if exists " ~ new) -%}
    {%- call statement("main") -%}
        {{ create_table_as(false, new, compiled_code) }}
    {%- endcall -%}
    {%- if old -%} {%- do adapter.drop_relation(old) -%} {%- endif -%}
    {%- do run_query("alter table " ~ new ~ " rename to " ~ target) -%}
    {{ run_hooks(post_hooks) }}
    {{ return({"relations": [target]}) }}
{%- endmaterialization %}

{#- Incremental models on Spark, whose tables without Delta or Iceberg know no delete: a table
    is stored in partitions by a bucket of its entity or by a day, and those that an increment
    touches are written anew.

    Names of the partition and what it is made from, by strategy. The log of restatements is
    short and only appended to. -#}
{% macro spark_partition() -%}
    {%- if config.get("materialized") == "incremental" -%}
        {%- set buckets = var("entity_buckets") -%}
        {{ return({
            "entity_rebuild": ("entity_bucket", "pmod(xxhash64(entity_id), " ~ buckets ~ ")::int"),
            "device_rebuild": ("device_bucket", "pmod(xxhash64(anonymous_id), " ~ buckets ~ ")::int"),
            "row_rebuild": ("occurred_day", "occurred_at::date"),
        }.get(config.get("incremental_strategy"))) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{% macro spark__partition_cols(label, required=false) -%}
    {%- if spark_partition() -%} {{ label }} ({{ spark_partition()[0] }})
    {%- else -%} {{ dbt.spark__partition_cols(label, required) }}
    {%- endif -%}
{%- endmacro %}

{#- As dbt-spark's own, with the partition as last column, and a file or more for each. An
    increment is no view, which would be computed again by each statement, but stored by the
    executors until its target is written. -#}
{% macro spark__create_table_as(temporary, relation, compiled_code, language="sql") -%}
    {%- set sql = compiled_code -%}
    {%- if spark_partition() -%}
        {%- set name, expression = spark_partition() -%}
        {%- set sql -%}
            select /*+ rebalance({{ name }}) */ * from (
                select *, {{ expression }} as {{ name }} from ({{ compiled_code }})
            )
        {%- endset -%}
    {%- endif -%}
    {%- if temporary -%}
        {%- do run_query("drop view if exists " ~ relation) -%}
        cache table {{ relation }} options ("storageLevel" "DISK_ONLY") as {{ sql }}
    {%- else -%}
        {{ dbt.spark__create_table_as(temporary, relation, sql, language) }}
    {%- endif -%}
{%- endmacro %}

{#- Our own strategies beside dbt-spark's. -#}
{% macro dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format) -%}
    {{ return(raw_strategy) }}
{%- endmacro %}

{% macro dbt_spark_get_incremental_sql(
    strategy, source, target, existing, unique_key, incremental_predicates
) -%}
    {{ return(context["get_incremental_" ~ strategy ~ "_sql"]({
        "target_relation": target,
        "temp_relation": source,
        "dest_columns": adapter.get_columns_in_relation(target),
    })) }}
{%- endmacro %}

{#- Partition by partition: what is kept of those that are touched, and the new rows. Spark
    replaces one after the other, so while it does the table says so: after a run that broke
    off there its rows are no ground to build on, and it is built anew as a whole. -#}
{% macro spark__delete_and_insert(arg_dict, conditions) -%}
    {%- set target, source = arg_dict["target_relation"], arg_dict["temp_relation"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="name") | join(", ") -%}
    {%- set replaced = "coalesce(" ~ (conditions or ["false"]) | join(" or ") ~ ", false)" -%}
    {%- if spark_partition() -%}
        {{ return(spark_overwrite(target, source, columns, replaced)) }}
    {%- endif -%}
    {%- if run_query("select 1 from " ~ target ~ " where " ~ replaced ~ " limit 1") | length -%}
        {%- do spark_remove(target, replaced) -%}
    {%- endif -%}
    insert into {{ target }} ({{ columns }}) select {{ columns }} from {{ source }}
{%- endmacro %}

{% macro spark_overwrite(target, source, columns, replaced) -%}
    {%- set partition = spark_partition()[0] -%}
    {%- set found = run_query(
        "select " ~ partition ~ ", max(is_new), max(is_replaced), max(is_kept) from ("
        ~ "select " ~ partition ~ ", 1 as is_new, 0 as is_replaced, 0 as is_kept from " ~ source
        ~ " union all select " ~ partition ~ ", 0 as is_new"
        ~ ", case when " ~ replaced ~ " then 1 else 0 end as is_replaced"
        ~ ", case when " ~ replaced ~ " then 0 else 1 end as is_kept from " ~ target
        ~ ") group by 1 having max(is_new) + max(is_replaced) > 0"
    ) -%}
    {%- set written, emptied = [], [] -%}
    {%- for name, is_new, is_replaced, is_kept in found -%}
        {%- set value = "'" ~ name ~ "'" -%}
        {%- do (written if is_new or is_kept else emptied).append(value) -%}
    {%- endfor -%}
    {%- if written -%}
        {%- do spark_say_rewriting(target, true) -%}
        {%- call statement("overwrite") -%}
            insert overwrite table {{ target }} partition ({{ partition }})
            select /*+ rebalance({{ partition }}) */ {{ columns }}
            from (
                select {{ columns }}
                from {{ target }}
                where
                    {{ partition }} in ({{ written | join(", ") }})
                    and not {{ replaced }}
                union all
                select {{ columns }} from {{ source }}
            )
        {%- endcall -%}
        {%- do spark_say_rewriting(target, false) -%}
    {%- endif -%}
    {%- for value in emptied -%}
        {%- do run_query(
            "alter table " ~ target ~ " drop if exists partition (" ~ partition ~ " = " ~ value ~ ")"
        ) -%}
    {%- endfor -%}
    {{ return("drop view if exists " ~ source) }}
{%- endmacro %}

{% macro spark_say_rewriting(target, is_rewriting) -%}
    {%- do run_query(
        "alter table " ~ target ~ " set tblproperties ('journey_gaps.rewriting' = '"
        ~ is_rewriting ~ "')"
    ) -%}
{%- endmacro %}

{#- A table without partitions cannot be read while it is overwritten. -#}
{% macro spark_remove(target, replaced) -%}
    {%- set kept = target.incorporate(path={"identifier": target.identifier ~ "__kept"}) -%}
    {%- do run_query("drop table if exists " ~ kept) -%}
    {%- do run_query(
        "create table " ~ kept ~ " as select * from " ~ target ~ " where not " ~ replaced
    ) -%}
    {%- do spark_say_rewriting(target, true) -%}
    {%- do run_query("insert overwrite table " ~ target ~ " select * from " ~ kept) -%}
    {%- do spark_say_rewriting(target, false) -%}
    {%- do run_query("drop table " ~ kept) -%}
{%- endmacro %}

{#- dbt's own question, asked by `is_incremental` too: also where a run broke off in a table. -#}
{% macro should_full_refresh() -%}
    {{ return(dbt.should_full_refresh() or is_half_written()) }}
{%- endmacro %}

{% macro is_half_written() -%} {{ return(adapter.dispatch("is_half_written")()) }} {%- endmacro %}
{% macro default__is_half_written() -%} {{ return(false) }} {%- endmacro %}
{% macro spark__is_half_written() -%}
    {%- if execute and config.get("materialized") == "incremental" and load_relation(this) -%}
        {%- for row in fetch_tbl_properties(this) -%}
            {%- if row[0] == "journey_gaps.rewriting" -%}
                {{ return(row[1] | lower == "true") }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}

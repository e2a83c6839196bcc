{#- Incremental by entity: the histories of touched entities are deleted and built anew.
    dbt's delete+insert deletes only keys that come back; a history can also vanish. -#}

{#- In an incremental run keeps the rows of touched entities and of journeys whose map
    changed; else keeps all. `alias` is a relation with journey_id and entity_id. -#}
{% macro is_rebuilt(alias) -%}
    {%- set touched_entities = ref("int_touched_entities") -%}
    {%- set journey_builds = ref("int_journey_builds") -%}
    {%- if is_incremental() -%}
        (
            exists (
                select 1
                from {{ touched_entities }} as touched
                where
                    touched.journey_id = {{ alias }}.journey_id
                    and touched.entity_id = {{ alias }}.entity_id
            )
            or exists (
                select 1
                from {{ journey_builds }} as builds
                where
                    builds.journey_id = {{ alias }}.journey_id
                    and builds.is_full_rebuild
            )
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- The strategy `entity_rebuild`, for tables with journey_id and entity_id. -#}
{% macro get_incremental_entity_rebuild_sql(arg_dict) %}
    {%- set target_relation = arg_dict["target_relation"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="quoted") | join(", ") -%}
    delete from {{ target_relation }}
    where {{ is_rebuilt(target_relation) }};

    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict["temp_relation"] }};
{% endmacro %}

{#- What the last complete build of the facts left behind: read from the relation, since
    int_build_state is written last and a ref would be a cycle. -#}
{% macro previous_build_state() %}
    {%- set state = none -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {%- set state = adapter.get_relation(
            database=this.database, schema=this.schema, identifier="int_build_state"
        ) -%}
    {%- endif -%}
    {%- if state is not none -%}
        select journey_id, journey_hash, through_load_id from {{ state }}
    {%- else -%}
        select
            null::varchar as journey_id,
            null::varchar as journey_hash,
            null::bigint as through_load_id
        where false
    {%- endif -%}
{% endmacro %}

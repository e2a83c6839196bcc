{#- Incremental models of three units, each deleted where something new touches it and built
    anew: source rows (`row_rebuild`), devices (`device_rebuild`) and, for the facts, the
    histories of entities (`entity_rebuild`). dbt's delete+insert deletes only keys that come
    back; a history can also vanish. All are safe to repeat: a run that broke off before
    int_build_state was written is done again from the same loads. -#}

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

{% macro get_incremental_entity_rebuild_sql(arg_dict) %}
    {{ delete_and_insert(arg_dict, is_rebuilt(arg_dict["target_relation"])) }}
{% endmacro %}

{#- In an incremental run keeps the rows of new loads, those of the CRM's opportunities,
    whose newest version they are made from, and those of journeys whose map changed. Without
    a journey: what any journey may want. The load is a literal, by which DuckDB skips old
    rows unread. -#}
{% macro is_new_row(load_id, source_name, journey_id=none) -%}
    {%- set journey_builds = ref("int_journey_builds") -%}
    {#- Named for the strategy, which cannot add to what the model depends on. -#}
    {%- set withdrawn_rows = ref("stg_withdrawn_rows") -%}
    {%- if is_incremental() -%}
        {%- if journey_id is none -%}
            (
                {{ load_id }} > {{ first_new_load("is_full_rebuild") }}
                or {{ source_name }} = 'crm_opportunities'
            )
        {%- else -%}
            exists (
                select 1
                from {{ journey_builds }} as builds
                where
                    builds.journey_id = {{ journey_id }}
                    and (
                        builds.is_full_rebuild
                        or {{ load_id }} > builds.from_load_id
                        or {{ source_name }} = 'crm_opportunities'
                    )
            )
        {%- endif -%}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- The load after which rows are new to some journey: 0 where one begins anew, by the
    condition `from_start` on int_journey_builds. -#}
{% macro first_new_load(from_start="from_load_id is null") -%}
    {%- set journey_builds = ref("int_journey_builds") -%}
    {%- set found = none -%}
    {%- if execute and load_relation(journey_builds) is not none -%}
        {%- set found = run_query(
            "select min(case when " ~ from_start ~ " then 0 else from_load_id end) as load_id "
            ~ "from " ~ journey_builds ~ " where journey_hash is not null"
        )[0][0] -%}
    {%- endif -%}
    {{ return(found | int if found is not none else 0) }}
{%- endmacro %}

{% macro get_incremental_row_rebuild_sql(arg_dict) %}
    {%- set target_relation = arg_dict["target_relation"] -%}
    {%- set condition -%}
        {{ is_new_row(
            target_relation ~ ".load_id",
            target_relation ~ ".source",
            target_relation ~ ".journey_id",
        ) }}
        or exists (
            select 1
            from {{ ref("stg_withdrawn_rows") }} as withdrawn_rows
            where
                withdrawn_rows.load_id > {{ first_new_load() }}
                and withdrawn_rows.table_name = {{ target_relation }}.source
                and withdrawn_rows.row_id = {{ target_relation }}.source_row_id
        )
        {#- A log's row that comes again may take another place in its file. #}
        or (
            {{ target_relation }}.source = 'event_log'
            and exists (
                select 1
                from {{ arg_dict["temp_relation"] }} as rebuilt
                where
                    rebuilt.journey_id = {{ target_relation }}.journey_id
                    and rebuilt.source = {{ target_relation }}.source
                    and rebuilt.source_row_id = {{ target_relation }}.source_row_id
            )
        )
    {%- endset -%}
    {{ delete_and_insert(arg_dict, condition) }}
{% endmacro %}

{#- In an incremental run keeps the rows of devices with a new or a withdrawn event. -#}
{% macro is_new_on_device(anonymous_id) -%}
    {%- set events = ref("stg_events") -%}
    {%- set withdrawn_rows = ref("stg_withdrawn_rows") -%}
    {%- set since = first_new_load() -%}
    {%- if is_incremental() -%}
        (
            {{ anonymous_id }} in (
                select new_events.anonymous_id
                from {{ events }} as new_events
                where
                    new_events.load_id > {{ since }}
                    and new_events.anonymous_id is not null
                union all
                select withdrawn_rows.anonymous_id
                from {{ withdrawn_rows }} as withdrawn_rows
                where
                    withdrawn_rows.load_id > {{ since }}
                    and withdrawn_rows.anonymous_id is not null
            )
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{% macro get_incremental_device_rebuild_sql(arg_dict) %}
    {%- set anonymous_id = arg_dict["target_relation"] ~ ".anonymous_id" -%}
    {{ delete_and_insert(arg_dict, is_new_on_device(anonymous_id)) }}
{% endmacro %}

{% macro delete_and_insert(arg_dict, condition) %}
    {%- set target_relation = arg_dict["target_relation"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="quoted") | join(", ") -%}
    delete from {{ target_relation }}
    where {{ condition }};

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

{#- Incremental models of three units, each deleted where something new touches it and built
    anew: source rows (`row_rebuild`), devices (`device_rebuild`) and, for the facts, the
    histories of entities (`entity_rebuild`). dbt's delete+insert deletes only keys that come
    back; a history can also vanish. All are safe to repeat: a run that broke off before
    int_build_state was written is done again from the same loads.

    What the run has to do is read from int_journey_builds beforehand and written into the
    statements, one condition each: a literal skips what is old unread, and two conditions in
    one `or` would be tried row by row. -#}

{#- The journeys, by id, that begin anew in this run, or end. -#}
{% macro rebuilt_journeys() -%}
    {{ return(read_values(ref("int_journey_builds"), "journey_id", "is_full_rebuild")) }}
{%- endmacro %}

{#- The load after which rows are new to some journey; 0 where one has none behind it. -#}
{% macro first_new_load() -%}
    {%- set loads = read_values(
        ref("int_journey_builds"),
        "min(coalesce(from_load_id, 0)) as load_id",
        "journey_hash is not null",
    ) -%}
    {{ return((loads | first | default(0, true)) | int) }}
{%- endmacro %}

{#- Conditions, in a list, on the id of a journey that begins anew, or ends: none or one. -#}
{% macro of_rebuilt_journeys(journey_id) -%}
    {%- set journeys = rebuilt_journeys() -%}
    {%- if journeys -%}
        {{ return([journey_id ~ " in ('" ~ journeys | join("', '") ~ "')"]) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}

{#- A condition on a relation with journey_id and entity_id: that new rows touch the entity.
    DuckDB joins for `in` at once; for `exists` it first collects all pairs to ask for. -#}
{% macro is_touched(relation) -%}
    ({{ relation }}.journey_id, {{ relation }}.entity_id) in (
        select
            touched.journey_id,
            touched.entity_id
        from {{ ref("int_touched_entities") }} as touched
    )
{%- endmacro %}

{#- In an incremental run keeps the rows of touched entities and of journeys whose map
    changed; else keeps all. -#}
{% macro is_rebuilt(relation) -%}
    {%- set conditions = (
        [is_touched(relation)] + of_rebuilt_journeys(relation ~ ".journey_id")
    ) -%}
    {%- if is_incremental() -%} ({{ conditions | join(" or ") }}) {%- else -%} true {%- endif -%}
{%- endmacro %}

{#- The events to rebuild histories from: in an increment those of touched entities, which
    int_touched_events has read once for all; else those of all. -#}
{% macro rebuilt_events() -%}
    {%- set touched_events = ref("int_touched_events") -%}
    {%- set all_events = ref("int_journey_events") -%}
    {{ return(
        touched_events if is_incremental() and not rebuilt_journeys() else all_events
    ) }}
{%- endmacro %}

{% macro get_incremental_entity_rebuild_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {{ delete_and_insert(
        arg_dict,
        [is_touched(target)] + of_rebuilt_journeys(target ~ ".journey_id"),
    ) }}
{% endmacro %}

{#- In an incremental run keeps the rows of new loads, those of the CRM's opportunities,
    whose newest version they are made from, and those of journeys whose map changed. Without
    a journey: what any journey may want. -#}
{% macro is_new_row(load_id, source_name, journey_id=none) -%}
    {%- set withdrawn_rows = ref("stg_withdrawn_rows") -%}
    {%- set conditions = (
        [load_id ~ " > " ~ first_new_load(), source_name ~ " = 'crm_opportunities'"]
        + of_rebuilt_journeys(journey_id)
    ) -%}
    {%- if is_incremental() and (journey_id is not none or conditions | length == 2) -%}
        ({{ conditions | join(" or ") }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{% macro get_incremental_row_rebuild_sql(arg_dict) %}
    {%- set since = first_new_load() -%}
    {%- set withdrawn_rows = ref("stg_withdrawn_rows") -%}
    {%- set conditions = (
        ["load_id > " ~ since, "source = 'crm_opportunities'"]
        + of_rebuilt_journeys("journey_id")
    ) -%}
    {%- set withdrawn -%}
        (source, source_row_id) in (
            select
                withdrawn_rows.table_name,
                withdrawn_rows.row_id
            from {{ withdrawn_rows }} as withdrawn_rows
            where withdrawn_rows.load_id > {{ since }}
        )
    {%- endset -%}
    {#- A log's row that comes again may take another place in its file. -#}
    {%- set moved -%}
        source = 'event_log'
        and (journey_id, source_row_id) in (
            select
                rebuilt.journey_id,
                rebuilt.source_row_id
            from {{ arg_dict["temp_relation"] }} as rebuilt
            where rebuilt.source = 'event_log'
        )
    {%- endset -%}
    {{ delete_and_insert(arg_dict, conditions + [withdrawn, moved]) }}
{% endmacro %}

{#- In an incremental run keeps the rows of devices with a new or a withdrawn event. -#}
{% macro is_new_on_device(anonymous_id) -%}
    {%- set events = ref("stg_events") -%}
    {%- set withdrawn_rows = ref("stg_withdrawn_rows") -%}
    {%- set since = first_new_load() -%}
    {%- if is_incremental() -%}
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
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{% macro get_incremental_device_rebuild_sql(arg_dict) %}
    {%- set anonymous_id = arg_dict["target_relation"] ~ ".anonymous_id" -%}
    {{ delete_and_insert(arg_dict, [is_new_on_device(anonymous_id)]) }}
{% endmacro %}

{#- Deletes the target's rows that meet one of the conditions and adds those of the model. -#}
{% macro delete_and_insert(arg_dict, conditions) -%}
    {{ return(adapter.dispatch("delete_and_insert")(arg_dict, conditions)) }}
{%- endmacro %}

{% macro default__delete_and_insert(arg_dict, conditions) %}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="quoted") | join(", ") -%}
    {%- for condition in conditions %}
    delete from {{ arg_dict["target_relation"] }}
    where {{ condition }};
    {% endfor %}
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict["temp_relation"] }};
{% endmacro %}

{#- What the last complete build of the facts left behind: read from the relation, since
    int_build_state is written last and a ref would be a cycle. -#}
{% macro previous_build_state() %}
    {%- set state = none -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {%- set state = built_relation("int_build_state") -%}
    {%- endif -%}
    {%- if state is not none -%}
        select journey_id, journey_hash, through_load_id from {{ state }}
    {%- else -%}
        select
            null::{{ type_text() }} as journey_id,
            null::{{ type_text() }} as journey_hash,
            null::bigint as through_load_id
        where false
    {%- endif -%}
{% endmacro %}

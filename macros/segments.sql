{#- Where the value of a segment dimension is read: from the events that enter visits, or
    from records, which visits find by a key. -#}

{#- Whether a dimension's source is one of events. -#}
{% macro is_of_events(source_name) -%}
    {{ source_name }} in ('events', 'crm_stage_changes', 'support_events', 'event_log')
{%- endmacro %}

{#- The columns of records that a dimension may name, as orchestration/journey_map lists them:
    none that tells of the outcome. -#}
{% macro record_columns(source_name) -%}
    {{ return({
        "crm_accounts": ["name", "industry", "employee_count", "region", "plan"],
        "crm_contacts": ["persona", "acquisition_channel"],
        "crm_opportunities": ["pipeline", "currency", "owner"],
        "support_contacts": ["channel", "topic", "agent_team"],
        "survey_responses": ["survey", "touchpoint_id"],
        "experiment_assignments": ["experiment_id", "arm"],
    }[source_name]) }}
{%- endmacro %}

{#- The value, as text, of the column that a dimension names. -#}
{% macro record_value(records, dimensions, source_name) -%}
    case {{ dimensions }}.source_column
        {%- for column in record_columns(source_name) %}
        when '{{ column }}' then {{ records }}.{{ column }}::{{ type_text() }}
        {%- endfor %}
    end
{%- endmacro %}

{#- All versions of a table's records, as a select of its own: the columns that dimensions
    name. Of an occasion with its customer and when it took place. -#}
{% macro record_versions(
    source_name, id_columns, took_place_at=none, updated_at="source_updated_at"
) -%}
    {%- set ids = [] -%}
    {%- for column in id_columns -%}
        {%- do ids.append(source_name ~ "." ~ column) -%}
    {%- endfor -%}
    select
        wanted_columns.source,
        wanted_columns.source_column,
        {{ source_name }}.{{ took_place_at or updated_at }} as known_from,
        {{ source_name }}.{{ updated_at }} as updated_at,
        {{ source_name }}.content_hash,
        {{ took_place_at is none }} as has_history,
        {{ ids | join(" || ':' || ") }} as record_id,
        {% if took_place_at %}{{ source_name }}.customer_id{% else %}null::{{ type_text() }}{% endif %}
            as customer_id,
        {{ record_value(source_name, "wanted_columns", source_name) }} as record_value
    from wanted_columns
    inner join {{ source_name }}
        on wanted_columns.source = '{{ source_name }}'
{%- endmacro %}

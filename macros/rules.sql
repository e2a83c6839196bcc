{#- The journey map's rules as SQL predicates: rules are data, never edits of a model. -#}

{#- The value of the property a rule names: a column of int_source_events where it has a
    value, else a field of the JSON properties. -#}
{% macro event_property(event, property_name) -%}
    coalesce(
        case {{ property_name }}
            {%- for column in ["channel", "lifecycle", "resource"] %}
            when '{{ column }}' then {{ event }}.{{ column }}
            {%- endfor %}
        end,
        {{ json_field(event ~ ".properties", property_name) }}
    )
{%- endmacro %}

{#- Whether an event meets a rule's property condition. A rule without one is met. -#}
{% macro meets_property(event, rule) -%}
    {%- set actual = event_property(event, rule ~ ".property_name") -%}
    {%- set expected = rule ~ ".property_value" -%}
    case
        when {{ rule }}.property_name is null then true
        else coalesce(
            case {{ rule }}.property_operator
                when 'equals' then {{ actual }} = {{ expected }}
                when 'not_equals' then {{ actual }} is distinct from {{ expected }}
                when 'in'
                    then position(
                        '|' || {{ actual }} || '|' in '|' || {{ expected }} || '|'
                    ) > 0
                when 'contains' then position({{ expected }} in {{ actual }}) > 0
                when 'starts_with' then position({{ expected }} in {{ actual }}) = 1
                when 'gt' then {{ safe_double(actual) }} > {{ safe_double(expected) }}
                when 'gte' then {{ safe_double(actual) }} >= {{ safe_double(expected) }}
                when 'lt' then {{ safe_double(actual) }} < {{ safe_double(expected) }}
                when 'lte' then {{ safe_double(actual) }} <= {{ safe_double(expected) }}
                when 'exists' then {{ actual }} is not null
                when 'not_exists' then {{ actual }} is null
            end,
            false
        )
    end
{%- endmacro %}

{#- The entity of an anonymous device that was not identified within the attempt gap. -#}
{% macro anonymous_entity(anonymous_id) -%} 'anonymous:' || {{ anonymous_id }} {%- endmacro %}

{#- Whether a case's entity was found: the journeys of customers and accounts have devices
    too, and those of accounts customers of no known account. -#}
{% macro is_identified(entity, entity_id) -%}
    (
        {{ entity }} not in ('customer', 'account')
        or (
            {{ entity_id }} not like {{ anonymous_entity("'%'") }}
            and ({{ entity }} = 'customer' or {{ entity_id }} not like 'customer:%')
        )
    )
{%- endmacro %}

{#- The entity, in a journey of accounts, of a customer without one. -#}
{% macro unlinked_entity(customer_id) -%} 'customer:' || {{ customer_id }} {%- endmacro %}

{#- One row of a map table as text, for a journey's hash: null and '' stay apart. -#}
{% macro map_line(table, columns) -%}
    '{{ table }}'
    {%- for column in columns %}
    || chr(31) || coalesce(({{ column }})::{{ type_text() }}, chr(30))
    {%- endfor %}
{%- endmacro %}

{#- Events with the rules of int_journey_rules that they meet, as a select of its own. -#}
{% macro rule_matches(events, rules, by_name) -%}
    select
        {{ rules }}.journey_id,
        {{ rules }}.meaning,
        {{ rules }}.stage_id,
        {{ rules }}.touchpoint_id,
        {{ rules }}.funnel_id,
        {{ rules }}.step_order,
        {{ rules }}.rule_rank,
        {{ events }}.source,
        {{ events }}.source_row_id,
        {{ events }}.occurred_at,
        {{ events }}.event_seq,
        {{ events }}.customer_id,
        {{ events }}.account_id,
        {{ events }}.opportunity_id,
        {{ events }}.support_contact_id,
        {{ events }}.source_case_id,
        {{ events }}.load_id,
        case when {{ events }}.customer_id is null then {{ events }}.anonymous_id end
            as anonymous_id,
        coalesce(
            {{ event_property(events, rules ~ '.owner_column') }},
            {{ rules }}.owner_team
        ) as owner_team,
        {{ event_property(events, rules ~ '.held_property') }} as held_value
    from {{ events }}
    inner join {{ rules }}
        on
            {{ events }}.source = {{ rules }}.source
            {%- if by_name %}
            and {{ events }}.event_name = {{ rules }}.event_name
            {%- endif %}
            and {{ meets_property(events, rules) }}
{%- endmacro %}

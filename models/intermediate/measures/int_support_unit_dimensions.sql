{%- set columns = {
    "support_channel": "channel",
    "support_topic": "topic",
    "support_team": "opening_team",
} -%}
with

support_contacts as (
    select * from {{ ref('int_support_contacts') }}
),

dimensions as (
    {%- for dimension, column in columns.items() %}
        select
            'support_contact:' || support_contact_id as unit_id,
            '{{ dimension }}' as segment_dimension,
            coalesce({{ column }}, '(unknown)') as segment_value
        from support_contacts
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
)

select * from dimensions

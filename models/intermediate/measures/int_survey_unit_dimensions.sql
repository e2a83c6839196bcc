{#- A question and its answer are two units: what the answer said is no property of
    having been asked. -#}
with

responses as (
    select * from {{ ref('int_scored_responses') }}
),

{%- set kinds = ['survey_question', 'survey_response'] %}

dimensions as (
    {%- for kind in kinds %}
        select
            'touchpoint' as segment_dimension,
            '{{ kind }}:' || response_id as unit_id,
            coalesce(touchpoint_id, '(unknown)') as segment_value
        from responses
        {{- " union all" if not loop.last }}
    {%- endfor %}
)

select * from dimensions

{{ config(materialized='view') }}

with

visit_dimensions as (
    select * from {{ ref('int_visit_dimensions') }}
),

named_visits as (
    select
        *,
        journey_id || ':' || entity_id
        || ':' || attempt_number::{{ type_text() }}
        || ':' || visit_number::{{ type_text() }} as visit_id
    from visit_dimensions
),

final as (
    select
        visit_id,
        segment_dimension,
        segment_value,
        entered_at
    from named_visits
)

select * from final

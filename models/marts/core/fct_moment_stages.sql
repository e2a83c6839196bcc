with

moments as (
    select * from {{ ref('int_moments') }}
),

cases as (
    select
        *,
        journey_id || ':' || entity_id || ':' || attempt_number::{{ type_text() }}
            as case_id
    from moments
),

visits as (
    select
        *,
        case_id || ':' || visit_number::{{ type_text() }} as visit_id
    from cases
),

final as (
    select
        moment_kind,
        moment_id,
        journey_id,
        stage_id,
        visit_id,
        case_id,
        moment_at
    from visits
)

select * from final

with

hand_offs as (
    select * from {{ ref('int_hand_offs') }}
),

units as (
    select
        'handoff_wait' as metric_family,
        journey_id,
        stage_id,
        unit_id,
        null::{{ type_text() }} as only_dimension,
        entity_id,
        attempt_number,
        visit_number,
        customer_id,
        cluster_id,
        began_at as measured_at,
        window_days,
        observed_through,
        wait_us as duration_us,
        has_advanced as is_event
    from hand_offs
    where wait_us is not null
)

select * from units

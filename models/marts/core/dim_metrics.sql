with

metrics as (
    select * from {{ ref('metrics') }}
),

final as (
    select
        metric_id,
        label,
        unit,
        direction,
        scale,
        score_min,
        score_max,
        loss_family,
        equivalence_margin,
        definition_version,
        description,
        alert_relative_change
    from metrics
)

select * from final

with

conversion_rate as (
    select * from {{ ref('measure_conversion_rate') }}
),

stage_times as (
    select * from {{ ref('measure_stage_times') }}
),

identified_rate as (
    select * from {{ ref('measure_identified_rate') }}
),

-- Every family emits the columns of this table in this order, by contract.
unioned as (
    select * from conversion_rate
    union all
    select * from stage_times
    union all
    select * from identified_rate
),

final as (
    select
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        n,
        n_clusters,
        effective_n,
        numerator,
        value,
        ci_low,
        ci_high,
        naive_value,
        is_mature,
        is_partial
    from unioned
)

select * from final

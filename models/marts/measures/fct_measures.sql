with

conversion_rate as (
    select * from {{ ref('measure_conversion_rate') }}
),

drop_off_rate as (
    select * from {{ ref('measure_drop_off_rate') }}
),

open_rate as (
    select * from {{ ref('measure_open_rate') }}
),

rework_rate as (
    select * from {{ ref('measure_rework_rate') }}
),

skip_rate as (
    select * from {{ ref('measure_skip_rate') }}
),

stage_times as (
    select * from {{ ref('measure_stage_times') }}
),

identified_rate as (
    select * from {{ ref('measure_identified_rate') }}
),

rule_rates as (
    select * from {{ ref('measure_rule_rates') }}
),

scores as (
    select * from {{ ref('measure_scores') }}
),

-- Every family emits the columns of this table in this order, by contract.
unioned as (
    select * from conversion_rate
    union all
    select * from drop_off_rate
    union all
    select * from open_rate
    union all
    select * from rework_rate
    union all
    select * from skip_rate
    union all
    select * from stage_times
    union all
    select * from identified_rate
    union all
    select * from rule_rates
    union all
    select * from scores
),

with_touchpoints as (
    select
        *,
        case
            when segment_dimension = 'touchpoint' and segment_value <> 'other'
                then segment_value
        end as touchpoint_of_segment
    from unioned
),

final as (
    select
        journey_id,
        metric_id,
        stage_id,
        touchpoint_of_segment as touchpoint_id,
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
    from with_touchpoints
)

select * from final

{{ config(
    materialized='incremental',
    incremental_strategy='restatement_log',
    on_schema_change='append_new_columns',
    full_refresh=false,
) }}

with

measures as (
    select * from {{ ref('fct_measures') }}
),

definitions as (
    select * from {{ ref('int_measure_definitions') }}
),

previous_measures as (
    {{ previous_measures() }}
),

mature_measures as (
    select *
    from measures
    where is_mature
),

run_numbers as (
    {{ this_run_number(
        'previous_measures', this if is_incremental() else 'previous_measures'
    ) }}
),

-- Of a figure now and before, at most one row each.
both_measures as (
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
        1 as is_now,
        0 as is_before,
        n,
        null::bigint as previous_n,
        numerator,
        null::{{ type_double() }} as previous_numerator,
        value,
        null::{{ type_double() }} as previous_value,
        ci_low,
        null::{{ type_double() }} as previous_ci_low,
        ci_high,
        null::{{ type_double() }} as previous_ci_high,
        null::timestamp as previous_as_of,
        null::bigint as previous_through_load_id,
        null::{{ type_text() }} as previous_definition_hash
    from mature_measures
    union all
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
        0 as is_now,
        1 as is_before,
        null::bigint as n,
        n as previous_n,
        null::{{ type_double() }} as numerator,
        numerator as previous_numerator,
        null::{{ type_double() }} as value,
        value as previous_value,
        null::{{ type_double() }} as ci_low,
        ci_low as previous_ci_low,
        null::{{ type_double() }} as ci_high,
        ci_high as previous_ci_high,
        as_of as previous_as_of,
        through_load_id as previous_through_load_id,
        definition_hash as previous_definition_hash
    from previous_measures
),

figures as (
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
        max(is_now) = 1 as is_now,
        max(is_before) = 1 as is_before,
        max(n) as n,
        max(previous_n) as previous_n,
        max(numerator) as numerator,
        max(previous_numerator) as previous_numerator,
        max(value) as value,
        max(previous_value) as previous_value,
        max(ci_low) as ci_low,
        max(previous_ci_low) as previous_ci_low,
        max(ci_high) as ci_high,
        max(previous_ci_high) as previous_ci_high,
        max(previous_as_of) as previous_as_of,
        max(previous_through_load_id) as previous_through_load_id,
        max(previous_definition_hash) as previous_definition_hash
    from both_measures
    group by
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end
),

-- A quantile is final up to the window, which every case of a mature period was
-- followed for. Beyond it following longer changes it, as it does the count of exits.
final_figures as (
    select
        figures.*,
        definitions.as_of,
        definitions.through_load_id,
        definitions.scale = 'duration' as is_duration,
        case
            when figures.segment_dimension = 'all' then definitions.definition_hash
            else definitions.segment_definition_hash
        end as definition_hash,
        case
            when definitions.scale = 'duration'
                then least(
                    coalesce(figures.value, definitions.conversion_window_days),
                    definitions.conversion_window_days
                )
            else figures.value
        end as final_value,
        case
            when definitions.scale = 'duration'
                then least(
                    coalesce(
                        figures.previous_value, definitions.conversion_window_days
                    ),
                    definitions.conversion_window_days
                )
            else figures.previous_value
        end as previous_final_value
    from figures
    left join definitions
        on
            figures.journey_id = definitions.journey_id
            and figures.stage_id = definitions.stage_id
            and figures.metric_id = definitions.metric_id
),

changed_figures as (
    select *
    from final_figures
    where
        not (is_now and is_before)
        or n <> previous_n
        or not {{ is_same_figure('final_value', 'previous_final_value') }}
        or (
            not coalesce(is_duration, false)
            and not {{ is_same_figure('numerator', 'previous_numerator') }}
        )
),

-- How far figures are shown, by the periods that begin and end on their own days.
now_shown as (
    select
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        period_grain,
        min(period_start) as first_start,
        max(period_end) as last_end
    from mature_measures
    where period_grain in ('week', 'month')
    group by
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        period_grain
),

before_shown as (
    select
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        period_grain,
        min(period_start) as first_start,
        max(period_end) as last_end,
        max(as_of) as as_of,
        max(through_load_id) as through_load_id,
        max(definition_hash) as definition_hash
    from previous_measures
    where period_grain in ('week', 'month')
    group by
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        period_grain
),

-- A figure of no case has no row. No restatement is a period that is not mature on one
-- side, or not shown there, or the next trailing one. What left the map has vanished.
restatements as (
    select
        run_numbers.run_number,
        changed_figures.journey_id,
        changed_figures.metric_id,
        changed_figures.stage_id,
        changed_figures.touchpoint_id,
        changed_figures.segment_dimension,
        changed_figures.segment_value,
        changed_figures.period_grain,
        changed_figures.period_start,
        changed_figures.period_end,
        changed_figures.previous_numerator,
        changed_figures.numerator,
        changed_figures.previous_value,
        changed_figures.value,
        changed_figures.previous_ci_low,
        changed_figures.ci_low,
        changed_figures.previous_ci_high,
        changed_figures.ci_high,
        changed_figures.as_of,
        changed_figures.through_load_id,
        coalesce(changed_figures.previous_n, 0) as previous_n,
        coalesce(changed_figures.n, 0) as n,
        coalesce(changed_figures.previous_as_of, before_shown.as_of) as previous_as_of,
        coalesce(
            changed_figures.previous_through_load_id, before_shown.through_load_id
        ) as previous_through_load_id,
        case
            when
                changed_figures.definition_hash = coalesce(
                    changed_figures.previous_definition_hash,
                    before_shown.definition_hash
                )
                then 'late_data'
            else 'map_changed'
        end as cause
    from changed_figures
    cross join run_numbers
    left join now_shown
        on
            changed_figures.journey_id = now_shown.journey_id
            and changed_figures.metric_id = now_shown.metric_id
            and changed_figures.stage_id = now_shown.stage_id
            and coalesce(changed_figures.touchpoint_id, '')
            = coalesce(now_shown.touchpoint_id, '')
            and changed_figures.segment_dimension = now_shown.segment_dimension
            and changed_figures.period_grain = now_shown.period_grain
    left join before_shown
        on
            changed_figures.journey_id = before_shown.journey_id
            and changed_figures.metric_id = before_shown.metric_id
            and changed_figures.stage_id = before_shown.stage_id
            and coalesce(changed_figures.touchpoint_id, '')
            = coalesce(before_shown.touchpoint_id, '')
            and changed_figures.segment_dimension = before_shown.segment_dimension
            and changed_figures.period_grain = before_shown.period_grain
    where
        (changed_figures.is_now and changed_figures.is_before)
        or (
            changed_figures.is_now
            and changed_figures.period_start >= before_shown.first_start
            and changed_figures.period_end <= before_shown.last_end
        )
        or (
            changed_figures.is_before
            and changed_figures.period_end <= now_shown.last_end
            and (
                changed_figures.period_start >= now_shown.first_start
                or changed_figures.segment_dimension = 'all'
            )
        )
        or changed_figures.definition_hash is null
),

final as (
    select
        run_number,
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        cause,
        previous_n,
        n,
        previous_numerator,
        numerator,
        previous_value,
        value,
        previous_ci_low,
        ci_low,
        previous_ci_high,
        ci_high,
        previous_as_of,
        as_of,
        previous_through_load_id,
        through_load_id
    from restatements
)

select * from final

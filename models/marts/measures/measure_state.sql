{#- Written after the log: a run that breaks off before this point is compared again,
    with the same figures. -#}
with

measures as (
    select * from {{ ref('fct_measures') }}
),

restatements as (
    select * from {{ ref('fct_restatements') }}
),

definitions as (
    select * from {{ ref('int_measure_definitions') }}
),

segment_dimensions as (
    select * from {{ ref('segment_dimensions') }}
),

measured_segments as (
    select * from {{ ref('int_measured_segments') }}
),

previous_measures as (
    {{ previous_measures() }}
),

run_numbers as (
    {{ this_run_number('previous_measures', 'restatements') }}
),

mature_measures as (
    select
        measures.journey_id,
        measures.metric_id,
        measures.stage_id,
        measures.touchpoint_id,
        measures.segment_dimension,
        measures.segment_value,
        measures.period_grain,
        measures.period_start,
        measures.period_end,
        measures.n,
        measures.numerator,
        measures.value,
        measures.ci_low,
        measures.ci_high,
        definitions.as_of,
        definitions.through_load_id,
        case
            when measures.segment_dimension = 'all' then definitions.definition_hash
            else definitions.segment_definition_hash
        end as definition_hash
    from measures
    left join definitions
        on
            measures.journey_id = definitions.journey_id
            and measures.stage_id = definitions.stage_id
            and measures.metric_id = definitions.metric_id
    where measures.is_mature
),

shown as (
    select
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        period_grain,
        max(period_end) as last_end
    from mature_measures
    group by
        journey_id,
        metric_id,
        stage_id,
        touchpoint_id,
        segment_dimension,
        period_grain
),

mapped_dimensions as (
    select
        journey_id,
        'all' as dimension
    from definitions
    union distinct
    select
        journey_id,
        dimension
    from segment_dimensions
    union distinct
    select
        journey_id,
        segment_dimension as dimension
    from measured_segments
),

-- A lower as_of hides periods; when it is raised again they must be what they were.
hidden_measures as (
    select
        previous_measures.journey_id,
        previous_measures.metric_id,
        previous_measures.stage_id,
        previous_measures.touchpoint_id,
        previous_measures.segment_dimension,
        previous_measures.segment_value,
        previous_measures.period_grain,
        previous_measures.period_start,
        previous_measures.period_end,
        previous_measures.n,
        previous_measures.numerator,
        previous_measures.value,
        previous_measures.ci_low,
        previous_measures.ci_high,
        previous_measures.as_of,
        previous_measures.through_load_id,
        previous_measures.definition_hash
    from previous_measures
    inner join definitions
        on
            previous_measures.journey_id = definitions.journey_id
            and previous_measures.stage_id = definitions.stage_id
            and previous_measures.metric_id = definitions.metric_id
    inner join mapped_dimensions
        on
            previous_measures.journey_id = mapped_dimensions.journey_id
            and previous_measures.segment_dimension = mapped_dimensions.dimension
    left join shown
        on
            previous_measures.journey_id = shown.journey_id
            and previous_measures.metric_id = shown.metric_id
            and previous_measures.stage_id = shown.stage_id
            and coalesce(previous_measures.touchpoint_id, '')
            = coalesce(shown.touchpoint_id, '')
            and previous_measures.segment_dimension = shown.segment_dimension
            and previous_measures.period_grain = shown.period_grain
    where
        previous_measures.period_grain in ('week', 'month')
        and coalesce(previous_measures.period_end > shown.last_end, true)
),

known_measures as (
    select * from mature_measures
    union all
    select * from hidden_measures
),

final as (
    select
        run_numbers.run_number,
        known_measures.journey_id,
        known_measures.metric_id,
        known_measures.stage_id,
        known_measures.touchpoint_id,
        known_measures.segment_dimension,
        known_measures.segment_value,
        known_measures.period_grain,
        known_measures.period_start,
        known_measures.period_end,
        known_measures.n,
        known_measures.numerator,
        known_measures.value,
        known_measures.ci_low,
        known_measures.ci_high,
        known_measures.as_of,
        known_measures.through_load_id,
        known_measures.definition_hash
    from known_measures
    cross join run_numbers
)

select * from final

{#- Which segments each unit counts in: the total, those of its journey's dimensions at
    its moment, alone and in pairs, and those of its own. -#}
with

units as (
    select * from {{ ref('int_measured_units') }}
),

unit_stages as (
    select * from {{ ref('int_unit_stages') }}
),

unit_values as (
    select * from {{ ref('int_unit_values') }}
),

journey_values as (
    select * from {{ ref('int_segment_values') }}
),

segment_pairs as (
    select * from {{ ref('int_segment_pairs') }}
),

dimensions as (
    select * from {{ ref('int_unit_dimensions') }}
),

segment_values as (
    select * from {{ ref('int_unit_segment_values') }}
),

numbered_units as (
    select
        units.*,
        unit_stages.stage_number
    from units
    inner join unit_stages
        on
            units.metric_id = unit_stages.metric_id
            and units.journey_id = unit_stages.journey_id
            and units.stage_id = unit_stages.stage_id
),

journey_segments as (
    select
        unit_values.journey_id,
        unit_values.unit_id,
        unit_values.measured_at,
        journey_values.segment_number
    from unit_values
    inner join journey_values
        on
            unit_values.journey_id = journey_values.journey_id
            and unit_values.segment_dimension = journey_values.segment_dimension
            and unit_values.segment_value = journey_values.raw_value
),

paired_segments as (
    select
        left_segments.journey_id,
        left_segments.unit_id,
        left_segments.measured_at,
        segment_pairs.segment_number
    from journey_segments as left_segments
    inner join segment_pairs
        on left_segments.segment_number = segment_pairs.left_segment_number
    inner join journey_segments as right_segments
        on
            left_segments.journey_id = right_segments.journey_id
            and left_segments.unit_id = right_segments.unit_id
            and left_segments.measured_at = right_segments.measured_at
            and segment_pairs.right_segment_number = right_segments.segment_number
),

unit_segments as (
    select
        stage_number,
        unit_id,
        0 as segment_number
    from numbered_units
    where only_dimension is null
    union all
    select
        numbered_units.stage_number,
        numbered_units.unit_id,
        journey_segments.segment_number
    from numbered_units
    inner join journey_segments
        on
            numbered_units.journey_id = journey_segments.journey_id
            and numbered_units.unit_id = journey_segments.unit_id
            and numbered_units.measured_at = journey_segments.measured_at
    where numbered_units.only_dimension is null
    union all
    select
        numbered_units.stage_number,
        numbered_units.unit_id,
        paired_segments.segment_number
    from numbered_units
    inner join paired_segments
        on
            numbered_units.journey_id = paired_segments.journey_id
            and numbered_units.unit_id = paired_segments.unit_id
            and numbered_units.measured_at = paired_segments.measured_at
    where numbered_units.only_dimension is null
    union all
    select
        numbered_units.stage_number,
        numbered_units.unit_id,
        segment_values.segment_number
    from numbered_units
    inner join dimensions
        on
            numbered_units.unit_id = dimensions.unit_id
            and coalesce(numbered_units.only_dimension, dimensions.segment_dimension)
            = dimensions.segment_dimension
    inner join segment_values
        on
            numbered_units.journey_id = segment_values.journey_id
            and dimensions.segment_dimension = segment_values.segment_dimension
            and dimensions.segment_value = segment_values.raw_value
)

select * from unit_segments

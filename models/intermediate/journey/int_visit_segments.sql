{#- The visits are read once for each part that they have in a segment: alone, left and
    right in a pair. -#}
with

visit_values as (
    select * from {{ ref('int_visit_dimensions') }}
),

left_values as (
    select * from {{ ref('int_visit_dimensions') }}
),

right_values as (
    select * from {{ ref('int_visit_dimensions') }}
),

segment_values as (
    select * from {{ ref('int_segment_values') }}
),

segment_pairs as (
    select * from {{ ref('int_segment_pairs') }}
),

left_segments as (
    select distinct
        segment_values.journey_id,
        segment_values.segment_dimension,
        segment_values.raw_value,
        segment_values.segment_number
    from segment_values
    inner join segment_pairs
        on segment_values.segment_number = segment_pairs.left_segment_number
),

right_segments as (
    select distinct
        segment_values.journey_id,
        segment_values.segment_dimension,
        segment_values.raw_value,
        segment_values.segment_number
    from segment_values
    inner join segment_pairs
        on segment_values.segment_number = segment_pairs.right_segment_number
),

left_visits as (
    select
        left_values.journey_id,
        left_values.entity_id,
        left_values.attempt_number,
        left_values.visit_number,
        left_segments.segment_number
    from left_values
    inner join left_segments
        on
            left_values.journey_id = left_segments.journey_id
            and left_values.segment_dimension = left_segments.segment_dimension
            and left_values.segment_value = left_segments.raw_value
),

right_visits as (
    select
        right_values.journey_id,
        right_values.entity_id,
        right_values.attempt_number,
        right_values.visit_number,
        right_segments.segment_number
    from right_values
    inner join right_segments
        on
            right_values.journey_id = right_segments.journey_id
            and right_values.segment_dimension = right_segments.segment_dimension
            and right_values.segment_value = right_segments.raw_value
),

visit_segments as (
    select
        visit_values.journey_id,
        visit_values.entity_id,
        visit_values.attempt_number,
        visit_values.visit_number,
        segment_values.segment_number
    from visit_values
    inner join segment_values
        on
            visit_values.journey_id = segment_values.journey_id
            and visit_values.segment_dimension = segment_values.segment_dimension
            and visit_values.segment_value = segment_values.raw_value
    union all
    select
        left_visits.journey_id,
        left_visits.entity_id,
        left_visits.attempt_number,
        left_visits.visit_number,
        segment_pairs.segment_number
    from left_visits
    inner join right_visits
        on
            left_visits.journey_id = right_visits.journey_id
            and left_visits.entity_id = right_visits.entity_id
            and left_visits.attempt_number = right_visits.attempt_number
            and left_visits.visit_number = right_visits.visit_number
    inner join segment_pairs
        on
            left_visits.segment_number = segment_pairs.left_segment_number
            and right_visits.segment_number = segment_pairs.right_segment_number
)

select * from visit_segments

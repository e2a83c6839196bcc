{{ config(materialized='view') }}

with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

-- Read apart: a relation named twice would be stored whole in between. A journey that
-- has no dimensions is not read again.
segmented_entries as (
    select *
    from {{ ref('int_cohort_entries') }}
    where has_segments
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

segment_entries as (
    select
        entries.journey_number,
        entries.stage_number,
        entries.entity_id,
        entries.attempt_number,
        0 as segment_number,
        entries.visit_number,
        entries.cohort_start,
        entries.cluster_id,
        entries.is_identified,
        entries.is_converted,
        entries.is_dropped,
        entries.has_advanced,
        entries.time_to_advance_us,
        entries.is_value_start,
        entries.has_reached_value,
        entries.time_to_value_us
    from entries
    union all
    select
        segmented_entries.journey_number,
        segmented_entries.stage_number,
        segmented_entries.entity_id,
        segmented_entries.attempt_number,
        visit_segments.segment_number,
        segmented_entries.visit_number,
        segmented_entries.cohort_start,
        segmented_entries.cluster_id,
        segmented_entries.is_identified,
        segmented_entries.is_converted,
        segmented_entries.is_dropped,
        segmented_entries.has_advanced,
        segmented_entries.time_to_advance_us,
        segmented_entries.is_value_start,
        segmented_entries.has_reached_value,
        segmented_entries.time_to_value_us
    from segmented_entries
    inner join visit_segments
        on
            segmented_entries.journey_id = visit_segments.journey_id
            and segmented_entries.entity_id = visit_segments.entity_id
            and segmented_entries.attempt_number = visit_segments.attempt_number
            and segmented_entries.visit_number = visit_segments.visit_number
)

select * from segment_entries

{{ config(materialized='view') }}

with

visits as (
    select * from {{ ref('int_cohort_visits') }}
),

-- Read apart: a relation named twice would be stored whole in between. A journey that
-- has no dimensions is not read again.
segmented_visits as (
    select *
    from {{ ref('int_cohort_visits') }}
    where has_segments
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

segment_visits as (
    select
        visits.stage_number,
        visits.entity_id,
        visits.attempt_number,
        visits.visit_number,
        0 as segment_number,
        visits.cohort_start,
        visits.cluster_id,
        visits.has_exited,
        visits.has_gone_back,
        visits.has_skipped,
        visits.time_in_stage_us
    from visits
    union all
    select
        segmented_visits.stage_number,
        segmented_visits.entity_id,
        segmented_visits.attempt_number,
        segmented_visits.visit_number,
        visit_segments.segment_number,
        segmented_visits.cohort_start,
        segmented_visits.cluster_id,
        segmented_visits.has_exited,
        segmented_visits.has_gone_back,
        segmented_visits.has_skipped,
        segmented_visits.time_in_stage_us
    from segmented_visits
    inner join visit_segments
        on
            segmented_visits.journey_id = visit_segments.journey_id
            and segmented_visits.entity_id = visit_segments.entity_id
            and segmented_visits.attempt_number = visit_segments.attempt_number
            and segmented_visits.visit_number = visit_segments.visit_number
)

select * from segment_visits

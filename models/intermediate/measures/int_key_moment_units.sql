{{ config(materialized='view') }}

with

cases as (
    select * from {{ ref('int_key_moment_cases') }}
),

-- Read apart, as the cells are: a relation named twice would be stored in between,
-- and every column of what is united here be read.
segmented_cases as (
    select * from {{ ref('int_key_moment_cases') }}
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

total_cells as (
    select *
    from {{ ref('int_key_moment_cells') }}
    where segment_number = 0
),

segment_cells as (
    select *
    from {{ ref('int_key_moment_cells') }}
    where segment_number <> 0
),

units as (
    select
        total_cells.cell_number,
        cases.journey_id,
        cases.stage_id,
        cases.entity_id,
        cases.attempt_number,
        cases.cluster_id,
        cases.is_reached,
        cases.time_to_reach_us
    from cases
    inner join total_cells
        on
            cases.journey_id = total_cells.journey_id
            and cases.stage_id = total_cells.stage_id
            and cases.entered_date >= total_cells.period_start
            and cases.entered_date < total_cells.period_end
    union all
    select
        segment_cells.cell_number,
        segmented_cases.journey_id,
        segmented_cases.stage_id,
        segmented_cases.entity_id,
        segmented_cases.attempt_number,
        segmented_cases.cluster_id,
        segmented_cases.is_reached,
        segmented_cases.time_to_reach_us
    from segmented_cases
    inner join visit_segments
        on
            segmented_cases.journey_id = visit_segments.journey_id
            and segmented_cases.entity_id = visit_segments.entity_id
            and segmented_cases.attempt_number = visit_segments.attempt_number
            and segmented_cases.visit_number = visit_segments.visit_number
    inner join segment_cells
        on
            segmented_cases.journey_id = segment_cells.journey_id
            and segmented_cases.stage_id = segment_cells.stage_id
            and visit_segments.segment_number = segment_cells.segment_number
            and segmented_cases.entered_date >= segment_cells.period_start
            and segmented_cases.entered_date < segment_cells.period_end
)

select * from units

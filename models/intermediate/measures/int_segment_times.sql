{{ config(materialized='view') }}

with

units as (
    select * from {{ ref('int_time_units') }}
),

unit_segments as (
    select * from {{ ref('int_unit_segments') }}
),

unit_stages as (
    select * from {{ ref('int_unit_stages') }}
),

local_days as (
    select * from {{ ref('int_local_days') }}
),

numbered_units as (
    select
        units.*,
        unit_stages.stage_number,
        unit_stages.time_zone
    from units
    inner join unit_stages
        on
            units.metric_family = unit_stages.metric_id
            and units.journey_id = unit_stages.journey_id
            and units.stage_id = unit_stages.stage_id
),

segment_units as (
    select
        numbered_units.stage_number,
        unit_segments.segment_number,
        numbered_units.metric_family,
        numbered_units.unit_id,
        numbered_units.cluster_id,
        numbered_units.duration_us,
        numbered_units.is_event,
        {{ on_local_day('numbered_units.measured_at', 'local_days', 'cohort_start') }}
            as cohort_start
    from numbered_units
    inner join unit_segments
        on
            numbered_units.stage_number = unit_segments.stage_number
            and numbered_units.unit_id = unit_segments.unit_id
    inner join local_days
        on
            numbered_units.time_zone = local_days.time_zone
            and numbered_units.measured_at::date = local_days.utc_day
)

select * from segment_units

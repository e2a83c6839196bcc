{{ config(materialized='view') }}

with

segments as (
    select * from {{ ref('int_segments') }}
),

unit_segment_values as (
    select * from {{ ref('int_unit_segment_values') }}
),

measured_segments as (
    select
        segment_number,
        journey_id,
        segment_dimension,
        segment_value,
        is_ranked,
        is_pair
    from segments
    union all
    select distinct
        segment_number,
        journey_id,
        segment_dimension,
        segment_value,
        true as is_ranked,
        false as is_pair
    from unit_segment_values
)

select * from measured_segments

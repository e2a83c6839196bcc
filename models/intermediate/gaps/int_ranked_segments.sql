{{ config(materialized='view') }}

with

segments as (
    select * from {{ ref('int_measured_segments') }}
),

ranked_segments as (
    select
        segment_number,
        journey_id,
        segment_dimension,
        segment_value,
        is_pair
    from segments
    where
        is_ranked
        and segment_dimension <> 'all'
        -- Often they are unknown because they left: nobody can act on that.
        and segment_value not like '%(unknown)%'
)

select * from ranked_segments

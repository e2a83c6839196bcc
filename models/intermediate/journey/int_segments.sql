with

segment_values as (
    select * from {{ ref('int_segment_values') }}
),

segment_pairs as (
    select * from {{ ref('int_segment_pairs') }}
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

seen_segments as (
    select distinct segment_number
    from visit_segments
),

segments as (
    select
        0 as segment_number,
        null::{{ type_text() }} as journey_id,
        'all' as segment_dimension,
        'all' as segment_value,
        true as is_ranked,
        false as is_pair
    union all
    select distinct
        segment_number,
        journey_id,
        segment_dimension,
        segment_value,
        is_ranked,
        false as is_pair
    from segment_values
    union all
    select distinct
        segment_pairs.segment_number,
        segment_pairs.journey_id,
        segment_pairs.segment_dimension,
        segment_pairs.segment_value,
        segment_pairs.is_ranked,
        true as is_pair
    from segment_pairs
    inner join seen_segments
        on segment_pairs.segment_number = seen_segments.segment_number
)

select * from segments

{#- All that the values allow: which of them occur is seen when the visits are joined.
    Pairs that read the same are one segment. -#}
with

dimensions as (
    select * from {{ ref('int_segment_dimensions') }}
),

segment_values as (
    select * from {{ ref('int_segment_values') }}
),

segments as (
    select distinct
        journey_id,
        segment_dimension,
        segment_value,
        is_ranked,
        segment_number
    from segment_values
),

paired_segments as (
    select * from segments
),

single_segments as (
    select max(segment_number) as last_number
    from segments
),

pairs as (
    select
        segments.journey_id,
        segments.segment_number as left_segment_number,
        paired_segments.segment_number as right_segment_number,
        segments.segment_dimension || ' & ' || paired_segments.segment_dimension
            as segment_dimension,
        segments.segment_value || ' & ' || paired_segments.segment_value
            as segment_value,
        segments.is_ranked and paired_segments.is_ranked as is_ranked
    from segments
    inner join dimensions
        on
            segments.journey_id = dimensions.journey_id
            and segments.segment_dimension = dimensions.segment_dimension
    inner join paired_segments
        on
            segments.journey_id = paired_segments.journey_id
            and dimensions.paired_with = paired_segments.segment_dimension
),

final as (
    select
        pairs.journey_id,
        pairs.segment_dimension,
        pairs.segment_value,
        pairs.is_ranked,
        pairs.left_segment_number,
        pairs.right_segment_number,
        (
            single_segments.last_number
            + dense_rank() over (
                order by
                    {{ binary_order('pairs.journey_id') }},
                    {{ binary_order('pairs.segment_dimension') }},
                    {{ binary_order('pairs.segment_value') }}
            )
        )::integer as segment_number
    from pairs
    cross join single_segments
)

select * from final

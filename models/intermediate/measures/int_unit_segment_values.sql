{#- Segments that units have and visits have not: a touchpoint, a topic. Their numbers
    lie below zero, those of visits above. -#}
with

units as (
    select * from {{ ref('int_measured_units') }}
),

dimensions as (
    select * from {{ ref('int_unit_dimensions') }}
),

journey_units as (
    select distinct
        journey_id,
        unit_id
    from units
),

value_counts as (
    select
        journey_units.journey_id,
        dimensions.segment_dimension,
        dimensions.segment_value as raw_value,
        count(*) as units
    from journey_units
    inner join dimensions
        on journey_units.unit_id = dimensions.unit_id
    group by
        journey_units.journey_id,
        dimensions.segment_dimension,
        dimensions.segment_value
),

ranked_values as (
    select
        *,
        row_number() over (
            partition by journey_id, segment_dimension
            order by
                case when raw_value = '(unknown)' then 1 else 0 end,
                units desc,
                {{ binary_order('raw_value') }}
        ) as value_rank
    from value_counts
),

grouped_values as (
    select
        journey_id,
        segment_dimension,
        raw_value,
        case
            when
                value_rank <= {{ var('unit_segment_values') }}
                or raw_value = '(unknown)'
                then raw_value
            else 'other'
        end as segment_value
    from ranked_values
),

final as (
    select
        journey_id,
        segment_dimension,
        raw_value,
        segment_value,
        -dense_rank() over (
            order by
                {{ binary_order('journey_id') }},
                {{ binary_order('segment_dimension') }},
                {{ binary_order('segment_value') }}
        )::integer as segment_number
    from grouped_values
)

select * from final

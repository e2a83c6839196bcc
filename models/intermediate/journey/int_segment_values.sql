{#- Values compete by the visits of their journey; `(unknown)` does not. -#}
with

visit_values as (
    select * from {{ ref('int_visit_dimensions') }}
),

dimensions as (
    select * from {{ ref('int_segment_dimensions') }}
),

value_counts as (
    select
        journey_id,
        segment_dimension,
        segment_value,
        count(*) as visits
    from visit_values
    group by
        journey_id,
        segment_dimension,
        segment_value
),

ranked_values as (
    select
        *,
        row_number() over (
            partition by journey_id, segment_dimension
            order by
                case when segment_value = '(unknown)' then 1 else 0 end,
                visits desc,
                {{ binary_order('segment_value') }}
        ) as value_rank
    from value_counts
),

grouped_values as (
    select
        ranked_values.journey_id,
        ranked_values.segment_dimension,
        ranked_values.segment_value as raw_value,
        dimensions.is_ranked,
        case
            when
                ranked_values.value_rank <= dimensions.top_n
                or ranked_values.segment_value = '(unknown)'
                then ranked_values.segment_value
            else 'other'
        end as segment_value
    from ranked_values
    inner join dimensions
        on
            ranked_values.journey_id = dimensions.journey_id
            and ranked_values.segment_dimension = dimensions.segment_dimension
),

final as (
    select
        journey_id,
        segment_dimension,
        raw_value,
        segment_value,
        is_ranked,
        dense_rank() over (
            order by
                {{ binary_order('journey_id') }},
                {{ binary_order('segment_dimension') }},
                {{ binary_order('segment_value') }}
        )::integer as segment_number
    from grouped_values
)

select * from final

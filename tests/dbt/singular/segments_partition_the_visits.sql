-- Every visit has one value of each dimension of its journey, and one segment: each
-- journey and dimension that has more or fewer is a row.
with

visits as (
    select * from {{ ref('fct_stage_visits') }}
),

visit_values as (
    select * from {{ ref('int_visit_dimensions') }}
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

segments as (
    select * from {{ ref('int_segments') }}
),

dimensions as (
    select * from {{ ref('segment_dimensions') }}
),

visit_counts as (
    select
        journey_id,
        count(*) as visits
    from visits
    group by journey_id
),

value_counts as (
    select
        journey_id,
        segment_dimension,
        count(*) as visits
    from visit_values
    group by
        journey_id,
        segment_dimension
),

segment_counts as (
    select
        segments.journey_id,
        segments.segment_dimension,
        count(*) as visits
    from visit_segments
    inner join segments
        on visit_segments.segment_number = segments.segment_number
    group by
        segments.journey_id,
        segments.segment_dimension
),

-- A pair as well, by its name.
expected_counts as (
    select
        dimensions.journey_id,
        dimensions.dimension as segment_dimension,
        visit_counts.visits
    from dimensions
    inner join visit_counts
        on dimensions.journey_id = visit_counts.journey_id
    union all
    select
        dimensions.journey_id,
        dimensions.dimension || ' & ' || dimensions.paired_with as segment_dimension,
        visit_counts.visits
    from dimensions
    inner join visit_counts
        on dimensions.journey_id = visit_counts.journey_id
    where dimensions.paired_with is not null
),

differences as (
    select
        expected_counts.journey_id,
        expected_counts.segment_dimension,
        expected_counts.visits,
        value_counts.visits as valued_visits,
        segment_counts.visits as segmented_visits
    from expected_counts
    left join value_counts
        on
            expected_counts.journey_id = value_counts.journey_id
            and expected_counts.segment_dimension = value_counts.segment_dimension
    left join segment_counts
        on
            expected_counts.journey_id = segment_counts.journey_id
            and expected_counts.segment_dimension = segment_counts.segment_dimension
)

select *
from differences
where
    visits <> coalesce(segmented_visits, 0)
    or (
        visits <> coalesce(valued_visits, 0)
        and segment_dimension not like '% & %'
    )

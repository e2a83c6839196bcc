with

outcomes as (
    select *
    from {{ ref('int_cohort_outcomes') }}
    where is_judged
),

-- Read apart: a relation named twice would be stored whole in between.
segmented_outcomes as (
    select *
    from {{ ref('int_cohort_outcomes') }}
    where is_judged
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

rate_units as (
    select * from {{ ref('int_segment_rates') }}
),

cell_cohorts as (
    select * from {{ ref('int_cell_cohorts') }}
),

counted_units as (
    select
        stage_number,
        0 as segment_number,
        cohort_start,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when is_reached then 1 else 0 end as is_reached,
        true as is_counted_first
    from outcomes
    union all
    select
        segmented_outcomes.stage_number,
        visit_segments.segment_number,
        segmented_outcomes.cohort_start,
        {{ hash_number('segmented_outcomes.cluster_id') }} as cluster_number,
        case when segmented_outcomes.is_reached then 1 else 0 end as is_reached,
        false as is_counted_first
    from segmented_outcomes
    inner join visit_segments
        on
            segmented_outcomes.journey_id = visit_segments.journey_id
            and segmented_outcomes.entity_id = visit_segments.entity_id
            and segmented_outcomes.attempt_number = visit_segments.attempt_number
            and segmented_outcomes.visit_number = visit_segments.visit_number
    union all
    select
        stage_number,
        segment_number,
        cohort_start,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when is_reached then 1 else 0 end as is_reached,
        segment_number = 0 or only_dimension is not null as is_counted_first
    from rate_units
),

clusters as (
    select
        stage_number,
        cluster_number,
        count(*) as units
    from counted_units
    where is_counted_first
    group by
        stage_number,
        cluster_number
),

classified_units as (
    select
        counted_units.*,
        clusters.units > 1 as is_shared
    from counted_units
    inner join clusters
        on
            counted_units.stage_number = clusters.stage_number
            and counted_units.cluster_number = clusters.cluster_number
),

-- A cluster of one unit adds up by day, without being told from others.
lone_cohorts as (
    select
        stage_number,
        segment_number,
        cohort_start,
        count(*) as units,
        sum(is_reached) as reached
    from classified_units
    where not is_shared
    group by
        stage_number,
        segment_number,
        cohort_start
),

cluster_counts as (
    select
        cell_cohorts.cell_number,
        classified_units.cluster_number,
        count(*)::{{ type_double() }} as units,
        sum(classified_units.is_reached::{{ type_double() }}) as reached
    from classified_units
    inner join cell_cohorts
        on
            classified_units.stage_number = cell_cohorts.stage_number
            and classified_units.segment_number = cell_cohorts.segment_number
            and classified_units.cohort_start = cell_cohorts.cohort_start
    where classified_units.is_shared
    group by
        cell_cohorts.cell_number,
        classified_units.cluster_number
),

sums as (
    select
        cell_cohorts.cell_number,
        sum(lone_cohorts.units) as n_clusters,
        sum(lone_cohorts.units) as n,
        sum(lone_cohorts.units) as sum_nn,
        sum(lone_cohorts.reached) as reached,
        sum(lone_cohorts.reached) as reached_xx,
        sum(lone_cohorts.reached) as reached_xn
    from lone_cohorts
    inner join cell_cohorts
        on
            lone_cohorts.stage_number = cell_cohorts.stage_number
            and lone_cohorts.segment_number = cell_cohorts.segment_number
            and lone_cohorts.cohort_start = cell_cohorts.cohort_start
    group by cell_cohorts.cell_number
    union all
    select
        cell_number,
        count(*) as n_clusters,
        sum(units) as n,
        sum(units * units) as sum_nn,
        sum(reached) as reached,
        sum(reached * reached) as reached_xx,
        sum(reached * units) as reached_xn
    from cluster_counts
    group by cell_number
),

totals as (
    select
        cell_number,
        sum(n_clusters)::{{ type_double() }} as n_clusters,
        sum(n)::{{ type_double() }} as n,
        sum(sum_nn)::{{ type_double() }} as sum_nn,
        sum(reached)::{{ type_double() }} as reached,
        sum(reached_xx)::{{ type_double() }} as reached_xx,
        sum(reached_xn)::{{ type_double() }} as reached_xn
    from sums
    group by cell_number
)

select * from totals

{#- Most clusters visit a stage within one cohort, or a few: in cells that hold all of
    them, as the longest periods do, they add up by span, without being told from others.
    Only in the rest are they counted cell by cell. -#}
with

visits as (
    select * from {{ ref('int_segment_visits') }}
),

cell_cohorts as (
    select
        *,
        min(cohort_start) over (partition by cell_number) as first_cohort,
        max(cohort_start) over (partition by cell_number) as last_cohort
    from {{ ref('int_cell_cohorts') }}
),

-- Ones and nulls: counting costs less than adding up.
counted_visits as (
    select
        stage_number,
        segment_number,
        cohort_start,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when has_gone_back then 1 end as is_rework,
        case when has_skipped then 1 end as is_skip,
        case when time_in_stage_us is not null then 1 end as is_timed,
        case
            when has_exited and time_in_stage_us is not null then 1
        end as is_timed_exit
    from visits
    where cohort_start is not null
),

clusters as (
    select
        stage_number,
        segment_number,
        cluster_number,
        count(*) as visits,
        count(is_rework) as reworks,
        count(is_skip) as skips,
        count(is_timed) as timed_visits,
        count(is_timed_exit) as timed_exits,
        min(cohort_start) as first_cohort,
        max(cohort_start) as last_cohort
    from counted_visits
    group by
        stage_number,
        segment_number,
        cluster_number
),

spans as (
    select
        stage_number,
        segment_number,
        first_cohort,
        last_cohort,
        count(*) as n_clusters,
        sum(visits) as n,
        sum(visits * visits) as sum_nn,
        {%- for counted in ['reworks', 'skips'] %}
            sum({{ counted }}) as {{ counted }},
            sum({{ counted }} * {{ counted }}) as {{ counted }}_xx,
            sum({{ counted }} * visits) as {{ counted }}_xn,
        {%- endfor %}
        sum(case when timed_visits > 0 then 1 else 0 end) as timed_clusters,
        sum(timed_visits) as timed_visits,
        sum(timed_exits) as timed_exits
    from clusters
    group by
        stage_number,
        segment_number,
        first_cohort,
        last_cohort
),

returning_cohorts as (
    select
        counted_visits.stage_number,
        counted_visits.segment_number,
        counted_visits.cohort_start,
        counted_visits.cluster_number,
        min(clusters.first_cohort) as first_cohort,
        max(clusters.last_cohort) as last_cohort,
        count(*) as visits,
        count(counted_visits.is_rework) as reworks,
        count(counted_visits.is_skip) as skips,
        count(counted_visits.is_timed) as timed_visits,
        count(counted_visits.is_timed_exit) as timed_exits
    from counted_visits
    inner join clusters
        on
            counted_visits.stage_number = clusters.stage_number
            and counted_visits.segment_number = clusters.segment_number
            and counted_visits.cluster_number = clusters.cluster_number
    where clusters.first_cohort < clusters.last_cohort
    group by
        counted_visits.stage_number,
        counted_visits.segment_number,
        counted_visits.cohort_start,
        counted_visits.cluster_number
),

-- Sums of doubles, exact up to 2^53: engines add up whole numbers in 128 bits, slowly.
returning_clusters as (
    select
        cell_cohorts.cell_number,
        returning_cohorts.cluster_number,
        sum(returning_cohorts.visits::{{ type_double() }}) as visits,
        sum(returning_cohorts.reworks::{{ type_double() }}) as reworks,
        sum(returning_cohorts.skips::{{ type_double() }}) as skips,
        sum(returning_cohorts.timed_visits::{{ type_double() }}) as timed_visits,
        sum(returning_cohorts.timed_exits::{{ type_double() }}) as timed_exits
    from returning_cohorts
    inner join cell_cohorts
        on
            returning_cohorts.stage_number = cell_cohorts.stage_number
            and returning_cohorts.segment_number = cell_cohorts.segment_number
            and returning_cohorts.cohort_start = cell_cohorts.cohort_start
    where
        returning_cohorts.first_cohort < cell_cohorts.first_cohort
        or returning_cohorts.last_cohort > cell_cohorts.last_cohort
    group by
        cell_cohorts.cell_number,
        returning_cohorts.cluster_number
),

sums as (
    select
        cell_cohorts.cell_number,
        sum(spans.n_clusters) as n_clusters,
        sum(spans.n) as n,
        sum(spans.sum_nn) as sum_nn,
        {%- for counted in ['reworks', 'skips'] %}
            sum(spans.{{ counted }}) as {{ counted }},
            sum(spans.{{ counted }}_xx) as {{ counted }}_xx,
            sum(spans.{{ counted }}_xn) as {{ counted }}_xn,
        {%- endfor %}
        sum(spans.timed_clusters) as timed_clusters,
        sum(spans.timed_visits) as timed_visits,
        sum(spans.timed_exits) as timed_exits
    from spans
    inner join cell_cohorts
        on
            spans.stage_number = cell_cohorts.stage_number
            and spans.segment_number = cell_cohorts.segment_number
            and spans.first_cohort = cell_cohorts.cohort_start
            and spans.last_cohort <= cell_cohorts.last_cohort
    group by cell_cohorts.cell_number
    union all
    select
        cell_number,
        count(*) as n_clusters,
        sum(visits) as n,
        sum(visits * visits) as sum_nn,
        {%- for counted in ['reworks', 'skips'] %}
            sum({{ counted }}) as {{ counted }},
            sum({{ counted }} * {{ counted }}) as {{ counted }}_xx,
            sum({{ counted }} * visits) as {{ counted }}_xn,
        {%- endfor %}
        sum(case when timed_visits > 0 then 1 else 0 end) as timed_clusters,
        sum(timed_visits) as timed_visits,
        sum(timed_exits) as timed_exits
    from returning_clusters
    group by cell_number
),

totals as (
    select
        cell_number,
        sum(n_clusters)::{{ type_double() }} as n_clusters,
        sum(n)::{{ type_double() }} as n,
        sum(sum_nn)::{{ type_double() }} as sum_nn,
        {%- for counted in ['reworks', 'skips'] %}
            sum({{ counted }})::{{ type_double() }} as {{ counted }},
            sum({{ counted }}_xx)::{{ type_double() }} as {{ counted }}_xx,
            sum({{ counted }}_xn)::{{ type_double() }} as {{ counted }}_xn,
        {%- endfor %}
        sum(timed_clusters)::bigint as timed_clusters,
        sum(timed_visits)::bigint as timed_visits,
        sum(timed_exits)::{{ type_double() }} as timed_exits
    from sums
    group by cell_number
)

select * from totals

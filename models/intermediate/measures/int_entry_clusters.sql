with

entries as (
    select * from {{ ref('int_segment_entries') }}
),

cell_cohorts as (
    select * from {{ ref('int_cell_cohorts') }}
),

counted_entries as (
    select
        journey_number,
        stage_number,
        segment_number,
        cohort_start,
        visit_number,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when is_converted then 1 else 0 end as is_converted,
        case when is_dropped then 1 else 0 end as is_dropped,
        case when is_converted or is_dropped then 0 else 1 end as is_open,
        case when is_identified then 1 when not is_identified then 0 end
            as is_identified,
        case when time_to_advance_us is not null then 1 else 0 end as is_timed,
        case
            when has_advanced and time_to_advance_us is not null then 1 else 0
        end as is_timed_advance,
        case when time_to_value_us is not null then 1 else 0 end as is_value_timed,
        case
            when has_reached_value and time_to_value_us is not null then 1 else 0
        end as is_timed_value
    from entries
),

-- A case's first visit is the first to its stage, so these count its clusters' cases.
shared_clusters as (
    select
        journey_number,
        cluster_number
    from counted_entries
    where
        segment_number = 0
        and visit_number = 1
    group by
        journey_number,
        cluster_number
    having count(*) > 1
),

classified_entries as (
    select
        counted_entries.*,
        shared_clusters.cluster_number is not null as is_shared
    from counted_entries
    left join shared_clusters
        on
            counted_entries.journey_number = shared_clusters.journey_number
            and counted_entries.cluster_number = shared_clusters.cluster_number
),

-- A cluster of one case adds up by day, without being told from others.
lone_cohorts as (
    select
        stage_number,
        segment_number,
        cohort_start,
        count(*) as entries,
        sum(is_converted) as conversions,
        sum(is_dropped) as drops,
        sum(is_open) as opens,
        sum(is_identified) as known_entries,
        sum(is_timed) as timed_entries,
        sum(is_timed_advance) as timed_advances,
        sum(is_value_timed) as value_timed_entries,
        sum(is_timed_value) as timed_values
    from classified_entries
    where not is_shared
    group by
        stage_number,
        segment_number,
        cohort_start
),

-- Sums of doubles, exact up to 2^53: engines add up whole numbers in 128 bits, slowly.
cluster_counts as (
    select
        cell_cohorts.cell_number,
        classified_entries.cluster_number,
        count(*)::{{ type_double() }} as entries,
        sum(classified_entries.is_converted::{{ type_double() }}) as conversions,
        sum(classified_entries.is_dropped::{{ type_double() }}) as drops,
        sum(classified_entries.is_open::{{ type_double() }}) as opens,
        sum(classified_entries.is_identified::{{ type_double() }}) as known_entries,
        sum(classified_entries.is_timed::{{ type_double() }}) as timed_entries,
        sum(classified_entries.is_timed_advance::{{ type_double() }}) as timed_advances,
        sum(classified_entries.is_value_timed::{{ type_double() }})
            as value_timed_entries,
        sum(classified_entries.is_timed_value::{{ type_double() }}) as timed_values
    from classified_entries
    inner join cell_cohorts
        on
            classified_entries.stage_number = cell_cohorts.stage_number
            and classified_entries.segment_number = cell_cohorts.segment_number
            and classified_entries.cohort_start = cell_cohorts.cohort_start
    where classified_entries.is_shared
    group by
        cell_cohorts.cell_number,
        classified_entries.cluster_number
),

sums as (
    select
        cell_cohorts.cell_number,
        sum(lone_cohorts.entries) as n_clusters,
        sum(lone_cohorts.entries) as n,
        sum(lone_cohorts.entries) as sum_nn,
        {%- for counted in ['conversions', 'drops', 'opens', 'known_entries'] %}
            sum(lone_cohorts.{{ counted }}) as {{ counted }},
            sum(lone_cohorts.{{ counted }}) as {{ counted }}_xx,
            sum(lone_cohorts.{{ counted }}) as {{ counted }}_xn,
        {%- endfor %}
        sum(lone_cohorts.timed_entries) as timed_clusters,
        sum(lone_cohorts.timed_entries) as timed_entries,
        sum(lone_cohorts.timed_advances) as timed_advances,
        sum(lone_cohorts.value_timed_entries) as value_timed_clusters,
        sum(lone_cohorts.value_timed_entries) as value_timed_entries,
        sum(lone_cohorts.timed_values) as timed_values
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
        sum(entries) as n,
        sum(entries * entries) as sum_nn,
        {%- for counted in ['conversions', 'drops', 'opens', 'known_entries'] %}
            sum({{ counted }}) as {{ counted }},
            sum({{ counted }} * {{ counted }}) as {{ counted }}_xx,
            sum({{ counted }} * entries) as {{ counted }}_xn,
        {%- endfor %}
        sum(case when timed_entries > 0 then 1 else 0 end) as timed_clusters,
        sum(timed_entries) as timed_entries,
        sum(timed_advances) as timed_advances,
        sum(case when value_timed_entries > 0 then 1 else 0 end)
            as value_timed_clusters,
        sum(value_timed_entries) as value_timed_entries,
        sum(timed_values) as timed_values
    from cluster_counts
    group by cell_number
),

totals as (
    select
        cell_number,
        sum(n_clusters)::{{ type_double() }} as n_clusters,
        sum(n)::{{ type_double() }} as n,
        sum(sum_nn)::{{ type_double() }} as sum_nn,
        {%- for counted in ['conversions', 'drops', 'opens', 'known_entries'] %}
            sum({{ counted }})::{{ type_double() }} as {{ counted }},
            sum({{ counted }}_xx)::{{ type_double() }} as {{ counted }}_xx,
            sum({{ counted }}_xn)::{{ type_double() }} as {{ counted }}_xn,
        {%- endfor %}
        sum(timed_clusters)::bigint as timed_clusters,
        sum(timed_entries)::bigint as timed_entries,
        sum(timed_advances)::{{ type_double() }} as timed_advances,
        sum(value_timed_clusters)::bigint as value_timed_clusters,
        sum(value_timed_entries)::bigint as value_timed_entries,
        sum(timed_values)::{{ type_double() }} as timed_values
    from sums
    group by cell_number
)

select * from totals

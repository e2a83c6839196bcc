with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

period_cohorts as (
    select * from {{ ref('int_period_cohorts') }}
),

counted_entries as (
    select
        journey_number,
        stage_number,
        cohort_start,
        visit_number,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when is_converted then 1 else 0 end as is_converted,
        case when is_identified then 1 when not is_identified then 0 end
            as is_identified,
        case when time_to_advance_us is not null then 1 else 0 end as is_timed,
        case
            when has_advanced and time_to_advance_us is not null then 1 else 0
        end as is_timed_advance
    from entries
),

-- A case's first visit is the first to its stage, so these count its clusters' cases.
shared_clusters as (
    select
        journey_number,
        cluster_number
    from counted_entries
    where visit_number = 1
    group by
        journey_number,
        cluster_number
    having count(*) > 1
),

classified_entries as (
    select
        counted_entries.stage_number,
        counted_entries.cohort_start,
        counted_entries.cluster_number,
        counted_entries.is_converted,
        counted_entries.is_identified,
        counted_entries.is_timed,
        counted_entries.is_timed_advance,
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
        cohort_start,
        count(*) as entries,
        sum(is_converted) as conversions,
        sum(is_identified) as known_entries,
        sum(is_timed) as timed_entries,
        sum(is_timed_advance) as timed_advances
    from classified_entries
    where not is_shared
    group by
        stage_number,
        cohort_start
),

cluster_counts as (
    select
        period_cohorts.period_number,
        classified_entries.cluster_number,
        count(*)::{{ type_double() }} as entries,
        sum(classified_entries.is_converted)::{{ type_double() }} as conversions,
        sum(classified_entries.is_identified)::{{ type_double() }} as known_entries,
        sum(classified_entries.is_timed) as timed_entries,
        sum(classified_entries.is_timed_advance) as timed_advances
    from classified_entries
    inner join period_cohorts
        on
            classified_entries.stage_number = period_cohorts.stage_number
            and classified_entries.cohort_start = period_cohorts.cohort_start
    where classified_entries.is_shared
    group by
        period_cohorts.period_number,
        classified_entries.cluster_number
),

sums as (
    select
        period_cohorts.period_number,
        sum(lone_cohorts.entries) as n_clusters,
        sum(lone_cohorts.entries) as n,
        sum(lone_cohorts.entries) as sum_nn,
        sum(lone_cohorts.conversions) as conversions,
        sum(lone_cohorts.conversions) as conversions_xx,
        sum(lone_cohorts.conversions) as conversions_xn,
        sum(lone_cohorts.known_entries) as known_entries,
        sum(lone_cohorts.known_entries) as known_entries_xx,
        sum(lone_cohorts.known_entries) as known_entries_xn,
        sum(lone_cohorts.timed_entries) as timed_clusters,
        sum(lone_cohorts.timed_entries) as timed_entries,
        sum(lone_cohorts.timed_advances) as timed_advances
    from lone_cohorts
    inner join period_cohorts
        on
            lone_cohorts.stage_number = period_cohorts.stage_number
            and lone_cohorts.cohort_start = period_cohorts.cohort_start
    group by period_cohorts.period_number
    union all
    select
        period_number,
        count(*) as n_clusters,
        sum(entries) as n,
        sum(entries * entries) as sum_nn,
        sum(conversions) as conversions,
        sum(conversions * conversions) as conversions_xx,
        sum(conversions * entries) as conversions_xn,
        sum(known_entries) as known_entries,
        sum(known_entries * known_entries) as known_entries_xx,
        sum(known_entries * entries) as known_entries_xn,
        sum(case when timed_entries > 0 then 1 else 0 end) as timed_clusters,
        sum(timed_entries) as timed_entries,
        sum(timed_advances) as timed_advances
    from cluster_counts
    group by period_number
),

totals as (
    select
        period_number,
        sum(n_clusters)::{{ type_double() }} as n_clusters,
        sum(n)::{{ type_double() }} as n,
        sum(sum_nn)::{{ type_double() }} as sum_nn,
        sum(conversions)::{{ type_double() }} as conversions,
        sum(conversions_xx)::{{ type_double() }} as conversions_xx,
        sum(conversions_xn)::{{ type_double() }} as conversions_xn,
        sum(known_entries)::{{ type_double() }} as known_entries,
        sum(known_entries_xx)::{{ type_double() }} as known_entries_xx,
        sum(known_entries_xn)::{{ type_double() }} as known_entries_xn,
        sum(timed_clusters)::bigint as timed_clusters,
        sum(timed_entries)::bigint as timed_entries,
        sum(timed_advances)::{{ type_double() }} as timed_advances
    from sums
    group by period_number
)

select * from totals

with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

period_days as (
    select * from {{ ref('int_period_days') }}
),

counted_entries as (
    select
        journey_number,
        stage_number,
        entered_date,
        visit_number,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when is_converted then 1 else 0 end as is_converted,
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
        counted_entries.entered_date,
        counted_entries.cluster_number,
        counted_entries.is_converted,
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
lone_days as (
    select
        stage_number,
        entered_date,
        count(*) as entries,
        sum(is_converted) as conversions,
        sum(is_timed) as timed_entries,
        sum(is_timed_advance) as timed_advances
    from classified_entries
    where not is_shared
    group by
        stage_number,
        entered_date
),

cluster_counts as (
    select
        period_days.period_number,
        classified_entries.cluster_number,
        count(*)::{{ type_double() }} as entries,
        sum(classified_entries.is_converted)::{{ type_double() }} as conversions,
        sum(classified_entries.is_timed) as timed_entries,
        sum(classified_entries.is_timed_advance) as timed_advances
    from classified_entries
    inner join period_days
        on
            classified_entries.stage_number = period_days.stage_number
            and classified_entries.entered_date = period_days.entered_date
    where classified_entries.is_shared
    group by
        period_days.period_number,
        classified_entries.cluster_number
),

sums as (
    select
        period_days.period_number,
        sum(lone_days.entries) as n_clusters,
        sum(lone_days.entries) as n,
        sum(lone_days.conversions) as numerator,
        sum(lone_days.conversions) as sum_xx,
        sum(lone_days.conversions) as sum_xn,
        sum(lone_days.entries) as sum_nn,
        sum(lone_days.timed_entries) as timed_clusters,
        sum(lone_days.timed_entries) as timed_entries,
        sum(lone_days.timed_advances) as timed_advances
    from lone_days
    inner join period_days
        on
            lone_days.stage_number = period_days.stage_number
            and lone_days.entered_date = period_days.entered_date
    group by period_days.period_number
    union all
    select
        period_number,
        count(*) as n_clusters,
        sum(entries) as n,
        sum(conversions) as numerator,
        sum(conversions * conversions) as sum_xx,
        sum(conversions * entries) as sum_xn,
        sum(entries * entries) as sum_nn,
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
        sum(numerator)::{{ type_double() }} as numerator,
        sum(sum_xx)::{{ type_double() }} as sum_xx,
        sum(sum_xn)::{{ type_double() }} as sum_xn,
        sum(sum_nn)::{{ type_double() }} as sum_nn,
        sum(timed_clusters)::bigint as timed_clusters,
        sum(timed_entries)::bigint as timed_entries,
        sum(timed_advances)::{{ type_double() }} as timed_advances
    from sums
    group by period_number
)

select * from totals

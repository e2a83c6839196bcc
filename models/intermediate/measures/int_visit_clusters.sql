{#- Most clusters visit a stage within one cohort: these add up, without being told from
    others, and only the rest are counted period by period. -#}
with

visits as (
    select * from {{ ref('int_cohort_visits') }}
),

period_cohorts as (
    select * from {{ ref('int_period_cohorts') }}
),

timed_visits as (
    select
        stage_number,
        cohort_start,
        {{ hash_number('cluster_id') }} as cluster_number,
        case when has_exited then 1 else 0 end as is_exited
    from visits
    where
        time_in_stage_us is not null
        and cohort_start is not null
),

clusters as (
    select
        stage_number,
        cluster_number,
        count(*) as visits,
        sum(is_exited) as exits,
        min(cohort_start) as first_cohort,
        max(cohort_start) as last_cohort
    from timed_visits
    group by
        stage_number,
        cluster_number
),

lone_cohorts as (
    select
        stage_number,
        first_cohort as cohort_start,
        count(*) as clusters,
        sum(visits) as visits,
        sum(exits) as exits
    from clusters
    where first_cohort = last_cohort
    group by
        stage_number,
        first_cohort
),

returning_clusters as (
    select
        timed_visits.stage_number,
        timed_visits.cohort_start,
        timed_visits.cluster_number,
        count(*) as visits,
        sum(timed_visits.is_exited) as exits
    from timed_visits
    inner join clusters
        on
            timed_visits.stage_number = clusters.stage_number
            and timed_visits.cluster_number = clusters.cluster_number
    where clusters.first_cohort < clusters.last_cohort
    group by
        timed_visits.stage_number,
        timed_visits.cohort_start,
        timed_visits.cluster_number
),

counts as (
    select
        period_cohorts.period_number,
        sum(lone_cohorts.clusters) as clusters,
        sum(lone_cohorts.visits) as visits,
        sum(lone_cohorts.exits) as exits
    from lone_cohorts
    inner join period_cohorts
        on
            lone_cohorts.stage_number = period_cohorts.stage_number
            and lone_cohorts.cohort_start = period_cohorts.cohort_start
    group by period_cohorts.period_number
    union all
    select
        period_cohorts.period_number,
        count(distinct returning_clusters.cluster_number) as clusters,
        sum(returning_clusters.visits) as visits,
        sum(returning_clusters.exits) as exits
    from returning_clusters
    inner join period_cohorts
        on
            returning_clusters.stage_number = period_cohorts.stage_number
            and returning_clusters.cohort_start = period_cohorts.cohort_start
    group by period_cohorts.period_number
),

totals as (
    select
        period_number,
        sum(clusters)::bigint as timed_clusters,
        sum(visits)::bigint as timed_visits,
        sum(exits)::{{ type_double() }} as timed_exits
    from counts
    group by period_number
)

select * from totals

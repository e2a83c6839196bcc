{#- Kaplan–Meier by buckets of durations, exact at their ends. Where nobody is censored
    before a bucket's last event its factor of S is 1 - events / at risk and Greenwood's sum
    telescopes, so that counting is enough; only the others are gone through by duration. -#}
with

times as (
    select * from {{ ref('int_cohort_times') }}
),

cell_cohorts as (
    select *
    from {{ ref('int_cell_cohorts') }}
    where has_curve
),

cohort_counts as (
    select
        curve_kind,
        stage_number,
        segment_number,
        cohort_start,
        bucket,
        count(*) as units,
        sum(is_event) as events,
        max(case when is_event = 1 then duration_us end) as last_event_us,
        min(case when is_event = 0 then duration_us end) as first_censored_us
    from times
    group by
        curve_kind,
        stage_number,
        segment_number,
        cohort_start,
        bucket
),

bucket_counts as (
    select
        cohort_counts.curve_kind,
        cell_cohorts.cell_number,
        cohort_counts.bucket,
        sum(cohort_counts.units)::bigint as units,
        sum(cohort_counts.events)::bigint as events,
        max(cohort_counts.last_event_us) as last_event_us,
        min(cohort_counts.first_censored_us) as first_censored_us
    from cohort_counts
    inner join cell_cohorts
        on
            cohort_counts.stage_number = cell_cohorts.stage_number
            and cohort_counts.segment_number = cell_cohorts.segment_number
            and cohort_counts.cohort_start = cell_cohorts.cohort_start
    group by
        cohort_counts.curve_kind,
        cell_cohorts.cell_number,
        cohort_counts.bucket
),

risk_sets as (
    select
        *,
        sum(units) over (
            partition by cell_number, curve_kind
            order by bucket desc
            rows between unbounded preceding and current row
        )::bigint as at_risk,
        sum(events) over (
            partition by cell_number, curve_kind
        )::bigint as all_events
    from bucket_counts
),

event_buckets as (
    select
        curve_kind,
        cell_number,
        bucket,
        events,
        all_events,
        at_risk,
        last_event_us,
        coalesce(first_censored_us <= last_event_us, false) as is_mixed
    from risk_sets
    where events > 0
),

mixed_cohorts as (
    select
        event_buckets.curve_kind,
        event_buckets.cell_number,
        event_buckets.bucket,
        event_buckets.last_event_us,
        cell_cohorts.stage_number,
        cell_cohorts.segment_number,
        cell_cohorts.cohort_start
    from event_buckets
    inner join cell_cohorts
        on event_buckets.cell_number = cell_cohorts.cell_number
    where event_buckets.is_mixed
),

-- One unit after the other, those that leave before those censored at the same time:
-- of d of n that leave at once the factors come to 1 - d / n, the terms to
-- d / (n (n - d)).
mixed_units as (
    select
        mixed_cohorts.curve_kind,
        mixed_cohorts.cell_number,
        mixed_cohorts.bucket,
        times.is_event,
        row_number() over (
            partition by
                mixed_cohorts.curve_kind,
                mixed_cohorts.cell_number,
                mixed_cohorts.bucket
            order by times.duration_us asc, times.is_event desc
        ) as unit_number
    from times
    inner join mixed_cohorts
        on
            times.curve_kind = mixed_cohorts.curve_kind
            and times.stage_number = mixed_cohorts.stage_number
            and times.segment_number = mixed_cohorts.segment_number
            and times.cohort_start = mixed_cohorts.cohort_start
            and times.bucket = mixed_cohorts.bucket
            and times.duration_us <= mixed_cohorts.last_event_us
),

mixed_steps as (
    select
        mixed_units.curve_kind,
        mixed_units.cell_number,
        mixed_units.bucket,
        mixed_units.unit_number,
        mixed_units.is_event = 1 as is_leaving,
        (
            event_buckets.at_risk - mixed_units.unit_number + 1
        )::{{ type_double() }} as at_risk
    from mixed_units
    inner join event_buckets
        on
            mixed_units.curve_kind = event_buckets.curve_kind
            and mixed_units.cell_number = event_buckets.cell_number
            and mixed_units.bucket = event_buckets.bucket
),

mixed_sums as (
    select
        curve_kind,
        cell_number,
        bucket,
        max(unit_number) as units_through_last_event,
        max(case when is_leaving and at_risk = 1 then 1 else 0 end) as reaches_zero,
        sum(
            case when is_leaving and at_risk > 1 then ln(1 - 1 / at_risk) else 0 end
        ) as log_factor,
        sum(
            case
                when is_leaving and at_risk > 1 then 1 / (at_risk * (at_risk - 1))
                else 0
            end
        ) as greenwood_term
    from mixed_steps
    group by
        curve_kind,
        cell_number,
        bucket
),

-- The last unit leaving takes S to 0, where its logarithm and Greenwood's sum end.
factors as (
    select
        event_buckets.curve_kind,
        event_buckets.cell_number,
        event_buckets.bucket,
        event_buckets.events,
        event_buckets.all_events,
        event_buckets.at_risk,
        event_buckets.last_event_us,
        event_buckets.at_risk
        - coalesce(mixed_sums.units_through_last_event, event_buckets.events)
            as at_risk_after,
        coalesce(
            mixed_sums.reaches_zero,
            case when event_buckets.events = event_buckets.at_risk then 1 else 0 end
        ) as reaches_zero,
        coalesce(
            mixed_sums.log_factor,
            case
                when event_buckets.events < event_buckets.at_risk
                    then ln(
                        1 - event_buckets.events::{{ type_double() }}
                        / event_buckets.at_risk
                    )
                else 0
            end
        ) as log_factor,
        coalesce(
            mixed_sums.greenwood_term,
            case
                when event_buckets.events < event_buckets.at_risk
                    then
                        event_buckets.events::{{ type_double() }}
                        / event_buckets.at_risk
                        / (event_buckets.at_risk - event_buckets.events)
                else 0
            end
        ) as greenwood_term
    from event_buckets
    left join mixed_sums
        on
            event_buckets.curve_kind = mixed_sums.curve_kind
            and event_buckets.cell_number = mixed_sums.cell_number
            and event_buckets.bucket = mixed_sums.bucket
),

accumulated as (
    select
        *,
        sum(events) over curve as events_through,
        sum(log_factor) over curve as log_survival,
        sum(greenwood_term) over curve as greenwood_sum
    from factors
    window
        curve as (
            partition by cell_number, curve_kind
            order by bucket
            rows between unbounded preceding and current row
        )
),

ends as (
    select
        *,
        events_through - events as events_before,
        log_survival - log_factor as log_survival_before,
        greenwood_sum - greenwood_term as greenwood_before,
        1 - events_through::{{ type_double() }} / all_events as naive_survival,
        case when reaches_zero = 1 then 0 else exp(log_survival) end as survival,
        case
            when reaches_zero = 0
                then {{ log_log_se('log_survival', 'greenwood_sum') }}
        end as log_log_se
    from accumulated
),

bands as (
    select
        *,
        case
            when reaches_zero = 1 then 0
            else {{ log_log_bound('log_survival', 'log_log_se', '') }}
        end as survival_low,
        case
            when reaches_zero = 0
                then {{ log_log_bound('log_survival', 'log_log_se', '-') }}
        end as survival_high,
        -- Within the bucket the upper end is nowhere lower: S at its least, Greenwood's
        -- sum at its least. Unlike the others it may rise again.
        case
            when reaches_zero = 1 then 0
            else {{ log_log_bound(
                'log_survival',
                log_log_se('log_survival', 'greatest(greenwood_before, 0)'),
                '-',
            ) }}
        end as survival_high_floor
    from ends
),

earlier_bands as (
    select
        *,
        min(survival) over earlier as least_survival,
        min(survival_low) over earlier as least_survival_low,
        min(survival_high) over earlier as least_survival_high,
        min(naive_survival) over earlier as least_naive_survival
    from bands
    window
        earlier as (
            partition by cell_number, curve_kind
            order by bucket
            rows between unbounded preceding and 1 preceding
        )
),

buckets as (
    select
        curve_kind,
        cell_number,
        bucket,
        events,
        events_before,
        events_through,
        all_events,
        at_risk,
        at_risk_after,
        last_event_us,
        log_survival_before,
        greenwood_before,
        naive_survival,
        survival,
        survival_low,
        survival_high,
        log_log_se,
        -- A curve falls to the height of a quantile in this bucket, or may.
        {{ falls_to_quantile([
            ('survival', 'least_survival'),
            ('survival_low', 'least_survival_low'),
            ('survival_high_floor', 'least_survival_high'),
            ('naive_survival', 'least_naive_survival'),
        ]) }} as has_quantile
    from earlier_bands
)

select * from buckets

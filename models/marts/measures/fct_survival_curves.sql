with

curves as (
    select * from {{ ref('int_survival_curves') }}
),

kept_curves as (
    select
        *,
        -- Durations 13 % apart: at most 180 points in a hundred years.
        floor(bucket / 4e0)::integer as span
    from curves
    where
        segment_number = 0
        and (period_grain = 'all' or weeks_back = 0)
),

earlier_bands as (
    select
        *,
        min(survival) over earlier as least_survival,
        min(survival_low) over earlier as least_survival_low,
        min(survival_high) over earlier as least_survival_high,
        min(naive_survival) over earlier as least_naive_survival,
        row_number() over (
            partition by cell_number, curve_kind, span
            order by duration_us desc
        ) as rank_in_span
    from kept_curves
    window
        earlier as (
            partition by cell_number, curve_kind
            order by duration_us
            rows between unbounded preceding and 1 preceding
        )
),

points as (
    select *
    from earlier_bands
    where
        rank_in_span = 1
        or {{ falls_to_quantile([
            ('survival', 'least_survival'),
            ('survival_low', 'least_survival_low'),
            ('survival_high', 'least_survival_high'),
            ('naive_survival', 'least_naive_survival'),
        ]) }}
),

survival_curves as (
    select
        journey_id,
        stage_id,
        period_grain,
        period_start,
        duration_us,
        curve_kind,
        at_risk_after as at_risk,
        survival,
        survival_low,
        survival_high,
        naive_survival,
        events_through - lag(events_through, 1, 0::bigint) over (
            partition by cell_number, curve_kind
            order by duration_us
        ) as events
    from points
),

final as (
    select
        journey_id,
        stage_id,
        curve_kind,
        period_grain,
        period_start,
        duration_us,
        at_risk,
        events,
        survival,
        survival_low,
        survival_high,
        naive_survival
    from survival_curves
)

select * from final

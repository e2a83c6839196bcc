{#- The cases in which reasons are looked for, per rate with a benchmark: those of the
    latest trailing period, of all mature ones where these are few. -#}
with

benchmarks as (
    select * from {{ ref('int_benchmarks') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

metric_units as (
    select * from {{ ref('int_metric_units') }}
),

-- Read apart: a relation named twice would be stored whole in between.
counted_units as (
    select * from {{ ref('int_metric_units') }}
),

visits as (
    select * from {{ ref('int_stage_visits') }}
),

previous_visits as (
    select * from {{ ref('int_stage_visits') }}
),

segments as (
    select * from {{ ref('int_segments') }}
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

rates as (
    select distinct
        journey_id,
        metric_id,
        stage_id
    from benchmarks
    where
        scale = 'proportion'
        and segment_dimension = 'all'
),

numbered_rates as (
    select
        *,
        row_number() over (
            order by
                {{ binary_order('journey_id') }},
                {{ binary_order('metric_id') }},
                {{ binary_order('stage_id') }}
        )::integer as measure_number
    from rates
),

-- A metric with a window of its own has periods of its own.
rate_periods as (
    select
        numbered_rates.journey_id,
        numbered_rates.metric_id,
        numbered_rates.stage_id,
        numbered_rates.measure_number,
        periods.period_grain,
        periods.period_start,
        periods.period_end,
        row_number() over (
            partition by numbered_rates.measure_number, periods.period_grain
            order by {{ binary_order('periods.metric_id') }} nulls last
        ) as preference
    from numbered_rates
    inner join periods
        on
            numbered_rates.journey_id = periods.journey_id
            and numbered_rates.stage_id = periods.stage_id
            and numbered_rates.metric_id
            = coalesce(periods.metric_id, numbered_rates.metric_id)
    where
        periods.period_grain = 'all'
        or periods.weeks_back = 0
),

own_periods as (
    select *
    from rate_periods
    where preference = 1
),

-- By day first: far fewer rows than units to join.
unit_days as (
    select
        metric_id,
        journey_id,
        stage_id,
        entered_date,
        count(*) as units
    from counted_units
    where is_complete
    group by
        metric_id,
        journey_id,
        stage_id,
        entered_date
),

counted_periods as (
    select
        own_periods.measure_number,
        own_periods.period_grain,
        sum(unit_days.units) as n
    from unit_days
    inner join own_periods
        on
            unit_days.metric_id = own_periods.metric_id
            and unit_days.journey_id = own_periods.journey_id
            and unit_days.stage_id = own_periods.stage_id
            and unit_days.entered_date >= own_periods.period_start
            and unit_days.entered_date < own_periods.period_end
    group by
        own_periods.measure_number,
        own_periods.period_grain
),

large_trailing_periods as (
    select measure_number
    from counted_periods
    where
        period_grain = 'trailing_13_weeks'
        and n >= 200
),

chosen_periods as (
    select own_periods.*
    from own_periods
    left join large_trailing_periods
        on own_periods.measure_number = large_trailing_periods.measure_number
    where
        (own_periods.period_grain = 'all')
        = (large_trailing_periods.measure_number is null)
),

period_units as (
    select
        metric_units.*,
        chosen_periods.measure_number,
        chosen_periods.period_start,
        chosen_periods.period_end,
        metric_units.entered_at
        - coalesce(metric_units.lookback_days, 0) * 86400 * interval '1' second
            as followed_from,
        metric_units.entered_at
        + metric_units.window_days * 86400 * interval '1' second as window_ends_at,
        metric_units.entered_at
        + case
            when metric_units.lookback_days is null then metric_units.window_days
            else 0
        end * 17280 * interval '1' second as landmark_at,
        row_number() over (
            partition by
                chosen_periods.measure_number,
                coalesce(metric_units.customer_id, metric_units.entity_id)
            order by
                metric_units.entered_at desc,
                {{ binary_order('metric_units.unit_id') }} desc
        ) as recency
    from metric_units
    inner join chosen_periods
        on
            metric_units.metric_id = chosen_periods.metric_id
            and metric_units.journey_id = chosen_periods.journey_id
            and metric_units.stage_id = chosen_periods.stage_id
            and metric_units.entered_date >= chosen_periods.period_start
            and metric_units.entered_date < chosen_periods.period_end
    where metric_units.is_complete
),

main_dimensions as (
    select
        journey_id,
        min({{ binary_order('segment_dimension') }}) as segment_dimension
    from segments
    where
        is_ranked
        and not is_pair
    group by journey_id
),

main_segments as (
    select
        segments.segment_number,
        segments.journey_id
    from segments
    inner join main_dimensions
        on
            segments.journey_id = main_dimensions.journey_id
            and segments.segment_dimension = main_dimensions.segment_dimension
),

strata as (
    select
        visit_segments.journey_id,
        visit_segments.entity_id,
        visit_segments.attempt_number,
        visit_segments.visit_number,
        visit_segments.segment_number
    from visit_segments
    inner join main_segments
        on
            visit_segments.journey_id = main_segments.journey_id
            and visit_segments.segment_number = main_segments.segment_number
),

placed_units as (
    select
        period_units.measure_number,
        period_units.metric_id,
        period_units.journey_id,
        period_units.stage_id,
        period_units.unit_id,
        period_units.entity_id,
        period_units.attempt_number,
        period_units.visit_number,
        period_units.customer_id,
        period_units.cluster_id,
        period_units.period_start,
        period_units.period_end,
        period_units.followed_from as entered_at,
        period_units.landmark_at,
        period_units.window_ends_at,
        period_units.is_outcome,
        previous_visits.stage_id as previous_stage_id,
        previous_visits.transition_kind as previous_transition_kind,
        coalesce(strata.segment_number, 0) as stratum_number,
        coalesce(visits.exited_at, visits.lapsed_at) as left_at,
        {{ known_us(
            'previous_visits.entered_at',
            'visits.entered_at',
            'previous_visits.is_date_only',
        ) }} as previous_us
    from period_units
    inner join visits
        on
            period_units.journey_id = visits.journey_id
            and period_units.entity_id = visits.entity_id
            and period_units.attempt_number = visits.attempt_number
            and period_units.visit_number = visits.visit_number
    left join previous_visits
        on
            period_units.journey_id = previous_visits.journey_id
            and period_units.entity_id = previous_visits.entity_id
            and period_units.attempt_number = previous_visits.attempt_number
            and period_units.visit_number - 1 = previous_visits.visit_number
    left join strata
        on
            period_units.journey_id = strata.journey_id
            and period_units.entity_id = strata.entity_id
            and period_units.attempt_number = strata.attempt_number
            and period_units.visit_number = strata.visit_number
    -- One answer per customer and period, as the measure counts.
    where
        not {{ is_rate_of_answers('period_units.metric_id') }}
        or period_units.recency = 1
),

units as (
    select
        *,
        row_number() over (
            order by
                measure_number,
                {{ binary_order('entity_id') }},
                attempt_number,
                visit_number,
                {{ binary_order('unit_id') }} nulls first
        ) as unit_number,
        coalesce(left_at > landmark_at, true) as is_at_landmark
    from placed_units
)

select * from units

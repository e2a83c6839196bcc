{#- Cases by the weeks in which they entered the journey. A week is mature once its
    cases have had the journey's window, which may outlast the entry stage's. -#}
with

key_moments as (
    select * from {{ ref('int_key_moments') }}
),

weeks as (
    select *
    from {{ ref('int_periods') }}
    where
        metric_id is null
        and period_grain = 'week'
),

segments as (
    select *
    from {{ ref('int_segments') }}
    where
        not is_pair
        and segment_number <> 0
),

key_moment_weeks as (
    select
        key_moments.journey_id,
        key_moments.stage_id,
        key_moments.window_days,
        key_moments.observed_through,
        weeks.period_start,
        weeks.period_end,
        weeks.is_partial,
        {{ to_utc('weeks.period_end::timestamp', 'key_moments.time_zone') }} as ends_at
    from weeks
    inner join key_moments
        on weeks.stage_number = key_moments.entry_stage_number
),

mature_weeks as (
    select
        journey_id,
        stage_id,
        min(period_start) as first_start,
        max(period_end) as last_end,
        max(case when is_partial then period_end end) as last_partial_end
    from key_moment_weeks
    where
        {{ epoch_us('ends_at') }} + window_days * 86400000000
        <= {{ epoch_us('observed_through') }}
    group by
        journey_id,
        stage_id
),

periods as (
    select
        journey_id,
        stage_id,
        'trailing_13_weeks' as period_grain,
        (last_end - interval '91' day)::date as period_start,
        last_end as period_end,
        (last_end - interval '91' day)::date < first_start
        or coalesce(last_partial_end > (last_end - interval '91' day)::date, false)
            as is_partial
    from mature_weeks
    union all
    select
        journey_id,
        stage_id,
        'all' as period_grain,
        first_start as period_start,
        last_end as period_end,
        last_partial_end is not null as is_partial
    from mature_weeks
),

cells as (
    select
        periods.*,
        0 as segment_number,
        'all' as segment_dimension,
        'all' as segment_value
    from periods
    union all
    select
        periods.*,
        segments.segment_number,
        segments.segment_dimension,
        segments.segment_value
    from periods
    inner join segments
        on periods.journey_id = segments.journey_id
),

numbered_cells as (
    select
        cells.journey_id,
        cells.stage_id,
        key_moments.key_moment,
        key_moments.is_entry,
        key_moments.window_days,
        cells.segment_number,
        cells.segment_dimension,
        cells.segment_value,
        cells.period_grain,
        cells.period_start,
        cells.period_end,
        cells.is_partial,
        row_number() over (
            order by
                {{ binary_order('cells.journey_id') }},
                {{ binary_order('cells.stage_id') }},
                cells.period_grain,
                cells.segment_number
        )::integer as cell_number
    from cells
    inner join key_moments
        on
            cells.journey_id = key_moments.journey_id
            and cells.stage_id = key_moments.stage_id
)

select * from numbered_cells

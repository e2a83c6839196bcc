{#- The bounded grid: which segments are measured in which periods (domain.md §6).
    Totals in all, dimensions not in weeks of long ago, pairs only where n is large. -#}
{#- 78 weeks. -#}
{%- set segment_days = 546 -%}
with

periods as (
    select * from {{ ref('int_periods') }}
),

segments as (
    select * from {{ ref('int_segments') }}
),

dated_periods as (
    select
        *,
        max(
            case when period_grain = 'week' then period_end end
        ) over (partition by stage_number) as last_week_end
    from periods
),

graded_periods as (
    select
        *,
        period_grain in ('trailing_13_weeks', 'all') as is_long,
        period_grain <> 'week'
        or period_start >= last_week_end - interval '{{ segment_days }}' day
            as is_recent
    from dated_periods
),

cells as (
    select
        graded_periods.*,
        0 as segment_number,
        'all' as segment_dimension,
        'all' as segment_value,
        true as has_curve
    from graded_periods
    union all
    select
        graded_periods.*,
        segments.segment_number,
        segments.segment_dimension,
        segments.segment_value,
        graded_periods.is_long as has_curve
    from graded_periods
    inner join segments
        on graded_periods.journey_id = segments.journey_id
    where
        graded_periods.is_long
        or (graded_periods.is_recent and not segments.is_pair)
),

numbered_cells as (
    select
        segment_number,
        segment_dimension,
        segment_value,
        period_number,
        metric_id,
        journey_id,
        stage_id,
        stage_number,
        period_grain,
        period_start,
        period_end,
        weeks_back,
        is_mature,
        is_partial,
        has_curve,
        row_number() over (
            order by period_number, segment_number
        )::integer as cell_number
    from cells
)

select * from numbered_cells

{#- The bounded grid: which segments are measured in which periods (domain.md §6).
    Totals in all, dimensions not in weeks of long ago, pairs only where n is large. Of
    contacts and answers there are fewer than of cases: their segments only where long. -#}
{#- 78 weeks. -#}
{%- set segment_days = 546 -%}
with

periods as (
    select * from {{ ref('int_periods') }}
),

segments as (
    select * from {{ ref('int_segments') }}
),

unit_stages as (
    select * from {{ ref('int_unit_stages') }}
),

unit_segments as (
    select * from {{ ref('int_unit_segments') }}
),

measured_segments as (
    select * from {{ ref('int_measured_segments') }}
),

stage_segments as (
    select distinct
        stage_number,
        segment_number
    from unit_segments
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
        dated_periods.*,
        unit_stages.stage_number is not null as is_of_units,
        dated_periods.period_grain in ('trailing_13_weeks', 'all') as is_long,
        dated_periods.period_grain <> 'week'
        or dated_periods.period_start
        >= dated_periods.last_week_end - interval '{{ segment_days }}' day
            as is_recent
    from dated_periods
    left join unit_stages
        on dated_periods.stage_number = unit_stages.stage_number
),

cells as (
    select
        graded_periods.*,
        0 as segment_number,
        'all' as segment_dimension,
        'all' as segment_value,
        true as has_curve
    from graded_periods
    where not graded_periods.is_of_units
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
        not graded_periods.is_of_units
        and (
            graded_periods.is_long
            or (graded_periods.is_recent and not segments.is_pair)
        )
    union all
    select
        graded_periods.*,
        measured_segments.segment_number,
        measured_segments.segment_dimension,
        measured_segments.segment_value,
        true as has_curve
    from graded_periods
    inner join stage_segments
        on graded_periods.stage_number = stage_segments.stage_number
    inner join measured_segments
        on stage_segments.segment_number = measured_segments.segment_number
    where
        graded_periods.is_of_units
        and (graded_periods.is_long or stage_segments.segment_number = 0)
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

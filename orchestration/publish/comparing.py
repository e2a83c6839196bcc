"""What changed: week by week, between segments, and between two publications that are kept.

Every figure, interval and verdict is one of the marts'.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestration.publish.history import kept_publications
from orchestration.publish.publication import DATABASE
from orchestration.publish.reading import (
    ALL,
    OpenPublication,
    Table,
    open_current,
    open_publication,
)
from orchestration.publish.selection import (
    CONDITION,
    TOTALS,
    Selection,
    SelectionError,
    require_known,
)
from orchestration.quoting import literal

# Instead of a publication's id: the one before the current.
PREVIOUS = "previous"


def published_trends(
    published_dir: Path, weeks: int, selection: Selection = ALL, *, all_metrics: bool = False
) -> Table:
    """Return rows of the published `gap_trends`: the 13 weeks, the last `weeks`, all alerts.

    `weeks` is 1 to 26. Beside its columns: `unit`, `score_min`, `stage_order` and the journey's
    `newest_week`. A selection without segments means totals; one without metrics conversion rates,
    what has a benchmark and what alerts, unless `all_metrics`. `verdicts` are those of the latest
    13 weeks, or `alert`. Measures are in their stages' order, the 13 weeks before the weeks.
    Raises JourneyGapsError where nothing is published, SelectionError as `published_gaps` does.
    """
    with open_current(published_dir) as publication:
        return publication.selected(
            "gap_trends",
            _totals_unless_given(selection),
            _TRENDS,
            weeks=weeks,
            is_every_metric=all_metrics or bool(selection.metrics),
        )


def published_segments(
    published_dir: Path, dimension: str, values: Sequence[str] = (), selection: Selection = ALL
) -> Table:
    """Return the latest 13 mature weeks of a dimension's segments, each beside all cases.

    One row per measure, segment and given benchmark, or one without; of the own past only where
    the selection names it. `others_value` and `others_adjusted_p_value` are of the segment
    against the rest of its stage, where `gap_drivers` has tested that. In a stage all cases come
    first, then the segments, worst first.
    Raises JourneyGapsError where nothing is published, SelectionError as `published_gaps` does.
    """
    segments = [f"{dimension}={value}" for value in values] or [dimension]
    with open_current(published_dir) as publication:
        return publication.selected(
            "fct_measures", replace(selection, segments=[*TOTALS, *segments]), _SEGMENTS
        )


def published_changes(
    published_dir: Path, earlier: str, selection: Selection = ALL
) -> tuple[str, Table]:
    """Return the id of an earlier publication, and its gaps and the current ones side by side.

    `earlier` is the id of one that is kept, or `previous`. One row per gap of the selection
    (without segments: totals) in either; own past only where the selection names it, it is or was
    ranked, or its verdict turned from or to one that is sure. `changed` is new, gone, verdict,
    benchmark, value or null; changed verdicts come first, each by rank.
    Raises JourneyGapsError where nothing is published or one of them cannot be read,
    SelectionError where there is no such publication, or as `published_gaps` does.
    """
    with open_current(published_dir) as publication:
        folder = _kept(published_dir, earlier, publication)
        with open_publication(folder) as before:
            before.table(_READ_OF_EARLIER)
        publication.connection.execute(
            f"attach {literal(str(folder / DATABASE))} as earlier (read_only)"
        )
        return folder.name, publication.selected(
            "gap_ranking", _totals_unless_given(selection), _EARLIER + _CHANGES
        )


def _totals_unless_given(selection: Selection) -> Selection:
    return selection if selection.segments else replace(selection, segments=TOTALS)


def _kept(published_dir: Path, earlier: str, publication: OpenPublication) -> Path:
    """The folder of a publication that is kept and is not the current one."""
    everything = kept_publications(published_dir)
    kept = [one for one in everything if not one.is_current]
    if earlier == publication.folder.name:
        raise SelectionError(f"{earlier} is the current publication")
    if earlier == PREVIOUS:
        later = next(one for one in everything if one.is_current)
        before = [one.folder for one in kept if one.published_at < later.published_at]
        if not before:
            raise SelectionError("no publication before the current one is kept")
        return before[0]
    require_known("publication", [earlier], [one.publication_id for one in kept])
    return next(one.folder for one in kept if one.publication_id == earlier)


_TRENDS = """
    , newest_weeks as (
        select
            journey_id,
            max(period_start) as newest_week
        from gap_trends
        where period_grain = 'week'
        group by journey_id
    )

    select
        selected.*,
        dim_metrics.unit,
        dim_metrics.score_min,
        dim_stages.stage_order,
        newest_weeks.newest_week
    from selected
    left join newest_weeks on selected.journey_id = newest_weeks.journey_id
    left join dim_metrics on selected.metric_id = dim_metrics.metric_id
    left join dim_stages
        on
            selected.journey_id = dim_stages.journey_id
            and selected.stage_id = dim_stages.stage_id
    where getvariable('kinds') = [] or list_contains(getvariable('kinds'), benchmark_kind)
    window measure as (
        partition by
            selected.journey_id,
            selected.metric_id,
            selected.stage_id,
            touchpoint_id,
            segment_dimension,
            segment_value
    )
    qualify
        (
            getvariable('is_every_metric')
            or bool_or(
                selected.metric_id = 'conversion_rate' or benchmark_id is not null or is_alert
            ) over measure
        )
        and (
            getvariable('verdicts') = []
            or list_contains(
                getvariable('verdicts'),
                max(trend) filter (period_grain = 'trailing_13_weeks') over measure
            )
            or (list_contains(getvariable('verdicts'), 'alert') and bool_or(is_alert) over measure)
        )
        and (
            period_grain <> 'week'
            or is_alert
            or period_start > newest_week - to_weeks(getvariable('weeks'))
        )
    order by
        selected.journey_id,
        stage_order,
        selected.stage_id,
        selected.metric_id,
        segment_dimension,
        segment_value,
        touchpoint_id,
        period_grain,
        period_start,
        benchmark_id
"""

_SEGMENTS = """
    , newest as (
        from selected
        where period_grain = 'trailing_13_weeks'
        qualify period_start = max(period_start) over (
            partition by journey_id, metric_id, stage_id
        )
    )

    -- A stage that no segment of the dimension came through has nothing to compare.
    , latest as (
        from newest
        qualify bool_or(segment_dimension <> 'all') over (
            partition by journey_id, metric_id, stage_id
        )
    )

    , judged as (
        from gap_ranking
        where
            list_contains(getvariable('kinds'), benchmark_kind)
            or (getvariable('kinds') = [] and benchmark_kind <> 'own_past')
    )

    -- Against the rest a segment is tested once for each benchmark of all cases.
    , tested as (
        select
            gap_drivers.*,
            row_number() over (
                partition by
                    gap_drivers.journey_id,
                    gap_drivers.metric_id,
                    gap_drivers.stage_id,
                    gap_drivers.segment_dimension,
                    gap_drivers.segment_value
                order by gap_ranking.benchmark_kind = 'own_past', gap_drivers.gap_id
            ) as choice
        from gap_drivers
        inner join gap_ranking on gap_drivers.gap_id = gap_ranking.gap_id
        where driver_kind = 'segment'
    )

    select
        latest.journey_id,
        latest.stage_id,
        dim_stages.stage_order,
        latest.metric_id,
        latest.touchpoint_id,
        latest.segment_dimension,
        latest.segment_value,
        latest.period_start,
        latest.period_end,
        dim_metrics.unit,
        latest.n,
        latest.n_clusters,
        latest.value,
        latest.ci_low,
        latest.ci_high,
        tested.other_value as others_value,
        tested.adjusted_p_value as others_adjusted_p_value,
        tested.warning as others_warning,
        judged.gap_id,
        judged.benchmark_id,
        judged.benchmark_kind,
        judged.benchmark_value,
        judged.is_fallback,
        judged.gap,
        judged.lag_factor,
        judged.adjusted_p_value,
        judged.verdict
    from latest
    left join dim_metrics on latest.metric_id = dim_metrics.metric_id
    left join dim_stages
        on
            latest.journey_id = dim_stages.journey_id
            and latest.stage_id = dim_stages.stage_id
    left join judged
        on
            latest.journey_id = judged.journey_id
            and latest.metric_id = judged.metric_id
            and latest.stage_id = judged.stage_id
            and latest.touchpoint_id is not distinct from judged.touchpoint_id
            and latest.segment_dimension = judged.segment_dimension
            and latest.segment_value = judged.segment_value
    left join tested
        on
            latest.journey_id = tested.journey_id
            and latest.metric_id = tested.metric_id
            and latest.stage_id = tested.stage_id
            and latest.segment_dimension = tested.segment_dimension
            and latest.segment_value = tested.segment_value
            and tested.choice = 1
    where
        (getvariable('verdicts') = [] or list_contains(getvariable('verdicts'), judged.verdict))
        and (getvariable('kinds') = [] or judged.benchmark_kind is not null)
    order by
        latest.journey_id,
        dim_stages.stage_order,
        latest.stage_id,
        latest.metric_id,
        latest.segment_dimension <> 'all',
        case when dim_metrics.direction = 'lower_is_better' then -1 else 1 end
        * latest.value,
        latest.segment_value,
        judged.benchmark_kind,
        judged.gap_id
"""

# The columns of an earlier publication that _CHANGES reads.
_READ_OF_EARLIER = """
    select
        gap_id, journey_id, metric_id, stage_id, touchpoint_id, segment_dimension, segment_value,
        benchmark_kind, benchmark_value, period_start, period_end, n, value, ci_low, ci_high,
        lag_factor, verdict, priority_rank
    from gap_ranking
    limit 0
"""

_EARLIER = f", before as (from earlier.main.gap_ranking where {CONDITION})"

# Goes on after what selects the rows of the earlier one, as `selected` does the current ones.
_CHANGES = """
    , paired as (
        select
            coalesce(now.gap_id, before.gap_id) as gap_id,
            coalesce(now.journey_id, before.journey_id) as journey_id,
            coalesce(now.stage_id, before.stage_id) as stage_id,
            coalesce(now.metric_id, before.metric_id) as metric_id,
            coalesce(now.touchpoint_id, before.touchpoint_id) as touchpoint_id,
            coalesce(now.segment_dimension, before.segment_dimension) as segment_dimension,
            coalesce(now.segment_value, before.segment_value) as segment_value,
            coalesce(now.benchmark_kind, before.benchmark_kind) as benchmark_kind,
            case
                when before.gap_id is null then 'new'
                when now.gap_id is null then 'gone'
                when now.verdict <> before.verdict then 'verdict'
                when now.benchmark_value is distinct from before.benchmark_value
                    and now.benchmark_kind <> 'own_past'
                    then 'benchmark'
                when now.value is distinct from before.value then 'value'
            end as changed,
            before.period_start as period_start_before,
            before.period_end as period_end_before,
            before.n as n_before,
            before.value as value_before,
            before.ci_low as ci_low_before,
            before.ci_high as ci_high_before,
            before.benchmark_value as benchmark_value_before,
            before.lag_factor as lag_factor_before,
            before.verdict as verdict_before,
            before.priority_rank as priority_rank_before,
            now.period_start as period_start_now,
            now.period_end as period_end_now,
            now.n as n_now,
            now.value as value_now,
            now.ci_low as ci_low_now,
            now.ci_high as ci_high_now,
            now.benchmark_value as benchmark_value_now,
            now.lag_factor as lag_factor_now,
            now.verdict as verdict_now,
            now.priority_rank as priority_rank_now
        from selected as now
        full outer join before on now.gap_id = before.gap_id
    )

    select
        paired.*,
        dim_metrics.unit
    from paired
    left join dim_metrics on paired.metric_id = dim_metrics.metric_id
    where
        (
            getvariable('verdicts') = []
            or list_contains(getvariable('verdicts'), verdict_before)
            or list_contains(getvariable('verdicts'), verdict_now)
        )
        and (
            list_contains(getvariable('kinds'), benchmark_kind)
            or (
                getvariable('kinds') = []
                and (
                    benchmark_kind <> 'own_past'
                    or priority_rank_before is not null
                    or priority_rank_now is not null
                    or (
                        verdict_before <> verdict_now
                        and (
                            verdict_before in ('lagging', 'ahead')
                            or verdict_now in ('lagging', 'ahead')
                        )
                    )
                )
            )
        )
    order by
        changed is null or changed not in ('new', 'gone', 'verdict'),
        segment_dimension <> 'all',
        priority_rank_now nulls last,
        priority_rank_before nulls last,
        lag_factor_now desc nulls last,
        gap_id
"""

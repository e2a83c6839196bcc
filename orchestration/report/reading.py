"""A publication as records: its marts in DuckDB and its manifest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import DATABASE, MANIFEST

TRAILING = "trailing_13_weeks"
# Weeks of a trend, as in gap_trends.
WEEKS = 26


@dataclass(frozen=True)
class Journey:
    """One journey with what happened in it; `as_of` is UTC."""

    journey_id: str
    name: str | None
    entity: str | None
    time_zone: str | None
    as_of: datetime | None
    cases: int
    left_truncated_cases: int
    open_visits: int
    oldest: datetime | None


@dataclass(frozen=True)
class Stage:
    """One stage in its journey's order; `cases` ever entered it."""

    journey_id: str
    stage_id: str
    stage_order: int
    stage_kind: str
    conversion_window_days: int | None
    observed_through: datetime | None
    cases: int


@dataclass(frozen=True)
class Metric:
    """One line of the metric registry."""

    metric_id: str
    label: str
    unit: str
    direction: str
    scale: str
    description: str | None


@dataclass(frozen=True)
class Measure:
    """One value of one metric for a stage's total and a period; the end day is outside it."""

    journey_id: str
    metric_id: str
    stage_id: str
    period_start: date
    period_end: date
    n: int
    value: float | None
    ci_low: float | None
    ci_high: float | None
    is_mature: bool
    is_partial: bool


@dataclass(frozen=True)
class SegmentMeasure(Measure):
    """The same for the cases of one segment."""

    segment_dimension: str
    segment_value: str
    n_clusters: int | None


@dataclass(frozen=True)
class Gap:
    """One row of gap_ranking."""

    gap_id: str
    journey_id: str
    metric_id: str
    stage_id: str
    touchpoint_id: str | None
    segment_dimension: str
    segment_value: str
    benchmark_id: str
    benchmark_kind: str
    benchmark_value: float
    period_start: date | None
    period_end: date | None
    n: int
    value: float | None
    ci_low: float | None
    ci_high: float | None
    gap: float | None
    lag_factor: float | None
    verdict: str
    reach: float | None
    recoverable_cases: float | None
    excess_customer_days: float | None
    priority_rank: int | None

    @property
    def is_total(self) -> bool:
        """All cases, not a segment of them."""
        return self.segment_dimension == "all"

    @property
    def is_given(self) -> bool:
        """Compared with a benchmark that somebody set, not with the own past."""
        return self.benchmark_kind != "own_past"


@dataclass(frozen=True)
class BenchmarkWeek:
    """The benchmark of a stage's metric that was valid in one week."""

    journey_id: str
    metric_id: str
    stage_id: str
    benchmark_id: str
    benchmark_kind: str
    benchmark_value: float
    period_start: date


Row = TypeVar("Row")


class Publication:
    """A publication that is open: what all sections read of it, and a way to read more.

    Totals only, except the gaps and `segment_measures`.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder; raises JourneyGapsError where it is no publication."""
        for name in (MANIFEST, DATABASE):
            if not (folder / name).is_file():
                raise JourneyGapsError(f"{folder} is no publication: it has no {name}")
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        self.manifest: Mapping[str, Any] = content
        self._connection = duckdb.connect(folder / DATABASE, read_only=True)
        self.gaps = self.rows(Gap, _GAPS)
        self.journeys = _by_rank(self.rows(Journey, _JOURNEYS), self.gaps)
        self.stages = self.rows(Stage, _STAGES)
        self.metrics = {
            metric.metric_id: metric for metric in self.rows(Metric, "from dim_metrics")
        }
        self.trailing = self.rows(Measure, _TRAILING)
        self.weeks = self.rows(Measure, _WEEKS)
        self.segment_measures = self.rows(SegmentMeasure, _SEGMENTS)
        self.benchmark_weeks = self.rows(BenchmarkWeek, _BENCHMARK_WEEKS)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, kind: type[Row], query: str) -> list[Row]:
        """Records of `kind` (a dataclass) of `query`, which goes on after `select <its fields>`."""
        # A type variable cannot be bound to "any dataclass", which every Row is.
        columns = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        rows = self._connection.execute(f"select {columns} {query}").fetchall()
        return [kind(*row) for row in rows]

    def progress_stages(self, journey: Journey) -> list[Stage]:
        """The stages that cases move through, in order."""
        return [
            stage
            for stage in self.stages
            if stage.journey_id == journey.journey_id and stage.stage_kind == "progress"
        ]

    @property
    def source_tables(self) -> list[dict[str, Any]]:
        """What landed, by raw table, as the manifest has it."""
        quality = self.manifest.get("data_quality") or {}
        return list(quality.get("tables") or [])


def _by_rank(journeys: list[Journey], gaps: list[Gap]) -> list[Journey]:
    """The journey with the top gap first."""
    ranks = {
        gap.journey_id: gap.priority_rank
        for gap in reversed(gaps)
        if gap.is_total and gap.priority_rank is not None
    }
    return sorted(journeys, key=lambda journey: ranks.get(journey.journey_id, len(gaps) + 1))


_JOURNEYS = """
    from (
        select
            dim_journeys.*,
            count(distinct case_id) as cases,
            count(distinct case_id) filter (is_left_truncated) as left_truncated_cases,
            count(*) filter (is_open) as open_visits,
            min(entered_at) as oldest
        from dim_journeys
        left join fct_stage_visits using (journey_id)
        group by all
    )
    order by journey_id
"""

_STAGES = """
    from (
        select dim_stages.*, count(distinct case_id) as cases
        from dim_stages
        left join fct_stage_visits using (journey_id, stage_id)
        group by all
    )
    order by journey_id, stage_order, stage_id
"""

_TOTALS = """
    from fct_measures
    where segment_dimension = 'all' and segment_value = 'all' and touchpoint_id is null
"""

# The last of several, which ends with `all`: a stage that nobody entered in it has none. Each
# metric has its own: surveys and contacts are known sooner than outcomes.
_TRAILING = f"""
    {_TOTALS} and period_grain in ('{TRAILING}', 'all')
    qualify period_grain = '{TRAILING}'
        and period_end = max(period_end) over (partition by journey_id, metric_id, stage_id)
    order by journey_id, metric_id, stage_id
"""

# What a case is counted by, which a journey map's segments and no pairs of them are: topics of
# feedback, teams and touchpoints divide other things than cases.
# The dimensions of the journey map; pairs of them are none.
DIMENSIONS = "(select segment_dimension from fct_visit_segments)"

_SEGMENTS = f"""
    from fct_measures
    where touchpoint_id is null and period_grain in ('{TRAILING}', 'all')
        and metric_id in ('conversion_rate', 'time_in_stage_p50')
        and (segment_dimension = 'all' or segment_dimension in {DIMENSIONS})
    qualify period_grain = '{TRAILING}' and segment_dimension <> 'all'
        and period_end = max(period_end) over (partition by journey_id, metric_id, stage_id)
    order by journey_id, segment_dimension, segment_value, metric_id, stage_id
"""

_WEEKS = f"""
    {_TOTALS} and period_grain = 'week'
    qualify period_start
        > max(period_start) over (partition by journey_id, metric_id) - interval {WEEKS} week
    order by journey_id, metric_id, stage_id, period_start
"""

# A benchmark of another definition has a value but no gap in any week: it is no mark to reach.
_BENCHMARK_WEEKS = """
    from gap_trends
    where segment_dimension = 'all' and segment_value = 'all' and touchpoint_id is null
        and period_grain = 'week' and benchmark_id is not null
    window benchmark as (partition by benchmark_id)
    qualify count(gap) over benchmark > 0 or count(value) over benchmark = 0
    order by journey_id, metric_id, stage_id, benchmark_kind, benchmark_id, period_start
"""

_GAPS = """
    from gap_ranking
    order by
        segment_dimension <> 'all',
        priority_rank is null,
        priority_rank,
        list_position(
            ['lagging', 'unclear', 'at_par', 'ahead', 'too_few_data', 'immature',
             'definition_mismatch'], verdict
        ),
        gap_id
"""

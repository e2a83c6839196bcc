"""The journey map alone: what its rows say that is, or soon will be, of no use."""

from collections.abc import Iterator
from datetime import date, timedelta

from orchestration.doctor.findings import Finding, Level, some
from orchestration.journey_map import JourneyMap
from orchestration.journey_map.rows import Benchmark, Journey, Touchpoint

AREA = "journey map"
SOON = timedelta(days=30)


def map_rows(journey_map: JourneyMap, today: date) -> Iterator[Finding]:
    """Yield what a map's own rows tell; `today` decides which benchmarks have expired."""
    benchmarks = journey_map.rows(Benchmark)
    expired = [
        f"{row.benchmark_id} ({row.valid_to})"
        for row in benchmarks
        if row.valid_to and row.valid_to < today and not _has_successor(row, benchmarks)
    ]
    if expired:
        yield Finding(
            AREA,
            Level.WARNING,
            f"benchmarks that have expired, so that later weeks have none: {some(expired)}",
            "benchmarks.csv: a row with the new value and valid_from, or a later valid_to",
        )
    ending = [
        f"{row.benchmark_id} ({row.valid_to})"
        for row in benchmarks
        if row.valid_to
        and today <= row.valid_to <= today + SOON
        and not _has_successor(row, benchmarks)
    ]
    if ending:
        yield Finding(
            AREA,
            Level.WARNING,
            f"benchmarks that expire within {SOON.days} days: {some(ending)}",
            "benchmarks.csv: a row with the next value and valid_from, or a later valid_to",
        )
    compared = {row.journey_id for row in benchmarks}
    alone = [row.journey_id for row in journey_map.rows(Journey) if row.journey_id not in compared]
    if alone:
        yield Finding(
            AREA,
            Level.INFO,
            f"journeys without a benchmark, compared with their own past only: {some(alone)}",
            "benchmarks.csv: one row of kind target is enough to begin",
        )
    unowned = [
        row.touchpoint_id
        for row in journey_map.rows(Touchpoint)
        if row.owner_team is None and row.owner_column is None
    ]
    if unowned:
        yield Finding(
            AREA,
            Level.INFO,
            f"touchpoints that nobody owns: {some(unowned)}",
            "touchpoints.csv: owner_team, or owner_column where the events say who",
        )


def _has_successor(row: Benchmark, benchmarks: list[Benchmark]) -> bool:
    """Whether another row takes over the day after, of the same measure and kind."""
    return any(
        other is not row
        and (other.valid_to is None or (row.valid_to is not None and other.valid_to > row.valid_to))
        and _measure(other) == _measure(row)
        for other in benchmarks
    )


def _measure(row: Benchmark) -> tuple[object, ...]:
    return (
        row.metric_id,
        row.journey_id,
        row.stage_id,
        row.segment_dimension,
        row.segment_value,
        row.percentile,
        row.kind,
    )

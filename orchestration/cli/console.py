"""How the commands write: to a terminal or a pipe, figures as a person says them."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from orchestration.publish.reading import Table


def console_of(stream: Any) -> Console:
    """A console that writes to a stream."""
    # A pipe has no width: wide enough to keep one row on one line.
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False)


def listed(counts: dict[str, int]) -> str:
    """Counts in one line: kept 3, quarantined 1,024."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def ranking_grid(ranking: Table, rows: int) -> Grid:
    """A ranking as it fits a screen."""
    grid = Grid(title="Gaps, worst first", title_justify="left")
    for heading in ("rank", "journey", "stage", "metric", "segment"):
        grid.add_column(heading)
    for heading in ("value", "desired", "lag", "n"):
        grid.add_column(heading, justify="right")
    grid.add_column("verdict")
    for gap in ranking.records()[:rows]:
        segment = (gap["segment_dimension"], gap["segment_value"])
        grid.add_row(
            cell(gap["priority_rank"]),
            *(escape(gap[column]) for column in ("journey_id", "stage_id", "metric_id")),
            "all" if segment == ("all", "all") else escape(" ".join(segment)),
            measured(gap["value"], gap["unit"]),
            f"{measured(gap['benchmark_value'], gap['unit'])} ({gap['benchmark_kind']})",
            cell(gap["lag_factor"]),
            cell(gap["n"]),
            gap["verdict"],
        )
    return grid


def measured(value: float | None, unit: str | None) -> str:
    """A measure as a person says it: 41.2 %, 7.1 days."""
    if value is None:
        return "unknown"
    return f"{value:.1%}" if unit == "share" else f"{number(value)} {unit or ''}".rstrip()


def cell(value: object) -> str:
    """A value in a grid; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Three digits that count, and all of a larger number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

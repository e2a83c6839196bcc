"""How the commands write: to a terminal or a pipe, figures as a person says them."""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich import markup
from rich.console import Console
from rich.table import Table as Grid

from orchestration.publish.reading import Table


def console_of(stream: Any) -> Console:
    """A console that writes to a stream."""
    # A pipe has no width: wide enough to keep one row on one line.
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False)


# What a terminal obeys (C0, DEL, C1) and what turns the order of letters around.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# A spreadsheet takes a text that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """A text from data with what a terminal would obey made visible: `\\x1b[31m`."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def escape(text: str) -> str:
    """A text from data for a console: neither markup nor a terminal's commands."""
    return markup.escape(harmless(text))


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV; a text that a spreadsheet would run as a formula begins with `'`.

    Numbers stay numbers. What CSV readers stumble over is mended: NULs are left out, carriage
    returns become line feeds, which are quoted.
    """
    is_terminal = stream.isatty()

    def written(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
        text = harmless(text) if is_terminal else text
        # Spreadsheets skip blanks before a formula.
        return f"'{text}" if text.lstrip(" \n").startswith(_FORMULA) else text

    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([written(column) for column in columns])
    writer.writerows([written(value) for value in row] for row in rows)


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
            f"{measured(gap['benchmark_value'], gap['unit'])} ({escape(gap['benchmark_kind'])})",
            cell(gap["lag_factor"]),
            cell(gap["n"]),
            escape(gap["verdict"]),
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


def in_bytes(size: float) -> str:
    """A size as a person says it: 812 B, 4.2 MB."""
    units = ["GB", "MB", "kB", "B"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop()
    return f"{number(size)} {units[-1]}"


def number(value: float) -> str:
    """Three digits that count, and all of a larger number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

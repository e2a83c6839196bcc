"""`journey-gaps trend`: measures week by week, and what changed."""

import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.text import Text

from orchestration.cli.console import between, can_write, cell, change, console_of, measured
from orchestration.cli.filters import (
    SCREENFUL,
    Journeys,
    Kinds,
    Metrics,
    Segments,
    Stages,
    explained,
    fail_on,
    say_if_none,
    selection_of,
)
from orchestration.cli.gaps import desired, judged, segment_of
from orchestration.cli.program import Demo, Format, Home, Map, Written, load_settings
from orchestration.cli.sparklines import ASCII, BLOCKS, Glyphs, Point, sparkline
from orchestration.cli.views import Column, View, left_out, show
from orchestration.publish.comparing import published_trends
from orchestration.publish.reading import Table

# As many as gap_trends has, and as many as a terminal narrower than this shows.
WEEKS = 26
NARROW, NARROW_WEEKS = 100, 13
TRAILING = "trailing_13_weeks"
Rows = Sequence[Mapping[str, Any]]
MEASURE = (
    *("journey_id", "metric_id", "stage_id", "touchpoint_id"),
    *("segment_dimension", "segment_value"),
)
COLUMNS = (
    Column("journey", is_name=True),
    Column("stage", is_name=True),
    Column("metric", is_name=True),
    Column("segment", is_name=True),
    Column("weeks"),
    Column("13 weeks", is_figure=True),
    Column("before", is_figure=True, is_optional=True),
    Column("change", is_figure=True),
    Column("interval", is_figure=True),
    Column("n", is_figure=True),
    Column("trend"),
    Column("desired", is_figure=True, is_optional=True),
)


class Trend(StrEnum):
    """What gap_trends says of a change; `alert` is worsening enough to warn of."""

    IMPROVING = "improving"
    WORSENING = "worsening"
    STEADY = "steady"
    UNCLEAR = "unclear"
    ALERT = "alert"


def trend(
    journey: Journeys = None,
    metric: Metrics = None,
    stage: Stages = None,
    segment: Segments = None,
    verdict: Annotated[
        list[Trend] | None,
        typer.Option(help="Only what the 13 weeks say so of; repeat it for several."),
    ] = None,
    benchmark_kind: Kinds = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every metric. Default: conversion rates, what has a benchmark, what alerts.",
        ),
    ] = False,
    weeks: Annotated[
        int | None,
        typer.Option(
            min=1, max=WEEKS, help=f"The last weeks (default: {WEEKS}; fewer in a narrow terminal)."
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measures, in the order of stages (default: all; "
            f"{SCREENFUL} in a table and in Markdown).",
        ),
    ] = None,
    fail_on_: Annotated[
        list[Trend] | None,
        typer.Option(
            "--fail-on",
            help="Exit 4 where the 13 weeks of a selected measure say so, and write all the same; "
            "repeat it for several.",
        ),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
) -> None:
    """Measures week by week, and the latest 13 mature weeks against the 13 before them.

    Totals, unless --segment names others. Weeks whose window is not over, or of which a part lies
    outside the data, stand in parentheses and are never compared; a week without cases is a gap.

    journey-gaps trend --journey lead_to_customer --fail-on alert

    Exit 0: shown; 1: nothing is published; 2: wrong usage; 4: --fail-on found its verdict.
    """
    settings = load_settings(demo=demo, map=map_, home=home)
    selection = selection_of(journey, metric, stage, segment, verdict, benchmark_kind)
    is_narrow = format_ is Format.TABLE and console_of(sys.stdout).width < NARROW
    span = weeks or (NARROW_WEEKS if is_narrow else WEEKS)
    with explained():
        found = published_trends(settings.published_dir, span, selection, all_metrics=all_)
    measures = [list(rows) for _, rows in groupby(found.records(), key=_measure)][:top]
    selected = Table(found.columns, found.rows[: sum(map(len, measures))])
    glyphs = BLOCKS if can_write(sys.stdout, BLOCKS.all) else ASCII
    show(format_, selected, [_view(measures, top or SCREENFUL, span, glyphs)])
    say_if_none(len(measures), "measure")
    said = [verdict for rows in measures for verdict in _verdicts(rows)]
    fail_on(said, fail_on_ or [])


def _measure(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column] for column in MEASURE)


def _verdicts(rows: Rows) -> list[str]:
    """What the 13 weeks of a measure say, and `alert` where anything of it alerts."""
    latest = _latest(rows)
    verdict = latest and latest["trend"]
    alerts = [Trend.ALERT] if any(row["is_alert"] for row in rows) else []
    return [*([verdict] if verdict else []), *alerts]


def _latest(rows: Rows) -> Mapping[str, Any] | None:
    """The latest 13 mature weeks of a measure."""
    return next((row for row in rows if row["period_grain"] == TRAILING), None)


def _view(measures: Sequence[Rows], shown: int, span: int, glyphs: Glyphs) -> View:
    """One row a measure; a journey's lines have the same weeks."""
    body: list[list[str | Text]] = []
    starts: list[date] = []
    for _, of_journey in groupby(measures[:shown], key=lambda rows: rows[0]["journey_id"]):
        in_journey = list(of_journey)
        weeks = _weeks([row for rows in in_journey for row in rows], span)
        body += [_row(rows, weeks, glyphs) for rows in in_journey]
        starts += weeks
    remarks = []
    if starts:
        remarks.append(
            f"Weeks from {min(starts)} to {max(starts)}: {glyphs.levels[0]} is zero (of a score "
            f"its lowest), {glyphs.levels[-1]} the row's highest, {glyphs.no_value} no case; those "
            "in (parentheses) are immature or partial, and never compared."
        )
    remarks += left_out(len(measures) - shown, "measures")
    return View("Trends: the latest 13 mature weeks against the 13 before", COLUMNS, body, remarks)


def _weeks(rows: Rows, span: int) -> list[date]:
    """The first days of the last weeks of a journey, from the first that some rows have."""
    starts = [row["period_start"] for row in rows if row["period_grain"] == "week"]
    if not starts:
        return []
    newest: date = rows[0]["newest_week"]
    count = min(span, (newest - min(starts)).days // 7 + 1)
    return [newest - timedelta(weeks=back) for back in reversed(range(count))]


def _points(rows: Rows, weeks: Sequence[date]) -> list[Point]:
    """A measure's weeks; one that it does not have counts as the one before it does."""
    by_week = {row["period_start"]: row for row in rows if row["period_grain"] == "week"}
    points: list[Point] = []
    for week in weeks:
        row = by_week.get(week)
        if row is None:
            points.append(Point(None, points[-1].counts if points else True))
        else:
            counts = bool(row["is_mature"]) and not row["is_partial"]
            points.append(Point(row["value"] if row["n"] else None, counts))
    return points


def _row(rows: Rows, weeks: Sequence[date], glyphs: Glyphs) -> list[str | Text]:
    first = rows[0]
    unit = first["unit"]
    latest = _latest(rows)
    line = sparkline(_points(rows, weeks), glyphs, first["score_min"] or 0.0)
    names: list[str | Text] = [
        *(first[name] for name in ("journey_id", "stage_id", "metric_id")),
        segment_of(first),
        line,
    ]
    benchmarks = dict.fromkeys(filter(None, map(desired, reversed(rows))))
    if latest is None:
        return [*names, "", "", "", "", "", judged(_said(rows)), ", ".join(benchmarks)]
    previous = latest["previous_value"]
    return [
        *names,
        measured(latest["value"], unit),
        "" if previous is None else measured(previous, unit),
        change(latest["change"], unit),
        between(latest["change_ci_low"], latest["change_ci_high"], unit),
        cell(latest["n"]),
        judged(_said(rows)),
        ", ".join(benchmarks),
    ]


def _said(rows: Rows) -> str:
    """The verdict of the 13 weeks, or why there is none, and what alerts."""
    latest = _latest(rows)
    if latest is None:
        said = "immature"
    elif latest["trend"] is None:
        said = "too few data"
    else:
        said = latest["trend"]
    alerts = [
        "alert" if row["period_grain"] == TRAILING else f"alert of {row['period_start']}"
        for row in rows
        if row["is_alert"]
    ]
    return ", ".join(dict.fromkeys([said, *alerts]))

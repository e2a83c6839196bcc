"""`journey-gaps compare`: segments side by side, or two publications."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from orchestration.cli.console import cell, interval, measured, p_value
from orchestration.cli.drivers import beware
from orchestration.cli.filters import (
    SCREENFUL,
    Journeys,
    Kinds,
    Segments,
    Stages,
    Top,
    Verdicts,
    explained,
    say_if_none,
    selection_of,
)
from orchestration.cli.gaps import desired, judged, segment_of
from orchestration.cli.program import Demo, Format, Home, Map, Written, load_settings
from orchestration.cli.views import Column, View, left_out, show
from orchestration.publish.comparing import PREVIOUS, published_changes, published_segments
from orchestration.publish.reading import Table

METRIC = "conversion_rate"
SEGMENT_COLUMNS = (
    Column("journey", is_name=True),
    Column("stage", is_name=True),
    Column("metric", is_name=True),
    Column("segment", is_name=True),
    Column("value", is_figure=True),
    Column("95 % interval", is_figure=True),
    Column("n", is_figure=True),
    Column("others", is_figure=True),
    Column("p", is_figure=True),
    Column("desired", is_figure=True),
    Column("verdict"),
    Column("13 weeks from", is_figure=True, is_optional=True),
)
CHANGE_COLUMNS = (
    Column("journey", is_name=True),
    Column("stage", is_name=True),
    Column("metric", is_name=True),
    Column("segment", is_name=True),
    Column("then", is_figure=True),
    Column("now", is_figure=True),
    Column("desired", is_figure=True),
    Column("verdict"),
    Column("rank"),
    Column("interval then", is_figure=True, is_optional=True),
    Column("interval now", is_figure=True, is_optional=True),
)


def compare(
    dimension: Annotated[
        str | None,
        typer.Option(help="Compare the segments of this dimension, as in the map."),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(help="Only this segment of the dimension; repeat it for several."),
    ] = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="ID",
            help="Compare with a publication that is kept, as `publications list` names it, or "
            f"with the `{PREVIOUS}` one.",
        ),
    ] = None,
    journey: Journeys = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this metric; repeat it for several (default: of segments {METRIC})."
        ),
    ] = None,
    stage: Stages = None,
    segment: Segments = None,
    verdict: Verdicts = None,
    benchmark_kind: Kinds = None,
    top: Top = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
) -> None:
    """Segments of one dimension side by side, or the gaps of two publications.

    journey-gaps compare --dimension acquisition_channel --stage signed_up

    journey-gaps compare --with previous

    Figures, intervals and verdicts are those published; `trend` compares periods.

    Exit 0: shown; 1: nothing is published; 2: wrong usage, such as a dimension that is not there.
    """
    if (dimension is None) == (with_ is None):
        raise typer.BadParameter("say either --dimension or --with; `trend` compares periods")
    if dimension is None and value:
        raise typer.BadParameter("--value is a segment of --dimension")
    if dimension is not None and segment:
        raise typer.BadParameter("--segment goes with --with: of a --dimension, name a --value")
    settings = load_settings(demo=demo, map=map_, home=home)
    of_segments = [METRIC] if dimension is not None else None
    selection = selection_of(
        journey, metric or of_segments, stage, segment, verdict, benchmark_kind
    )
    title = f"Segments of {dimension}, worst first below all cases; p is against the others"
    with explained():
        if dimension is not None:
            found = published_segments(settings.published_dir, dimension, value or [], selection)
        else:
            earlier, found = published_changes(settings.published_dir, with_ or "", selection)
            title = f"Gaps of publication {earlier} and now, changed verdicts first"
    selected = Table(found.columns, found.rows[:top])
    records = selected.records()
    shown = records[: top or SCREENFUL]
    remarks = left_out(len(records) - len(shown), "rows")
    view_of = _changes if dimension is None else _segments
    show(format_, selected, [view_of(title, shown, remarks)])
    say_if_none(len(records), "gap" if dimension is None else "measure")


def _segments(title: str, rows: Sequence[Mapping[str, Any]], remarks: Sequence[str]) -> View:
    """All cases and the segments of each stage."""
    body: list[list[str | Text]] = [
        [
            *(row[name] for name in ("journey_id", "stage_id", "metric_id")),
            segment_of(row),
            measured(row["value"], row["unit"]),
            interval(row["ci_low"], row["ci_high"], row["unit"]),
            cell(row["n"]),
            "" if row["others_value"] is None else measured(row["others_value"], row["unit"]),
            p_value(row["others_adjusted_p_value"]),
            desired(row),
            judged(row["verdict"]),
            str(row["period_start"]),
        ]
        for row in rows
    ]
    warnings = beware((segment_of(row), row["others_warning"]) for row in rows)
    return View(title, SEGMENT_COLUMNS, body, [*warnings, *remarks])


def _changes(title: str, rows: Sequence[Mapping[str, Any]], remarks: Sequence[str]) -> View:
    """Gaps then and now."""
    body: list[list[str | Text]] = []
    for row in rows:
        unit = row["unit"]
        names = (row[name] for name in ("journey_id", "stage_id", "metric_id"))
        then, now = (
            "" if row[f"verdict_{moment}"] is None else measured(row[f"value_{moment}"], unit)
            for moment in ("before", "now")
        )
        body.append(
            [
                *names,
                segment_of(row),
                then,
                now,
                _desired(row),
                judged(_verdict(row)),
                _was(_rank(row["priority_rank_now"]), _rank(row["priority_rank_before"])),
                interval(row["ci_low_before"], row["ci_high_before"], unit),
                interval(row["ci_low_now"], row["ci_high_now"], unit),
            ]
        )
    return View(title, CHANGE_COLUMNS, body, remarks)


def _was(now: str, before: str) -> str:
    """What something is and, where that is another, what it was: lagging, was unclear."""
    return now if now == before else f"{now}, was {before}"


def _verdict(row: Mapping[str, Any]) -> str:
    if row["verdict_before"] is None:
        return f"{row['verdict_now']}, new"
    return _was(row["verdict_now"] or "gone", row["verdict_before"])


def _rank(rank: int | None) -> str:
    return "none" if rank is None else cell(rank)


def _desired(row: Mapping[str, Any]) -> str:
    """The benchmark, and what it was where somebody changed it; the own past always changes."""
    before, now = row["benchmark_value_before"], row["benchmark_value_now"]
    if now is None:
        return f"{measured(before, row['unit'])} ({row['benchmark_kind']})"
    said = f"{measured(now, row['unit'])} ({row['benchmark_kind']})"
    is_set = before is not None and row["benchmark_kind"] != "own_past"
    return _was(said, f"{measured(before, row['unit'])}") if is_set and before != now else said

"""`journey-gaps gaps`: the published ranking."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from orchestration.cli.console import cell, measured
from orchestration.cli.filters import (
    SCREENFUL,
    Journeys,
    Kinds,
    Metrics,
    Segments,
    Stages,
    Top,
    Verdict,
    Verdicts,
    explained,
    fail_on,
    say_if_none,
    selection_of,
)
from orchestration.cli.program import Demo, Format, Home, Map, Written, load_settings
from orchestration.cli.views import Column, View, left_out, one_line, show
from orchestration.publish.reading import published_gaps

COLUMNS = (
    Column("rank"),
    Column("journey", is_name=True),
    Column("stage", is_name=True),
    Column("metric", is_name=True),
    Column("segment", is_name=True),
    Column("value", is_figure=True),
    Column("desired", is_figure=True),
    Column("lag", is_figure=True),
    Column("n", is_figure=True),
    Column("verdict"),
    Column("worth at most", is_figure=True, is_optional=True),
    Column("owner", is_optional=True, wraps=True),
    Column("reason", is_optional=True, wraps=True),
)
# Of one gap, in a table.
SHOWN_TEAMS = 4
COLOURS = {"lagging": "red", "worsening": "red", "ahead": "green", "improving": "green"}


def gaps(
    journey: Journeys = None,
    metric: Metrics = None,
    stage: Stages = None,
    segment: Segments = None,
    verdict: Verdicts = None,
    benchmark_kind: Kinds = None,
    top: Top = None,
    fail_on_: Annotated[
        list[Verdict] | None,
        typer.Option(
            "--fail-on",
            help="Exit 4 where a selected gap has this verdict, and write all the same; repeat it "
            "for several.",
        ),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
) -> None:
    """The published gap ranking, worst first: totals, then segments.

    journey-gaps gaps --segment all --benchmark-kind target --fail-on lagging

    Exit 0: shown; 1: nothing is published; 2: wrong usage, such as a stage that the map has not;
    4: --fail-on found its verdict.
    """
    settings = load_settings(demo=demo, map=map_, home=home)
    selection = selection_of(journey, metric, stage, segment, verdict, benchmark_kind)
    with explained():
        ranking = published_gaps(settings.published_dir, top, selection)
    records = ranking.records()
    show(format_, ranking, [ranking_view(records, top or SCREENFUL)])
    say_if_none(len(records), "gap")
    fail_on([gap["verdict"] for gap in records], fail_on_ or [])


def ranking_view(ranking: Sequence[Mapping[str, Any]], rows: int) -> View:
    """The first rows of a ranking."""
    body = [_row(gap) for gap in ranking[:rows]]
    return View("Gaps, worst first", COLUMNS, body, left_out(len(ranking) - rows, "rows"))


def segment_of(row: Mapping[str, Any]) -> str:
    """A segment as a person says it: all, region dach."""
    segment = (row["segment_dimension"], row["segment_value"])
    return "all" if segment == ("all", "all") else " ".join(segment)


def desired(row: Mapping[str, Any]) -> str:
    """A benchmark with its kind: 60.0% (industry); empty where there is none."""
    if row["benchmark_kind"] is None:
        return ""
    return f"{measured(row['benchmark_value'], row['unit'])} ({row['benchmark_kind']})"


def judged(verdict: str | None) -> Text:
    """A verdict; what is worse or better has a colour too."""
    text = one_line(verdict or "")
    return Text(text, COLOURS.get(text.partition(",")[0], ""))


def _row(gap: Mapping[str, Any]) -> list[str | Text]:
    worth = gap["value_at_stake"]
    return [
        cell(gap["priority_rank"]),
        *(gap[name] for name in ("journey_id", "stage_id", "metric_id")),
        segment_of(gap),
        measured(gap["value"], gap["unit"]),
        desired(gap),
        cell(gap["lag_factor"]),
        cell(gap["n"]),
        judged(gap["verdict"]),
        "" if worth is None else f"{cell(worth)} {gap['currency'] or ''}".rstrip(),
        gap["last_action_owner"] or _some(gap["owner_teams"] or ""),
        gap["top_reason"] or "",
    ]


def _some(teams: str) -> str:
    """The first of a list of teams; JSON and CSV have them all."""
    names = teams.split(", ")
    if len(names) <= SHOWN_TEAMS:
        return teams
    return f"{', '.join(names[:SHOWN_TEAMS])} and {len(names) - SHOWN_TEAMS} more"

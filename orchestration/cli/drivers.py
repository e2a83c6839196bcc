"""`journey-gaps drivers`: what goes with one gap."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.text import Text

from orchestration.cli.console import (
    between,
    can_write,
    cell,
    change,
    harmless,
    measured,
    number,
    p_value,
    share,
)
from orchestration.cli.filters import (
    Journeys,
    Kinds,
    Metrics,
    Stages,
    explained,
    say_if_none,
    selection_of,
)
from orchestration.cli.program import Demo, Format, Home, Map, Written, load_settings
from orchestration.cli.sparklines import ASCII, BLOCKS, Glyphs, bar
from orchestration.cli.views import Column, View, show
from orchestration.publish.reading import published_drivers

# Reasons of each kind in a table and in Markdown, where --top says nothing.
FIRST = 5
ASSOCIATIONS = "These are associations: only an experiment's readout says because."
NO_REASONS = "There are none of {}: reasons are sought for rates of all cases that could be judged."
TITLES = {
    "behaviour": "Behaviour in the first fifth of the window, of those still in the stage then",
    "experience": "Experience before the outcome",
    "hand_off": "Hand-offs on the way in",
    "upstream": "The path into the stage",
}
WARNINGS = {
    "simpson_reversal": "the parts point one way, the whole the other",
    "early_outcomes": "most outcomes came before the landmark, so it tells of who was left",
    "too_few_data": "too few to be tested",
    "unknown_value": "not tested since who converts becomes known",
}


class DriverKind(StrEnum):
    """The kinds of gap_drivers."""

    SEGMENT = "segment"
    MIX_AND_RATE = "mix_and_rate"
    BEHAVIOUR = "behaviour"
    EXPERIENCE = "experience"
    HAND_OFF = "hand_off"
    UPSTREAM = "upstream"


def drivers(
    gap: Annotated[
        str | None,
        typer.Argument(
            metavar="[GAP]",
            help="The gap: its id, or its rank among the totals as `gaps` shows it (default: the "
            "first of the selection).",
        ),
    ] = None,
    kind: Annotated[
        list[DriverKind] | None,
        typer.Option(help="Only reasons of this kind; repeat it for several."),
    ] = None,
    journey: Journeys = None,
    metric: Metrics = None,
    stage: Stages = None,
    benchmark_kind: Kinds = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Reasons of each kind (default: all; {FIRST} in a table and in Markdown).",
        ),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
) -> None:
    """What goes with a gap, clearest first: associations, never causes.

    journey-gaps drivers 1; journey-gaps drivers --stage offer_sent --kind segment

    Of rates of all cases that could be judged. p is adjusted over all gaps that lag.

    Exit 0: shown; 1: nothing is published; 2: wrong usage, such as a gap that is not there.
    """
    if gap is not None and (journey or metric or stage or benchmark_kind):
        raise typer.BadParameter("GAP says which gap: leave out --journey, --metric, --stage …")
    settings = load_settings(demo=demo, map=map_, home=home)
    selection = selection_of(journey, metric, stage, kinds=benchmark_kind)
    is_short = top is None and format_ in (Format.TABLE, Format.MD)
    with explained():
        found, reasons = published_drivers(
            settings.published_dir, gap, selection, kind or [], FIRST if is_short else top
        )
    glyphs = BLOCKS if can_write(sys.stdout, BLOCKS.all) else ASCII
    records = reasons.records()
    show(format_, reasons, [] if found is None else _views(found, records, glyphs))
    if found is None:
        say_if_none(0, "gap")
    elif kind:
        say_if_none(len(records), "reason")
    elif not records:
        typer.echo(NO_REASONS.format(harmless(found["gap_id"])), err=True)


def _views(
    gap: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]], glyphs: Glyphs
) -> list[View]:
    """The gap in words, then a view of each kind of reason."""
    owner = gap["last_action_owner"] or gap["owner_teams"]
    told = [f"{gap['gap_id']}{f', owner: {owner}' if owner else ''}"]
    if gap["last_action_sentence"]:
        told.append(gap["last_action_sentence"])
    views = [View(gap["sentence"], [], [], told)]
    for (kind, compared_with), of_kind in groupby(reasons, key=_section):
        rows = list(of_kind)
        match kind:
            case "mix_and_rate":
                views.append(_contributions(rows, compared_with, glyphs))
            case "segment":
                views.append(_segments(rows, glyphs))
            case _:
                views.append(_tests(rows, TITLES.get(kind, kind)))
    return [*views, View("", [], [], [ASSOCIATIONS])] if reasons else views


def _section(reason: Mapping[str, Any]) -> tuple[str, str]:
    """What a reason is listed with: only contributions differ by what they add up to."""
    kind = reason["driver_kind"]
    return kind, reason["compared_with"] if kind == "mix_and_rate" else ""


def _contributions(
    reasons: Sequence[Mapping[str, Any]], compared_with: str, glyphs: Glyphs
) -> View:
    largest = max(abs(reason["effect"]) for reason in reasons)
    total = change(float(reasons[0]["contribution_total"]), "share")
    against = "the benchmark" if compared_with == "benchmark" else "the 13 weeks before"
    return View(
        f"Mix and rate against {against}: those of a dimension add up to {total}",
        [
            Column("reason", is_name=True, wraps=True),
            Column("contribution", is_figure=True),
            Column(""),
            Column("n", is_figure=True),
        ],
        [
            [
                reason["driver"],
                change(reason["effect"], "share"),
                _coloured(bar(abs(reason["effect"]) / (largest or 1), glyphs), reason),
                cell(reason["n"]),
            ]
            for reason in reasons
        ],
        beware((reason["driver"], reason["warning"]) for reason in reasons),
    )


def _segments(reasons: Sequence[Mapping[str, Any]], glyphs: Glyphs) -> View:
    return View(
        "Segments: each against the others (p), and the points from its benchmark (95 % interval)",
        [
            Column("segment", is_name=True, wraps=True),
            Column("rate", is_figure=True),
            Column("others", is_figure=True),
            Column("p", is_figure=True),
            Column("from benchmark", is_figure=True),
            Column("interval", is_figure=True, is_optional=True),
            Column("of recoverable", is_figure=True),
            Column(""),
            Column("n", is_figure=True),
        ],
        [
            [
                reason["driver"],
                measured(reason["exposed_value"], "share"),
                measured(reason["other_value"], "share"),
                p_value(reason["adjusted_p_value"]),
                _coloured(change(reason["effect"], "share"), reason),
                between(reason["ci_low"], reason["ci_high"], "share"),
                share(reason["share_of_gap"]),
                bar(reason["share_of_gap"] or 0, glyphs),
                cell(reason["exposed_n"]),
            ]
            for reason in reasons
        ],
        beware((reason["driver"], reason["warning"]) for reason in reasons),
    )


def _tests(reasons: Sequence[Mapping[str, Any]], title: str) -> View:
    return View(
        title,
        [
            Column("reason", is_name=True, wraps=True),
            Column("among", is_name=True, wraps=True),
            Column("with", is_figure=True),
            Column("without", is_figure=True),
            Column("effect", is_figure=True),
            Column("interval", is_figure=True),
            Column("p", is_figure=True),
            Column("n with", is_figure=True),
            Column("n", is_figure=True),
        ],
        [
            [
                reason["driver"],
                reason["compared_with"],
                measured(reason["exposed_value"], _unit(reason)),
                measured(reason["other_value"], _unit(reason)),
                _coloured(_effect(reason), reason),
                _interval(reason),
                p_value(reason["adjusted_p_value"]),
                cell(reason["exposed_n"]),
                cell(reason["n"]),
            ]
            for reason in reasons
        ],
        beware((reason["driver"], reason["warning"]) for reason in reasons),
    )


def beware(warnings: Iterable[tuple[str, str | None]]) -> list[str]:
    """What to beware of, one sentence a warning: of (name, its warning or None)."""
    warned: dict[str, list[str]] = {}
    for name, warning in warnings:
        if warning and name not in warned.setdefault(warning, []):
            warned[warning].append(name)
    return [
        f"Beware, {WARNINGS.get(warning, warning)}: {', '.join(names)}."
        for warning, names in warned.items()
    ]


def _unit(reason: Mapping[str, Any]) -> str:
    return "days" if reason["effect_kind"] == "wait_days" else "share"


def _effect(reason: Mapping[str, Any]) -> str:
    effect = reason["effect"]
    if reason["effect_kind"] == "odds_ratio":
        return "" if effect is None else f"odds x {number(effect)}"
    return change(effect, _unit(reason))


def _interval(reason: Mapping[str, Any]) -> str:
    low, high = reason["ci_low"], reason["ci_high"]
    if reason["effect_kind"] == "odds_ratio" and low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    return between(low, high, _unit(reason))


def _coloured(text: str, reason: Mapping[str, Any]) -> Text:
    colours = {True: "red", False: "green"}
    return Text(text, colours.get(reason["is_unfavourable"], ""))

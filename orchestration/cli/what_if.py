"""`journey-gaps what-if`: a journey with its gaps closed."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from orchestration.cli.console import cell, harmless, measured, number
from orchestration.cli.program import Demo, Format, Home, Map, Written, load_settings
from orchestration.cli.views import Cell, Column, View, one_line, show
from orchestration.publish.reading import Table, published_facts
from orchestration.what_if import Answer, Goal, Lever, QuestionError, answer


def what_if(
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A stage to change; repeat it to change several together."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="What becomes of it, once for all stages or once each: its `benchmark` (of "
            "several the furthest, its own past only where it lags behind that; or `industry`, "
            "`target`, `own_past`), a rate of the cases that move on (`60%`, `0.6`), or the "
            "median days until then (`2d`). "
            "Default: benchmark."
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Close every gap of the journey that lags.")
    ] = False,
    journey: Annotated[
        str | None,
        typer.Option(help="The journey, where the stages leave a doubt which."),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
) -> None:
    """What a journey would bring if stages were at their benchmark.

    Successes, value and time of the latest 13 mature weeks: as they are, with each change
    alone and with all together. Each stage feeds the next, so together is not the sum.

    journey-gaps what-if --demo --stage signed_up --stage offer_sent --to benchmark

    Exit 0: answered; 1: the publication cannot answer; 2: wrong usage, such as a stage that
    the map has not.
    """
    settings = load_settings(demo=demo, map=map_, home=home)
    try:
        goals = [Goal.parse(text) for text in to or ["benchmark"]]
        if all_ and to:
            raise QuestionError("--all goes to the benchmarks: leave out --to")
        found = answer(
            published_facts(settings.published_dir), stage or [], goals, journey, all_gaps=all_
        )
    except QuestionError as error:
        raise typer.BadParameter(harmless(str(error))) from error
    if format_ is Format.JSON:
        typer.echo(json.dumps(found.record(), default=str, indent=2))
        return
    rows = [
        {**scenario, "levers": " + ".join(_lever(lever) for lever in own.levers)}
        for own, scenario in zip(found.scenarios, found.record()["scenarios"], strict=True)
    ]
    table = Table(list(rows[0]), [tuple(row.values()) for row in rows])
    show(format_, table, [_view(found)])


def _view(found: Answer) -> View:
    """Scenarios, without value columns where nothing has a value."""
    last_day = found.period_end - timedelta(days=1)
    has_value = found.mean_success_value is not None
    currency = f" {found.currency}" if found.currency else ""
    headings = ["successes", "added", "cautiously"]
    if has_value:
        headings += [f"value{currency}", f"added{currency}"]
    headings += ["days to success", "saved"]
    rows: list[list[Cell]] = []
    for scenario in found.scenarios:
        values = (
            *(scenario.successes, scenario.added_successes, scenario.cautious_added_successes),
            *((scenario.value, scenario.added_value) if has_value else ()),
            *(scenario.mean_days_to_success, scenario.saved_days),
        )
        levers = (one_line(_lever(lever)) for lever in scenario.levers)
        name = Text("\n+ ".join(levers) or "as it is")
        rows.append([name, *(cell(value) for value in values)])
    return View(
        f"{found.journey_id}, {found.inflow:,} cases that began {found.period_start} to {last_day}",
        [
            Column("scenario", is_name=True, wraps=True),
            *(Column(heading, is_figure=True) for heading in headings),
        ],
        rows,
        list(_remarks(found)),
    )


def _lever(lever: Lever) -> str:
    """A change as a person says it: signed_up from 40.6% to 60.0% (industry)."""
    unit = "share" if lever.is_rate else "days"
    source = f" ({lever.benchmark_kind})" if lever.benchmark_kind else ""
    actual, desired = measured(lever.actual, unit), measured(lever.desired, unit)
    return f"{lever.stage_id} from {actual} to {desired}{source}"


def _remarks(found: Answer) -> Iterator[str]:
    """What a reader should know besides the figures."""
    together = found.scenarios[-1]
    added, summed = together.added_successes, together.sum_of_single_effects
    if abs(added - summed) >= 0.05:
        yield (
            f"Together they add {number(added)} successes, one by one {number(summed)} in sum: "
            "each stage feeds the next."
        )
    yield (
        f"As it is, the chain expects {number(found.scenarios[0].successes)} successes; "
        f"{found.observed_successes:,} have been seen so far."
    )
    for note in found.notes:
        yield f"{note[0].upper()}{note[1:]}."

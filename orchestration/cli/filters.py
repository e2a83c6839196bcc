"""Which rows: the options that the commands on a publication share, and what they find."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from orchestration.cli.console import harmless
from orchestration.cli.program import FOUND
from orchestration.publish.selection import Selection, SelectionError

# Rows of a table or of Markdown, where --top says nothing.
SCREENFUL = 20


class Verdict(StrEnum):
    """What gap_ranking says of a gap."""

    LAGGING = "lagging"
    AHEAD = "ahead"
    AT_PAR = "at_par"
    UNCLEAR = "unclear"
    TOO_FEW_DATA = "too_few_data"
    IMMATURE = "immature"
    DEFINITION_MISMATCH = "definition_mismatch"


class Benchmark(StrEnum):
    """What a measure is compared with."""

    INDUSTRY = "industry"
    TARGET = "target"
    OWN_PAST = "own_past"


Journeys = Annotated[
    list[str] | None,
    typer.Option("--journey", help="Only this journey, as in the map; repeat it for several."),
]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", help="Only this metric; repeat it for several.")
]
Stages = Annotated[
    list[str] | None, typer.Option("--stage", help="Only this stage; repeat it for several.")
]
Verdicts = Annotated[
    list[Verdict] | None,
    typer.Option("--verdict", help="Only this verdict; repeat it for several."),
]
Kinds = Annotated[
    list[Benchmark] | None,
    typer.Option("--benchmark-kind", help="Only this kind; repeat it for several."),
]
Segments = Annotated[
    list[str] | None,
    typer.Option(
        "--segment",
        metavar="DIMENSION[=VALUE]",
        help="Only this segment, or all of its dimension; `all` is the totals. Repeat it.",
    ),
]
Top = Annotated[
    int | None,
    typer.Option(min=1, help=f"Rows (default: all; {SCREENFUL} in a table and in Markdown)."),
]


def selection_of(
    journeys: list[str] | None = None,
    metrics: list[str] | None = None,
    stages: list[str] | None = None,
    segments: list[str] | None = None,
    verdicts: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
) -> Selection:
    """The selection that options make."""
    return Selection(
        journeys=journeys or (),
        metrics=metrics or (),
        stages=stages or (),
        segments=segments or (),
        verdicts=[str(verdict) for verdict in verdicts or ()],
        benchmark_kinds=[str(kind) for kind in kinds or ()],
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turn a selection of what the publication has not into wrong usage."""
    try:
        yield
    except SelectionError as error:
        raise typer.BadParameter(harmless(str(error))) from error


def say_if_none(rows: int, what: str) -> None:
    """Say on stderr that nothing is as selected; scripts still get an empty table."""
    if not rows:
        typer.echo(f"No {what} is as selected.", err=True)


def fail_on(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Exit with FOUND where a verdict is found that must not be, and say how often.

    `found` are the verdicts of all rows that are selected, not only of those shown.
    """
    counts = {verdict: found.count(verdict) for verdict in wanted}
    if any(counts.values()):
        told = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items() if count)
        typer.echo(f"--fail-on found {told}", err=True)
        raise typer.Exit(FOUND)

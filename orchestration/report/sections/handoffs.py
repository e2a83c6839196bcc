"""Where cases pass from one owner to another, how long they wait there, and who is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.report.charts import dots as charts
from orchestration.report.charts.base import Spec
from orchestration.report.charts.dots import Dot
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import Journey, Publication
from orchestration.report.words import count, counted, day, days, n_of, percent

# Pairs in a chart; all are in gap_touchpoints.
SHOWN = 8
WARNINGS = {
    "too_few_data": "too few",
    "no_comparison": "too few others",
    "begins_late": "most begin late in the stage",
    "no_excess": "no longer than the others",
}


@dataclass(frozen=True)
class HandOff:
    """Cases of a stage that were with another owner than the one who takes them on."""

    journey_id: str
    stage_id: str
    pair: str
    n: int
    n_affected: int
    share: float | None
    median_wait_days: float | None
    other_n: int | None
    other_share: float | None
    other_median_wait_days: float | None
    excess_days: float | None
    warning: str | None
    finding_rank: int | None


@dataclass(frozen=True)
class Moves:
    """Moves of a journey between stages, from one owner to another or not, and their days."""

    journey_id: str
    is_handoff: bool
    moves: int
    median_days: float | None
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Finding:
    """A finding in the mart's own sentence."""

    journey_id: str
    sentence: str


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block:
    """Waits and losses by pair of owners; what to set where no pair is known."""
    found = [
        row for row in publication.rows(HandOff, _HAND_OFFS) if row.journey_id == journey.journey_id
    ]
    moves = [row for row in publication.rows(Moves, _MOVES) if row.journey_id == journey.journey_id]
    back = [
        row.sentence
        for row in publication.rows(Finding, _BACK_MOVES)
        if row.journey_id == journey.journey_id
    ]
    title = "Hand-offs between owners"
    if not found:
        return Block(
            title=title,
            empty=(
                "No case of this journey was seen with one owner and then another: name "
                "touchpoints and their owner_team in touchpoints.csv, and the events that belong "
                "to them in touchpoint_rules.csv."
            ),
        )
    judged = [row for row in found if row.warning not in ("too_few_data", "no_comparison")]
    few = len(found) - len(judged)
    sentences = _sentences(moves) + back
    if not judged:
        return Block(
            title=title,
            sentences=sentences,
            empty=f"{counted(few, 'pair')} of owners, each with too few hand-offs to say more.",
        )
    shown = judged[:SHOWN]
    note = "A case is handed over from when it is with another owner than the one who takes it on."
    if few or len(judged) > SHOWN:
        rest = few + len(judged) - len(shown)
        note += f" {counted(rest, 'more pair')} with too few or shorter waits: gap_touchpoints."
    return Block(
        title=title,
        note=f"{note} Associations, not causes.",
        sentences=sentences,
        keys=[Key("dot_plain", "handed over"), Key("dot_other", "other cases of the stage")],
        figures=[
            _waits(shown, journey, called, section, moves),
            _losses(shown, journey, called, section, moves),
        ],
    )


def _sentences(moves: Sequence[Moves]) -> list[str]:
    by_kind = {row.is_handoff: row for row in moves}
    handed, other = by_kind.get(True), by_kind.get(False)
    if handed is None:
        return []
    total = sum(row.moves for row in moves)
    text = (
        f"{counted(handed.moves, 'move')} of {count(total)} ({percent(handed.moves / total)}) "
        f"{'goes' if handed.moves == 1 else 'go'} from one owner to another, after a median of "
        f"{days(handed.median_days)} in the stage left"
    )
    return [
        f"{text}, against {days(other.median_days)} of the other moves." if other else f"{text}."
    ]


def _waits(
    found: Sequence[HandOff], journey: Journey, called: Names, section: str, moves: Sequence[Moves]
) -> Figure:
    title = "How long a hand-off waits"
    rows = [
        Dot(
            label=_label(row, called, _wait(row)),
            value=row.median_wait_days,
            text=days(row.median_wait_days),
            other=row.other_median_wait_days,
            other_text=days(row.other_median_wait_days),
            note="none went on",
        )
        for row in found
    ]
    values = [
        value for row in found for value in (row.median_wait_days, row.other_median_wait_days)
    ]
    return _figure(
        f"{section}-handoff-waits",
        title,
        "Median days until a case that was handed over goes on, against the other cases of the "
        "stage",
        found,
        journey,
        called,
        moves,
        [
            [
                _wait(row),
                days(row.other_median_wait_days),
            ]
            for row in found
        ],
        ["Median wait", "Others"],
        charts.dots(rows, charts.ruler("days", values)),
    )


def _losses(
    found: Sequence[HandOff], journey: Journey, called: Names, section: str, moves: Sequence[Moves]
) -> Figure:
    title = "How many of them are lost"
    rows = [
        Dot(
            label=_label(row, called, percent(row.share)),
            value=row.share,
            text=percent(row.share),
            other=row.other_share,
            other_text=percent(row.other_share),
        )
        for row in found
    ]
    values = [value for row in found for value in (row.share, row.other_share)]
    return _figure(
        f"{section}-handoff-losses",
        title,
        "Share that does not go on within the stage's window, against the other cases of the stage",
        found,
        journey,
        called,
        moves,
        [[percent(row.share), percent(row.other_share)] for row in found],
        ["Lost", "Others"],
        charts.dots(rows, charts.ruler("share", values)),
    )


def _figure(
    chart_id: str,
    title: str,
    what: str,
    found: Sequence[HandOff],
    journey: Journey,
    called: Names,
    moves: Sequence[Moves],
    cells: Sequence[Sequence[str]],
    columns: Sequence[str],
    spec: Spec,
) -> Figure:
    spoken = "; ".join(
        f"{row.pair} at {called.stage(row.journey_id, row.stage_id)}: {value} of {count(row.n)}, "
        f"others {other}"
        for row, (value, other) in zip(found, cells, strict=True)
    )
    return Figure(
        chart_id,
        title,
        caption=f"{what}. {n_of(row.n for row in found)} hand-offs a pair"
        f"{_since(moves)}. On top where most days were lost beyond the others: what is lost waits "
        "to the window's end, so the order is not that of the medians. Source: gap_touchpoints.",
        label=f"{title}, {called.journey(journey.journey_id)}: {spoken}.",
        table=Table(
            ["Pair", "Stage", *columns, "n", "Others, n", "Days waited beyond the others", "Note"],
            [
                [
                    row.pair,
                    called.stage(row.journey_id, row.stage_id),
                    *values,
                    count(row.n),
                    count(row.other_n or 0),
                    count(row.excess_days or 0),
                    WARNINGS.get(row.warning or "", ""),
                ]
                for row, values in zip(found, cells, strict=True)
            ],
            texts=2,
        ),
        spec=spec,
    )


def _label(row: HandOff, called: Names, text: str) -> str:
    pair = row.pair.replace("_", " ")
    return f"{pair}\n{called.stage(row.journey_id, row.stage_id)} · {text}"


def _wait(row: HandOff) -> str:
    return "none went on" if row.median_wait_days is None else days(row.median_wait_days)


def _since(moves: Sequence[Moves]) -> str:
    firsts = [row.first for row in moves]
    lasts = [row.last for row in moves]
    if not firsts:
        return ""
    return f", {day(min(firsts))} to {day(max(lasts))}"


_HAND_OFFS = """
    from gap_touchpoints
    where finding_kind = 'hand_off'
    order by finding_rank is null, finding_rank, n desc, pair, stage_id
"""

_BACK_MOVES = """
    from gap_touchpoints
    where finding_kind = 'back_moves_between_owners' and finding_rank <= 3
    order by finding_rank, finding_id
"""

_MOVES = """
    from (
        select
            journey_id,
            is_handoff,
            count(*) as moves,
            median(duration_us) / 86400000000.0 as median_days,
            min(occurred_at) as first,
            max(occurred_at) as last
        from fct_stage_transitions
        group by journey_id, is_handoff
    )
    order by journey_id, is_handoff
"""

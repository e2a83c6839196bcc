"""What was done about gaps, whether it worked, and which gaps nobody works on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from textwrap import wrap

from orchestration.report.charts import dots
from orchestration.report.charts.dots import Dot
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Section, Table
from orchestration.report.reading import Metric, Publication
from orchestration.report.words import (
    NBSP,
    count,
    counted,
    day,
    days,
    difference,
    in_words,
    n_of,
    quantities,
    readable,
    team,
)

# Verdict of a readout -> how its dot looks and what it is called.
VERDICTS = {
    "improved": ("ahead", "▲ improved"),
    "worse": ("lagging", "▼ worse"),
    "no_evidence": ("open", "○ no evidence"),
    "too_early": ("open", "… too early"),
    "void": ("open", "✗ void"),
}
KINDS = {
    "experiment": "experiment",
    "difference_in_differences": "difference in differences",
    "before_after": "before and after",
}
# Suggestions of totals and of segments, and touchpoints named in each.
TOTALS = 10
SEGMENTS = 3
TOUCHPOINTS = 3
# Letters of a line of a label.
WIDTH = 27


@dataclass(frozen=True)
class Readout:
    """One readout of one action; the effect in the metric's direction, positive is better."""

    readout_id: str
    title: str
    category: str | None
    owner: str | None
    journey_id: str
    metric_id: str
    stage_id: str
    segment_dimension: str
    segment_value: str
    readout_kind: str
    started_on: date
    ended_on: date | None
    readout_on: date | None
    n: int | None
    effect: float | None
    effect_ci_low: float | None
    effect_ci_high: float | None
    smallest_detectable_effect: float | None
    verdict: str
    sentence: str


@dataclass(frozen=True)
class Suggestion:
    """A ranked gap that nobody works on."""

    journey_id: str
    metric_id: str
    stage_id: str
    segment_dimension: str
    segment_value: str
    benchmark_value: float
    value: float | None
    priority_rank: int | None
    category: str
    category_reason: str | None
    touchpoints: str | None
    owner_teams: str | None


def build(publication: Publication, called: Names) -> Section:
    """The register of actions with their readouts, then what could be done next."""
    readouts = publication.rows(Readout, _READOUTS)
    return Section(
        "actions",
        "Actions",
        _summary(readouts),
        [_register(readouts, publication, called), _suggestions(publication, called)],
    )


def _summary(readouts: Sequence[Readout]) -> str:
    if not readouts:
        return ""
    verdicts: dict[str, int] = defaultdict(int)
    for row in readouts:
        verdicts[row.verdict] += 1
    return (
        f"{counted(len(readouts), 'readout')}: "
        + ", ".join(
            f"{count(verdicts[verdict])} {in_words(verdict).lower()}"
            for verdict in sorted(verdicts, key=[*VERDICTS, *sorted(verdicts)].index)
        )
        + ". Only an experiment can say because."
    )


def _register(readouts: Sequence[Readout], publication: Publication, called: Names) -> Block:
    title = "What was done, and whether it worked"
    if not readouts:
        return Block(
            title=title,
            empty="No action is registered: add lines to actions.csv in the journey map, each "
            "with its owner, its stage and metric and its first day.",
        )
    by_unit = defaultdict(list)
    for row in readouts:
        metric = publication.metrics.get(row.metric_id)
        by_unit[metric.unit if metric else ""].append(row)
    figures = [
        _effects(rows, unit, number, publication)
        for number, (unit, rows) in enumerate(sorted(by_unit.items()), start=1)
    ]
    looks = {VERDICTS.get(row.verdict, ("open", ""))[0] for row in readouts}
    names = {"ahead": "improved", "lagging": "worse", "open": "no evidence, or void"}
    return Block(
        title=title,
        keys=[
            *(Key(f"dot_{look}", name) for look, name in names.items() if look in looks),
            Key("whisker", f"95{NBSP}% interval"),
        ],
        figures=figures,
        tables=[_table(readouts, publication, called)],
        sentences=[
            readable(row.sentence, row.stage_id, called.stage(row.journey_id, row.stage_id))
            for row in readouts
        ],
    )


def _effects(
    readouts: Sequence[Readout], unit: str, number: int, publication: Publication
) -> Figure:
    """Effects in one unit: shares in points of a hundred."""
    scale = 100 if unit == "share" else 1
    title = "What each action changed"
    rows = []
    most = max(len(_wrapped(row.title)) for row in readouts)
    for row in readouts:
        _, verdict = VERDICTS.get(row.verdict, ("open", in_words(row.verdict)))
        effect = _effect(row, publication)
        rows.append(
            Dot(
                label="\n".join([*_wrapped(row.title, most), effect]),
                value=None if row.effect is None else row.effect * scale,
                text=f"{effect}, {verdict}",
                low=None if row.effect_ci_low is None else row.effect_ci_low * scale,
                high=None if row.effect_ci_high is None else row.effect_ci_high * scale,
                look=VERDICTS.get(row.verdict, ("open", ""))[0],
                note=verdict,
            )
        )
    ends = [end for row in rows for end in (row.value, row.low, row.high)]
    axis = {"share": "points better, right of zero", "days": None}.get(
        unit, f"{unit} better, right of zero"
    )
    counted_in = [row.n for row in readouts if row.n]
    sized = f"{n_of(counted_in)} cases; " if counted_in else ""
    last = max((row.ended_on or row.readout_on or row.started_on) for row in readouts)
    return Figure(
        f"actions-{number}",
        title,
        caption="Effect in the metric's direction: right of the line is better. "
        f"{sized}actions from {day(min(row.started_on for row in readouts))} to {day(last)}. "
        "Source: fct_action_readouts.",
        label=f"{title}: " + "; ".join(_spoken(row, publication) for row in readouts) + ".",
        table=Table(
            ["Action", "Effect", f"95{NBSP}% interval", "Could have seen", "n", "Verdict"],
            [
                [
                    row.title,
                    _effect(row, publication),
                    _interval(row, publication),
                    _size(row.smallest_detectable_effect, row, publication),
                    count(row.n or 0),
                    VERDICTS.get(row.verdict, ("", in_words(row.verdict)))[1],
                ]
                for row in readouts
            ],
        ),
        spec=dots.dots(
            rows,
            dots.ruler("points" if unit == "share" else unit, ends, axis),
            has_zero=True,
        ),
    )


def _wrapped(title: str, line_count: int = 1) -> list[str]:
    """A title on two lines at most, after empty ones where others have more."""
    lines = wrap(title, WIDTH, max_lines=2, placeholder=" …")
    return ["" for _ in range(line_count - len(lines))] + lines


def _spoken(row: Readout, publication: Publication) -> str:
    _, verdict = VERDICTS.get(row.verdict, ("", in_words(row.verdict)))
    text = f"{row.title}: {_effect(row, publication)}"
    if limits := _interval(row, publication):
        text += f" (95{NBSP}% interval {limits})"
    return f"{text}, {verdict.partition(' ')[2] or verdict}"


def _effect(row: Readout, publication: Publication) -> str:
    if row.effect is None:
        return "no effect yet"
    return f"{_size(abs(row.effect), row, publication)} {'better' if row.effect >= 0 else 'worse'}"


def _interval(row: Readout, publication: Publication) -> str:
    if row.effect_ci_low is None or row.effect_ci_high is None:
        return ""
    low, high = (
        ("\u2212" if end < 0 else "") + _size(abs(end), row, publication)
        for end in (row.effect_ci_low, row.effect_ci_high)
    )
    return f"{low} to {high}"


def _size(size: float | None, row: Readout, publication: Publication) -> str:
    metric = publication.metrics.get(row.metric_id)
    if size is None or metric is None:
        return ""
    return days(size) if metric.unit == "days" else difference(size, metric)


def _table(readouts: Sequence[Readout], publication: Publication, called: Names) -> Table:
    rows = []
    for row in readouts:
        metric = publication.metrics.get(row.metric_id)
        rows.append(
            [
                row.title + (f" ({in_words(row.category).lower()})" if row.category else ""),
                team(row.owner) if row.owner else "nobody",
                f"{_label(metric, row.metric_id)} at {called.stage(row.journey_id, row.stage_id)}"
                + _segment(row.segment_dimension, row.segment_value),
                VERDICTS.get(row.verdict, ("", in_words(row.verdict)))[1],
                f"{day(row.started_on)} to {day(row.ended_on)}"
                if row.ended_on
                else f"from {day(row.started_on)}",
                day(row.readout_on) if row.readout_on else "every day",
                KINDS.get(row.readout_kind, in_words(row.readout_kind).lower()),
            ]
        )
    return Table(
        ["Action", "Owner", "Against", "Verdict", "Ran", "Read on", "Readout"],
        rows,
        texts=3,
        name="Register of actions",
    )


def _suggestions(publication: Publication, called: Names) -> Block:
    title = "Gaps that nobody works on"
    found = publication.rows(Suggestion, _SUGGESTIONS)
    if not found:
        return Block(
            title=title,
            empty="None: every gap that is ranked has an action, or none is ranked.",
        )
    totals = [row for row in found if row.segment_dimension == "all"]
    segments = [row for row in found if row.segment_dimension != "all"]
    shown = [*totals[:TOTALS], *segments[:SEGMENTS]]
    rows = []
    for row in shown:
        metric = publication.metrics.get(row.metric_id)
        values = (
            quantities(metric, row.value, row.benchmark_value)
            if metric
            else [f"{row.value}", f"{row.benchmark_value}"]
        )
        rows.append(
            [
                str(row.priority_rank or ""),
                f"{_label(metric, row.metric_id)} at {called.stage(row.journey_id, row.stage_id)} "
                f"({called.journey(row.journey_id)})"
                + _segment(row.segment_dimension, row.segment_value),
                f"{in_words(row.category)}: {row.category_reason or ''}".rstrip(": "),
                team(row.owner_teams or "nobody named"),
                _first_touchpoints(row.touchpoints),
                " against ".join(values),
            ]
        )
    return Block(
        title=title,
        note="The first ranked totals, then the first segments, each a list of its own"
        + (
            f"; {counted(len(found) - len(shown), 'more segment')} there"
            if len(found) > len(shown)
            else ""
        )
        + ". In brackets: the share of the cases. Source: gap_suggestions.",
        tables=[
            Table(
                ["Rank", "Gap", "Suggested", "Teams", "Touchpoints", "Actual"],
                rows,
                texts=5,
            )
        ],
    )


def _first_touchpoints(touchpoints: str | None) -> str:
    if not touchpoints:
        return "none known"
    names = touchpoints.replace("_", " ").split(", ")
    more = len(names) - TOUCHPOINTS
    return ", ".join(names[:TOUCHPOINTS]) + (f" and {more} more" if more > 0 else "")


def _label(metric: Metric | None, metric_id: str) -> str:
    return metric.label if metric else in_words(metric_id)


def _segment(dimension: str, value: str) -> str:
    return "" if dimension == "all" else f", {in_words(dimension).lower()} {value}"


_READOUTS = "from fct_action_readouts order by started_on desc, readout_id"

_SUGGESTIONS = """
    from gap_suggestions
    order by segment_dimension <> 'all', priority_rank is null, priority_rank, gap_id
"""

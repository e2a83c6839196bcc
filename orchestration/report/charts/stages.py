"""Charts over the stages of a journey: shares as bars, times as points."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from orchestration.report.charts.base import (
    BENCHMARK_SHAPES,
    COLOURS,
    INK,
    LABEL_LINE,
    NEUTRAL,
    PERCENT_LABEL,
    Spec,
    by_kind,
    finish,
    label_axis,
)
from orchestration.report.reading import Gap, Measure, Metric
from orchestration.report.words import (
    NBSP,
    VERDICTS,
    count,
    interval,
    measured,
    quantity,
    time_unit,
)

ROW_HEIGHT = 46
_ENDS = ("value", "low", "high")


@dataclass(frozen=True)
class StageMeasure:
    """A stage's measure (None: none yet) with its benchmarks of the same definition."""

    name: str
    measure: Measure | None
    benchmarks: list[Gap]

    @property
    def verdict(self) -> str | None:
        """The one that colours the mark: lagging behind any benchmark comes first."""
        verdicts = {gap.verdict for gap in self.benchmarks}
        return next((verdict for verdict in COLOURS if verdict in verdicts), None)

    @property
    def has_too_few(self) -> bool:
        """There are comparisons, and none of them has the cases for a verdict."""
        return {gap.verdict for gap in self.benchmarks} == {"too_few_data"}


def funnel(stages: Sequence[StageMeasure], metric: Metric) -> Spec:
    """Bars of a share per stage, first stage on top, with intervals and benchmark marks."""
    rows = _stage_rows(stages, metric)
    return _filled(
        _funnel(metric, len(stages), _row_height(stages)),
        _places(stages, metric),
        {
            "bars": [row for row in rows if row["value"] is not None],
            "whiskers": _with_interval(rows),
            "benchmarks": _benchmark_rows(stages, metric),
        },
    )


def times(stages: Sequence[StageMeasure], metric: Metric) -> Spec:
    """Points of a time per stage, first stage on top, with intervals and benchmark marks.

    An interval without an upper end runs to the edge and ends in an arrow.
    """
    rows = _stage_rows(stages, metric)
    longest = max(
        [
            *(row[end] for row in rows for end in _ENDS if row[end] is not None),
            *(gap.benchmark_value for stage in stages for gap in stage.benchmarks),
            0,
        ]
    )
    unit, per_day = time_unit(longest) if metric.unit == "days" else (metric.unit, 1)
    edge = longest * per_day * 1.1 or 1
    for row in rows:
        for end in _ENDS:
            row[end] = None if row[end] is None else row[end] * per_day
        row["is_unreached"] = row["value"] is None and row["n"] != "0" and row["low"] is None
        row["is_endless"] = row["low"] is not None and row["high"] is None
        row["high"] = edge if row["is_endless"] else row["high"]
    return _filled(
        _times(metric, len(stages), _row_height(stages)),
        {**_places(stages, metric), _EDGE: edge, _INSIDE: edge * 0.01, _UNIT: unit},
        {
            "whiskers": _with_interval(rows),
            "arrows": [row for row in rows if row["is_endless"]],
            "notes": [row for row in rows if row["is_unreached"]],
            "points": [row for row in rows if row["value"] is not None],
            "benchmarks": _benchmark_rows(stages, metric, per_day),
        },
    )


# A page has such a chart for every segment of every journey, and Altair takes long to build
# one: it builds what they share once, with these in place of what differs.
_EDGE, _INSIDE, _UNIT = 987654321.0, 9876543.21, "<unit>"


def _place(number: int) -> str:
    return f"<stage {number}>"


def _places(stages: Sequence[StageMeasure], metric: Metric) -> dict[Any, Any]:
    return {_place(number): label for number, label in enumerate(_labels(stages, metric))}


def _filled(shared: Spec, texts: Mapping[Any, Any], datasets: Spec) -> Spec:
    """A chart of its own: with what differs, and with its data."""

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: fill(value) for name, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        return texts.get(part, part)

    return {**fill(shared), "datasets": datasets}


@cache
def _funnel(metric: Metric, number: int, row_height: int) -> Spec:
    y = _stage_axis(number)
    x = alt.X(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", labelExpr=PERCENT_LABEL, tickCount=5, grid=True),
    )
    bars = (
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(height=20)
        .encode(x=x, y=y, color=_verdict_colour(), tooltip=_stage_tooltip(metric))
    )
    return finish(
        [bars.properties(name="bars"), *_whiskers(y), *_marks(metric, y)],
        height=row_height * number,
    )


@cache
def _times(metric: Metric, number: int, row_height: int) -> Spec:
    y = _stage_axis(number)
    x = alt.X(
        "value:Q",
        title=_UNIT,
        scale=alt.Scale(domain=[0, _EDGE], nice=False),
        axis=alt.Axis(format=",~r", tickCount=5, grid=True),
    )
    points = (
        alt.Chart(alt.NamedData("points"))
        .mark_point(filled=True, size=140, opacity=1)
        .encode(x=x, y=y, color=_verdict_colour(), tooltip=_stage_tooltip(metric))
    )
    arrows = (
        alt.Chart(alt.NamedData("arrows"))
        .mark_point(filled=True, size=70, opacity=1, shape="triangle-right", color=INK)
        .encode(x=alt.X("high:Q"), y=y)
    )
    notes = (
        alt.Chart(alt.NamedData("notes"))
        .mark_text(align="left", color=INK, fontSize=12, text="fewer than half have left")
        .encode(x=alt.datum(_INSIDE), y=y)
    )
    return finish(
        [
            *_whiskers(y),
            arrows.properties(name="arrows"),
            notes.properties(name="notes"),
            points.properties(name="points"),
            *_marks(metric, y),
        ],
        height=row_height * number,
    )


def _row_height(stages: Sequence[StageMeasure]) -> int:
    """Room for the lines of a label."""
    has_third_line = any(stage.measure and stage.has_too_few for stage in stages)
    return ROW_HEIGHT + LABEL_LINE * has_third_line


def _stage_rows(stages: Sequence[StageMeasure], metric: Metric) -> list[dict[str, Any]]:
    return [
        {
            "stage": label,
            "name": stage.name,
            "value": measure.value if measure else None,
            "low": measure.ci_low if measure else None,
            "high": measure.ci_high if measure else None,
            "text": quantity(measure.value if measure else None, metric),
            "interval": interval(measure.ci_low, measure.ci_high, metric) if measure else "",
            "n": count(measure.n if measure else 0),
            "verdict": stage.verdict or "none",
            "verdicts": ", ".join(
                f"{VERDICTS[gap.verdict].word} ({gap.benchmark_kind})"
                for gap in stage.benchmarks
                if gap.verdict in VERDICTS
            )
            or "no benchmark",
        }
        for stage, label in zip(stages, _labels(stages, metric), strict=True)
        for measure in (stage.measure,)
    ]


def _labels(stages: Sequence[StageMeasure], metric: Metric) -> list[str]:
    """Two lines a stage: its name, then its figure and n; a third one warns of few cases."""
    return [
        f"{stage.name}\n"
        + (
            f"{measured(stage.measure.value, metric)} · n = {count(stage.measure.n)}"
            if stage.measure
            else "no mature data"
        )
        + ("\n" + VERDICTS["too_few_data"].word if stage.measure and stage.has_too_few else "")
        for stage in stages
    ]


def _stage_axis(number: int) -> alt.Y:
    return label_axis([_place(each) for each in range(number)], "stage", line_count=2)


def _with_interval(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["low"] is not None and row["high"] is not None]


def _whiskers(y: alt.Y) -> list[alt.Chart]:
    """Intervals, thin and dark."""
    whiskers: alt.Chart = (
        alt.Chart(alt.NamedData("whiskers"))
        .mark_rule(color=INK, strokeWidth=1.5)
        .encode(
            x=alt.X("low:Q"),
            x2="high:Q",
            y=y,
        )
    )
    return [whiskers.properties(name="whiskers")]


def _benchmark_rows(
    stages: Sequence[StageMeasure], metric: Metric, per_unit: float = 1
) -> list[dict[str, Any]]:
    return [
        {
            "stage": label,
            "value": gap.benchmark_value * per_unit,
            "kind": gap.benchmark_kind,
            "text": quantity(gap.benchmark_value, metric),
        }
        for stage, label in zip(stages, _labels(stages, metric), strict=True)
        for gap in stage.benchmarks
    ]


def _marks(metric: Metric, y: alt.Y) -> list[alt.Chart]:
    """Benchmarks: a line across the stage with the sign of its kind on top."""
    base = alt.Chart(alt.NamedData("benchmarks"))
    tooltip = [
        alt.Tooltip("kind:N", title="Benchmark"),
        alt.Tooltip("text:N", title=metric.label),
    ]
    ticks = base.mark_tick(color=INK, thickness=2.5, size=30, opacity=1).encode(
        x=alt.X("value:Q"), y=y, tooltip=tooltip
    )
    signs = base.mark_point(
        filled=True, color=INK, size=70, opacity=1, yOffset=-ROW_HEIGHT * 0.35
    ).encode(
        x=alt.X("value:Q"),
        y=y,
        shape=by_kind(alt.Shape, BENCHMARK_SHAPES),
        tooltip=tooltip,
    )
    return [ticks.properties(name="benchmarks"), signs.properties(name="benchmark_signs")]


def _verdict_colour() -> alt.Color:
    return alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=[*COLOURS, "none"], range=[*COLOURS.values(), NEUTRAL]),
        legend=None,
    )


def _stage_tooltip(metric: Metric) -> list[Any]:
    return [
        alt.Tooltip("name:N", title="Stage"),
        alt.Tooltip("text:N", title=metric.label),
        alt.Tooltip("interval:N", title=f"95{NBSP}% interval"),
        alt.Tooltip("n:N", title="n"),
        alt.Tooltip("verdicts:N", title="Verdict"),
    ]

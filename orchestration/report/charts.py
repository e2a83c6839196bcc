"""The charts, as Vega-Lite specifications with their data inside.

Every layer has a name, which Vega gives to its marks in the SVG. Layers that share an axis
are given the same order as a list: a layered chart loses a sort by field.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import altair as alt

from orchestration.report.reading import BenchmarkWeek, Gap, Measure, Metric
from orchestration.report.words import (
    NBSP,
    VERDICTS,
    count,
    day,
    interval,
    measured,
    quantity,
    time_unit,
)

Spec = dict[str, Any]

INK = "#1f2933"
# Okabe and Ito's palette: told apart by colour-blind readers; orange is also the darkest grey.
COLOURS = {"lagging": "#d55e00", "ahead": "#0072b2", "at_par": "#009e73"}
NEUTRAL = "#8a97a6"
TREND = "#0072b2"
FADED = 0.35
BENCHMARK_SHAPES = {"industry": "triangle-down", "target": "diamond", "own_past": "circle"}
BENCHMARK_DASHES = {"industry": [1, 0], "target": [6, 4], "own_past": [2, 3]}

ROW_HEIGHT = 46
_LINE = 15
_ENDS = ("value", "low", "high")
TREND_HEIGHT = 130


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


def funnel(stages: Sequence[StageMeasure], metric: Metric) -> Spec:
    """Bars of a share per stage, first stage on top, with intervals and benchmark marks."""
    y = _stage_axis(stages, metric)
    x = alt.X(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", labelExpr=_PERCENT_LABEL, tickCount=5, grid=True),
    )
    rows = _stage_rows(stages, metric)
    measured = alt.Chart(alt.InlineData(values=[row for row in rows if row["value"] is not None]))
    bars = measured.mark_bar(height=20).encode(
        x=x, y=y, color=_verdict_colour(), tooltip=_stage_tooltip(metric)
    )
    return _finish(
        [
            bars.properties(name="bars"),
            *_whiskers(rows, y),
            *_marks(stages, metric, y),
        ],
        height=ROW_HEIGHT * len(stages),
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
    y = _stage_axis(stages, metric)
    x = alt.X(
        "value:Q",
        title=unit,
        scale=alt.Scale(domain=[0, edge], nice=False),
        axis=alt.Axis(format=",~r", tickCount=5, grid=True),
    )
    for row in rows:
        for end in _ENDS:
            row[end] = None if row[end] is None else row[end] * per_day
        row["is_unreached"] = row["value"] is None and row["n"] != "0" and row["low"] is None
        row["is_endless"] = row["low"] is not None and row["high"] is None
        row["high"] = edge if row["is_endless"] else row["high"]
    points = (
        alt.Chart(alt.InlineData(values=[row for row in rows if row["value"] is not None]))
        .mark_point(filled=True, size=140, opacity=1)
        .encode(x=x, y=y, color=_verdict_colour(), tooltip=_stage_tooltip(metric))
    )
    arrows = (
        alt.Chart(alt.InlineData(values=[row for row in rows if row["is_endless"]]))
        .mark_point(filled=True, size=70, opacity=1, shape="triangle-right", color=INK)
        .encode(x=alt.X("high:Q"), y=y)
    )
    notes = (
        alt.Chart(alt.InlineData(values=[row for row in rows if row["is_unreached"]]))
        .mark_text(align="left", color=INK, fontSize=12, text="fewer than half have left")
        .encode(x=alt.datum(edge * 0.01), y=y)
    )
    return _finish(
        [
            *_whiskers(rows, y),
            arrows.properties(name="arrows"),
            notes.properties(name="notes"),
            points.properties(name="points"),
            *_marks(stages, metric, y, per_day),
        ],
        height=ROW_HEIGHT * len(stages),
    )


def trend(
    measures: Sequence[Measure],
    benchmarks: Sequence[BenchmarkWeek],
    metric: Metric,
    first: date,
    last: date,
    top: float,
) -> Spec:
    """A share by week with its interval; weeks that do not count are faded.

    `first` and `last` are the first days of the first and last week of the axis, `top` the
    upper end of the other axis: the same for all stages of a journey.
    """
    weeks = _weeks(measures, metric, first, last)
    x = alt.X(
        "week:T",
        title=None,
        scale=alt.Scale(
            type="utc", domain=[_utc(first - timedelta(days=3)), _utc(last + timedelta(days=4))]
        ),
        axis=alt.Axis(
            labelExpr=_MONTH_LABEL,
            tickCount=alt.TimeIntervalStep(interval="month", step=1),
            labelFlush=False,
            labelLineHeight=14,
            grid=False,
        ),
    )
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[0, top], nice=False, clamp=True),
        axis=alt.Axis(format=".0%", labelExpr=_PERCENT_LABEL, tickCount=4, grid=True),
    )
    layers = []
    for part, opacity in (("mature", 1.0), ("faded", FADED)):
        data = alt.InlineData(values=_joined(weeks, is_faded=part == "faded"))
        base = alt.Chart(data)
        layers += [
            base.mark_area(color=TREND, opacity=0.2 * opacity)
            .encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
            .properties(name=f"{part}_band"),
            base.mark_line(color=TREND, opacity=opacity, strokeWidth=2)
            .encode(x=x, y=y)
            .properties(name=f"{part}_line"),
        ]
    spans = [
        {
            "from": (start - timedelta(days=3)).isoformat(),
            "to": (end + timedelta(days=4)).isoformat(),
            "value": value,
            "kind": kind,
        }
        for start, end, value, kind in _spans(benchmarks)
    ]
    layers.append(
        alt.Chart(alt.InlineData(values=spans))
        .mark_rule(color=INK, strokeWidth=1.5)
        .encode(
            x=alt.X("from:T"),
            x2="to:T",
            y=alt.Y("value:Q"),
            strokeDash=_by_kind(alt.StrokeDash, BENCHMARK_DASHES),
        )
        .properties(name="benchmarks")
    )
    tooltip = [
        alt.Tooltip("title:N", title="Week of"),
        alt.Tooltip("text:N", title=metric.label),
        alt.Tooltip("interval:N", title=f"95{NBSP}% interval"),
        alt.Tooltip("n:N", title="n"),
        alt.Tooltip("state:N", title="Counts"),
    ]
    for part in ("mature", "faded"):
        shown = [
            week
            for week in weeks
            if week["value"] is not None and week["is_faded"] == (part == "faded")
        ]
        mark = alt.Chart(alt.InlineData(values=shown))
        layers.append(
            mark.mark_point(
                fill=TREND if part == "mature" else "white",
                stroke=TREND,
                size=28,
                opacity=1.0 if part == "mature" else 2 * FADED,
            )
            .encode(x=x, y=y, tooltip=tooltip)
            .properties(name=f"{part}_points")
        )
    return _finish(layers, height=TREND_HEIGHT)


# The year stands below the first month and January.
_MONTH_LABEL = (
    "[utcFormat(datum.value, '%b'), "
    "datum.index == 0 || utcmonth(datum.value) == 0 ? utcFormat(datum.value, '%Y') : '']"
)
# "40%" as the text writes it.
_PERCENT_LABEL = f"replace(datum.label, '%', '{NBSP}%')"


def _finish(layers: Sequence[alt.Chart], height: int) -> Spec:
    """One layered chart as wide as its place on the page."""
    chart = (
        alt.layer(*layers)
        .properties(width="container", height=height)
        .configure(
            font="system-ui, sans-serif",
            # The page names the chart as a whole and has a table of its data.
            aria=False,
            background="white",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor="#e4e7eb",
            domainColor="#9aa5b1",
            tickColor="#9aa5b1",
        )
    )
    spec: Spec = chart.to_dict()
    # The page names the language once for all charts.
    del spec["$schema"]
    return spec


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
    """Two lines a stage: its name, then its figure and n."""
    return [
        f"{stage.name}\n"
        + (
            f"{measured(stage.measure.value, metric)} · n = {count(stage.measure.n)}"
            if stage.measure
            else "no mature data"
        )
        for stage in stages
    ]


def _stage_axis(stages: Sequence[StageMeasure], metric: Metric) -> alt.Y:
    labels = _labels(stages, metric)
    return alt.Y(
        "stage:N",
        title=None,
        sort=labels,
        scale=alt.Scale(domain=labels),
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')",
            labelLimit=180,
            labelLineHeight=_LINE,
            # Both lines beside the middle of the mark.
            labelOffset=-_LINE / 2,
            labelPadding=8,
            ticks=False,
            domain=False,
        ),
    )


def _whiskers(rows: Iterable[dict[str, Any]], y: alt.Y) -> list[alt.Chart]:
    """Intervals, thin and dark."""
    known = [row for row in rows if row["low"] is not None and row["high"] is not None]
    whiskers: alt.Chart = (
        alt.Chart(alt.InlineData(values=known))
        .mark_rule(color=INK, strokeWidth=1.5)
        .encode(
            x=alt.X("low:Q"),
            x2="high:Q",
            y=y,
        )
    )
    return [whiskers.properties(name="whiskers")]


def _marks(
    stages: Sequence[StageMeasure], metric: Metric, y: alt.Y, per_unit: float = 1
) -> list[alt.Chart]:
    """Benchmarks: a line across the stage with the sign of its kind on top."""
    rows = [
        {
            "stage": label,
            "value": gap.benchmark_value * per_unit,
            "kind": gap.benchmark_kind,
            "text": quantity(gap.benchmark_value, metric),
        }
        for stage, label in zip(stages, _labels(stages, metric), strict=True)
        for gap in stage.benchmarks
    ]
    base = alt.Chart(alt.InlineData(values=rows))
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
        shape=_by_kind(alt.Shape, BENCHMARK_SHAPES),
        tooltip=tooltip,
    )
    return [ticks.properties(name="benchmarks"), signs.properties(name="benchmark_signs")]


def _by_kind(channel: Any, looks: dict[str, Any]) -> Any:
    return channel(
        "kind:N", scale=alt.Scale(domain=list(looks), range=list(looks.values())), legend=None
    )


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


def is_faded(week: Measure) -> bool:
    """Shown, never compared: its outcomes are not all known, or part of it has no data."""
    return not week.is_mature or week.is_partial


def _weeks(
    measures: Sequence[Measure], metric: Metric, first: date, last: date
) -> list[dict[str, Any]]:
    """One row per week of the axis, so that a line breaks where a week has no cases."""
    by_week = {measure.period_start: measure for measure in measures}
    weeks = []
    for number in range((last - first).days // 7 + 1):
        start = first + timedelta(weeks=number)
        week = by_week.get(start)
        weeks.append(
            {
                "week": start.isoformat(),
                "title": day(start),
                "value": week.value if week else None,
                "low": week.ci_low if week else None,
                "high": week.ci_high if week else None,
                "text": quantity(week.value if week else None, metric),
                "interval": interval(week.ci_low, week.ci_high, metric) if week else "",
                "n": count(week.n if week else 0),
                "is_faded": is_faded(week) if week else False,
                "state": state(week) if week else "no cases",
            }
        )
    return weeks


def state(week: Measure) -> str:
    """Whether a week counts, in words."""
    if not week.is_mature:
        return "not yet: immature"
    return "no: partial week" if week.is_partial else "yes"


def _joined(weeks: Sequence[dict[str, Any]], *, is_faded: bool) -> list[dict[str, Any]]:
    """The weeks of one part for its line and band, each run with the week it starts from.

    A faded run is drawn from the counting week before it and to the one after it.
    """
    wanted = [week["is_faded"] == is_faded for week in weeks]
    keep = [
        inside or (is_faded and (any(wanted[max(0, index - 1) : index + 2])))
        for index, inside in enumerate(wanted)
    ]
    blank = {"value": None, "low": None, "high": None}
    return [
        week if kept else {"week": week["week"], **blank}
        for week, kept in zip(weeks, keep, strict=True)
    ]


def _spans(benchmarks: Sequence[BenchmarkWeek]) -> list[tuple[date, date, float, str]]:
    """First and last week, value and kind of each run of weeks with one benchmark value."""
    spans = []
    ordered = sorted(benchmarks, key=lambda week: (week.benchmark_id, week.period_start))
    for (_, value), run in groupby(
        ordered, key=lambda week: (week.benchmark_id, week.benchmark_value)
    ):
        weeks = list(run)
        spans.append(
            (weeks[0].period_start, weeks[-1].period_start, value, weeks[0].benchmark_kind)
        )
    return spans


def _utc(value: date) -> alt.DateTime:
    return alt.DateTime(year=value.year, month=value.month, date=value.day, utc=True)

"""The share still in a stage by the time since its entry: a survival curve."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from orchestration.report.charts.base import (
    BENCHMARK_DASHES,
    BENCHMARK_SHAPES,
    INK,
    PERCENT_LABEL,
    Spec,
    by_kind,
    finish,
)
from orchestration.report.reading import Gap
from orchestration.report.words import days, time_unit

CURVE = "#0072b2"
CURVE_HEIGHT = 150
MOST_POINTS = 120
# A third of a pixel of the height.
_TOLERANCE = 0.002
# Of the axis: further on, a label would not fit on the right.
_RIGHT_UP_TO = 0.62


@dataclass(frozen=True)
class Point:
    """The share still in the stage from `days` after the entry, with its 95 % band."""

    days: float
    share: float
    low: float
    high: float | None
    at_risk: int


@dataclass(frozen=True)
class Quantile:
    """The time in days after which so many percent have left: 50, 75 or 90."""

    percent: int
    days: float


def thinned(points: Sequence[Point], kept: Collection[float]) -> list[Point]:
    """At most MOST_POINTS of a falling curve, besides those at the times `kept`.

    A point left out leaves the line too high until the next one, by less than the tolerance:
    that is widened until the points are few enough.
    """
    tolerance = _TOLERANCE
    while len(shown := _steps(points, kept, tolerance)) > MOST_POINTS + len(kept):
        tolerance *= 1.5
    return shown


def _steps(points: Sequence[Point], kept: Collection[float], tolerance: float) -> list[Point]:
    shown: list[Point] = []
    before = 1.0
    for point in points:
        is_last = point is points[-1]
        if is_last or point.days in kept or before - point.share >= tolerance:
            shown.append(point)
            before = point.share
    return shown


def within(points: Sequence[Point], edge: float, known_to: float) -> list[Point]:
    """From the entry to the axis's end, or to where the share is known: flat at both ends."""
    entry = Point(0.0, 1.0, 1.0, 1.0, 0)
    shown = [entry, *(point for point in points if point.days <= edge)]
    end = min(edge, known_to)
    return [*shown, replace(shown[-1], days=end)] if end > shown[-1].days else shown


def curve(
    points: Sequence[Point],
    quantiles: Sequence[Quantile],
    benchmarks: Sequence[Gap],
    edge: float,
) -> Spec:
    """A falling step line with its band; times in the unit that suits `edge`, in days.

    A benchmark is a line across the time by which the share named by its metric should have
    left, with the sign of its kind at that share.
    """
    unit, per_day = time_unit(edge)
    x = alt.X(
        "d:Q",
        title=f"{unit} since the entry",
        scale=alt.Scale(domain=[0, _short(edge * per_day)], nice=False),
        axis=alt.Axis(format=",~r", tickCount=5, grid=False),
    )
    y = alt.Y(
        "s:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", labelExpr=PERCENT_LABEL, tickCount=4, grid=True),
    )
    steps = [
        {
            "d": _short(point.days * per_day),
            "s": _short(point.share),
            "l": _short(point.low),
            "h": None if point.high is None else _short(point.high),
        }
        for point in points
    ]
    base = alt.Chart(alt.InlineData(values=steps))
    band = base.mark_area(color=CURVE, opacity=0.2, interpolate="step-after").encode(
        x=x, y=alt.Y("l:Q"), y2="h:Q"
    )
    line = base.mark_line(color=CURVE, strokeWidth=2, interpolate="step-after").encode(x=x, y=y)
    marks: list[dict[str, Any]] = [
        {
            "d": _short(quantile.days * per_day),
            "s": 1 - quantile.percent / 100,
            "t": f"p{quantile.percent} {days(quantile.days)}",
        }
        for quantile in quantiles
    ]
    marked = alt.Chart(alt.InlineData(values=marks))
    points_layer = marked.mark_point(
        filled=True, color=INK, size=36, opacity=1, shape="circle"
    ).encode(x=x, y=y, tooltip=[alt.Tooltip("t:N", title="Have left")])
    return finish(
        [
            band.properties(name="curve_band"),
            line.properties(name="curve_line"),
            *_benchmarks(benchmarks, per_day),
            points_layer.properties(name="quantiles"),
            *(
                layer.properties(name=f"quantiles_{side}")
                for side, layer in _texts(marks, edge * per_day)
            ),
        ],
        height=CURVE_HEIGHT,
    )


def _texts(marks: Sequence[dict[str, Any]], edge: float) -> list[tuple[str, alt.Chart]]:
    """Beside the falling line: above on its right or, near the edge, below on its left."""
    right = [mark for mark in marks if mark["d"] <= _RIGHT_UP_TO * edge]
    left = [mark for mark in marks if mark["d"] > _RIGHT_UP_TO * edge]
    places: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
        ("right", right, {"align": "left", "dx": 6, "dy": -6}),
        ("left", left, {"align": "right", "dx": -6, "dy": 8}),
    ]
    return [
        (
            side,
            alt.Chart(alt.InlineData(values=rows))
            .mark_text(**place, color=INK, fontSize=11)
            .encode(x="d:Q", y="s:Q", text="t:N"),
        )
        for side, rows, place in places
        if rows
    ]


def _benchmarks(benchmarks: Sequence[Gap], per_day: float) -> list[alt.Chart]:
    if not benchmarks:
        return []
    rows: list[dict[str, Any]] = [
        {
            "d": _short(gap.benchmark_value * per_day),
            "s": 1 - percent_of(gap.metric_id) / 100,
            "kind": gap.benchmark_kind,
            "t": f"{percent_of(gap.metric_id)} % within {days(gap.benchmark_value)}",
        }
        for gap in benchmarks
    ]
    base = alt.Chart(alt.InlineData(values=rows))
    tooltip = [alt.Tooltip("kind:N", title="Benchmark"), alt.Tooltip("t:N", title="Should leave")]
    rules = base.mark_rule(color=INK, strokeWidth=1.5).encode(
        x=alt.X("d:Q"), strokeDash=by_kind(alt.StrokeDash, BENCHMARK_DASHES), tooltip=tooltip
    )
    signs = base.mark_point(filled=True, color=INK, size=70, opacity=1).encode(
        x=alt.X("d:Q"),
        y=alt.Y("s:Q"),
        shape=by_kind(alt.Shape, BENCHMARK_SHAPES),
        tooltip=tooltip,
    )
    return [rules.properties(name="benchmarks"), signs.properties(name="benchmark_signs")]


def percent_of(metric_id: str) -> int:
    """`time_in_stage_p75` is 75."""
    return int(metric_id.rpartition("_p")[2])


def _short(number: float) -> float:
    """Four digits: more than a pixel needs, fewer bytes."""
    return float(f"{number:.4g}")

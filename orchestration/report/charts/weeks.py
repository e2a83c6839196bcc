"""A measure week by week."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import altair as alt

from orchestration.report.charts.base import (
    BENCHMARK_DASHES,
    INK,
    PERCENT_LABEL,
    Spec,
    by_kind,
    finish,
)
from orchestration.report.reading import BenchmarkWeek, Measure, Metric
from orchestration.report.words import NBSP, count, day, interval, quantity

TREND = "#0072b2"
FADED = 0.35
TREND_HEIGHT = 130


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
        axis=alt.Axis(format=".0%", labelExpr=PERCENT_LABEL, tickCount=4, grid=True),
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
            strokeDash=by_kind(alt.StrokeDash, BENCHMARK_DASHES),
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
    return finish(layers, height=TREND_HEIGHT)


# The year stands below the first month and January.
_MONTH_LABEL = (
    "[utcFormat(datum.value, '%b'), "
    "datum.index == 0 || utcmonth(datum.value) == 0 ? utcFormat(datum.value, '%Y') : '']"
)


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

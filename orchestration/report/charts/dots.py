"""Values as dots, one row each: with intervals, against a benchmark, zero or another value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
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
from orchestration.report.words import time_unit

ROW_HEIGHT = 44
COLUMN_HEIGHT = 130
# A look is a colour and a shape, so that it can be told without colour.
LOOKS = {
    "lagging": (COLOURS["lagging"], "triangle-down"),
    "ahead": (COLOURS["ahead"], "triangle-up"),
    "at_par": (COLOURS["at_par"], "square"),
    "plain": (COLOURS["ahead"], "circle"),
    "open": (NEUTRAL, "circle"),
}
# Drawn as an outline: not judged.
OUTLINED = ("open",)


# The year stands below the first month and January; a day without a time is one in UTC.
_MONTH_LABEL = (
    "[utcFormat(toDate(datum.value + '-01'), '%b'), "
    "datum.index == 0 || utcmonth(toDate(datum.value + '-01')) == 0 "
    "? utcFormat(toDate(datum.value + '-01'), '%Y') : '']"
)


@dataclass(frozen=True)
class Dot:
    """One row: two lines of label, a value with its interval, another to compare it with.

    `marks` are benchmarks as kind and value; `note` stands where there is no value.
    """

    label: str
    value: float | None
    text: str
    low: float | None = None
    high: float | None = None
    other: float | None = None
    other_text: str = ""
    look: str = "plain"
    marks: Sequence[tuple[str, float]] = ()
    note: str = ""


@dataclass(frozen=True)
class Ruler:
    """An axis: its ends in the unit of the values, its title, how many of its units one is."""

    low: float
    high: float
    title: str | None = None
    per_value: float = 1
    is_share: bool = False

    @property
    def axis(self) -> alt.Axis:
        """With few ticks, and `40 %` as the text writes it."""
        style: dict[str, Any] = (
            {"format": "~%", "labelExpr": PERCENT_LABEL} if self.is_share else {"format": ",~r"}
        )
        return alt.Axis(tickCount=4, grid=True, **style)

    @property
    def scale(self) -> alt.Scale:
        """From end to end, no further; intervals that go on are cut."""
        return alt.Scale(
            domain=[self.low * self.per_value, self.high * self.per_value], nice=False, clamp=True
        )

    def y(self, field: str = "value") -> alt.Y:
        """The channel of a field, upwards."""
        return alt.Y(f"{field}:Q", title=None, scale=self.scale, axis=self.axis)

    def x(self, field: str = "value") -> alt.X:
        """The channel of a field."""
        return alt.X(f"{field}:Q", title=self.title, scale=self.scale, axis=self.axis)


def ruler(unit: str, values: Iterable[float | None], title: str | None = None) -> Ruler:
    """From zero, or the least value below it, to a little more than the greatest."""
    known = [value for value in values if value is not None]
    high, low = max([*known, 0.0]), min([*known, 0.0])
    if unit == "share":
        return Ruler(low and -_rounded_up(-low), min(1.0, _rounded_up(high)), title, is_share=True)
    if unit == "days":
        name, per_day = time_unit(max(high, -low))
        return Ruler(low * 1.1, high * 1.1 or 1 / per_day, title or name, per_day)
    return Ruler(low * 1.1, high * 1.1 or float(not low), title or unit)


def dots(rows: Sequence[Dot], ruler: Ruler, *, has_zero: bool = False) -> Spec:
    """Dots in the order of their rows; `has_zero` draws a line where nothing changed."""
    y = label_axis([row.label for row in rows])
    data = [_row(row, ruler) for row in rows]
    known = [row for row in data if row["value"] is not None]
    layers = []
    if has_zero:
        zero = alt.Chart(alt.InlineData(values=[{"value": 0}])).mark_rule(color=INK, strokeWidth=1)
        layers.append(zero.encode(x=ruler.x()).properties(name="zero"))
    pairs = [row for row in known if row["other"] is not None]
    if pairs:
        layers.append(_line(pairs, ruler, y, ("value", "other"), NEUTRAL, "links"))
        others = alt.Chart(alt.InlineData(values=pairs)).mark_point(
            fill="white", stroke=INK, strokeWidth=1.5, size=220, opacity=1
        )
        tooltip = [alt.Tooltip("name:N", title="Row"), alt.Tooltip("other_text:N", title="Others")]
        layers.append(
            others.encode(x=ruler.x("other"), y=y, tooltip=tooltip).properties(name="others")
        )
    spans = [row for row in known if row["low"] is not None and row["high"] is not None]
    if spans:
        layers.append(_line(spans, ruler, y, ("low", "high"), INK, "whiskers"))
    layers += _points(known, {"x": ruler.x(), "y": y})
    layers += _benchmarks(rows, ruler, y)
    notes = [row for row in data if row["value"] is None and row["note"]]
    if notes:
        text = alt.Chart(alt.InlineData(values=notes)).mark_text(
            align="left", color=INK, fontSize=12
        )
        left = alt.datum((ruler.low + (ruler.high - ruler.low) * 0.01) * ruler.per_value)
        layers.append(text.encode(x=left, y=y, text="note:N").properties(name="notes"))
    lines = max(row.label.count("\n") + 1 for row in rows)
    return finish(layers, height=(ROW_HEIGHT + LABEL_LINE * max(0, lines - 2)) * len(rows))


def months(rows: Sequence[Dot], ruler: Ruler) -> Spec:
    """Dots with their intervals in columns, one a row, whose labels are months: `2024-03`.

    Months between them that have no row stay empty.
    """
    first, last = min(row.label for row in rows), max(row.label for row in rows)
    labels = [
        f"{year}-{month:02}"
        for year in range(int(first[:4]), int(last[:4]) + 1)
        for month in range(1, 13)
        if first <= f"{year}-{month:02}" <= last
    ]
    x = alt.X(
        "row:N",
        title=None,
        sort=labels,
        scale=alt.Scale(domain=labels),
        axis=alt.Axis(
            labelExpr=_MONTH_LABEL,
            labelAngle=0,
            labelOverlap="greedy",
            labelLineHeight=14,
            grid=False,
            ticks=False,
        ),
    )
    data = [_row(row, ruler) for row in rows if row.value is not None]
    spans = [row for row in data if row["low"] is not None and row["high"] is not None]
    whiskers = alt.Chart(alt.InlineData(values=spans)).mark_rule(color=INK, strokeWidth=1.5)
    return finish(
        [
            whiskers.encode(x=x, y=ruler.y("low"), y2="high").properties(name="whiskers"),
            *_points(data, {"x": x, "y": ruler.y()}),
        ],
        height=COLUMN_HEIGHT,
    )


def _row(row: Dot, ruler: Ruler) -> dict[str, Any]:
    scaled = {
        end: None if value is None else value * ruler.per_value
        for end, value in zip(
            ("value", "low", "high", "other"),
            (row.value, row.low, row.high, row.other),
            strict=True,
        )
    }
    return {
        "row": row.label,
        "name": row.label.partition("\n")[0],
        **scaled,
        "text": row.text,
        "other_text": row.other_text,
        "look": row.look,
        "note": row.note,
    }


def _points(known: Sequence[dict[str, Any]], place: dict[str, Any]) -> list[alt.Chart]:
    """One layer a look: a scale of shapes would be that of the benchmarks' signs too."""
    layers = []
    tooltip = [alt.Tooltip("name:N", title="Row"), alt.Tooltip("text:N", title="Value")]
    for look, (colour, shape) in LOOKS.items():
        shown = [row for row in known if row["look"] == look]
        if not shown:
            continue
        base = alt.Chart(alt.InlineData(values=shown))
        marked = (
            base.mark_point(
                fill="white", stroke=colour, strokeWidth=2, size=100, opacity=1, shape=shape
            )
            if look in OUTLINED
            else base.mark_point(filled=True, color=colour, size=140, opacity=1, shape=shape)
        )
        layers.append(marked.encode(**place, tooltip=tooltip).properties(name=f"points_{look}"))
    return layers


def _benchmarks(rows: Sequence[Dot], ruler: Ruler, y: alt.Y) -> list[alt.Chart]:
    """A line across the row with the sign of its kind on top."""
    data = [
        {"row": row.label, "value": value * ruler.per_value, "kind": kind}
        for row in rows
        for kind, value in row.marks
    ]
    if not data:
        return []
    base = alt.Chart(alt.InlineData(values=data))
    ticks = base.mark_tick(color=INK, thickness=2.5, size=28, opacity=1)
    signs = base.mark_point(filled=True, color=INK, size=60, opacity=1, yOffset=-ROW_HEIGHT * 0.36)
    return [
        ticks.encode(x=ruler.x(), y=y).properties(name="benchmarks"),
        signs.encode(x=ruler.x(), y=y, shape=by_kind(alt.Shape, BENCHMARK_SHAPES)).properties(
            name="benchmark_signs"
        ),
    ]


def _line(
    rows: Sequence[dict[str, Any]],
    ruler: Ruler,
    y: alt.Y,
    ends: tuple[str, str],
    colour: str,
    name: str,
) -> alt.Chart:
    line: alt.Chart = (
        alt.Chart(alt.InlineData(values=list(rows)))
        .mark_rule(color=colour, strokeWidth=1.5)
        .encode(x=ruler.x(ends[0]), x2=ends[1], y=y)
        .properties(name=name)
    )
    return line


def _rounded_up(share: float) -> float:
    """1, 2, 3, 5 or 10 times a power of ten, a little above the share."""
    if share <= 0:
        return 1.0
    size: float = 10.0 ** floor(log10(share))
    step = next(step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if step * size >= share * 1.02)
    return round(step * size, 12)

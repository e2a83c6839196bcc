"""How far one gap falls short of its benchmark, and where that comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from orchestration.report.charts.base import (
    BENCHMARK_SHAPES,
    COLOURS,
    INK,
    Spec,
    finish,
    label_axis,
)
from orchestration.report.charts.dots import ruler

ROW_HEIGHT = 40
# Of the line of text above the rows.
_TOP = 12


@dataclass(frozen=True)
class Part:
    """One row: all cases first, then those with the reason and those without.

    `is_behind` says whether it is on the wrong side of the benchmark.
    """

    label: str
    value: float
    text: str
    is_behind: bool
    low: float | None = None
    high: float | None = None


def shortfall(
    parts: Sequence[Part], benchmark: float, kind: str, benchmark_text: str, unit: str
) -> Spec:
    """Dots on the metric's axis, the benchmark across them, a pale bar for what is missing."""
    scale = ruler(
        unit,
        [benchmark, *(end for part in parts for end in (part.value, part.low, part.high))],
    )
    y = label_axis([part.label for part in parts])
    rows = [
        {
            "row": part.label,
            "value": part.value * scale.per_value,
            "low": None if part.low is None else part.low * scale.per_value,
            "high": None if part.high is None else part.high * scale.per_value,
            "benchmark": benchmark * scale.per_value,
            "text": part.text,
            "name": part.label.partition("\n")[0],
            "part": "all" if number == 0 else "part",
        }
        for number, part in enumerate(parts)
    ]
    missing = [row for row, part in zip(rows, parts, strict=True) if part.is_behind]
    spans = [row for row in rows if row["low"] is not None and row["high"] is not None]
    desired = [{"value": benchmark * scale.per_value, "text": benchmark_text}]
    points = alt.Chart(alt.InlineData(values=rows)).mark_point(filled=True, size=130, opacity=1)
    sign = alt.Chart(alt.InlineData(values=desired))
    is_right = benchmark > (scale.low + scale.high) / 2
    return finish(
        [
            alt.Chart(alt.InlineData(values=missing))
            .mark_rule(color=COLOURS["lagging"], strokeWidth=11, opacity=0.28)
            .encode(x=scale.x(), x2="benchmark", y=y)
            .properties(name="missing"),
            sign.mark_rule(color=INK, strokeWidth=2)
            .encode(x=scale.x())
            .properties(name="benchmark"),
            sign.mark_point(
                filled=True,
                color=INK,
                size=70,
                opacity=1,
                shape=BENCHMARK_SHAPES.get(kind, "cross"),
            )
            .encode(x=scale.x(), y=alt.value(-_TOP / 2))
            .properties(name="benchmark_sign"),
            sign.mark_text(
                align="right" if is_right else "left",
                dx=-9 if is_right else 9,
                color=INK,
                fontSize=12,
            )
            .encode(x=scale.x(), y=alt.value(-_TOP / 2), text="text:N")
            .properties(name="benchmark_text"),
            alt.Chart(alt.InlineData(values=spans))
            .mark_rule(color=INK, strokeWidth=1.5)
            .encode(x=scale.x("low"), x2="high", y=y)
            .properties(name="whiskers"),
            points.encode(
                x=scale.x(),
                y=y,
                color=alt.Color(
                    "part:N",
                    scale=alt.Scale(domain=["all", "part"], range=[COLOURS["lagging"], INK]),
                    legend=None,
                ),
                shape=alt.Shape(
                    "part:N",
                    scale=alt.Scale(domain=["all", "part"], range=["circle", "square"]),
                    legend=None,
                ),
                tooltip=[
                    alt.Tooltip("name:N", title="Cases"),
                    alt.Tooltip("text:N", title="Value"),
                ],
            ).properties(name="points"),
        ],
        height=ROW_HEIGHT * len(parts),
    )

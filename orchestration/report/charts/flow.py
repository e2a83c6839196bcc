"""Moves between stages as arcs: forward on the right, back on the left."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from orchestration.report.charts.base import INK, Spec, finish

FLOW_HEIGHT = 58
# Forward, out and back again also lie apart: right, right to an exit, left.
KINDS = {"forward": "#0072b2", "exit": "#8a97a6", "back": "#d55e00"}
_WIDEST, _THINNEST = 16, 1.5
_POINTS = 16
_NARROW = 420
_LABELS, _LABELS_NARROW = 16, 12
# Of the width, beside the widest arc, for its label; and what a narrow journey has all the same.
_ROOM = 0.75
_WIDTH = 2.5


@dataclass(frozen=True)
class Arc:
    """The moves from one stage to another, stages by their place in the journey from 0.

    `kind` is a key of KINDS; `text` labels it where there is room, `short` where there is not.
    """

    start: int
    end: int
    kind: str
    moves: int
    name: str
    text: str
    short: str
    share: str
    median: str


def flow(arcs: Sequence[Arc], stages: Sequence[Sequence[str]]) -> Spec:
    """Stages downwards in their order, each given as the lines of its name."""
    most = max(arc.moves for arc in arcs)
    ranked = sorted(arcs, key=lambda arc: (arc.kind != "back", -arc.moves))
    rows = [_row(arc, rank, most) for rank, arc in enumerate(ranked, start=1)]
    reach = [row["b"] for row in rows]
    x = alt.X(
        "x:Q",
        axis=None,
        scale=alt.Scale(
            domain=[
                min(0.0, *reach) - (_ROOM if min(reach) < 0 else 0.1),
                max(max(reach) + _ROOM, _WIDTH),
            ],
            nice=False,
            zero=False,
        ),
    )
    y = alt.Y(
        "y:Q",
        title=None,
        scale=alt.Scale(domain=[len(stages) - 0.6, -0.4], nice=False, zero=False),
        axis=alt.Axis(
            values=list(range(len(stages))),
            labelExpr=f"{json.dumps([list(lines) for lines in stages])}[datum.value]",
            labelLimit=130,
            labelLineHeight=15,
            labelOffset=-8,
            labelPadding=8,
            ticks=False,
            domain=False,
            grid=True,
        ),
    )
    tooltip = [
        alt.Tooltip("m:N", title="From, to"),
        alt.Tooltip("n:Q", title="Moves", format=",d"),
        alt.Tooltip("p:N", title="Of those who left"),
        alt.Tooltip("d:N", title="After (median)"),
    ]
    base = alt.Chart(alt.InlineData(values=rows))
    half = f"PI * datum.i / {_POINTS}"
    lines = (
        base.transform_calculate(i=f"sequence({_POINTS + 1})")
        .transform_flatten(["i"])
        .transform_calculate(
            x=f"datum.b * sin({half})", y=f"datum.f + (datum.e - datum.f) * (1 - cos({half})) / 2"
        )
        .mark_line(opacity=0.55, interpolate="natural")
        .encode(
            x=x,
            y=y,
            detail="r:N",
            order="i:Q",
            strokeWidth=alt.StrokeWidth("w:Q", scale=None),
            color=alt.Color(
                "k:N",
                scale=alt.Scale(domain=list(KINDS), range=list(KINDS.values())),
                legend=None,
            ),
            tooltip=tooltip,
        )
    )
    labels = [
        _labels([row for row in rows if row["r"] <= _LABELS and (row["b"] < 0) == is_back], is_back)
        for is_back in (False, True)
    ]
    nodes = (
        alt.Chart(alt.InlineData(values=[{"x": 0, "y": place} for place in range(len(stages))]))
        .mark_point(filled=True, color=INK, size=70, opacity=1)
        .encode(x=x, y=y)
    )
    return finish(
        [
            lines.properties(name="arcs_line"),
            nodes.properties(name="nodes"),
            *(layer for pair in labels for layer in pair),
        ],
        height=FLOW_HEIGHT * len(stages),
    )


def _row(arc: Arc, rank: int, most: int) -> dict[str, Any]:
    bulge = 0.5 * abs(arc.end - arc.start) ** 0.75
    return {
        "f": arc.start,
        "e": arc.end,
        "b": round(-bulge if arc.end < arc.start else bulge, 3),
        "k": arc.kind,
        "w": round(max(_THINNEST, _WIDEST * arc.moves / most), 1),
        "r": rank,
        "n": arc.moves,
        "m": arc.name,
        "p": arc.share,
        "d": arc.median,
        "t": arc.text,
        "s": arc.short,
    }


def _labels(rows: Sequence[dict[str, Any]], is_back: bool) -> list[alt.Chart]:
    """Beside the middle of the arc, on a white edge; fewer and shorter on a phone."""
    if not rows:
        return []
    data = alt.InlineData(
        values=[
            {
                "x": row["b"],
                "y": (row["f"] + row["e"]) / 2,
                "r": row["r"],
                "t": row["t"],
                "s": row["s"],
            }
            for row in rows
        ]
    )
    side = "left" if is_back else "right"
    text: dict[str, Any] = {"align": "right", "dx": -10} if is_back else {"align": "left", "dx": 10}
    styles: list[tuple[str, dict[str, Any]]] = [
        ("edges", {"stroke": "white", "strokeWidth": 4, "fill": "white"}),
        ("labels", {"fill": INK}),
    ]
    return [
        alt.Chart(data)
        .mark_text(
            **text,
            **looks,
            text=alt.ExprRef(f"width < {_NARROW} ? datum.s : datum.t"),
            fontSize=12,
            opacity=alt.ExprRef(f"width < {_NARROW} && datum.r > {_LABELS_NARROW} ? 0 : 1"),
        )
        .encode(x="x:Q", y="y:Q")
        .properties(name=f"{side}_{name}")
        for name, looks in styles
    ]

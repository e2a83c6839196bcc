"""A share by segment and stage as a grid of cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from orchestration.report.charts.base import INK, Spec, finish
from orchestration.report.words import NBSP

# Ends that dark text reads on; blue and orange are told apart by colour-blind readers.
BELOW, SAME, ABOVE = "#f0a05a", "#f7f7f7", "#7db8dd"
CELL_HEIGHT = 36
_NAME_WIDTH = 110


@dataclass(frozen=True)
class Cell:
    """One cell: its share as text, and how far it lies from the stage's total.

    `distance` is a difference of shares, None where the cell is to stay without colour; `sign`
    is the verdict's symbol, empty where there is none to show.
    """

    segment: str
    stage: str
    text: str
    sign: str
    distance: float | None
    n: str
    interval: str
    verdict: str


def heatmap(
    cells: Sequence[Cell], segments: Sequence[str], stages: Sequence[str], most: float
) -> Spec:
    """Stages from left to right, segments downwards; `most` is the distance of the full colour."""
    # Upright where a name may be wider than its column.
    is_narrow = f"width < {_NAME_WIDTH * len(stages)}"
    x = alt.X(
        "x:N",
        title=None,
        scale=alt.Scale(domain=list(stages), paddingInner=0.03, paddingOuter=0),
        axis=alt.Axis(
            orient="top",
            labelAngle=alt.ExprRef(f"{is_narrow} ? -90 : 0"),
            labelAlign=alt.ExprRef(f"{is_narrow} ? 'left' : 'center'"),
            labelBaseline=alt.ExprRef(f"{is_narrow} ? 'middle' : 'bottom'"),
            labelLimit=_NAME_WIDTH,
            labelPadding=6,
            ticks=False,
            domain=False,
        ),
    )
    y = alt.Y(
        "y:N",
        title=None,
        scale=alt.Scale(domain=list(segments), paddingInner=0.06, paddingOuter=0),
        axis=alt.Axis(labelLimit=_NAME_WIDTH, labelPadding=8, ticks=False, domain=False),
    )
    tooltip = [
        alt.Tooltip("y:N", title="Segment"),
        alt.Tooltip("x:N", title="Stage"),
        alt.Tooltip("t:N", title="Go on"),
        alt.Tooltip("i:N", title=f"95{NBSP}% interval"),
        alt.Tooltip("n:N", title="n"),
        alt.Tooltip("v:N", title="Verdict"),
    ]
    colour = alt.Color(
        "d:Q",
        scale=alt.Scale(domain=[-most, 0, most], range=[BELOW, SAME, ABOVE], clamp=True),
        legend=None,
    )
    coloured = _chart([_row(cell) for cell in cells if cell.distance is not None])
    blank = _chart([_row(cell) for cell in cells if cell.distance is None])
    signs = _chart([_place(cell) | {"g": cell.sign} for cell in cells if cell.sign])
    spec = finish(
        [
            coloured.mark_rect(stroke="white")
            .encode(x=x, y=y, color=colour, tooltip=tooltip)
            .properties(name="cells"),
            blank.mark_rect(fill="white", stroke="#b8c2cc", strokeDash=[3, 3])
            .encode(x=x, y=y, tooltip=tooltip)
            .properties(name="blank_cells"),
            coloured.mark_text(color=INK, fontSize=12)
            .encode(x=x, y=y, text="t:N")
            .properties(name="cell_texts"),
            blank.mark_text(color=INK, fontSize=12)
            .encode(x=x, y=y, text="t:N")
            .properties(name="blank_texts"),
            signs.mark_text(color=INK, fontSize=9, dy=12)
            .encode(x=x, y=y, text="g:N")
            .properties(name="cell_signs"),
        ],
        height=CELL_HEIGHT * len(segments),
    )
    # Once for all layers: half of the bytes.
    spec["encoding"] = {axis: spec["layer"][0]["encoding"][axis] for axis in ("x", "y")}
    for layer in spec["layer"]:
        del layer["encoding"]["x"], layer["encoding"]["y"]
    return spec


def _chart(rows: Sequence[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(rows)))


def _place(cell: Cell) -> dict[str, Any]:
    return {"x": cell.stage, "y": cell.segment}


def _row(cell: Cell) -> dict[str, Any]:
    row = {"t": cell.text, "n": cell.n, "i": cell.interval, "v": cell.verdict}
    colour = {} if cell.distance is None else {"d": round(cell.distance, 3)}
    return _place(cell) | row | colour

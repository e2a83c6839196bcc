"""What all charts share: colours, axes, how a specification is finished.

Every layer has a name, which Vega gives to its marks in the SVG. Layers that share an axis
are given the same order as a list: a layered chart loses a sort by field.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestration.report.words import NBSP

Spec = dict[str, Any]

INK = "#1f2933"
# Okabe and Ito's palette: told apart by colour-blind readers; orange is also the darkest grey.
COLOURS = {"lagging": "#d55e00", "ahead": "#0072b2", "at_par": "#009e73"}
NEUTRAL = "#8a97a6"
BENCHMARK_SHAPES = {"industry": "triangle-down", "target": "diamond", "own_past": "circle"}
BENCHMARK_DASHES = {"industry": [1, 0], "target": [6, 4], "own_past": [2, 3]}


# "40%" as the text writes it.
PERCENT_LABEL = f"replace(datum.label, '%', '{NBSP}%')"


def finish(layers: Sequence[alt.Chart], height: int) -> Spec:
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


def by_kind(channel: Any, looks: dict[str, Any]) -> Any:
    """A channel that tells kinds of benchmark apart."""
    return channel(
        "kind:N", scale=alt.Scale(domain=list(looks), range=list(looks.values())), legend=None
    )

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
# Pixels from line to line of a label.
LABEL_LINE = 15
# The same as text: 4.5 to 1 on white and on the grey of a table's groups.
TEXT_COLOURS = {"lagging": "#a84700", "ahead": "#0068a3", "at_par": "#00714f"}
BENCHMARK_SHAPES = {"industry": "triangle-down", "target": "diamond", "own_past": "circle"}
BENCHMARK_DASHES = {"industry": [1, 0], "target": [6, 4], "own_past": [2, 3]}


# "40%" as the text writes it.
PERCENT_LABEL = f"replace(datum.label, '%', '{NBSP}%')"


def finish(layers: Sequence[alt.Chart], height: int) -> Spec:
    """One layered chart as wide as its place on the page."""
    named, datasets = _apart(layers)
    chart = (
        alt.layer(*named)
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
            labelSeparation=8,
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
    if datasets:
        spec["datasets"] = datasets
    return spec


def _apart(layers: Sequence[alt.Chart]) -> tuple[list[alt.Chart], dict[str, Any]]:
    """The layers with the names of their data, and the data: Altair copies and checks row by row
    what stands in a layer, which takes most of the time that a chart takes.
    """
    numbers: dict[int, int] = {}
    named: list[alt.Chart] = []
    datasets: dict[str, Any] = {}
    for layer in layers:
        if not isinstance(layer.data, alt.InlineData):
            named.append(layer)
            continue
        number = numbers.setdefault(id(layer.data), len(numbers))
        datasets[f"data-{number}"] = layer.data.values
        with_name = layer.copy(deep=False)
        with_name.data = alt.NamedData(name=f"data-{number}")
        named.append(with_name)
    return named, datasets


def label_axis(labels: Sequence[str], field: str = "row", line_count: int = 0) -> alt.Y:
    """Rows in their order, the lines of each label beside the middle of its row.

    `line_count` is given where the labels do not say it yet.
    """
    line_count = line_count or max(label.count("\n") + 1 for label in labels)
    return alt.Y(
        f"{field}:N",
        title=None,
        sort=list(labels),
        scale=alt.Scale(domain=list(labels)),
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')",
            labelLimit=180,
            labelLineHeight=LABEL_LINE,
            labelOffset=-LABEL_LINE * (line_count - 1) / 2,
            labelPadding=8,
            ticks=False,
            domain=False,
        ),
    )


def by_kind(channel: Any, looks: dict[str, Any]) -> Any:
    """A channel that tells kinds of benchmark apart."""
    return channel(
        "kind:N", scale=alt.Scale(domain=list(looks), range=list(looks.values())), legend=None
    )

"""Counts as bars, one row each, the figure at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from orchestration.report.charts.base import INK, Spec, finish, label_axis
from orchestration.report.charts.weeks import TREND

ROW_HEIGHT = 26


@dataclass(frozen=True)
class Bar:
    """One row: a name of one line, a count, and what stands at its end."""

    name: str
    value: int
    text: str


def bars(rows: Sequence[Bar]) -> Spec:
    """Bars in the order of their rows, from nothing to a little more than the longest."""
    y = label_axis([row.name for row in rows])
    longest = max(row.value for row in rows)
    x = alt.X(
        "value:Q",
        title=None,
        # Room for the text of the longest.
        scale=alt.Scale(domain=[0, longest * 1.45], nice=False),
        axis=None,
    )
    data = alt.InlineData(
        values=[{"row": row.name, "value": row.value, "text": row.text} for row in rows]
    )
    base = alt.Chart(data)
    return finish(
        [
            base.mark_bar(color=TREND, height=16).encode(x=x, y=y).properties(name="bars"),
            base.mark_text(align="left", dx=6, color=INK, fontSize=12)
            .encode(x=x, y=y, text="text:N")
            .properties(name="texts"),
        ],
        height=ROW_HEIGHT * len(rows),
    )

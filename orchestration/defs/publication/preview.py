"""The report's answer on the page of an asset in Dagster's UI, with no click more.

The UI shows a table as it is, and Markdown below a thousand characters; longer Markdown behind a
button.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import dagster as dg

from orchestration.markdown import plain
from orchestration.report.words import in_words

if TYPE_CHECKING:
    from orchestration.report.parts import Page

# Characters of Markdown that the UI shows at once.
SHOWN = 1000
# Gaps in the small picture, their labels' characters, its pixels; it must stay below SHOWN.
BARS, LABEL = 3, 34
_ROW, _FULL, _ROOM = 20, 200, 40
_COLUMNS = {"rank": "int", "gap": "string", "n": "int"}

# Of a picture that an event of the run carries, bytes.
LARGEST = 75_000


def preview(page: "Page") -> str:
    """The summary for chats and one chart as Markdown, below 100 kB."""
    # Slow to import, and only a run that publishes needs it.
    from orchestration.report.pictures import as_png, as_text, pictures
    from orchestration.report.summary import summary

    text = summary(page)
    picture = next(pictures(page), None)
    if picture is None:
        return text
    png = as_png(as_text(picture), scale=1)
    if len(png) > LARGEST:
        return text
    encoded = b64encode(png).decode("ascii")
    return f"{text}\n![{plain(picture.title)}](data:image/png;base64,{encoded})\n"


def table(gaps: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """The ranked gaps of `published_gaps`; segments have ranks of their own."""
    records = [
        dg.TableRecord({"rank": gap["priority_rank"], "gap": gap["sentence"], "n": gap["n"]})
        for gap in gaps
        if gap["priority_rank"] is not None
    ]
    columns = [dg.TableColumn(name, kind) for name, kind in _COLUMNS.items()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def bars(gaps: Sequence[Mapping[str, Any]]) -> str:
    """The first ranked totals as bars from zero, each to a line at its benchmark: Markdown with an
    SVG image below SHOWN characters. Empty where there are none above zero.
    """
    rows = [
        (
            f"{in_words(gap['stage_id'])}: {in_words(gap['metric_id']).lower()}"[:LABEL],
            gap["value"] / gap["benchmark_value"],
        )
        for gap in gaps
        if gap["priority_rank"] is not None
        and gap["segment_dimension"] == "all"
        and gap["value"] >= 0
        and gap["benchmark_value"] > 0
    ][:BARS]
    if not rows:
        return ""
    per_benchmark = _FULL / max(1.0, *(share for _, share in rows))
    drawn = "".join(
        f"<path fill='#f2b48a' d='M0 {top}h{share * per_benchmark:.0f}v16H0'/>"
        f"<text x='4' y='{top + 12}'>{escape(label)}</text>"
        for top, (label, share) in zip(range(0, BARS * _ROW, _ROW), rows, strict=False)
    )
    height = _ROW * len(rows)
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_FULL + _ROOM}' height='{height}'"
        f" font-family='sans-serif' font-size='12'>{drawn}"
        f"<path stroke='#000' d='M{per_benchmark:.0f} 0v{height}'/></svg>"
    )
    encoded = b64encode(svg.encode()).decode("ascii")
    return f"![Actual against the benchmark, the line](data:image/svg+xml;base64,{encoded})"

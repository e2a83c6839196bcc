"""The page: what a publication says, in one HTML file that asks the network for nothing."""

import gzip
import json
from base64 import b64encode
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.files import write_whole
from orchestration.publish.publication import REPORT_FILE

if TYPE_CHECKING:
    from jinja2 import Environment

    from orchestration.report.parts import Page

_JSON: dict[str, Any] = {"sort_keys": True, "allow_nan": False, "separators": (",", ":")}
_LEVEL = 6


def render_report(folder: Path) -> str:
    """Return the report on the publication in `folder`, as HTML.

    It is made of `journey_gaps.duckdb` and `manifest.json` there and of nothing else: the same
    folder gives the same text. Raises JourneyGapsError where the folder is no publication.
    """
    # Slow to import, and only a run that publishes needs it.
    from orchestration.report.assembly import build_page

    return render(build_page(folder))


@cache
def templates() -> "Environment":
    """The templates; what they are given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("orchestration.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(page: "Page") -> str:
    """The page as HTML."""
    return (
        templates()
        .get_template("report.html.j2")
        .render(page=page, bundle=_packed_bundle(), data=packed(json.dumps(_data(page), **_JSON)))
    )


def write_report(folder: Path) -> Path:
    """Write `report.html` into a publication's folder and return its path."""
    write_page(folder)
    return folder / REPORT_FILE


def write_page(folder: Path) -> "Page":
    """Write `report.html` into a publication's folder and return what it says."""
    from orchestration.report.assembly import build_page

    page = build_page(folder)
    write_whole(folder / REPORT_FILE, render(page))
    return page


def packed(text: str) -> str:
    """A text as the page carries it: gzip in base64, a twentieth of what the charts say.

    The same text gives the same characters: no time is written.
    """
    return b64encode(gzip.compress(text.encode(), _LEVEL, mtime=0)).decode("ascii")


def _data(page: "Page") -> dict[str, Any]:
    """What the page's script draws and swaps, by chart and by choice."""
    return {
        "specs": page.specs,
        "variants": {
            figure.chart_id: {
                key: {
                    "spec": variant.spec,
                    "caption": variant.caption,
                    "label": variant.label,
                    "empty": variant.empty,
                    "table": asdict(variant.table) if variant.table else None,
                }
                for key, variant in figure.variants.items()
            }
            for figure in page.figures
            if figure.variants
        },
        "gaps": {
            "rows": page.gap_views.rows,
            "views": {
                "\n".join(choice): {"groups": view.groups, "note": view.note}
                for choice, view in page.gap_views.views.items()
            },
        },
    }


@cache
def _packed_bundle() -> str:
    return packed(_bundle())


def _bundle() -> str:
    """Vega-Embed with Vega and Vega-Lite, as a script that sets `vegaEmbed`."""
    import vl_convert
    from altair import SCHEMA_VERSION

    version = SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return bundle

"""The page: what a publication says, in one HTML file that asks the network for nothing."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.files import write_whole

if TYPE_CHECKING:
    from orchestration.report.parts import Page

REPORT = "report.html"


def render_report(folder: Path) -> str:
    """Return the report on the publication in `folder`, as HTML.

    It is made of `journey_gaps.duckdb` and `manifest.json` there and of nothing else: the same
    folder gives the same text. Raises JourneyGapsError where the folder is no publication.
    """
    # Slow to import, and only a run that publishes needs it.
    from orchestration.report.assembly import build_page

    return render(build_page(folder))


def render(page: "Page") -> str:
    """The page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("orchestration.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {
        "sort_keys": True,
        "allow_nan": False,
        "separators": (",", ":"),
    }
    # The bundle is ours, not data: vega-embed with all it needs.
    bundle = Markup(_bundle())  # noqa: S704
    return environment.get_template("report.html.j2").render(page=page, bundle=bundle)


def write_report(folder: Path) -> Path:
    """Write `report.html` into a publication's folder and return its path."""
    path = folder / REPORT
    write_whole(path, render_report(folder))
    return path


@cache
def _bundle() -> str:
    """Vega-Embed with Vega and Vega-Lite, as a script that sets `vegaEmbed`."""
    import vl_convert
    from altair import SCHEMA_VERSION

    version = SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return bundle.replace("</script", "<\\/script")

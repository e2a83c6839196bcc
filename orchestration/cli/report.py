"""`journey-gaps report`: the published report, in the form that its reader needs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.program import Demo, Home, Map, load_settings
from orchestration.errors import JourneyGapsError
from orchestration.files import write_whole
from orchestration.publish.publication import REPORT_FILE, current


class ReportFormat(StrEnum):
    """What the report is written as."""

    HTML = "html"
    PDF = "pdf"
    MARKDOWN = "md"
    PNG = "png"


def report(
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Annotated[
        ReportFormat,
        typer.Option(
            "--format",
            help="html; pdf, printed by a Chromium of this machine; md, a summary for a chat; "
            "png, a picture (and its SVG) per chart.",
        ),
    ] = ReportFormat.HTML,
    to: Annotated[
        Path | None,
        typer.Option(
            help="File to write, for png a folder (default: where the report is published; "
            "md to the terminal; others report.pdf, report-charts)."
        ),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(help="Address of the report in the summary (default: its path)."),
    ] = None,
) -> None:
    """The published report as HTML, PDF, pictures or a summary for a chat."""
    settings = load_settings(demo=demo, map=map_, home=home)
    folder = current(settings.published_dir)
    if folder is None:
        raise JourneyGapsError(
            f"nothing is published in {settings.published_dir}: run `journey-gaps run` with the "
            "same --home, --map or --demo first"
        )
    page = folder / REPORT_FILE
    match format_:
        case ReportFormat.HTML:
            if to is not None:
                _write(to, page.read_bytes())
            typer.echo(to or page)
        case ReportFormat.PDF:
            from orchestration.report.paper import browser, print_report

            printed = to or Path("report.pdf")
            print_report(page, printed, browser(settings.browser))
            typer.echo(printed)
        case ReportFormat.MARKDOWN:
            from orchestration.report.assembly import build_page
            from orchestration.report.summary import summary

            text = summary(build_page(folder), link or str(page))
            if to is None:
                from orchestration.cli.console import harmless

                typer.echo(harmless(text), nl=False)
            else:
                _write(to, text.encode())
                typer.echo(to)
        case ReportFormat.PNG:
            from orchestration.report.assembly import build_page
            from orchestration.report.pictures import write_pictures

            pictures = to or Path("report-charts")
            written = write_pictures(build_page(folder), pictures)
            typer.echo(f"{pictures}: {len(written)} files")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)

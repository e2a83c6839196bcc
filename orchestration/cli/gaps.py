"""`journey-gaps gaps`: the published ranking."""

import json
import sys
from typing import Annotated

import typer

from orchestration.cli.console import console_of, ranking_grid, write_csv
from orchestration.cli.program import Demo, Format, Home, Map, Written, load_settings
from orchestration.publish.reading import published_gaps

SCREENFUL = 20


def gaps(
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
    top: Annotated[
        int | None,
        typer.Option(min=1, help=f"Rows, worst first (default: all; {SCREENFUL} in a table)."),
    ] = None,
) -> None:
    """The published gap ranking."""
    settings = load_settings(demo=demo, map=map_, home=home)
    ranking = published_gaps(settings.published_dir, top)
    match format_:
        case Format.JSON:
            typer.echo(json.dumps(ranking.records(), default=str, indent=2))
        case Format.CSV:
            write_csv(sys.stdout, ranking.columns, ranking.rows)
        case Format.TABLE:
            shown = top or SCREENFUL
            console = console_of(sys.stdout)
            console.print(ranking_grid(ranking, shown))
            if len(ranking.rows) > shown:
                console.print(f"{len(ranking.rows) - shown:,} more rows: --top, --format csv")

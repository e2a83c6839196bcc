"""`journey-gaps check-map`: the map alone."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.console import listed
from orchestration.cli.program import load_settings


def check_map(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of journey-map CSVs (default: the setting).")
    ] = None,
) -> None:
    """Validate a journey map, and nothing else."""
    from orchestration.journey_map import load_journey_map

    settings = load_settings(map=folder)
    journey_map = load_journey_map(settings.map)
    rows = {table: len(rows) for table, rows in journey_map.tables.items() if rows}
    typer.echo(f"{settings.map} holds together: " + listed(rows))

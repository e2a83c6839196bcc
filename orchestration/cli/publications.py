"""`journey-gaps publications`: what readers were given, and the way back to it."""

import csv
import json
import os
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table as Grid

from orchestration.cli.console import cell, console_of, in_bytes
from orchestration.cli.program import (
    Demo,
    EngineTarget,
    Format,
    Home,
    LockTimeout,
    Map,
    PostgresUrl,
    Written,
    load_settings,
)
from orchestration.publish.history import KeptPublication, kept_publications, rollback
from orchestration.warehouse import warehouse_of

publications = typer.Typer(help="List the publications that are kept, or go back to one.")


@publications.command("list")
def list_(
    demo: Demo = False, map_: Map = None, home: Home = None, format_: Written = Format.TABLE
) -> None:
    """The publications that are kept, newest first; every file is checked."""
    settings = load_settings(demo=demo, map=map_, home=home)
    kept = kept_publications(settings.published_dir, verify=True)
    records = [one.record() for one in kept]
    match format_:
        case Format.JSON:
            typer.echo(json.dumps(records, indent=2))
        case Format.CSV:
            columns = list(records[0]) if records else []
            writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
        case Format.TABLE:
            console = console_of(sys.stdout)
            console.print(_grid(kept))
            for one in kept:
                for found in one.damage:
                    console.print(f"{one.publication_id}: {found}", markup=False, soft_wrap=True)


@publications.command("rollback")
def rollback_(
    publication_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Which (default: the one before current)."),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Make an earlier publication current again; the next run publishes as ever.

    Its files must be those that were published. On PostgreSQL the views of schema `published` go
    back too.
    """
    settings = load_settings(
        demo=demo,
        map=map_,
        home=home,
        target=target,
        postgres_url=postgres_url,
        lock_timeout_seconds=lock_timeout,
    )
    os.environ.update(settings.environ())
    from orchestration.maintenance import warehouse_held

    with warehouse_held(settings, "publications-rollback", opens_file=False):
        now = rollback(warehouse_of(settings), settings.published_dir, publication_id)
    published_at = now.published_at.isoformat(timespec="seconds")
    typer.echo(f"current is {now.publication_id}, published {published_at}: {now.folder}")


def _grid(kept: list[KeptPublication]) -> Grid:
    grid = Grid(title="Publications, newest first", title_justify="left")
    for heading in ("", "publication", "published (UTC)", "run"):
        grid.add_column(heading)
    for heading in ("rows", "size"):
        grid.add_column(heading, justify="right")
    grid.add_column("state")
    for one in kept:
        grid.add_row(
            "current" if one.is_current else "",
            escape(one.publication_id),
            f"{one.published_at:%Y-%m-%d %H:%M:%S}",
            escape((one.run_id or "")[:8]),
            cell(one.rows),
            in_bytes(one.bytes),
            "[red]damaged[/]" if one.damage else "complete",
        )
    return grid

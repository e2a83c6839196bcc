"""`journey-gaps publications`: what readers were given, and the way back to it."""

import os
from typing import Annotated

import typer
from rich.text import Text

from orchestration.cli.console import cell, in_bytes
from orchestration.cli.program import (
    Demo,
    EngineTarget,
    Format,
    Home,
    LockTimeout,
    Map,
    PostgresUrl,
    SparkHost,
    SparkPort,
    Written,
    load_settings,
)
from orchestration.cli.views import Cell, Column, View, show
from orchestration.publish.history import KeptPublication, kept_publications, rollback
from orchestration.publish.reading import Table
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
    columns = list(records[0]) if records else []
    table = Table(columns, [tuple(record.values()) for record in records])
    show(format_, table, [_view(kept)])


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
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
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
        spark_host=spark_host,
        spark_port=spark_port,
        lock_timeout_seconds=lock_timeout,
    )
    os.environ.update(settings.environ())
    from orchestration.maintenance import warehouse_held

    with warehouse_held(settings, "publications-rollback", opens_file=False):
        now = rollback(warehouse_of(settings), settings.published_dir, publication_id)
    published_at = now.published_at.isoformat(timespec="seconds")
    typer.echo(f"current is {now.publication_id}, published {published_at}: {now.folder}")


def _view(kept: list[KeptPublication]) -> View:
    headings = ("", "publication", "published (UTC)", "run")
    columns = [Column(heading) for heading in headings]
    columns += [Column("rows", is_figure=True), Column("size", is_figure=True), Column("state")]
    rows: list[list[Cell]] = [
        [
            "current" if one.is_current else "",
            one.publication_id,
            f"{one.published_at:%Y-%m-%d %H:%M:%S}",
            (one.run_id or "")[:8],
            cell(one.rows),
            in_bytes(one.bytes),
            Text("damaged", "red") if one.damage else "complete",
        ]
        for one in kept
    ]
    damage = [f"{one.publication_id}: {found}" for one in kept for found in one.damage]
    return View("Publications, newest first", columns, rows, damage)

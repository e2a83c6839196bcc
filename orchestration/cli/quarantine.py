"""`journey-gaps quarantine`: rows that broke the contract, and judging them again."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from orchestration.cli.console import console_of
from orchestration.cli.program import (
    Demo,
    EngineTarget,
    Format,
    Home,
    Map,
    PostgresUrl,
    SparkHost,
    SparkPort,
    Written,
    load_settings,
)
from orchestration.cli.views import Column, View, show
from orchestration.landing.quarantine import (
    quarantine_counts,
    quarantined_rows,
    require_landed,
)
from orchestration.landing.replay import ReplayResult
from orchestration.landing.replay import replay as replay_rows
from orchestration.maintenance import warehouse_held
from orchestration.publish.reading import Table
from orchestration.warehouse import DuckDBWarehouse

SCREENFUL = 20

quarantine = typer.Typer(
    help="Rows that broke the contract: list them, judge them again.", no_args_is_help=True
)

TableName = Annotated[str | None, typer.Option(help="A raw table, such as events (default: all).")]
Reason = Annotated[str | None, typer.Option(help="Only reasons that contain this text.")]


@quarantine.command("list")
def list_(
    table: TableName = None,
    reason: Reason = None,
    rows: Annotated[
        bool, typer.Option("--rows", help="The rows themselves, with their content.")
    ] = False,
    top: Annotated[
        int | None, typer.Option(min=1, help=f"Lines (default: all; {SCREENFUL} to look at).")
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Written = Format.TABLE,
) -> None:
    """Count what is in quarantine, by table, reason and file, or show the rows.

    journey-gaps quarantine list --table events --reason "is missing" --rows
    """
    settings = load_settings(demo=demo, map=map_, home=home)
    require_landed(settings.warehouse)
    shown = top or (SCREENFUL if format_ in (Format.TABLE, Format.MD) else None)
    found: Sequence[Any]
    with DuckDBWarehouse(settings.warehouse).connect() as connection:
        if rows:
            found = quarantined_rows(
                connection, table, reason, None if shown is None else shown + 1
            )
        else:
            found = quarantine_counts(connection, table, reason)
    records = [asdict(item) for item in found]
    more = ["There is more: --top, --format csv"] if shown and len(records) > shown else []
    if format_ is Format.JSON:
        typer.echo(json.dumps(records[:shown], default=str, indent=2))
        return
    columns = list(records[0]) if records else []
    lines = [tuple(_cells(record)) for record in records[:shown]]
    title = "" if records else "Nothing is in quarantine."
    view = View(title, list(map(Column, columns)), [list(map(str, line)) for line in lines], more)
    show(format_, Table(columns, lines), [view])


def _cells(record: dict[str, Any]) -> list[object]:
    """A record as a line: lists as texts."""
    return [
        " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else value
        for value in record.values()
    ]


@quarantine.command()
def replay(
    table: TableName = None,
    reason: Reason = None,
    accept: Annotated[
        str | None,
        typer.Option(
            help="The source file that is right where ids have two contents; the others are "
            "released."
        ),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    lock_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait for a run. [JOURNEY_GAPS_LOCK_TIMEOUT_SECONDS]"),
    ] = None,
) -> None:
    """Judge quarantined rows again; those that hold now move to raw.

    The next `journey-gaps run` builds with them. Rows that still fail stay.
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
    require_landed(settings.warehouse)
    with warehouse_held(settings, "quarantine replay"):
        result = replay_rows(settings.warehouse, table=table, reason=reason, accept=accept)
    _print(result)


def _print(result: ReplayResult) -> None:
    console = console_of(sys.stdout)
    for done in result.tables:
        counts = {
            "kept": done.rows_kept,
            "duplicate": done.rows_duplicate,
            "superseded": done.rows_superseded,
            "still failing": done.rows_failing,
            "now contradicting another content": done.rows_conflicting,
        }
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        if told:
            console.print(f"{done.table}: judged {done.rows_judged:,}: {told}", soft_wrap=True)
        if done.rows_contradicting:
            console.print(
                f"{done.table}: {done.rows_contradicting:,} rows whose id has two contents stay: "
                "name the file that is right with --accept",
                soft_wrap=True,
            )
        if done.rows_unread:
            console.print(
                f"{done.table}: {done.rows_unread:,} lines could not be read and stay: correct "
                "the file and land it again",
                soft_wrap=True,
            )
    if result.load_id is None:
        console.print("Nothing changed.")
    else:
        console.print(f"load {result.load_id}; the next `journey-gaps run` builds with it")

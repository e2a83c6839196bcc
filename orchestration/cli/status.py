"""`journey-gaps status`: what a HOME is like now."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python
from rich.markup import escape
from rich.table import Table as Grid

from orchestration.cli.console import cell, console_of
from orchestration.cli.program import (
    FAILED,
    Demo,
    EngineTarget,
    Home,
    Landing,
    Map,
    PostgresUrl,
    SparkHost,
    SparkPort,
    address_server,
    load_settings,
)
from orchestration.status import HomeStatus, status_of


class Report(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"


Reported = Annotated[Report, typer.Option("--format", help="How to write it.")]


def status(
    demo: Demo = False,
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    format_: Reported = Report.TABLE,
) -> None:
    """The last run, what is published, how new the data are, what was set aside.

    Reads files, so that it answers while a run is at work.

    Exit 0: the last run was good and something is published; 1: it was not, or nothing is.
    """
    settings = load_settings(
        demo=demo,
        map=map_,
        landing=landing,
        home=home,
        target=target,
        postgres_url=postgres_url,
        spark_host=spark_host,
        spark_port=spark_port,
    )
    address_server(settings)
    found = status_of(settings)
    match format_:
        case Report.JSON:
            record = {**asdict(found), "rejected_files": found.rejected_files}
            del record["last_landing"]
            typer.echo(json.dumps(to_jsonable_python(record), indent=2))
        case Report.TABLE:
            console = console_of(sys.stdout)
            now = datetime.now(UTC)
            for line in _lines(found, now):
                console.print(line, soft_wrap=True)
            if found.tables:
                console.print(_grid(found, now))
            for line in _remarks(found):
                console.print(line, soft_wrap=True)
    if found.unhealthy:
        raise typer.Exit(FAILED)


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit of which there are two: 3 days ago."""
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return "in the future"
    for unit, length in {"days": 86_400, "hours": 3_600, "minutes": 60}.items():
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago" if seconds >= 2 else "just now"


def size(count: float) -> str:
    """Bytes as a person says them: 119 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _lines(found: HomeStatus, now: datetime) -> Iterator[str]:
    yield f"home           {escape(str(found.home))}"
    yield f"last run       {_run(found.last_run, now)}"
    if found.last_run is not None and found.last_run.get("error"):
        yield f"               [red]{escape(found.last_run['error'])}[/]"
    if found.last_good_run != found.last_run:
        yield f"last good run  {_run(found.last_good_run, now)}"
    if found.running is not None:
        yield f"running        {escape(str(found.running))}"
    publication = found.publication
    if publication is None:
        yield "publication    none yet"
    else:
        yield (
            f"publication    {escape(publication.publication_id)}, "
            f"{ago(publication.published_at, now)}: {publication.marts} marts, "
            f"{publication.rows:,} rows; {publication.kept} kept"
        )
    total = sum(found.disk_bytes.values())
    largest = sorted(found.disk_bytes.items(), key=lambda entry: -entry[1])
    parts = ", ".join(f"{name} {size(count)}" for name, count in largest if count)
    if total:
        yield f"disk           {size(total)}: {escape(parts)}"
    yield f"data           {escape(found.read_from)}"


def _run(row: Mapping[str, Any] | None, now: datetime) -> str:
    if row is None:
        return "none recorded"
    colour = {"published": "green", "completed": "green", "published_with_rejects": "yellow"}
    outcome = f"[{colour.get(row['outcome'], 'red')}]{escape(row['outcome'].replace('_', ' '))}[/]"
    seconds = row.get("seconds")
    took = "" if seconds is None else f", took {seconds:,.0f} s"
    steps = ", ".join(row.get("failed_steps") or [])
    where = f" in {escape(steps)}" if steps else ""
    return (
        f"{outcome}{where}, {ago(datetime.fromisoformat(row['started_at']), now)}{took} "
        f"({escape(row['job'])}, {escape(row.get('trigger') or 'manual')})"
    )


def _grid(found: HomeStatus, now: datetime) -> Grid:
    grid = Grid()
    grid.add_column("table")
    for heading in ("rows", "quarantined"):
        grid.add_column(heading, justify="right")
    for heading in ("newest row", "age", "last file", "landed"):
        grid.add_column(heading)
    for table in found.tables:
        grid.add_row(
            table.table,
            cell(table.rows),
            cell(table.quarantined),
            "" if table.newest is None else f"{table.newest:%Y-%m-%d %H:%M}",
            "" if table.newest is None else ago(table.newest, now),
            escape(table.last_file or ""),
            "" if table.last_landed_at is None else ago(table.last_landed_at, now),
        )
    return grid


def _remarks(found: HomeStatus) -> Iterator[str]:
    for table in found.tables:
        for reason, rows in table.reasons.items():
            noun = "row" if rows == 1 else "rows"
            yield f"[yellow]quarantined[/] {table.table}, {rows:,} {noun}: {escape(reason)}"
    for file in found.rejected_files:
        yield f"[yellow]rejected[/] {escape(file.get('message') or file['source_file'])}"
    for number in found.damaged_lines:
        yield f"[yellow]damaged[/] line {number} of runs.jsonl is no row, and is left out"
    for reason in found.unhealthy:
        yield f"[red]unhealthy[/] {escape(reason)}"

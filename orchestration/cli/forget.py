"""`journey-gaps forget`: a person erased, and the proof of it."""

import os
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table as Grid

from orchestration.cli.console import console_of, escape, listed
from orchestration.cli.program import (
    FAILED,
    Demo,
    EngineTarget,
    Home,
    Landing,
    LockTimeout,
    Map,
    PostgresUrl,
    SparkHost,
    SparkPort,
    complain,
    load_settings,
)
from orchestration.errors import JourneyGapsError
from orchestration.forgetting.steps import Proof, preview
from orchestration.forgetting.steps import forget as forget_customers
from orchestration.settings import Settings


def forget(
    customers: Annotated[
        list[str],
        typer.Argument(
            metavar="CUSTOMER...",
            help="Their customer_id (of a process log: the source_case_id).",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be erased; change nothing.")
    ] = False,
    demo: Demo = False,
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    as_of: Annotated[
        str | None, typer.Option(help="UTC; as the run has it that builds anew.")
    ] = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Erase a person from raw tables, quarantine, facts, publications and logs, and prove it.

    All is built and published anew without them, and older publications that hold them are
    removed. Landing leaves their rows out from then on. Files of the landing folder are never
    changed: those that still name them are listed.

    Exit 0: nothing of them is left in HOME; 1: something is, or they are found nowhere.
    Interrupted, it is finished by the same command.
    """
    settings = load_settings(
        demo=demo,
        map=map_,
        landing=landing,
        home=home,
        as_of=as_of,
        target=target,
        postgres_url=postgres_url,
        spark_host=spark_host,
        spark_port=spark_port,
        lock_timeout_seconds=lock_timeout,
    )
    os.environ.update(settings.environ())
    if dry_run:
        _print(preview(settings, customers))
        return
    proof = forget_customers(settings, customers, lambda: _rebuild(settings))
    _print(proof)
    if proof.remains:
        places = ", ".join(line.place for line in proof.remains)
        complain(f"they are still in {places}: remove it there, and run the same command again")
        raise typer.Exit(FAILED)


def _rebuild(settings: Settings) -> None:
    """A run of the whole chain. Raises JourneyGapsError where it publishes nothing."""
    from orchestration.cli.run import _refresh, _terminal_apart_from

    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    with _terminal_apart_from(log) as console:
        report = _refresh(settings, console, full_refresh=True)
    if not report.succeeded:
        raise JourneyGapsError(
            f"they are erased from the raw tables, but the run that builds anew failed: "
            f"{report.error or 'see its log'} (log: {log}). What was published before still "
            "holds them: put right what failed and run the same command again."
        )


def _print(proof: Proof) -> None:
    console = console_of(sys.stdout)
    is_done = any(line.rows_after is not None for line in proof.lines)
    grid = Grid(title="What was searched" if is_done else "What would go", title_justify="left")
    grid.add_column("place")
    grid.add_column("rows before", justify="right")
    if is_done:
        grid.add_column("rows after", justify="right")
        grid.add_column("found in bytes after", justify="right")
    for line in proof.lines:
        if is_done:
            found = "" if line.bytes_after is None else f"{line.bytes_after:,}"
            grid.add_row(
                escape(line.place), f"{line.rows_before:,}", f"{line.rows_after or 0:,}", found
            )
        elif line.rows_before:
            grid.add_row(escape(line.place), f"{line.rows_before:,}")
    console.print(grid)
    if proof.ids_by_column:
        console.print(f"also theirs: {listed(dict(proof.ids_by_column))}", soft_wrap=True)
    if proof.vague:
        console.print(
            f"{len(proof.vague)} of their ids cannot be told from other text (too short): looked "
            "for only where an id stands",
            soft_wrap=True,
        )
    if proof.removed:
        console.print(f"publications removed: {len(proof.removed)}")
    for name, lines in proof.landing_files.items():
        console.print(
            f"still in {escape(name)} of the landing place: {lines:,} lines; landing "
            "leaves them out, only its owner may change it",
            soft_wrap=True,
        )

"""`journey-gaps prune`: remove what exceeds the limits, as every run does at its end."""

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
    Home,
    LockTimeout,
    Map,
    PostgresUrl,
    SparkHost,
    SparkPort,
    complain,
    load_settings,
)
from orchestration.errors import JourneyGapsError


def prune(
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    lock_timeout: LockTimeout = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="Write the warehouse file anew, however little that frees."),
    ] = False,
) -> None:
    """Remove old publications, logs, runs in Dagster, quarantined rows and leftovers.

    Every run does so at its end. Limits: JOURNEY_GAPS_PUBLICATIONS_KEPT, _LOGS_DAYS,
    _DAGSTER_RUNS_KEPT, _QUARANTINE_DAYS.
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
    if not settings.home.is_dir():
        raise JourneyGapsError(f"{settings.home} is no folder: nothing has run there")
    os.environ.update(settings.environ())
    from orchestration.maintenance import warehouse_held
    from orchestration.resources import open_instance
    from orchestration.retention import prune as prune_home

    with warehouse_held(settings, "prune"), open_instance(settings) as instance:
        pruned = prune_home(settings, instance, dry_run=dry_run, compaction=compact or None)
    grid = Grid(title="Would be removed" if dry_run else "Removed", title_justify="left")
    grid.add_column("what")
    grid.add_column("items", justify="right")
    grid.add_column("size", justify="right")
    for kind in pruned:
        grid.add_row(escape(kind.kind), cell(kind.items), in_bytes(kind.bytes))
    console_of(sys.stdout).print(grid)
    problems = [f"{kind.kind}: {kind.problem}" for kind in pruned if kind.problem]
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)

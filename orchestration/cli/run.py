"""`journey-gaps run`: the whole chain, its progress and its summary."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orchestration.cli.console import console_of, escape, harmless, listed
from orchestration.cli.gaps import ranking_view
from orchestration.cli.program import (
    FAILED,
    Demo,
    EngineTarget,
    Env,
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
from orchestration.cli.views import show_views
from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import CURRENT, REPORT_FILE
from orchestration.publish.reading import published_gaps
from orchestration.settings import Settings
from orchestration.steps import warm_up
from orchestration.warehouse.damage import advised

if TYPE_CHECKING:
    import dagster as dg

    from orchestration.outcome import Report

TOP_GAPS = 5


def run(
    demo: Demo = False,
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    as_of: Annotated[
        str | None, typer.Option(help="UTC; nothing later is seen. [JOURNEY_GAPS_AS_OF]")
    ] = None,
    env: Env = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    threads: Annotated[int | None, typer.Option(help="dbt threads. [JOURNEY_GAPS_THREADS]")] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(help="DuckDB spills beyond this, such as 3GB. [JOURNEY_GAPS_MEMORY_LIMIT]"),
    ] = None,
    lock_timeout: LockTimeout = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild every incremental table.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Put the warehouse aside, land and build all again."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the traceback of a failure.")
    ] = False,
) -> None:
    """Land, build, check and publish.

    Exit 0: published; 3: published, with rejected files; 1: failed, the last publication
    stands; 2: wrong usage.
    """
    settings = load_settings(
        demo=demo,
        map=map_,
        landing=landing,
        home=home,
        as_of=as_of,
        env=env,
        target=target,
        postgres_url=postgres_url,
        spark_host=spark_host,
        spark_port=spark_port,
        threads=threads,
        memory_limit=memory_limit,
        lock_timeout_seconds=lock_timeout,
    )
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    with _terminal_apart_from(log) as console:
        try:
            if rebuild:
                _set_aside(settings, console)
            report = _refresh(settings, console, full_refresh=full_refresh or rebuild)
        except Exception as error:
            if verbose:
                console.print_exception()
            _tell(settings, str(error))
            if isinstance(error, JourneyGapsError):
                raise
            message = f"{type(error).__name__}: {error} (log: {log})"
            raise JourneyGapsError(advised(message, settings.home)) from error
        _summarize(settings, report, console)
        if report.exit_code == FAILED:
            _tell(settings, report)
        if report.error:
            if verbose:
                trace = "\n".join(error.to_string() for error in report.errors)
                console.print(harmless(trace), markup=False)
            console.print(f"log: {log}", style="dim", soft_wrap=True)
    if report.exit_code == FAILED:
        complain(advised(report.error or f"the run failed, see {log}", settings.home))
    raise typer.Exit(report.exit_code)


@contextmanager
def _terminal_apart_from(log: Path) -> Iterator[Console]:
    """Send this process's own output, and its children's, to `log`; yield the terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    with log.open("a") as sink, os.fdopen(os.dup(1), "w") as terminal:
        for descriptor in saved:
            os.dup2(sink.fileno(), descriptor)
        try:
            yield console_of(terminal)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in saved.items():
                os.dup2(original, descriptor)
                os.close(original)


def _set_aside(settings: Settings, console: Console) -> None:
    """Put the warehouse away, damaged or not; all that is built from it is built again."""
    os.environ.update(settings.environ())
    from orchestration.rebuild import set_aside

    aside = set_aside(settings)
    console.print(f"set aside: {aside or 'no warehouse was there'}", soft_wrap=True, markup=False)


def _refresh(settings: Settings, console: Console, *, full_refresh: bool) -> "Report":
    """Run the job under a progress bar, or with a line a step where there is no terminal."""
    console.print(
        escape(f"{settings.map} -> {settings.published_dir}"), style="dim", soft_wrap=True
    )
    with Progress(
        TextColumn("{task.description}", table_column=None),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        # Dagster's log lines belong in the log, not above the bar.
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("starting", total=None)
        started: dict[str, float] = {}
        os.environ.update(settings.environ())
        warm_up()

        from orchestration.executor import LOCK_MARKER
        from orchestration.runner import refresh

        def observe(report: "Report", event: "dg.DagsterEvent") -> None:
            step = event.step_key
            progress.update(task, completed=report.done, total=report.planned)
            match event.event_type_value:
                case "ENGINE_EVENT" if event.engine_event_data.marker_start == LOCK_MARKER:
                    console.print(escape(event.message or ""), soft_wrap=True)
                case "STEP_WORKER_STARTING" if step:
                    started[step] = time.monotonic()
                    progress.update(task, description=step)
                case "STEP_SUCCESS" | "STEP_FAILURE" as end if step and step in started:
                    seconds = time.monotonic() - started.pop(step)
                    verdict = "[green]done[/]" if end == "STEP_SUCCESS" else "[red]failed[/]"
                    console.print(f"{step:<12} {verdict:<6} {seconds:5.1f} s")

        return refresh(settings, full_refresh=full_refresh, observe=observe)


def _tell(settings: Settings, failure: "Report | str") -> None:
    """Alert of a run that failed outside of its steps; what the executor told is known by now."""
    from orchestration.alerts import settle
    from orchestration.alerts.of_run import alert_of_failure, failure_alerts

    if isinstance(failure, str):
        alert_of_failure(settings, failure)
    else:
        settle(settings, failure_alerts(failure))


def _summarize(settings: Settings, report: "Report", console: Console) -> None:
    """What landed, what did not, which checks failed, where it is published, the top gaps."""
    from orchestration.defs.landing.assets import FILES_READABLE

    raw = [
        metadata
        for asset, metadata in report.metadata.items()
        if "quarantined_by_reason" in metadata
    ]
    load = report.metadata.get("raw/loads", {})
    if load.get("load_id"):
        counts = {
            kind: sum(table[f"rows_{kind}"] for table in raw)
            for kind in ("in", "kept", "quarantined", "duplicate", "withdrawn")
        }
        console.print(f"load {load['load_id']}: rows {listed(counts)}")
    elif load:
        console.print("load: nothing new")
    reasons = Counter[str]()
    for table in raw:
        reasons.update(table["quarantined_by_reason"])
    for reason, rows in reasons.most_common():
        console.print(f"  [yellow]quarantined[/] {rows:,}: {escape(reason)}")
    for file in load.get("rejected_files", []):
        console.print(f"  [yellow]rejected[/] {escape(file['message'])}", soft_wrap=True)
    for file in load.get("schema_changes", []):
        console.print(
            f"  [yellow]schema[/] {escape(file['file'])}: {escape(file['message'])}",
            soft_wrap=True,
        )
    for name in load.get("waiting_files", []):
        console.print(f"  waiting {escape(name)}: it was modified just now")
    for file in load.get("ignored_files", []):
        console.print(f"  ignored {escape(file['file'])}: {escape(file['why'])}")
    for name in load.get("unlisted_files", []):
        console.print(f"  unlisted {escape(name)}")
    for pattern in load.get("unmatched_globs", []):
        console.print(f"  no file matches {escape(pattern)}")
    for check in report.failed_checks:
        if check.name == FILES_READABLE:  # its files are listed above
            continue
        label = "[red]failed[/]" if check.stops else "[yellow]warning[/]"
        console.print(f"{label} {escape(str(check))}", soft_wrap=True)
    if report.succeeded:
        folder = escape(report.metadata["publication"]["folder"])
        console.print(f"published {folder}", soft_wrap=True)
        ranking = published_gaps(settings.published_dir, TOP_GAPS)
        show_views([ranking_view(ranking.records(), TOP_GAPS)], console)
        page = settings.published_dir / CURRENT / REPORT_FILE
        console.print(f"report: {page.as_uri()}", soft_wrap=True)

"""The command line: `journey-gaps run`, `gaps`, `what-if`, `dev`, `check-map`.

Dagster, dbt and Great Expectations are imported only by the commands that run them.
"""

import csv
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid
from typer.core import TyperGroup

from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import CURRENT, REPORT_FILE
from orchestration.publish.reading import Table, published_facts, published_gaps
from orchestration.settings import PROJECT_DIR, Environment, Settings, Target
from orchestration.steps import warm_up
from orchestration.what_if import Answer, Goal, Lever, QuestionError, answer

if TYPE_CHECKING:
    import dagster as dg

    from orchestration.runner import Report

FAILED, WRONG_USAGE = 1, 2
EXAMPLES_DIR = PROJECT_DIR / "examples"
DEMO_LANDING = PROJECT_DIR / "seeds" / "demo"
SCREENFUL = 20
TOP_GAPS = 5


class ExplainingGroup(TyperGroup):
    """Turns the errors a user can act on into their message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises SystemExit codes only through click."""
        try:
            return super().invoke(ctx)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
                for detail in error.errors()
            )
            _complain(f"these settings cannot be used: {wrong}")
            raise typer.Exit(WRONG_USAGE) from error
        except JourneyGapsError as error:
            _complain(str(error))
            raise typer.Exit(FAILED) from error


app = typer.Typer(
    cls=ExplainingGroup,
    help="From raw customer events to ranked gaps, in your own warehouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How a table is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Demo = Annotated[bool, typer.Option("--demo", help="The demo, with a home of its own.")]
Home = Annotated[
    Path | None,
    typer.Option(help="Folder that holds all a run writes. [JOURNEY_GAPS_HOME]"),
]
Map = Annotated[
    Path | None, typer.Option("--map", help="Folder of journey-map CSVs. [JOURNEY_GAPS_MAP]")
]
EngineTarget = Annotated[
    Target | None, typer.Option("--target", help="Engine of the warehouse. [JOURNEY_GAPS_TARGET]")
]
PostgresUrl = Annotated[
    str | None,
    typer.Option(
        help="postgresql://user@host:port/database; keep its password in PGPASSWORD. "
        "[JOURNEY_GAPS_POSTGRES_URL]"
    ),
]


def main() -> None:
    """Entry point of `journey-gaps` and of `python -m orchestration`."""
    app(prog_name="journey-gaps")


@app.command()
def run(
    demo: Demo = False,
    map_: Map = None,
    landing: Annotated[
        Path | None, typer.Option(help="Folder of raw files. [JOURNEY_GAPS_LANDING]")
    ] = None,
    home: Home = None,
    as_of: Annotated[
        str | None, typer.Option(help="UTC; nothing later is seen. [JOURNEY_GAPS_AS_OF]")
    ] = None,
    env: Annotated[Environment | None, typer.Option(help="[JOURNEY_GAPS_ENV]")] = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    threads: Annotated[int | None, typer.Option(help="dbt threads. [JOURNEY_GAPS_THREADS]")] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(help="DuckDB spills beyond this, such as 3GB. [JOURNEY_GAPS_MEMORY_LIMIT]"),
    ] = None,
    lock_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait for another run. [JOURNEY_GAPS_LOCK_TIMEOUT_SECONDS]"),
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild every incremental table.")
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
        threads=threads,
        memory_limit=memory_limit,
        lock_timeout_seconds=lock_timeout,
    )
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    with _terminal_apart_from(log) as console:
        try:
            report = _refresh(settings, console, full_refresh=full_refresh)
        except Exception as error:
            if verbose:
                console.print_exception()
            if isinstance(error, JourneyGapsError):
                raise
            raise JourneyGapsError(f"{type(error).__name__}: {error} (log: {log})") from error
        _summarize(settings, report, console)
        if report.error:
            if verbose:
                console.print("\n".join(error.to_string() for error in report.errors), markup=False)
            console.print(f"log: {log}", style="dim", soft_wrap=True)
    if report.exit_code == FAILED:
        _complain(report.error or f"the run failed, see {log}")
    raise typer.Exit(report.exit_code)


@app.command()
def gaps(
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
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
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(ranking.columns)
            writer.writerows(ranking.rows)
        case Format.TABLE:
            shown = top or SCREENFUL
            console = _console(sys.stdout)
            console.print(_grid(ranking, shown))
            if len(ranking.rows) > shown:
                console.print(f"{len(ranking.rows) - shown:,} more rows: --top, --format csv")


@app.command("what-if")
def what_if(
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A stage to change; repeat it to change several together."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="What becomes of it, once for all stages or once each: its `benchmark` (of "
            "several the furthest, its own past only where it lags behind that; or `industry`, "
            "`target`, `own_past`), a rate of the cases that move on (`60%`, `0.6`), or the "
            "median days until then (`2d`). "
            "Default: benchmark."
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Close every gap of the journey that lags.")
    ] = False,
    journey: Annotated[
        str | None,
        typer.Option(help="The journey, where the stages leave a doubt which."),
    ] = None,
    demo: Demo = False,
    map_: Map = None,
    home: Home = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
) -> None:
    """What a journey would bring if stages were at their benchmark.

    Successes, value and time of the latest 13 mature weeks: as they are, with each change
    alone and with all together. Each stage feeds the next, so together is not the sum.

    journey-gaps what-if --demo --stage signed_up --stage offer_sent --to benchmark

    Exit 0: answered; 1: the publication cannot answer; 2: wrong usage, such as a stage that
    the map has not.
    """
    settings = load_settings(demo=demo, map=map_, home=home)
    try:
        goals = [Goal.parse(text) for text in to or ["benchmark"]]
        if all_ and to:
            raise QuestionError("--all goes to the benchmarks: leave out --to")
        found = answer(
            published_facts(settings.published_dir), stage or [], goals, journey, all_gaps=all_
        )
    except QuestionError as error:
        raise typer.BadParameter(str(error)) from error
    match format_:
        case Format.JSON:
            typer.echo(json.dumps(found.record(), default=str, indent=2))
        case Format.CSV:
            rows = [
                {**scenario, "levers": " + ".join(_lever(lever) for lever in own.levers)}
                for own, scenario in zip(found.scenarios, found.record()["scenarios"], strict=True)
            ]
            table = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        case Format.TABLE:
            console = _console(sys.stdout)
            console.print(_scenario_grid(found))
            for line in _remarks(found):
                console.print(escape(line), soft_wrap=True)


@app.command()
def dev(
    demo: Demo = False,
    map_: Map = None,
    landing: Annotated[
        Path | None, typer.Option(help="Folder of raw files. [JOURNEY_GAPS_LANDING]")
    ] = None,
    home: Home = None,
    env: Annotated[Environment | None, typer.Option(help="[JOURNEY_GAPS_ENV]")] = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    port: Annotated[int, typer.Option(help="Port of the UI on 127.0.0.1.")] = 3000,
) -> None:
    """Dagster's UI and its schedule, on the same instance as `run`."""
    settings = load_settings(
        demo=demo,
        map=map_,
        landing=landing,
        home=home,
        env=env,
        target=target,
        postgres_url=postgres_url,
    )
    from orchestration.resources import open_instance

    open_instance(settings).dispose()
    command = [sys.executable, "-m", "dagster", "dev", "--module-name", "orchestration.definitions"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # A shell's `&` has it ignored; Dagster would then ignore SIGTERM too, and outlive both.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(PROJECT_DIR)
    os.execve(sys.executable, command, os.environ | settings.environ())  # noqa: S606 (no shell)


@app.command("check-map")
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
    typer.echo(f"{settings.map} holds together: " + _listed(rows))


def load_settings(*, demo: bool = False, **flags: object) -> Settings:
    """Settings of the environment with the flags that were given.

    Without a home, the demo and each folder under examples/ get one of their own. Raises
    BadParameter where --demo meets a map or a landing folder.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if demo:
        if given.keys() & {"map", "landing"}:
            raise typer.BadParameter("--demo brings its own map and landing folder")
        given["map"] = Settings.model_fields["map"].default
        given["landing"] = DEMO_LANDING
        given.setdefault("home", _home("demo"))
    # Pydantic checks the values, whatever their static types.
    settings = Settings(**given)  # type: ignore[arg-type]
    if "home" not in settings.model_fields_set and settings.map.is_relative_to(EXAMPLES_DIR):
        example = settings.map.relative_to(EXAMPLES_DIR).parts[0]
        settings = settings.model_copy(update={"home": _home(example)})
    return settings


def _home(name: str) -> Path:
    default_home: Path = Settings.model_fields["home"].default
    return default_home / name


def _complain(message: str) -> None:
    typer.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(message, err=True)


def _console(stream: Any) -> Console:
    # A pipe has no width: wide enough to keep one row on one line.
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False)


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
            yield _console(terminal)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in saved.items():
                os.dup2(original, descriptor)
                os.close(original)


def _refresh(settings: Settings, console: Console, *, full_refresh: bool) -> "Report":
    """Run the job under a progress bar, or with a line a step where there is no terminal."""
    console.print(f"{settings.map} -> {settings.published_dir}", style="dim", soft_wrap=True)
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

        from orchestration.resources import LOCK_MARKER
        from orchestration.runner import refresh

        def observe(report: "Report", event: "dg.DagsterEvent") -> None:
            step = event.step_key
            progress.update(task, completed=report.done, total=report.planned)
            match event.event_type_value:
                case "ENGINE_EVENT" if event.engine_event_data.marker_start == LOCK_MARKER:
                    console.print(event.message, soft_wrap=True)
                case "STEP_WORKER_STARTING" if step:
                    started[step] = time.monotonic()
                    progress.update(task, description=step)
                case "STEP_SUCCESS" | "STEP_FAILURE" as end if step and step in started:
                    seconds = time.monotonic() - started.pop(step)
                    verdict = "[green]done[/]" if end == "STEP_SUCCESS" else "[red]failed[/]"
                    console.print(f"{step:<12} {verdict:<6} {seconds:5.1f} s")

        return refresh(settings, full_refresh=full_refresh, observe=observe)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _grid(ranking: Table, rows: int) -> Grid:
    """A ranking as it fits a screen."""
    grid = Grid(title="Gaps, worst first", title_justify="left")
    for heading in ("rank", "journey", "stage", "metric", "segment"):
        grid.add_column(heading)
    for heading in ("value", "desired", "lag", "n"):
        grid.add_column(heading, justify="right")
    grid.add_column("verdict")
    for gap in ranking.records()[:rows]:
        segment = (gap["segment_dimension"], gap["segment_value"])
        grid.add_row(
            _cell(gap["priority_rank"]),
            *(escape(gap[column]) for column in ("journey_id", "stage_id", "metric_id")),
            "all" if segment == ("all", "all") else escape(" ".join(segment)),
            _measured(gap["value"], gap["unit"]),
            f"{_measured(gap['benchmark_value'], gap['unit'])} ({gap['benchmark_kind']})",
            _cell(gap["lag_factor"]),
            _cell(gap["n"]),
            gap["verdict"],
        )
    return grid


def _scenario_grid(found: Answer) -> Grid:
    """Scenarios as they fit a screen, without value columns where nothing has a value."""
    last_day = found.period_end - timedelta(days=1)
    grid = Grid(
        title=f"{escape(found.journey_id)}, {found.inflow:,} cases that began "
        f"{found.period_start} to {last_day}",
        title_justify="left",
    )
    has_value = found.mean_success_value is not None
    currency = f" {found.currency}" if found.currency else ""
    grid.add_column("scenario")
    for heading in ("successes", "added", "cautiously"):
        grid.add_column(heading, justify="right")
    if has_value:
        grid.add_column(f"value{currency}", justify="right")
        grid.add_column(f"added{currency}", justify="right")
    for heading in ("days to success", "saved"):
        grid.add_column(heading, justify="right")
    for scenario in found.scenarios:
        cells = (
            *(scenario.successes, scenario.added_successes, scenario.cautious_added_successes),
            *((scenario.value, scenario.added_value) if has_value else ()),
            *(scenario.mean_days_to_success, scenario.saved_days),
        )
        name = "\n+ ".join(_lever(lever) for lever in scenario.levers) or "as it is"
        grid.add_row(escape(name), *(_cell(cell) for cell in cells))
    return grid


def _lever(lever: Lever) -> str:
    """A change as a person says it: signed_up from 40.6% to 60.0% (industry)."""
    unit = "share" if lever.is_rate else "days"
    source = f" ({lever.benchmark_kind})" if lever.benchmark_kind else ""
    actual, desired = _measured(lever.actual, unit), _measured(lever.desired, unit)
    return f"{lever.stage_id} from {actual} to {desired}{source}"


def _remarks(found: Answer) -> Iterator[str]:
    """What a reader should know besides the figures."""
    together = found.scenarios[-1]
    added, summed = together.added_successes, together.sum_of_single_effects
    if abs(added - summed) >= 0.05:
        yield (
            f"Together they add {_number(added)} successes, one by one {_number(summed)} in sum: "
            "each stage feeds the next."
        )
    yield (
        f"As it is, the chain expects {_number(found.scenarios[0].successes)} successes; "
        f"{found.observed_successes:,} have been seen so far."
    )
    for note in found.notes:
        yield f"{note[0].upper()}{note[1:]}."


def _measured(value: float | None, unit: str | None) -> str:
    """A measure as a person says it: 41.2 %, 7.1 days."""
    if value is None:
        return "unknown"
    return f"{value:.1%}" if unit == "share" else f"{_number(value)} {unit or ''}".rstrip()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """Three digits that count, and all of a larger number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


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
        console.print(f"load {load['load_id']}: rows {_listed(counts)}")
    elif load:
        console.print("load: nothing new")
    reasons = Counter[str]()
    for table in raw:
        reasons.update(table["quarantined_by_reason"])
    for reason, rows in reasons.most_common():
        console.print(f"  [yellow]quarantined[/] {rows:,}: {escape(reason)}")
    for file in load.get("rejected_files", []):
        console.print(f"  [yellow]rejected[/] {escape(file['message'])}", soft_wrap=True)
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
        console.print(f"published {report.metadata['publication']['folder']}", soft_wrap=True)
        console.print(_grid(published_gaps(settings.published_dir, TOP_GAPS), TOP_GAPS))
        page = settings.published_dir / CURRENT / REPORT_FILE
        console.print(f"report: {page.as_uri()}", soft_wrap=True)

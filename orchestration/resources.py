"""What the assets are handed: the instance's configuration, dbt, and the executor that locks."""

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.multiprocess import MultiprocessExecutor
from dagster._utils.interrupts import check_captured_interrupt
from dagster_dbt import DbtCliResource
from filelock import FileLock
from packaging.version import Version

from orchestration.errors import JourneyGapsError
from orchestration.journey_map import TABLES, JourneyMap, write_seeds
from orchestration.locking import Holder, LockTimeoutError, WarehouseLock
from orchestration.settings import PROJECT_DIR, Settings, Target
from orchestration.steps import PRELOADED, START_METHOD
from orchestration.warehouse import warehouse_of

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

WAREHOUSE_POOL = "warehouse_writer"
LOCK_MARKER = "warehouse_lock"
DBT_FILES = ("dbt_project.yml", "models/**/*", "macros/**/*", "tests/dbt/**/*")


class LockedExecutor(dg.Executor):
    """The multiprocess executor, with the warehouse locked for the whole run.

    Every entry (command line, schedule, a single asset in the UI) executes here, in the
    run's own process.
    """

    def __init__(self, inner: dg.Executor, settings: Settings) -> None:
        """Wrap `inner`; the settings name the warehouse and how long to wait for it."""
        self._inner = inner
        self._settings = settings

    @property
    def retries(self) -> RetryMode:
        """As the wrapped executor."""
        return self._inner.retries

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        """Yield the wrapped executor's events while holding the lock.

        Raises LockTimeoutError where another run keeps the warehouse.
        """
        engines = [warehouse_of(self._settings)] if self._settings.target is Target.POSTGRES else []
        lock = WarehouseLock(self._settings.warehouse, plan_context.run_id, *engines)
        killed = yield from self._take(lock, plan_context)
        try:
            if killed:
                bury(plan_context.instance, killed)
            yield from self._inner.execute(plan_context, execution_plan)
        finally:
            lock.release()

    def _take(
        self, lock: WarehouseLock, plan_context: "PlanOrchestrationContext"
    ) -> Generator[dg.DagsterEvent, None, Holder | None]:
        """Acquire the lock, saying so where that takes a while; return whose run was killed."""
        seconds = self._settings.lock_timeout_seconds
        try:
            return lock.acquire(0)
        except LockTimeoutError as busy:
            yield dg.DagsterEvent.engine_event(
                plan_context,
                f"Waiting up to {seconds:g} s for {busy.holder}, which uses the warehouse",
                EngineEventData(marker_start=LOCK_MARKER),
            )
        try:
            return lock.acquire(seconds, check_captured_interrupt)
        except LockTimeoutError:
            if check_captured_interrupt():
                raise DagsterExecutionInterruptedError from None
            raise


def bury(instance: dg.DagsterInstance, killed: Holder) -> None:
    """End a killed run in Dagster's books: its pool slot would block every later run."""
    instance.event_log_storage.free_concurrency_slots_for_run(killed.run_id)
    run = instance.get_run_by_id(killed.run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, f"{killed} was killed while it held the warehouse")


@dg.executor(name="warehouse", requirements=dg.multiple_process_executor_requirements())
def warehouse_executor(_context: dg.InitExecutorContext) -> LockedExecutor:
    """One process a step, one run a warehouse."""
    steps = MultiprocessExecutor(
        retries=RetryMode.DISABLED,
        max_concurrent=None,
        start_method=START_METHOD,
        explicit_forkserver_preload=PRELOADED,
    )
    return LockedExecutor(steps, Settings())


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance in HOME/dagster, configured by us and created where absent."""
    settings.dagster_dir.mkdir(parents=True, exist_ok=True)
    config = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"pools": {"default_limit": 1}},
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(settings.home / "logs")},
        },
    }
    with setup_lock(settings):
        (settings.dagster_dir / "dagster.yaml").write_text(yaml.safe_dump(config))
        instance = dg.DagsterInstance.from_config(str(settings.dagster_dir))
        # The databases are created on first use, and two first uses at once collide.
        instance.get_runs_count()
        instance.event_log_storage.get_pool_limits()
        return instance


def setup_lock(settings: Settings) -> FileLock:
    """Held for seconds while a HOME is set up; a run's own lock is `WarehouseLock`."""
    settings.home.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.home / "setup.lock")


class Dbt(DbtCliResource):
    """dbt-core as installed here; `dbt --version` would ask the package index first."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: object) -> Any:  # noqa: ARG002
        # Row counts and column metadata are not fetched through it: it takes seconds.
        return None


def dbt_resource(settings: Settings) -> Dbt:
    """dbt for this project, logging to HOME/logs."""
    return Dbt(
        project_dir=str(PROJECT_DIR),
        profiles_dir=str(PROJECT_DIR),
        dbt_executable=dbt_executable(),
        target=settings.target.value,
        global_config_flags=[
            "--log-path",
            str(settings.home / "logs"),
            "--log-format-file",
            "text",
        ],
    )


def dbt_executable() -> str:
    """The dbt beside this interpreter, whether or not the environment is activated."""
    return str(Path(sys.executable).with_name("dbt"))


def dbt_manifest(settings: Settings) -> Path:
    """The parsed dbt project of this HOME; parsed here when absent or older than its files.

    Raises JourneyGapsError with dbt's message where the project does not parse.
    """
    manifest = settings.dbt_target_dir / "manifest.json"
    with setup_lock(settings):
        if not _is_current(manifest):
            _complete_seeds(settings)
            settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=settings.dbt_target_dir) as draft:
                _parse(settings, Path(draft))
                for artifact in ("partial_parse.msgpack", manifest.name):
                    (Path(draft) / artifact).replace(settings.dbt_target_dir / artifact)
    return manifest


def _is_current(manifest: Path) -> bool:
    sources = (file for pattern in DBT_FILES for file in PROJECT_DIR.glob(pattern))
    return manifest.exists() and manifest.stat().st_mtime > max(
        file.stat().st_mtime for file in sources
    )


def _complete_seeds(settings: Settings) -> None:
    """Give dbt every map table to parse, empty until the run's own map is copied."""
    settings.seed_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.seed_dir.parent) as draft:
        write_seeds(JourneyMap({table: [] for table in TABLES}), Path(draft))
        for table in Path(draft).iterdir():
            # Never over a table that a run has written: a link refuses to replace.
            with suppress(FileExistsError):
                (settings.seed_dir / table.name).hardlink_to(table)


def _parse(settings: Settings, target: Path) -> None:
    command = [
        dbt_executable(),
        "--quiet",
        "parse",
        "--no-use-colors",
        "--target-path",
        str(target),
    ]
    dbt = subprocess.run(  # noqa: S603 (our own interpreter's dbt, no shell)
        command,
        cwd=PROJECT_DIR,
        env=os.environ | settings.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if dbt.returncode:
        raise JourneyGapsError(f"dbt cannot parse this project:\n{dbt.stdout.strip()}")

"""The executor of every run: one run a warehouse, one process a step."""

import logging
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.multiprocess import MultiprocessExecutor
from dagster._utils.interrupts import check_captured_interrupt

from orchestration.alerts.of_run import alert_of_failure, alert_of_killed, alert_of_run
from orchestration.audit import Run, record_killed, record_not_started, record_run
from orchestration.locking import Holder, LockTimeoutError, WarehouseLock
from orchestration.outcome import Report
from orchestration.resources import WAREHOUSE_POOL
from orchestration.retention import prune
from orchestration.run_events import log_progress
from orchestration.run_log import log_event, run_log
from orchestration.settings import Settings
from orchestration.steps import PRELOADED, START_METHOD
from orchestration.warehouse import warehouse_of

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

LOCK_MARKER = "warehouse_lock"

logger = logging.getLogger(__name__)


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
        with run_log(self._settings, plan_context.run_id):
            yield from self._execute(plan_context, execution_plan)

    def _execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        run = Run(
            plan_context.run_id,
            plan_context.job_name,
            datetime.now(UTC),
            plan_context.dagster_run.tags,
        )
        log_event(logger, "run_started", f"{run.job} started", job=run.job)
        engines = [warehouse_of(self._settings)] if self._settings.target.is_server else []
        lock = WarehouseLock(self._settings.warehouse, run.run_id, *engines)
        try:
            killed = yield from self._take(lock, plan_context)
        except BaseException as error:
            record_not_started(self._settings, run, error)
            raise
        report = Report(run.run_id)
        failure: BaseException | None = None
        try:
            if killed:
                bury(plan_context.instance, self._settings, killed)
            free_pool(plan_context.instance, run.run_id)
            for event in self._inner.execute(plan_context, execution_plan):
                report.add(event)
                log_progress(event, report)
                yield event
        except BaseException as error:
            failure = error
            raise
        finally:
            # What follows a run, whatever became of it, belongs here: the warehouse is still ours.
            try:
                record_run(self._settings, run, report, failure)
                alert_of_run(self._settings, report)
                tidy_up(self._settings, plan_context)
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
            waiting = f"Waiting up to {seconds:g} s for {busy.holder}, which uses the warehouse"
            log_event(logger, "waiting_for_lock", waiting, holder=busy.holder)
            yield dg.DagsterEvent.engine_event(
                plan_context, waiting, EngineEventData(marker_start=LOCK_MARKER)
            )
        try:
            return lock.acquire(seconds, check_captured_interrupt)
        except LockTimeoutError as error:
            if check_captured_interrupt():
                raise DagsterExecutionInterruptedError from None
            alert_of_failure(self._settings, str(error), plan_context.run_id)
            raise


def tidy_up(settings: Settings, plan_context: "PlanOrchestrationContext") -> None:
    """Prune after a run, and log what that removed; whatever fails is a warning."""
    try:
        pruned = prune(settings, plan_context.instance, run_id=plan_context.run_id)
        for kind in pruned:
            if kind.problem:
                logger.warning("pruning %s failed: %s", kind.kind, kind.problem)
            elif kind.items:
                logger.info("pruned %s", kind)
    except Exception:
        logger.warning("pruning failed", exc_info=True)


def bury(instance: dg.DagsterInstance, settings: Settings, killed: Holder) -> None:
    """End a killed run in the books, and tell of it.

    In Dagster's its pool slot would block every later run.
    """
    alert_of_killed(settings, killed)
    run = instance.get_run_by_id(killed.run_id)
    if run is None:
        record_killed(settings, killed, "unknown", {}, [])
    else:
        # The last one's own process may have ended it nonetheless, before this run began.
        steps = instance.get_run_step_stats(run.run_id)
        steps = sorted(steps, key=lambda step: step.start_time or 0)
        last = [step.step_key for step in steps[-1:]]
        record_killed(settings, killed, run.job_name, run.tags, last)
    end_run(instance, killed.run_id, f"{killed} was killed while it held the warehouse")


def free_pool(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take back what dead runs hold of the pool: only the one with the lock has steps.

    A run whose end could not be written to Dagster's books (a full disk) is ended there now.
    """
    pool = instance.event_log_storage.get_concurrency_info(WAREHOUSE_POOL)
    for dead in (pool.active_run_ids | pool.pending_run_ids) - {run_id}:
        end_run(instance, dead, f"run {dead} ended and could not say so")


def end_run(instance: dg.DagsterInstance, run_id: str, message: str) -> None:
    """End a dead run in Dagster's books, where it is there and not over, and free its slots."""
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, message)


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

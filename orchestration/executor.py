"""The executor of every run: one run a warehouse, one process a step."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.multiprocess import MultiprocessExecutor
from dagster._utils.interrupts import check_captured_interrupt

from orchestration.alerts.of_run import alert_of_failure, alert_of_killed, alert_of_run
from orchestration.locking import Holder, LockTimeoutError, WarehouseLock
from orchestration.outcome import Report
from orchestration.settings import Settings, Target
from orchestration.steps import PRELOADED, START_METHOD
from orchestration.warehouse import warehouse_of

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

LOCK_MARKER = "warehouse_lock"


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
        report = Report(plan_context.run_id)
        try:
            if killed:
                bury(plan_context.instance, self._settings, killed)
            for event in self._inner.execute(plan_context, execution_plan):
                report.add(event)
                yield event
        finally:
            # What follows a run, whatever became of it, belongs here: the warehouse is still ours.
            alert_of_run(self._settings, report)
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
        except LockTimeoutError as error:
            if check_captured_interrupt():
                raise DagsterExecutionInterruptedError from None
            alert_of_failure(self._settings, str(error), plan_context.run_id)
            raise


def bury(instance: dg.DagsterInstance, settings: Settings, killed: Holder) -> None:
    """End a killed run in the books, and tell of it: its pool slot would block every later run."""
    alert_of_killed(settings, killed)
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

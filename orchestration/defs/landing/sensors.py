"""The run that new files start."""

from collections.abc import Mapping

import dagster as dg

from orchestration.defs.schedules import refresh_job
from orchestration.executor import bury
from orchestration.landing.inputs import landing_place_of
from orchestration.landing.pending import pending_files
from orchestration.locking import LockTimeoutError, WarehouseLock
from orchestration.settings import Environment, Settings

INTERVAL_SECONDS = 60

NEW_FILES_STATUS: Mapping[Environment, dg.DefaultSensorStatus] = {
    Environment.DEV: dg.DefaultSensorStatus.STOPPED,
    Environment.CI: dg.DefaultSensorStatus.STOPPED,
    Environment.PROD: dg.DefaultSensorStatus.RUNNING,
}

# A run in one of these may still land what is there now.
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def new_files_sensor(environment: Environment) -> dg.SensorDefinition:
    """A run when the settled files of the landing place change; on where NEW_FILES_STATUS says.

    The cursor is the listing that was dealt with last. Raises KeyError for an environment that
    is not declared there.
    """
    status = NEW_FILES_STATUS[environment]
    starts = "on" if status is dg.DefaultSensorStatus.RUNNING else "off until switched on"

    @dg.sensor(
        name="new_files",
        job=refresh_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="The whole chain when new files have settled in the landing place; "
        f"{starts} in {environment.value}.",
    )
    def new_files(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult | dg.SkipReason:
        listing = landing_place_of(settings).listing()
        if listing.sha256 == context.cursor:
            waiting = f"; {len(listing.waiting)} files still arrive" if listing.waiting else ""
            return dg.SkipReason(f"no new files{waiting}")
        unfinished = dg.RunsFilter(job_name=refresh_job.name, statuses=list(UNFINISHED))
        if runs := context.instance.get_runs(unfinished, limit=1):
            # The cursor stays: the next tick looks again.
            return dg.SkipReason(f"new files wait for run {runs[0].run_id} to end")
        lock = WarehouseLock(settings.warehouse, "sensor new_files")
        try:
            killed = lock.acquire(0)
        except LockTimeoutError as busy:
            return dg.SkipReason(f"new files wait: {busy}")
        try:
            if killed:
                bury(context.instance, killed)
            pending = pending_files(settings)
        finally:
            lock.release()
        if not pending:
            return dg.SensorResult(
                skip_reason="all that the files hold has landed before", cursor=listing.sha256
            )
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=listing.sha256)], cursor=listing.sha256
        )

    return new_files

"""The run that new files start."""

import dagster as dg

from orchestration.defs.overlap import run_in_progress
from orchestration.defs.schedules import refresh_job, sensor_status, starts
from orchestration.environments import NEW_FILES
from orchestration.landing.inputs import landing_place_of
from orchestration.landing.pending import pending_files
from orchestration.locking import LockTimeoutError
from orchestration.maintenance import warehouse_held
from orchestration.settings import Environment, Settings

INTERVAL_SECONDS = 60


def new_files_sensor(environment: Environment) -> dg.SensorDefinition:
    """A run when the settled files of the landing place change.

    The cursor is the listing that was dealt with last. Raises UnknownEnvironmentError for an
    environment that is not declared.
    """

    @dg.sensor(
        name=NEW_FILES,
        job=refresh_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=sensor_status(environment, NEW_FILES),
        description="The whole chain when new files have settled in the landing place; "
        f"{starts(environment, NEW_FILES)}.",
    )
    def new_files(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult | dg.SkipReason:
        listing = landing_place_of(settings).listing()
        if listing.sha256 == context.cursor:
            waiting = f"; {len(listing.waiting)} files still arrive" if listing.waiting else ""
            return dg.SkipReason(f"no new files{waiting}")
        if busy := run_in_progress(context.instance, settings, refresh_job.name):
            # The cursor stays: the next tick looks again.
            return dg.SkipReason(f"new files wait: {busy}")
        try:
            with warehouse_held(settings, "sensor new_files", timeout_seconds=0):
                pending = pending_files(settings)
        except LockTimeoutError as busy:
            return dg.SkipReason(f"new files wait: {busy}")
        if not pending:
            return dg.SensorResult(
                skip_reason="all that the files hold has landed before", cursor=listing.sha256
            )
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=listing.sha256)], cursor=listing.sha256
        )

    return new_files

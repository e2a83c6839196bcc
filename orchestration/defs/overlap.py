"""No two runs of a job at once: what a tick asks before it launches one."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from orchestration.alerts.of_run import alert_of_failure
from orchestration.executor import end_run
from orchestration.locking import WarehouseLock
from orchestration.settings import Settings

ACTIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
# From its creation until it asks for the lock, a run imports what it needs.
START_SECONDS = 300


def run_in_progress(
    instance: dg.DagsterInstance, settings: Settings, job_name: str, now: datetime | None = None
) -> str | None:
    """Why a run of this job must not be launched now, None where it may be.

    A run that was killed looks as if it still ran, for ever. It is ended in Dagster's books
    here, and told of, once it must have had the warehouse's lock and nobody has it. `now` is
    aware. The lock itself stays the last line.
    """
    moment = now or datetime.now(UTC)
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=ACTIVE))
    queued = [r for r in records if r.dagster_run.status is dg.DagsterRunStatus.QUEUED]
    others = [r for r in records if r.dagster_run.status is not dg.DagsterRunStatus.QUEUED]
    overdue = [
        record for record in others if _seconds(record, moment) > _longest_without_lock(settings)
    ]
    if overdue and not WarehouseLock(settings.warehouse, "").is_held():
        _end(instance, settings, overdue)
        others = [record for record in others if record not in overdue]
    running = [*others, *queued]
    if not running:
        return None
    run = running[0].dagster_run
    return f"run {run.run_id} of {job_name} is {run.status.value.lower()} since " + (
        f"{running[0].create_timestamp:%Y-%m-%d %H:%M} UTC; it takes in what this one would"
    )


def _longest_without_lock(settings: Settings) -> float:
    return START_SECONDS + settings.lock_timeout_seconds


def _seconds(record: dg.RunRecord, now: datetime) -> float:
    return (now - record.create_timestamp.replace(tzinfo=UTC)).total_seconds()


def _end(instance: dg.DagsterInstance, settings: Settings, records: Sequence[dg.RunRecord]) -> None:
    for record in records:
        run_id = record.dagster_run.run_id
        message = f"run {run_id} ended without a word: it was killed, or its machine went down"
        end_run(instance, run_id, message)
        alert_of_failure(settings, message, run_id)

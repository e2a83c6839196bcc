"""What is watched: the journey map, each source's age, runs that fail."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from orchestration.alerts import Alert, Kind, settle
from orchestration.alerts.book import Scope
from orchestration.alerts.of_run import failure_alerts, run_failure
from orchestration.defs.landing.checks import freshness_results
from orchestration.defs.overlap import run_in_progress
from orchestration.defs.schedules import refresh_job, sensor_status, starts
from orchestration.environments import FRESHNESS, NEW_JOURNEY_MAP, RUN_FAILURES
from orchestration.errors import InputError
from orchestration.freshness import Freshness, source_freshness
from orchestration.journey_map import JourneyMap, load_journey_map
from orchestration.landing.inputs import sources_of
from orchestration.locking import LockTimeoutError
from orchestration.maintenance import warehouse_held
from orchestration.outcome import Report
from orchestration.publish.publication import current, read_manifest
from orchestration.settings import Environment, Settings
from orchestration.warehouse import warehouse_of

MAP_SECONDS, FRESHNESS_SECONDS = 60, 3600


def map_sensor(environment: Environment) -> dg.SensorDefinition:
    """One run for a map that changed and holds together, one alert for one that does not.

    Somebody may be saving its files one by one: what changes between two ticks waits.
    """

    @dg.sensor(
        name=NEW_JOURNEY_MAP,
        job=refresh_job,
        minimum_interval_seconds=MAP_SECONDS,
        default_status=sensor_status(environment, NEW_JOURNEY_MAP),
        description="Refreshes when the journey map changed and is valid, alerts when it is not; "
        f"{starts(environment, NEW_JOURNEY_MAP)}.",
    )
    def new_journey_map(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult:
        before = json.loads(context.cursor or "{}")
        seen = folder_sha256(settings.map)
        cursor = before | {"seen": seen}
        if seen != before.get("seen"):
            return _skip("the map is new to this sensor: it is judged when it rests", cursor)
        try:
            journey_map = load_journey_map(settings.map)
        except InputError as error:
            settle(settings, [_invalid_map(settings.map, error)])
            return _skip(f"the map cannot be used: {error.problems[0]}", cursor)
        settle(settings, [], Scope.of_kinds(Kind.INVALID_MAP))
        return _refreshed(context, settings, journey_map, cursor)

    return new_journey_map


def _refreshed(
    context: dg.SensorEvaluationContext,
    settings: Settings,
    journey_map: JourneyMap,
    cursor: dict[str, str],
) -> dg.SensorResult:
    """A run, where this valid map is neither published nor asked for already."""
    sha256 = journey_map.sha256
    if current(settings.published_dir) is None:
        return _skip("nothing is published yet: the first run takes this map", cursor)
    if read_manifest(settings.published_dir).get("journey_map_sha256") == sha256:
        return _skip("this map is published", cursor | {"requested": sha256})
    if cursor.get("requested") == sha256:
        return _skip("a run was launched for this map already", cursor)
    busy = run_in_progress(context.instance, settings, refresh_job.name)
    if busy:
        return _skip(busy, cursor)
    request = dg.RunRequest(tags={"journey_gaps/journey_map": sha256[:12]})
    return dg.SensorResult([request], cursor=json.dumps(cursor | {"requested": sha256}))


def _skip(reason: str, cursor: dict[str, str]) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=json.dumps(cursor))


def folder_sha256(folder: Path) -> str:
    """Hash of the CSV files of a folder as they are, names and bytes; of nothing where none is."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.[cC][sS][vV]")):
        digest.update(f"{file.name}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _invalid_map(folder: Path, error: InputError) -> Alert:
    return Alert(
        Kind.INVALID_MAP,
        str(folder),
        "The new journey map cannot be used",
        (
            str(error.problems[0]),
            f"{error.summary} No run was launched; see all of it with "
            f"`journey-gaps check-map {folder}`.",
        ),
    )


def freshness_sensor(environment: Environment) -> dg.SensorDefinition:
    """Measures every source when no run does, and alerts of those that are stale."""

    @dg.sensor(
        name=FRESHNESS,
        minimum_interval_seconds=FRESHNESS_SECONDS,
        default_status=sensor_status(environment, FRESHNESS),
        description="Every hour, whether each source delivered within its freshness_hours; "
        f"{starts(environment, FRESHNESS)}.",
    )
    def freshness(settings: dg.ResourceParam[Settings]) -> dg.SensorResult | dg.SkipReason:
        if not settings.warehouse.exists():
            return dg.SkipReason("nothing has landed yet")
        try:
            measured = _measured(settings)
        except LockTimeoutError as busy:
            return dg.SkipReason(f"{busy.holder} uses the warehouse, and measures it itself")
        stale = [source for source in measured if source.is_stale]
        settle(settings, [source.alert for source in stale], Scope.of_kinds(Kind.STALE_SOURCE))
        limited = sum(source.limit is not None for source in measured)
        return dg.SensorResult(
            skip_reason=f"{len(stale)} of {limited} sources with a limit are stale",
            asset_events=[
                dg.AssetCheckEvaluation(
                    asset_key=result.asset_key,
                    check_name=result.check_name,
                    passed=result.passed,
                    severity=result.severity,
                    description=result.description,
                )
                for result in freshness_results(measured)
                if result.asset_key and result.check_name
            ],
        )

    return freshness


def _measured(settings: Settings) -> list[Freshness]:
    """Read under the lock: a run's next step could not open a file that is being read."""
    sources, now = sources_of(settings), datetime.now(UTC).replace(tzinfo=None)
    with (
        warehouse_held(settings, "sensor freshness", timeout_seconds=0),
        warehouse_of(settings).connect() as connection,
    ):
        return source_freshness(connection, sources, settings.freshness_hours, now)


def failure_sensor(environment: Environment) -> dg.SensorDefinition:
    """Alerts of runs that failed before or outside of the executor, which tells by itself."""

    @dg.run_failure_sensor(
        name=RUN_FAILURES,
        default_status=sensor_status(environment, RUN_FAILURES),
        description="Alerts of a failed run, unless that was told or a later one succeeded; "
        f"{starts(environment, RUN_FAILURES)}.",
    )
    def run_failures(
        context: dg.RunFailureSensorContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason | None:
        run = context.dagster_run
        newest = context.instance.get_run_records(
            dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
        )
        failed = context.instance.get_run_record_by_id(run.run_id)
        if newest and failed and newest[0].create_timestamp > failed.create_timestamp:
            return dg.SkipReason("a later run of the job succeeded")
        settle(settings, reported_failure(context.instance, run.run_id))
        return None

    return run_failures


def reported_failure(instance: dg.DagsterInstance, run_id: str) -> list[Alert]:
    """What a failed run of Dagster's books is told as: the same as its executor tells."""
    report = Report(run_id)
    of_type = {
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.RUN_FAILURE,
    }
    entries = instance.all_logs(run_id, of_type=of_type)
    for entry in entries:
        report.add(entry.get_dagster_event())
    alerts = list(failure_alerts(report))
    if alerts or report.errors:
        return alerts
    said = entries[-1].get_dagster_event().message if entries else None
    return [run_failure(said or "no reason was given", run_id)]

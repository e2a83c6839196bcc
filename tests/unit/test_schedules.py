"""Ticks of schedules and sensors on a real Dagster instance, with real maps and files."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from orchestration.alerts.book import open_alerts
from orchestration.defs.overlap import START_SECONDS, run_in_progress
from orchestration.defs.schedules import (
    refresh_schedule,
    schedule_status,
    weekly_report_job,
    weekly_report_schedule,
)
from orchestration.defs.sensors import failure_sensor, freshness_sensor, map_sensor
from orchestration.environments import UnknownEnvironmentError
from orchestration.journey_map import load_journey_map
from orchestration.landing.load import land
from orchestration.locking import WarehouseLock
from orchestration.resources import open_instance
from orchestration.settings import Environment, Settings
from tests.small_runs import write_log, write_map

PROD = Environment.PROD
JOB = "refresh_gap_marts"
MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One HOME for the module: setting an instance up takes its time."""
    folder = tmp_path_factory.mktemp("schedules")
    write_map(folder / "map")
    write_log(folder / "files", cases=12)
    return Settings(
        home=folder / "home", map=folder / "map", landing=folder / "files", lock_timeout_seconds=60
    )


@pytest.fixture(scope="module")
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(settings) as instance:
        yield instance


@pytest.fixture(autouse=True)
def clean(settings: Settings, instance: dg.DagsterInstance) -> Iterator[None]:
    yield
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    (settings.home / "alerts.json").unlink(missing_ok=True)
    settings.warehouse.unlink(missing_ok=True)
    publish_map(settings, None)
    write_map(settings.map)


def publish_map(settings: Settings, sha256: str | None) -> None:
    """A publication made with this map; none at all."""
    folder = settings.published_dir / "runs" / "one"
    link = settings.published_dir / "current"
    if sha256 is None:
        link.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"journey_map_sha256": sha256}))
    link.unlink(missing_ok=True)
    link.symlink_to(folder)


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, job_name: str = JOB
) -> dg.DagsterRun:
    """A run as Dagster's books have it."""
    location = RegisteredCodeLocationOrigin("tests")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "tests"), job_name)
    run = dg.DagsterRun(job_name=job_name, status=status, remote_job_origin=origin)
    instance.add_run(run)
    return run


def tick(
    sensor: dg.SensorDefinition,
    settings: Settings,
    instance: dg.DagsterInstance,
    cursor: str | None = None,
) -> Any:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"settings": settings}
    )
    return sensor.evaluate_tick(context)


def daily(settings: Settings, instance: dg.DagsterInstance) -> Any:
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=MONDAY, resources={"settings": settings}
    )
    return refresh_schedule(PROD).evaluate_tick(context)


def test_what_is_on_in_each_environment() -> None:
    for environment in Environment:
        expected = "RUNNING" if environment is PROD else "STOPPED"
        declared = [
            refresh_schedule(environment),
            weekly_report_schedule(environment),
            map_sensor(environment),
            freshness_sensor(environment),
            failure_sensor(environment),
        ]
        assert {definition.default_status.value for definition in declared} == {expected}
        words = "off until switched on in " if environment is not PROD else "on in "
        assert all(words + environment.value in (it.description or "") for it in declared)
    with pytest.raises(UnknownEnvironmentError, match="dev, ci, prod"):
        schedule_status("staging", "x")  # type: ignore[arg-type]


def test_when_they_run() -> None:
    weekly = weekly_report_schedule(PROD)
    assert (weekly.cron_schedule, weekly.execution_timezone) == ("0 6 * * 1", "UTC")
    assert weekly.job_name == weekly_report_job.name
    # It reads publications: the warehouse may be in use.
    assert weekly_report_job.executor_def.name == "in_process"


def test_the_daily_run_is_launched_where_none_is_in_progress(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    add_run(instance, dg.DagsterRunStatus.SUCCESS)
    add_run(instance, dg.DagsterRunStatus.STARTED, "weekly_report")
    assert len(daily(settings, instance).run_requests) == 1


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_tick_while_a_run_is_queued_or_running_skips(
    settings: Settings, instance: dg.DagsterInstance, status: str
) -> None:
    run = add_run(instance, dg.DagsterRunStatus(status))
    data = daily(settings, instance)
    assert not data.run_requests
    assert f"run {run.run_id} of {JOB} is {status.lower()} since " in data.skip_message


def test_a_killed_run_does_not_silence_the_schedule_for_ever(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    run = add_run(instance, dg.DagsterRunStatus.STARTED)
    queued_later = timedelta(seconds=START_SECONDS + settings.lock_timeout_seconds + 60)
    later = datetime.now(UTC) + queued_later
    assert run_in_progress(instance, settings, JOB) is not None
    lock = WarehouseLock(settings.warehouse, run.run_id)
    lock.acquire(0)
    try:
        # It works, however long.
        assert run_in_progress(instance, settings, JOB, later) is not None
    finally:
        lock.release()
    assert run_in_progress(instance, settings, JOB, later) is None
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    [alert] = open_alerts(settings.home)
    assert f"run {run.run_id} ended without a word" in alert.title
    # What waits in a queue is not dead.
    add_run(instance, dg.DagsterRunStatus.QUEUED)
    assert run_in_progress(instance, settings, JOB, later) is not None


def test_a_new_map_is_refreshed_once(settings: Settings, instance: dg.DagsterInstance) -> None:
    sensor = map_sensor(PROD)
    publish_map(settings, "another")
    first = tick(sensor, settings, instance)
    assert (first.run_requests, "when it rests" in first.skip_message) == ([], True)
    second = tick(sensor, settings, instance, first.cursor)
    [request] = second.run_requests
    sha256 = load_journey_map(settings.map).sha256
    assert request.tags["journey_gaps/journey_map"] == sha256[:12]
    third = tick(sensor, settings, instance, second.cursor)
    assert third.run_requests == []
    assert "launched for this map already" in third.skip_message
    publish_map(settings, sha256)
    fourth = tick(sensor, settings, instance, third.cursor)
    assert (fourth.run_requests, fourth.skip_message) == ([], "this map is published")
    assert open_alerts(settings.home) == []


def test_a_map_that_is_being_saved_or_a_run_in_progress_waits(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    sensor = map_sensor(PROD)
    publish_map(settings, "another")
    cursor = tick(sensor, settings, instance).cursor
    journeys = settings.map / "journeys.csv"
    journeys.write_text(journeys.read_text().replace("Claims", "All claims"))
    changed = tick(sensor, settings, instance, cursor)
    assert changed.run_requests == []
    run = add_run(instance, dg.DagsterRunStatus.STARTED)
    busy = tick(sensor, settings, instance, changed.cursor)
    assert busy.run_requests == []
    assert run.run_id in busy.skip_message
    instance.delete_run(run.run_id)
    assert len(tick(sensor, settings, instance, busy.cursor).run_requests) == 1


def test_a_map_that_cannot_be_used_is_told_once_and_runs_nothing(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    sensor = map_sensor(PROD)
    publish_map(settings, "another")
    stages = settings.map / "stages.csv"
    good = stages.read_text()
    stages.write_text(good.replace("checked,2", "checked,1"))
    cursor = tick(sensor, settings, instance).cursor
    for _ in range(3):
        data = tick(sensor, settings, instance, cursor)
        cursor = data.cursor
        assert data.run_requests == []
        assert "stages.csv, line 3, column stage_order" in data.skip_message
    [alert] = open_alerts(settings.home)
    assert alert.sentences[0].startswith("stages.csv, line 3, column stage_order")
    assert "journey-gaps check-map" in alert.sentences[1]
    log = (settings.home / "alerts.jsonl").read_text().splitlines()
    assert sum("invalid_map" in line for line in log) == 1
    stages.write_text(good)
    cursor = tick(sensor, settings, instance, cursor).cursor
    assert len(tick(sensor, settings, instance, cursor).run_requests) == 1
    assert open_alerts(settings.home) == []


def test_before_the_first_publication_the_first_run_takes_the_map(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    cursor = tick(map_sensor(PROD), settings, instance).cursor
    data = tick(map_sensor(PROD), settings, instance, cursor)
    assert data.run_requests == []
    assert "nothing is published yet" in data.skip_message


def landed(settings: Settings, hours_ago: float) -> Settings:
    """The log landed so long ago; a source may be two days old."""
    land(settings.warehouse, settings.landing_dir, settings.map)
    moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours_ago)
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("update raw.loads set loaded_at = ?", [moment])
    return settings.model_copy(update={"freshness_hours": 48})


@pytest.mark.parametrize(("hours_ago", "is_stale"), [(47, False), (49, True)])
def test_a_source_that_stopped_is_noticed_without_a_run(
    settings: Settings, instance: dg.DagsterInstance, hours_ago: float, is_stale: bool
) -> None:
    limited = landed(settings, hours_ago)
    data = tick(freshness_sensor(PROD), limited, instance)
    assert data.skip_message == f"{int(is_stale)} of 1 sources with a limit are stale"
    checks = {
        (event.asset_key.to_user_string(), event.check_name): event for event in data.asset_events
    }
    check = checks["raw/event_log", "is_fresh"]
    assert (check.passed, check.severity) == (not is_stale, dg.AssetCheckSeverity.WARN)
    assert f"landed in raw.event_log {hours_ago}.0 hours ago" in (check.description or "")
    assert "newest row is of 2026-01-12 08:00" in (check.description or "")
    assert checks["raw/events", "is_fresh"].passed
    assert [alert.key for alert in open_alerts(settings.home)] == (
        ["stale_source:event_log:event_log"] if is_stale else []
    )
    landed(settings, 1)
    tick(freshness_sensor(PROD), limited, instance)
    assert open_alerts(settings.home) == []


def test_a_declared_source_has_its_own_limit(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    limited = landed(settings, 49)
    declaration = settings.map / "landing.yml"
    declaration.write_text(
        "sources:\n"
        "  - {name: log, files: event_log.csv, table: event_log, freshness_hours: 50}\n"
        "  - {name: crm, files: crm*.csv, table: crm_accounts}\n"
    )
    try:
        data = tick(freshness_sensor(PROD), limited, instance)
    finally:
        declaration.unlink()
    # The log landed as event_log: nothing came under this name.
    assert data.skip_message == "2 of 2 sources with a limit are stale"
    assert {
        alert.subject: "has never delivered" in alert.sentences[0]
        for alert in open_alerts(settings.home)
    } == {"log:event_log": True, "crm:crm_accounts": True}


def test_freshness_does_not_disturb_a_run(settings: Settings, instance: dg.DagsterInstance) -> None:
    assert tick(freshness_sensor(PROD), settings, instance).skip_message == "nothing has landed yet"
    limited = landed(settings, 49)
    lock = WarehouseLock(settings.warehouse, "somebody")
    lock.acquire(0)
    try:
        data = tick(freshness_sensor(PROD), limited, instance)
    finally:
        lock.release()
    assert "run somebody (pid " in data.skip_message
    assert open_alerts(settings.home) == []


@dg.op
def breaks() -> None:
    raise ValueError("the disk is full")


def failed_run(instance: dg.DagsterInstance) -> dg.RunFailureSensorContext:
    graph = dg.GraphDefinition(name=JOB, node_defs=[breaks])
    result = graph.to_job().execute_in_process(instance=instance, raise_on_error=False)
    [event] = [event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
    return dg.build_run_status_sensor_context(
        sensor_name="run_failures",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=event,
        resources={"settings": Settings()},
    ).for_run_failure()


def test_a_failed_run_is_told_once(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_HOME", str(settings.home))
    sensor = failure_sensor(PROD)
    for _ in range(2):
        sensor(failed_run(instance))
    [alert] = open_alerts(settings.home)
    assert alert.title == "A run failed: ValueError: the disk is full"


def test_a_failure_that_is_past_is_not_told(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_HOME", str(settings.home))
    context = failed_run(instance)
    add_run(instance, dg.DagsterRunStatus.SUCCESS)
    failure_sensor(PROD)(context)
    assert open_alerts(settings.home) == []

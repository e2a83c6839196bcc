"""What new files start, and landing by day, on real Dagster instances."""

import os
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.defs.landing.days import build_land_day
from orchestration.defs.landing.sensors import new_files_sensor
from orchestration.defs.schedules import refresh_job
from orchestration.environments import UnknownEnvironmentError
from orchestration.landing.days import names_day
from orchestration.landing.inputs import land_inputs
from orchestration.locking import WarehouseLock
from orchestration.resources import open_instance
from orchestration.settings import Environment, Settings

HEADER = "account_id,created_at\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    given = Settings(home=tmp_path / "home", map=tmp_path / "map", landing=tmp_path / "landing")
    given.landing_dir.mkdir()
    given.map.mkdir()
    return given


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """One for all tests: a sensor asks it for unfinished runs only."""
    with open_instance(Settings(home=tmp_path_factory.mktemp("instance"))) as opened:
        yield opened


def write(settings: Settings, name: str, account: str) -> Path:
    path = settings.landing_dir / "crm_accounts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{HEADER}{account},2024-01-31\n")
    return path


class Ticks:
    """The sensor, tick after tick, with the cursor that it left."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance, self.settings = instance, settings
        self.cursor: str | None = None

    def tick(self) -> str:
        """The run key that it asks for, or why it does not."""
        data = new_files_sensor(Environment.PROD).evaluate_tick(
            dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, resources={"settings": self.settings}
            )
        )
        self.cursor = data.cursor or self.cursor
        if not data.run_requests:
            return data.skip_message or ""
        (request,) = data.run_requests
        assert request.run_key == self.cursor
        return request.run_key or ""


@pytest.fixture
def ticks(instance: dg.DagsterInstance, settings: Settings) -> Ticks:
    return Ticks(instance, settings)


def test_the_sensor_of_each_environment() -> None:
    status = {env.value: new_files_sensor(env).default_status.value for env in Environment}
    assert status == {"dev": "STOPPED", "ci": "STOPPED", "prod": "RUNNING"}
    sensor = new_files_sensor(Environment.PROD)
    assert (sensor.name, sensor.job_name) == ("new_files", "refresh_gap_marts")
    assert "off until" in (new_files_sensor(Environment.DEV).description or "")
    with pytest.raises(UnknownEnvironmentError):
        new_files_sensor("staging")  # type: ignore[arg-type]


def test_new_files_start_one_run(ticks: Ticks) -> None:
    assert ticks.tick() == "all that the files hold has landed before"
    write(ticks.settings, "a.csv", "a")
    first = ticks.tick()
    assert len(first) == 64
    assert ticks.tick() == "no new files"
    write(ticks.settings, "b.csv", "b")
    second = ticks.tick()
    assert (len(second), second == first) == (64, False)


def test_what_has_landed_starts_none(ticks: Ticks) -> None:
    path = write(ticks.settings, "a.csv", "a")
    land_inputs(ticks.settings)
    assert ticks.tick() == "all that the files hold has landed before"
    path.rename(path.with_name("renamed.csv"))
    assert ticks.tick() == "all that the files hold has landed before"
    write(ticks.settings, "sent_again.csv", "a")
    assert ticks.tick() == "all that the files hold has landed before"
    (ticks.settings.landing_dir / "notes.txt").write_text("no source's")
    assert ticks.tick() == "all that the files hold has landed before"
    write(ticks.settings, "a.csv", "new")
    assert len(ticks.tick()) == 64


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_new_files_wait_for_a_run(ticks: Ticks, status: dg.DagsterRunStatus) -> None:
    write(ticks.settings, "a.csv", "a")
    run = ticks.instance.add_run(dg.DagsterRun(refresh_job.name, status=status))
    ticks.instance.add_run(dg.DagsterRun("another_job", status=status))
    assert ticks.tick().startswith(f"new files wait: run {run.run_id} of refresh_gap_marts is ")
    assert ticks.cursor is None
    ticks.instance.report_run_failed(run)
    assert len(ticks.tick()) == 64


def test_new_files_wait_for_whoever_has_the_warehouse(ticks: Ticks) -> None:
    write(ticks.settings, "a.csv", "a")
    lock = WarehouseLock(ticks.settings.warehouse, "run-7")
    lock.acquire(0)
    assert "is in use by run run-7" in ticks.tick()
    lock.release()
    assert len(ticks.tick()) == 64
    assert not ticks.settings.warehouse.with_suffix(".lock.json").exists()


def test_files_that_still_arrive_do_not_count(ticks: Ticks) -> None:
    ticks.settings = ticks.settings.model_copy(update={"landing_settle_seconds": 600})
    path = write(ticks.settings, "a.csv", "a")
    write(ticks.settings, "b.csv.part", "b")
    ticks.tick()
    assert ticks.tick() == "no new files; 1 files still arrive"
    os.utime(path, (time.time() - 3600,) * 2)
    assert len(ticks.tick()) == 64


def test_files_settle_where_runs_start_by_themselves() -> None:
    assert Settings(env=Environment.DEV).settle_seconds == 0
    assert Settings(env=Environment.PROD).settle_seconds == 60
    assert Settings(env=Environment.PROD, landing_settle_seconds=5).settle_seconds == 5


@pytest.mark.parametrize(
    ("name", "is_of_day"),
    [
        ("events/2026-11-20.csv", True),
        ("events_20261120.csv", True),
        ("dt=2026-11-20/part-0.parquet", True),
        ("2026/11/20/events.jsonl", True),
        ("2026_11_20.csv", True),
        ("year=2026/month=11/day=20/x.csv", True),
        ("20261120T0500.csv", True),
        ("events/2026-11-21.csv", False),
        ("120261120.csv", False),
        ("202611201.csv", False),
        ("2026-1120.csv", False),
        ("year=2026/month=11/day=2/x.csv", False),
        ("events.csv", False),
    ],
)
def test_a_path_names_a_day(name: str, is_of_day: bool) -> None:
    assert names_day(name, date(2026, 11, 20)) is is_of_day


def test_one_day_lands(instance: dg.DagsterInstance, settings: Settings) -> None:
    for name in ("2024-01-30.csv", "2024-01-31.csv", "dt=20240131.csv", "undated.csv"):
        write(settings, name, name)
    job = build_land_day(date(2024, 1, 1))
    for expected in (2, 0):  # a day lands again, and finds nothing new
        result = job.execute_in_process(
            instance=instance, partition_key="2024-01-31", resources={"settings": settings}
        )
        (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
        metadata = event.step_output_data.metadata
        assert metadata["rows_kept"].value == expected
        assert set(metadata["files"].value) == {
            "crm_accounts/2024-01-31.csv",
            "crm_accounts/dt=20240131.csv",
        }
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        assert connection.execute("select count(*) from raw.crm_accounts").fetchone() == (2,)
    assert not settings.published_dir.exists()
    # What other days brought is declared all the same: sources are not forgotten.
    assert land_inputs(settings).totals[0].rows_kept == 2

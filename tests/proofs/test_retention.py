"""A year of days on a real HOME: what grows has a limit, and what must stay does.

Each day leaves logs and quarantined rows, every third a run in a real Dagster instance and a
publication, and prunes; only the dates are invented.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.events import StepMaterializationData

from orchestration.landing.contract import create_tables_sql
from orchestration.landing.load import reconcile
from orchestration.publish.history import KeptPublication, kept_publications, rollback
from orchestration.publish.publication import current, publish
from orchestration.resources import open_instance
from orchestration.retention import prune
from orchestration.settings import Settings
from orchestration.warehouse import DuckDBWarehouse

DAYS = 365
FIRST = datetime(2026, 1, 1, 6, tzinfo=UTC)
# A year has room for every limit to be reached.
LIMITS = {
    "publications_kept": 5,
    "logs_days": 30,
    "quarantine_days": 60,
    "dagster_runs_kept": 20,
}
# From this day on nothing may grow any more.
SETTLED = 100
ROLLBACK_DAY, ROLLED_BACK_DAYS = 200, 60
NEVER_REMOVED = ("runs.jsonl", "alerts.jsonl", "forgetting.json", "forgotten.key")


@dg.job
def refresh() -> None:
    """Nothing: its runs get the events that real ones store."""


@dataclass
class Year:
    """A HOME on which days go by."""

    settings: Settings
    instance: dg.DagsterInstance

    def pass_day(self, day: int, *, publishes: bool) -> None:
        """What a run leaves, then what it prunes."""
        now = FIRST + timedelta(days=day)
        # Events are what takes the time: two days of three have logs and rows alone.
        run_id = self._traces() if day % 3 == 0 else f"without-events-{day}"
        self._log(run_id, now)
        self._quarantine(day, now)
        if publishes and day % 3 == 0:
            publish(
                DuckDBWarehouse(self.settings.warehouse),
                self.settings.published_dir,
                ["facts"],
                {"run_id": run_id},
                f"{now:%Y%m%dT%H%M%SZ}-{run_id[:8]}",
                now,
            )
        pruned = prune(self.settings, self.instance, run_id=run_id, now=now)
        assert [kind for kind in pruned if kind.problem] == []

    def _traces(self) -> str:
        """A finished run with a materialization and a check, as steps report them."""
        run = self.instance.create_run_for_job(refresh)
        facts = dg.AssetKey("facts")
        materialized = StepMaterializationData(dg.AssetMaterialization(facts))
        checked = dg.AssetCheckEvaluation(facts, "holds", passed=True, metadata={})
        for kind, data in (
            (dg.DagsterEventType.ASSET_MATERIALIZATION, materialized),
            (dg.DagsterEventType.ASSET_CHECK_EVALUATION, checked),
            (dg.DagsterEventType.RUN_SUCCESS, None),
        ):
            event = dg.DagsterEvent(
                kind.value, "refresh", event_specific_data=data, message="x" * 1000
            )
            self.instance.report_dagster_event(event, run.run_id)
        return run.run_id

    def _log(self, run_id: str, now: datetime) -> None:
        logs = self.settings.home / "logs"
        for path in (
            logs / f"run-{now:%Y%m%dT%H%M%S}-1.log",
            logs / f"run-{now:%Y%m%dT%H%M%S}-1.jsonl",
            logs / run_id / "compute_logs" / "facts.err",
            logs / "dbt.log",
            self.settings.home / f".landing-{run_id}" / "half.csv",
            self.settings.published_dir / "runs" / f"{run_id}.tmp" / "half.parquet",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x" * 1000)
            os.utime(path, (now.timestamp(), now.timestamp()))

    def _quarantine(self, day: int, now: datetime) -> None:
        moment = f"timestamp '{now:%Y-%m-%d %H:%M:%S}'"
        with duckdb.connect(self.settings.warehouse) as connection:
            connection.execute(
                "insert into quarantine.events by name select 'r' || i as row_id,"
                " 'event_name is missing' as reason, repeat('x', 1000) as \"content\","
                f" {day} as load_id, {moment} as loaded_at from range(20) as r (i)"
            )
            connection.execute(
                "insert into raw.loads by name select"
                f" {day} as load_id, {moment} as loaded_at, 'events' as table_name,"
                " 20 as rows_in, 0 as rows_kept, 20 as rows_quarantined, 0 as rows_duplicate,"
                " 'landed' as status"
            )

    def remembers(self, publication: KeptPublication) -> bool:
        """Whether Dagster has the run of a publication, and HOME its logs."""
        logs = self.settings.home / "logs"
        run_id = publication.run_id or ""
        log = logs / f"run-{publication.published_at:%Y%m%dT%H%M%S}-1.log"
        return self.instance.has_run(run_id) and (logs / run_id).is_dir() and log.exists()

    def curve(self) -> dict[str, int]:
        """Bytes and items of all that grows."""
        home = self.settings.home
        folders = {
            name: sum(file.stat().st_size for file in (home / name).rglob("*") if file.is_file())
            for name in ("dagster", "logs", "published")
        }
        with duckdb.connect(self.settings.warehouse, read_only=True) as connection:
            [(rows,)] = connection.execute("select count(*) from quarantine.events").fetchall()
        return {
            **folders,
            "warehouse": self.settings.warehouse.stat().st_size,
            "quarantined": rows,
            "publications": len(kept_publications(self.settings.published_dir)),
            "log files": len(list((home / "logs").iterdir())),
            "runs": self.instance.get_runs_count(),
            "run files": len(list((home / "dagster" / "history" / "runs").glob("*.db"))),
            "leftovers": len(list(home.glob(".landing-*"))),
        }


@pytest.fixture
def year(tmp_path: Path) -> Iterator[Year]:
    settings = Settings(home=tmp_path / "home", **LIMITS)
    settings.home.mkdir()
    for name in NEVER_REMOVED:
        (settings.home / name).write_text("kept\n")
        os.utime(settings.home / name, (0, 0))
    with duckdb.connect(settings.warehouse) as connection:
        for statement in create_tables_sql():
            connection.execute(statement)
        connection.execute("create schema marts; create table marts.facts as select 1 as n")
    with open_instance(settings) as instance:
        yield Year(settings, instance)


def test_a_year_of_runs_stays_within_its_limits(year: Year) -> None:
    published_dir = year.settings.published_dir
    curves = {}
    back_to = None
    for day in range(DAYS):
        # After a rollback the runs fail for two months: what is published stands.
        fails = ROLLBACK_DAY <= day < ROLLBACK_DAY + ROLLED_BACK_DAYS
        year.pass_day(day, publishes=not fails)
        if day == ROLLBACK_DAY:
            back_to = rollback(DuckDBWarehouse(year.settings.warehouse), published_dir)
        if fails:
            assert back_to is not None
            assert current(published_dir) == back_to.folder.resolve()
            assert year.remembers(back_to)
        if day % 10 == 0 or day == DAYS - 1:
            curves[day] = year.curve()
    assert back_to is not None

    print("\nday " + " ".join(f"{name:>13}" for name in curves[0]))  # pytest -s shows it
    for day, curve in curves.items():
        print(f"{day:3} " + " ".join(f"{figure:13,}" for figure in curve.values()))

    for name in curves[0]:
        before = max(curve[name] for day, curve in curves.items() if day <= SETTLED)
        later = max(curve[name] for day, curve in curves.items() if day > SETTLED)
        # A rollback keeps one publication, one run and its logs besides.
        assert later <= before * 1.1 + 5, name
    last = curves[DAYS - 1]
    assert last["publications"] == LIMITS["publications_kept"]
    assert last["runs"] == LIMITS["dagster_runs_kept"]
    assert last["run files"] == LIMITS["dagster_runs_kept"] + 1  # the index
    assert last["quarantined"] == (LIMITS["quarantine_days"] + 1) * 20
    assert last["leftovers"] == 0

    with duckdb.connect(year.settings.warehouse, read_only=True) as connection:
        [events] = [counts for counts in reconcile(connection) if counts.table == "events"]
        [(booked,)] = connection.execute("select sum(row_count) from raw.released_rows").fetchall()
    assert events.rows_in == DAYS * 20
    assert events.rows_released == booked == DAYS * 20 - last["quarantined"]
    assert events.difference == 0
    assert all((year.settings.home / name).read_text() == "kept\n" for name in NEVER_REMOVED)

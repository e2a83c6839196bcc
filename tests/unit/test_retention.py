"""What a HOME keeps and what leaves it, each kind by itself; a whole year is in tests/proofs."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import dagster as dg
import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.landing.contract import CONFLICT_REASON
from orchestration.landing.load import land, reconcile
from orchestration.publish.publication import current, publish
from orchestration.resources import SEEDS_OWNER, open_instance
from orchestration.retention import prune
from orchestration.retention.files import leftovers, old_logs
from orchestration.retention.quarantine import expire
from orchestration.settings import Settings
from orchestration.warehouse import DuckDBWarehouse

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The command says in it what its flags say."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    return settings


def write(path: Path, age: timedelta, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    written = (NOW - age).timestamp()
    os.utime(path, (written, written))
    return path


def test_old_logs_leave_but_not_those_of_the_publication(settings: Settings) -> None:
    logs = settings.home / "logs"
    old, older = timedelta(days=31), timedelta(days=90)
    gone = [
        write(logs / "run-a.log", old),
        write(logs / "run-b" / "compute_logs" / "step.err", old).parents[1],
    ]
    write(logs / "dbt.log", timedelta(days=29))
    write(logs / "published" / "compute_logs" / "step.err", older)
    write(logs / "published.log", older + timedelta(minutes=-1))
    assert list(old_logs(settings, NOW, {"published"}, NOW - older)) == gone
    assert len(list(old_logs(settings, NOW, {"published"}, None))) == len(gone) + 1


def test_what_killed_runs_left_goes_and_what_others_may_write_stays(settings: Settings) -> None:
    home, hour, week = settings.home, timedelta(hours=1), timedelta(days=8)
    gone = {
        write(home / ".landing-x" / "part", hour).parent,
        write(home / ".copy-x" / "rows.csv", hour).parent,
        write(home / "warehouse.duckdb.tmp" / "spill", hour).parent,
        write(home / "warehouse.duckdb.compact", hour),
        write(home / "published" / "runs" / "a.tmp" / "half", hour).parent,
        write(home / "dbt" / "duckdb" / "tmpabc" / "manifest.json", week).parent,
        write(home / "warehouse.duckdb.damaged-20260101T000000Z", 5 * week),
    }
    write(home / "dbt" / "duckdb" / "tmpdef" / "manifest.json", hour)
    write(home / "dbt" / "duckdb" / "build" / "manifest.json", week)
    write(home / "landing" / "events.csv", 9 * week)
    write(home / "runs.jsonl", 90 * week)
    write(home / "warehouse.duckdb.damaged-20260525T000000Z", week)
    write(home / "published" / "runs" / "a" / "manifest.json", 9 * week)
    assert set(leftovers(settings, NOW)) == gone


def test_seeds_of_a_home_that_is_gone_leave(settings: Settings, tmp_path: Path) -> None:
    week = timedelta(days=8)
    seeds = tmp_path / "seeds"

    def seeded(name: str, home: Path | None, age: timedelta = week) -> Path:
        if home is not None:
            write(seeds / name / SEEDS_OWNER, age, str(home))
        return write(seeds / name / "stages.csv", age).parent

    gone = seeded("gone", tmp_path / "nowhere")
    seeded("there", tmp_path)
    seeded("unknown", None)
    seeded("new", tmp_path / "nowhere", timedelta(hours=1))
    own = seeded("own", tmp_path / "nowhere")
    with mock.patch.object(Settings, "seed_dir", own):
        assert list(leftovers(settings, NOW)) == [gone]


@pytest.fixture
def landed(settings: Settings) -> Settings:
    """One row kept, one that broke the contract, and one id with two contents."""
    landing = settings.home / "landing"
    landing.mkdir()
    (landing / "events.csv").write_text(
        "event_id,event_name,occurred_at\na,seen,2026-01-01T00:00:00Z\nb,seen,never\n"
        "c,seen,2026-01-01T00:00:00Z\nc,left,2026-01-01T00:00:00Z\n"
    )
    land(settings.warehouse, landing, landing, NOW)
    return settings


def events(settings: Settings) -> tuple[int, int, int, int, int]:
    with duckdb.connect(settings.warehouse, read_only=True) as connection:
        [counts] = [one for one in reconcile(connection) if one.table == "events"]
    return (
        counts.rows_in,
        counts.rows_kept,
        counts.rows_quarantined,
        counts.rows_released,
        counts.difference,
    )


def test_quarantined_rows_leave_in_the_books(landed: Settings) -> None:
    year = timedelta(days=365)
    assert expire(landed, NOW + year) == 0
    later = NOW + year + timedelta(seconds=1)
    assert expire(landed.model_copy(update={"quarantine_days": None}), later) == 0
    assert expire(landed, later, dry_run=True) == 1
    assert events(landed) == (4, 1, 3, 0, 0)
    assert expire(landed, later) == 1
    assert events(landed) == (4, 1, 2, 1, 0)
    assert expire(landed, later) == 0
    with duckdb.connect(landed.warehouse, read_only=True) as connection:
        assert connection.execute("select distinct reason from quarantine.events").fetchall() == [
            (CONFLICT_REASON,)
        ]
        assert connection.execute(
            "select table_name, load_id, reason, row_count from raw.released_rows"
        ).fetchall() == [("events", 1, "expired", 1)]
    # A third content of that id still finds the other two.
    more = landed.home / "more"
    more.mkdir()
    (more / "events.csv").write_text(
        "event_id,event_name,occurred_at\nc,came,2026-01-01T00:00:00Z\n"
    )
    land(landed.warehouse, more, more, NOW)
    assert events(landed) == (5, 1, 3, 1, 0)


@dg.job
def refresh() -> None:
    """Nothing."""


def test_what_fails_is_told_and_the_rest_goes_on(landed: Settings) -> None:
    damaged = write(landed.published_dir / "runs" / "a.tmp" / "half", timedelta(0))
    landed.warehouse.write_text("no database")
    with open_instance(landed) as instance:
        run = instance.create_run_for_job(refresh)
        pruned = {one.kind: one for one in prune(landed, instance, run_id=run.run_id)}
    assert "run --rebuild" in pruned["quarantined rows"].problem
    assert pruned["leftovers"].items == 1
    assert not damaged.exists()


def test_runs_that_are_not_over_and_files_of_dagster(settings: Settings) -> None:
    small = settings.model_copy(update={"dagster_runs_kept": 2})
    with open_instance(small) as instance:
        runs = [instance.create_run_for_job(refresh).run_id for _ in range(6)]
        for run_id in runs[1:]:
            instance.report_run_failed(instance.get_run_by_id(run_id))
        shown = {one.kind: one for one in prune(small, instance, run_id=runs[1], dry_run=True)}
        assert shown["runs in Dagster"].items == 2
        assert instance.get_runs_count() == 6
        prune(small, instance, run_id=runs[1])
        left = {run.run_id for run in instance.get_runs()}
    # Two newest, the one that is not over, the one in progress.
    assert left == {runs[0], runs[1], runs[4], runs[5]}
    folder = small.dagster_dir / "history" / "runs"
    assert {file.stem for file in folder.glob("*.db")} - {"index"} <= left


def test_the_command_removes_what_a_dry_run_shows(landed: Settings) -> None:
    with duckdb.connect(landed.warehouse) as connection:
        connection.execute("create schema marts; create table marts.facts as select 1 as n")
    for day in range(4):
        publish(
            DuckDBWarehouse(landed.warehouse),
            landed.published_dir,
            ["facts"],
            {},
            f"p{day}",
            NOW + timedelta(days=day),
        )
    arguments = ["prune", "--home", str(landed.home)]
    variables = {"JOURNEY_GAPS_PUBLICATIONS_KEPT": "2"}
    shown = CliRunner().invoke(app, [*arguments, "--dry-run"], env=variables)
    assert shown.exit_code == 0, shown.output
    assert len(list((landed.published_dir / "runs").iterdir())) == 4
    removed = CliRunner().invoke(app, [*arguments, "--compact"], env=variables)
    assert removed.exit_code == 0, removed.output
    [line] = [line for line in removed.stdout.splitlines() if "publications" in line]
    assert " 2 " in line
    assert line in shown.stdout
    assert {one.name for one in (landed.published_dir / "runs").iterdir()} == {"p2", "p3"}
    assert current(landed.published_dir) == (landed.published_dir / "runs" / "p3").resolve()
    nowhere = CliRunner().invoke(app, ["prune", "--home", str(landed.home / "nowhere")])
    assert nowhere.exit_code == 1
    assert "nothing has run there" in nowhere.output

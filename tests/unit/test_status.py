"""`journey-gaps status` on HOMEs made by hand: idle, at work, killed, damaged, empty."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.audit import BOOK, append_run
from orchestration.cli import app
from orchestration.cli.status import ago, size
from orchestration.landing import land
from orchestration.locking import WarehouseLock
from orchestration.publish.inputs import landed_files
from orchestration.publish.quality import landed_tables

EVENTS = """\
event_id,event_name,occurred_at,customer_id
1,opened,2026-01-05,a
2,opened,ada@example.com,b
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A landed file, a publication of it, and one good run."""
    home = tmp_path / "home"
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "events.csv").write_text(EVENTS)
    land(home / "warehouse.duckdb", tmp_path / "landing", tmp_path)
    with duckdb.connect(home / "warehouse.duckdb", read_only=True) as connection:
        quality, inputs = landed_tables(connection), landed_files(connection)
    folder = home / "published" / "runs" / "p1"
    folder.mkdir(parents=True)
    (home / "published" / "current").symlink_to("runs/p1")
    manifest = {
        "publication_id": "p1",
        "published_at": (datetime.now(UTC) - timedelta(hours=3)).isoformat(),
        "marts": {"gap_ranking": {"rows": 7}, "fct_measures": {"rows": 5}},
        "data_quality": {"tables": quality},
        "inputs": inputs,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, default=str))
    record(home, "1", "published")
    return home


def record(home: Path, run_id: str, outcome: str, **fields: Any) -> None:
    row = {"run_id": run_id, "outcome": outcome, "job": "refresh_gap_marts", "seconds": 61.0}
    append_run(home, {**row, "started_at": datetime.now(UTC), "error": None, **fields})


def status(home: Path) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["status", "--home", str(home), "--format", "json"])
    found: dict[str, Any] = json.loads(result.output)
    return result.exit_code, found


def text(home: Path) -> str:
    return CliRunner().invoke(app, ["status", "--home", str(home)]).output


@pytest.fixture
def at_work(home: Path) -> Iterator[None]:
    lock = WarehouseLock(home / "warehouse.duckdb", "run-at-work")
    lock.acquire(0)
    yield
    lock.release()


def test_a_home_that_is_well(home: Path) -> None:
    exit_code, found = status(home)
    assert (exit_code, found["unhealthy"]) == (0, [])
    assert found["last_run"] == found["last_good_run"]
    assert (found["publication"]["marts"], found["publication"]["rows"]) == (2, 12)
    (events,) = found["tables"]
    assert (events["table"], events["rows"], events["quarantined"]) == ("events", 1, 1)
    assert events["newest"] == "2026-01-05T00:00:00Z"
    assert events["last_file"] == "events.csv"
    assert list(events["reasons"]) == [
        "occurred_at '…' is not a time (ISO 8601, such as 2024-03-31T14:05:00+02:00)"
    ]
    assert found["disk_bytes"]["warehouse.duckdb"] > 100_000
    output = text(home).replace("just now", "a moment ago")
    assert "ago, took 61 s (refresh_gap_marts, manual)" in output
    assert "p1, 3 hours ago: 2 marts, 12 rows; 1 kept" in output
    assert "ada" not in output


def test_failures_are_counted_and_explained(home: Path) -> None:
    record(home, "2", "failed", error="disk [full]", failed_steps=["dbt_models"])
    record(home, "3", "not_started", error="busy")
    exit_code, found = status(home)
    assert exit_code == 1
    assert (found["last_run"]["run_id"], found["last_good_run"]["run_id"]) == ("3", "1")
    assert found["failed_in_a_row"] == 2
    assert found["unhealthy"] == ["the last run did not start, like 1 before it"]
    record(home, "4", "failed", error="disk [full]", failed_steps=["dbt_models"])
    assert "disk [full]" in text(home)
    assert "failed in dbt_models" in text(home)


@pytest.mark.usefixtures("at_work")
def test_while_a_run_has_the_warehouse_the_publication_answers(home: Path) -> None:
    with duckdb.connect(home / "warehouse.duckdb"):
        exit_code, found = status(home)
    assert (exit_code, found["running"]["run_id"]) == (0, "run-at-work")
    assert found["killed"] is None
    assert "run-at-work" in found["read_from"]
    assert found["tables"][0]["rows"] == 1
    assert found["tables"][0]["last_file"] == "events.csv"


def test_looking_does_not_keep_a_run_from_the_warehouse(home: Path) -> None:
    status(home)
    lock = WarehouseLock(home / "warehouse.duckdb", "next")
    assert lock.acquire(0) is None
    lock.release()


def test_a_killed_run_is_named_before_the_next_one_records_it(home: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from orchestration.locking import WarehouseLock\n"
        "WarehouseLock(Path(sys.argv[1]), 'killed-run').acquire(60)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(home / "warehouse.duckdb")], check=False)
    exit_code, found = status(home)
    assert (exit_code, found["running"]) == (1, None)
    assert found["killed"]["run_id"] == "killed-run"
    assert "killed-run" in found["unhealthy"][0]
    record(home, "killed-run", "killed")
    assert status(home)[1]["unhealthy"] == ["the last run was killed"]


def test_files_that_the_newest_landing_run_could_not_read(home: Path) -> None:
    torn = {"source_file": "a.csv", "status": "rejected", "message": "a.csv: torn"}
    record(home, "2", "published_with_rejects", inputs=[torn])
    record(home, "3", "not_started")
    assert [file["source_file"] for file in status(home)[1]["rejected_files"]] == ["a.csv"]
    assert "a.csv: torn" in text(home)
    record(home, "4", "published", inputs=[])
    assert status(home)[1]["rejected_files"] == []


def test_a_damaged_warehouse_and_a_torn_line_are_told(home: Path) -> None:
    (home / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    with (home / BOOK).open("a") as book:
        book.write('{"run_id": "2", ')
    exit_code, found = status(home)
    assert exit_code == 0
    assert "is damaged" in found["read_from"]
    assert found["tables"][0]["rows"] == 1
    assert found["damaged_lines"] == [2]


def test_a_home_in_which_nothing_ran(tmp_path: Path) -> None:
    exit_code, found = status(tmp_path / "home")
    assert (exit_code, found["unhealthy"]) == (1, ["nothing is published"])
    assert (found["last_run"], found["tables"]) == (None, [])
    assert not (tmp_path / "home").exists()
    assert "nothing has landed yet" in text(tmp_path / "home")


def test_it_starts_without_dagster_dbt_and_great_expectations() -> None:
    script = (
        "import sys, orchestration.cli\n"
        "heavy = {'dagster', 'dbt', 'great_expectations', 'pandas', 'altair'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"


def test_ages_and_sizes_as_people_say_them() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    assert ago(now - timedelta(seconds=90), now) == "90 seconds ago"
    assert ago(now - timedelta(days=3), now) == "3 days ago"
    assert ago(now + timedelta(days=3), now) == "in the future"
    assert (size(999), size(119_000_000)) == ("999 B", "119 MB")

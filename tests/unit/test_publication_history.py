"""Publications that are kept: whole or damaged, pruned by count, and the way back."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.errors import JourneyGapsError
from orchestration.publish.history import (
    kept_publications,
    prune_publications,
    rollback,
)
from orchestration.publish.publication import current, publish, read_manifest
from orchestration.settings import Settings
from orchestration.warehouse import DuckDBWarehouse

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The commands say in it what their flags say."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A HOME with three publications, a day and a row apart."""
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    for day in range(3):
        publish_day(warehouse, tmp_path, day)
    return tmp_path


def publish_day(warehouse: DuckDBWarehouse, home: Path, day: int) -> None:
    with duckdb.connect(warehouse.file) as connection:
        connection.execute("create schema if not exists marts")
        connection.execute(
            "create or replace table marts.facts as"
            f" select i, 'é' as x from range({day + 1}) as r (i)"
        )
    publish(
        warehouse,
        home / "published",
        ["facts"],
        {"run_id": f"run-{day}"},
        f"p{day}",
        DAY + timedelta(days=day),
    )


def serving(home: Path) -> str:
    folder = current(home / "published")
    assert folder is not None
    return folder.name


def command(home: Path, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["publications", *arguments, "--home", str(home)])
    return result.exit_code, result.stdout, result.stderr


def test_the_list_says_what_each_is(home: Path) -> None:
    code, output, _ = command(home, "list", "--format", "json")
    assert code == 0
    listed = json.loads(output)
    folder = home / "published" / "runs" / "p2"
    assert listed[0] == {
        "publication_id": "p2",
        "published_at": "2026-01-03T00:00:00+00:00",
        "run_id": "run-2",
        "rows": 3,
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "is_current": True,
        "state": "complete",
        "damage": None,
    }
    assert [(one["publication_id"], one["is_current"]) for one in listed[1:]] == [
        ("p1", False),
        ("p0", False),
    ]
    _, table, _ = command(home, "list")
    assert "complete" in table
    assert "current" in table
    _, markdown, _ = command(home, "list", "--format", "md")
    assert "| current | p2 | 2026-01-03 00" in markdown


def test_rollback_goes_back_one_at_a_time_and_the_next_run_publishes_newer(home: Path) -> None:
    code, output, _ = command(home, "rollback")
    assert (code, serving(home)) == (0, "p1")
    assert output.startswith("current is p1, published 2026-01-02T00:00:00+00:00")
    assert (home / "published" / "current").readlink() == Path("runs/p1")
    assert command(home, "rollback")[0] == 0
    assert serving(home) == "p0"
    code, _, errors = command(home, "rollback")
    assert (code, serving(home)) == (1, "p0")
    assert "none before it is kept" in errors
    assert command(home, "rollback", "p2")[0] == 0
    assert serving(home) == "p2"
    assert command(home, "rollback", "p1")[0] == 0
    publish_day(DuckDBWarehouse(home / "warehouse.duckdb"), home, 3)
    assert read_manifest(home / "published")["run_id"] == "run-3"


def test_a_damaged_warehouse_is_no_reason_not_to_go_back(home: Path) -> None:
    (home / "warehouse.duckdb").write_text("no database")
    assert command(home, "rollback")[0] == 0
    assert serving(home) == "p1"


def test_an_unknown_publication_is_refused_with_those_there_are(home: Path) -> None:
    code, _, errors = command(home, "rollback", "p9")
    assert (code, serving(home)) == (1, "p2")
    assert "there is no publication p9; kept are p2, p1, p0" in errors


def truncate(folder: Path) -> None:
    file = folder / "facts.parquet"
    file.write_bytes(file.read_bytes()[:-1])


def change_database(folder: Path) -> None:
    with duckdb.connect(folder / "journey_gaps.duckdb") as connection:
        connection.execute("update facts set i = 7 where i = 0")


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (truncate, "facts.parquet is not the file that was published (sha256)"),
        (lambda folder: (folder / "facts.parquet").unlink(), "facts.parquet is missing"),
        (change_database, "journey_gaps.duckdb: facts has not the rows"),
        (
            lambda folder: (folder / "journey_gaps.duckdb").write_text("x"),
            "journey_gaps.duckdb cannot",
        ),
        (lambda folder: (folder / "manifest.json").write_text("{"), "no manifest"),
    ],
)
def test_a_damaged_publication_is_listed_and_refused(home: Path, harm, found: str) -> None:
    harm(home / "published" / "runs" / "p1")
    code, _, errors = command(home, "rollback", "p1")
    assert (code, serving(home)) == (1, "p2")
    assert found in errors
    states = {one.publication_id: one for one in kept_publications(home / "published", verify=True)}
    assert [bool(states[name].damage) for name in ("p0", "p1", "p2")] == [False, True, False]
    assert found in states["p1"].damage[0]


def test_a_server_that_refuses_leaves_the_current_one(home: Path) -> None:
    class Refusing(DuckDBWarehouse):
        @contextmanager
        def republishing(self, *_):
            yield
            raise JourneyGapsError("no commit")

    before = current(home / "published")
    with pytest.raises(JourneyGapsError, match="no commit"):
        rollback(Refusing(home / "warehouse.duckdb"), home / "published")
    assert current(home / "published") == before
    assert not (home / "published" / "current.tmp").is_symlink()


def test_the_newest_are_kept_and_the_current_one_always(home: Path) -> None:
    published = home / "published"
    command(home, "rollback", "p0")
    publish_folders = published / "runs"
    assert prune_publications(published, 1, dry_run=True) == [publish_folders / "p1"]
    assert len(list(publish_folders.iterdir())) == 3
    assert prune_publications(published, 1) == [publish_folders / "p1"]
    assert {folder.name for folder in publish_folders.iterdir()} == {"p0", "p2"}
    assert Settings().publications_kept == 14

"""A person is forgotten by whole runs, killed in between and finished by the same command."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.landing.people import Needles
from orchestration.settings import PROJECT_DIR
from tests.small_runs import Finished, Home, write_log, write_map

PEOPLE = ("claim-6", "claim-7")


def start_forgetting(home: Home, *people: str) -> subprocess.Popen[str]:
    ours = {k: v for k, v in os.environ.items() if not k.startswith("JOURNEY_GAPS_")}
    command = [sys.executable, "-m", "orchestration", "forget", *people]
    command += ["--home", str(home.home), "--map", str(home.map), "--landing", str(home.landing)]
    return subprocess.Popen(
        command,
        cwd=PROJECT_DIR,
        env=ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def visits(publication: Path) -> list[tuple[Any, ...]]:
    """What is published of everybody but the forgotten, but for what a run stamps on all."""
    with duckdb.connect(publication / "journey_gaps.duckdb", read_only=True) as connection:
        return connection.execute(
            "select * from fct_stage_visits"
            " where entity_id not in ('claim-6', 'claim-7') order by all"
        ).fetchall()


def holds(path: Path, needles: Needles) -> bool:
    """Whether a file's bytes, or a text of a database's or Parquet file's rows, name somebody."""
    if needles.count_in(path.read_bytes()):
        return True
    if path.suffix == ".parquet":
        with duckdb.connect() as connection:
            rows = connection.read_parquet(str(path)).fetchall()
        return bool(needles.words.search(repr(rows)))
    if path.suffix == ".duckdb":
        with duckdb.connect(path, read_only=True) as connection:
            return any(
                needles.words.search(
                    repr(connection.execute(f'from "{schema}"."{table}"').fetchall())
                )
                for schema, table in connection.execute(
                    "select schema_name, table_name from duckdb_tables()"
                ).fetchall()
            )
    return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("forget")
    home = Home(folder / "home", write_map(folder / "map"), write_log(folder / "landing"))
    broken = "claim-7,open\nclaim-7,pay,yesterday\nclaim-9,pay,yesterday\n"
    with (home.landing / "event_log.csv").open("a") as log:
        log.write(broken)
    assert home.run().exit_code == 0
    yield home
    shutil.rmtree(home.settings.seed_dir, ignore_errors=True)


def test_killed_and_finished_nothing_of_a_person_is_left(home: Home) -> None:
    needles = Needles(PEOPLE)
    old = home.publication()
    before = visits(old)
    assert holds(old / "fct_stage_visits.parquet", needles)

    killed = start_forgetting(home, *PEOPLE)
    assert killed.stdout is not None
    # The raw tables are rewritten, and nothing is published yet.
    assert any(line.startswith("landing") for line in killed.stdout)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert home.publication() == old
    assert (home.home / "forgetting.json").exists()

    finished = Finished.wait(start_forgetting(home, *PEOPLE))
    assert finished.exit_code == 0, finished.output + finished.errors
    assert "publications removed: 1" in finished.output
    assert "event_log.csv of the landing place: 6 lines" in finished.output
    assert not old.exists()
    left = [path for path in home.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in left if holds(path, needles)] == []

    # Everybody else's history is what it was, and rows still reconcile: the run checked it.
    assert visits(home.publication()) == before
    [log] = home.manifest()["data_quality"]["tables"]
    assert (log["rows_in"], log["rows_kept"], log["rows_quarantined"]) == (603, 596, 1)

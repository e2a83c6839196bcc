"""Files that are damaged or in use, and full disks: one clear message each, and the way out."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from orchestration.errors import InputError, JourneyGapsError
from orchestration.landing.load import land
from orchestration.locking import LockTimeoutError, WarehouseLock
from orchestration.publish.publication import current, publish
from orchestration.rebuild import set_aside
from orchestration.settings import Settings
from orchestration.warehouse import DuckDBWarehouse
from orchestration.warehouse.compaction import compact, is_worthwhile
from orchestration.warehouse.damage import DISK_IS_FULL, REBUILD, DamagedWarehouseError, advised

HOLD_FILE = """
import sys
import duckdb

connection = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""
KILLED_IN_A_TRANSACTION = """
import os, sys
import duckdb

connection = duckdb.connect(sys.argv[1])
connection.execute("create table raw.more as from range(3000)")
os._exit(0)
"""


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A HOME with a warehouse of some megabytes."""
    settings = Settings(home=tmp_path / "home", lock_timeout_seconds=0)
    settings.home.mkdir()
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("create schema raw; create schema marts")
        connection.execute(
            "create table raw.rows as select i, md5(i::varchar) as m from range(100000) as r (i)"
        )
        connection.execute('create view marts.facts as from "warehouse"."raw"."rows"')
    return settings


def overwrite(offset: int, length: int) -> Callable[[Path], object]:
    def harm(file: Path) -> None:
        with file.open("r+b") as content:
            content.seek(offset)
            content.write(b"x" * length)

    return harm


def damage_log(file: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED_IN_A_TRANSACTION, file], check=True)
    overwrite(200, 1000)(file.with_name(f"{file.name}.wal"))


HARMS = {
    "nearly all lost": lambda file: os.truncate(file, 5000),
    "another file": lambda file: file.write_text("no database" * 1000),
    "header of the file": overwrite(0, 4096),
    "headers of the database": overwrite(4096, 8192),
    "log": damage_log,
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_damaged_file_is_named_with_the_way_out(
    settings: Settings, harm: Callable[[Path], object]
) -> None:
    harm(settings.warehouse)
    with pytest.raises(DamagedWarehouseError) as error:
        WarehouseLock(settings.warehouse, "run").acquire(0)
    assert str(error.value).startswith(f"{settings.warehouse} is damaged: ")
    assert "`journey-gaps run --rebuild`" in str(error.value)
    with pytest.raises(JourneyGapsError, match="run --rebuild"):
        land(settings.warehouse, settings.home, settings.home)
    with (
        pytest.raises(DamagedWarehouseError, match="run --rebuild"),
        DuckDBWarehouse(settings.warehouse).connect(),
    ):
        pass
    with (
        closing(duckdb.connect()) as connection,
        pytest.raises(DamagedWarehouseError, match="run --rebuild"),
        DuckDBWarehouse(settings.warehouse).reader(connection, settings.home),
    ):
        pass

    now = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
    before = settings.warehouse.read_bytes()
    aside = set_aside(settings, now)
    assert aside == settings.home / "warehouse.duckdb.damaged-20260301T040506Z"
    assert aside.read_bytes() == before
    left = [file.name for file in settings.home.glob("warehouse.duckdb*") if "dam" not in file.name]
    assert left == []
    WarehouseLock(settings.warehouse, "run").acquire(0)


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: overwrite(file.stat().st_size // 2, 300_000)(file),
        lambda file: os.truncate(file, file.stat().st_size // 2),
    ],
    ids=["overwritten", "cut short"],
)
def test_a_block_that_is_damaged_is_found_when_it_is_read(
    settings: Settings, harm: Callable[[Path], object]
) -> None:
    harm(settings.warehouse)
    with (
        pytest.raises(duckdb.Error) as error,
        closing(duckdb.connect(settings.warehouse)) as connection,
    ):
        connection.execute("select max(m), sum(i) from raw.rows").fetchall()
    assert REBUILD in advised(f"dbt: fct_measures: {error.value}")


def test_a_file_that_was_only_begun_holds_nothing(settings: Settings) -> None:
    settings.warehouse.write_bytes(b"")
    lock = WarehouseLock(settings.warehouse, "run")
    lock.acquire(0)
    assert not settings.warehouse.exists()
    lock.release()


def test_a_reader_is_waited_for_and_named(settings: Settings) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_FILE, settings.warehouse],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "held\n"
        with pytest.raises(LockTimeoutError, match=rf"another program \(.*pid {reader.pid}\)"):
            WarehouseLock(settings.warehouse, "run").acquire(0)
        with pytest.raises(InputError, match=rf"another program \(.*pid {reader.pid}\); gave up"):
            land(settings.warehouse, settings.home, settings.home)
        # It goes once someone waits for it.
        with mock.patch(
            "orchestration.warehouse.duckdb_file.time.sleep",
            side_effect=lambda _: reader.communicate(),
        ):
            empty = settings.home / "landing"
            empty.mkdir()
            land(settings.warehouse, empty, empty, patience_seconds=60)


def test_a_full_disk_is_said_with_what_helps(settings: Settings, tmp_path: Path) -> None:
    published = tmp_path / "published"
    warehouse = DuckDBWarehouse(settings.warehouse)
    first = publish(warehouse, published, ["facts"], {}, "first").folder

    def full(folder: Path) -> None:
        file = folder / "report.html"
        file.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    with pytest.raises(OSError, match="No space left on device") as error:
        publish(warehouse, published, ["facts"], {}, "second", complete=full)
    assert current(published) == first.resolve()
    assert [folder.name for folder in (published / "runs").iterdir()] == ["first"]
    said = advised(str(error.value))
    assert "report.html" in said
    assert DISK_IS_FULL in said
    assert advised(said) == said
    assert advised("another error") == "another error"


def test_compacting_keeps_every_row_and_view(settings: Settings) -> None:
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("create table gone as select md5(i::varchar) from range(400000) r (i)")
        connection.execute("checkpoint")
        # Behind what goes, so that the file cannot just be cut off.
        connection.execute("create or replace table raw.rows as from raw.rows where i % 10 = 0")
        connection.execute("checkpoint")
        connection.execute("drop table gone")
        kept = connection.execute("from marts.facts order by i").fetchall()
    before = settings.warehouse.stat().st_size
    assert not is_worthwhile(settings.warehouse)  # too small to bother
    with (
        mock.patch("orchestration.warehouse.compaction.FREE_BYTES", 0),
        mock.patch("orchestration.warehouse.compaction.FREE_SHARE", 0.3),
    ):
        assert is_worthwhile(settings.warehouse)
        freed = compact(settings.warehouse, "500MB")
        assert not is_worthwhile(settings.warehouse)
    assert freed == before - settings.warehouse.stat().st_size > before / 2
    with duckdb.connect(settings.warehouse) as connection:
        assert connection.execute("from marts.facts order by i").fetchall() == kept
    assert [file.name for file in settings.home.glob("*compact*")] == []


def test_a_copy_that_is_not_the_same_is_thrown_away(settings: Settings) -> None:
    before = settings.warehouse.read_bytes()
    contents = [[("raw", "rows", 1)], [("raw", "rows", 2)]]
    with (
        mock.patch("orchestration.warehouse.compaction._contents", side_effect=contents),
        pytest.raises(JourneyGapsError, match="the copy has other rows"),
    ):
        compact(settings.warehouse, "500MB")
    assert settings.warehouse.read_bytes() == before
    assert [file.name for file in settings.home.glob("*compact*")] == []

"""Publishing: all of it or nothing, and readers are never disturbed."""

import hashlib
import os
import re
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import duckdb
import pytest
import sqlalchemy

from orchestration.errors import JourneyGapsError
from orchestration.publish import publication
from orchestration.publish.publication import current, publish, read_manifest
from orchestration.settings import Settings, Target
from orchestration.warehouse import DuckDBWarehouse, warehouse_of

MARTS = ["fct_measures", "dim_stages", "gap_trends"]
NOW = datetime(2024, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))


def build(warehouse: Path, rows: int = 50, order: str = "asc") -> Path:
    """A warehouse with three marts, one empty, one a view on another schema, as dbt makes it."""
    warehouse.unlink(missing_ok=True)
    with duckdb.connect(warehouse) as connection:
        connection.execute("create schema marts; create schema staging")
        connection.execute(
            f"create table marts.fct_measures as from range({rows}) as r (i) "
            "select 'loan' as journey_id, nullif('s' || i % 7, 's0') as stage_id, "
            "date '2024-01-01' + (i % 5)::integer as period_start, i as n, i / 3 as value, "
            "(i * 1.10)::decimal(18, 2) as amount, i % 2 = 0 as is_mature, "
            "timestamp '2024-01-01' + i * interval 1 second as entered_at "
            f"order by i {order}"
        )
        connection.execute("create table staging.stages as select 'Größe ''x''' as \"stage id\"")
        connection.execute('create view marts.dim_stages as from "warehouse"."staging"."stages"')
        connection.execute("create table marts.gap_trends (period_start date, gap double)")
    return warehouse


@pytest.fixture
def warehouse(tmp_path) -> Path:
    return build(tmp_path / "warehouse.duckdb")


@pytest.fixture
def published(tmp_path) -> Path:
    return tmp_path / "published"


def tree(folder: Path) -> dict[str, bytes | str]:
    """All there is below a folder: links with their targets, files with their content."""
    return {
        str(path.relative_to(folder)): (
            str(path.readlink())
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


def rows_of(folder: Path, mart: str) -> tuple[list[tuple], list[tuple]]:
    """A mart's rows as the Parquet file and as the database have them, in their order."""
    with closing(duckdb.connect()) as connection:
        parquet = connection.execute(f"from '{folder / mart}.parquet'").fetchall()
    with closing(duckdb.connect(folder / "journey_gaps.duckdb", read_only=True)) as connection:
        return parquet, connection.execute(f"from main.{mart}").fetchall()


def test_a_publication_is_complete(warehouse, published):
    result = publish(
        DuckDBWarehouse(warehouse), published, MARTS, {"as_of": NOW, "loads": [1]}, "run-1", NOW
    )

    folder = published / "runs" / "run-1"
    assert result.folder == folder
    assert current(published) == folder.resolve()
    assert (published / "current").readlink() == Path("runs/run-1")
    assert {path.name for path in folder.iterdir()} == {
        "fct_measures.parquet",
        "dim_stages.parquet",
        "gap_trends.parquet",
        "journey_gaps.duckdb",
        "manifest.json",
    }
    with duckdb.connect(warehouse) as connection:
        expected = {
            mart: connection.execute(f"from marts.{mart} order by all").fetchall() for mart in MARTS
        }
    for mart in MARTS:
        parquet, database = rows_of(folder, mart)
        assert parquet == database == expected[mart]
    assert len(expected["fct_measures"]) == 50


def test_the_manifest_says_what_is_in_it(warehouse, published):
    result = publish(
        DuckDBWarehouse(warehouse), published, MARTS, {"as_of": NOW, "loads": [1]}, "run-1", NOW
    )

    manifest = read_manifest(published)
    assert list(manifest) == [
        "publication_id",
        "published_at",
        "project_version",
        "as_of",
        "loads",
        "marts",
    ]
    assert manifest["publication_id"] == result.publication_id == "run-1"
    assert manifest["published_at"] == "2024-06-01T10:00:00Z"
    assert result.published_at == NOW
    assert result.published_at.tzinfo is UTC
    assert manifest["project_version"] == version("journey-gaps")
    assert manifest["loads"] == [1]
    assert list(manifest["marts"]) == MARTS
    for mart, entry in manifest["marts"].items():
        content = (result.folder / f"{mart}.parquet").read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["rows"] == result.marts[mart].rows == len(rows_of(result.folder, mart)[0])
    assert manifest["marts"]["fct_measures"]["columns"] == {
        "journey_id": "VARCHAR",
        "stage_id": "VARCHAR",
        "period_start": "DATE",
        "n": "BIGINT",
        "value": "DOUBLE",
        "amount": "DECIMAL(18,2)",
        "is_mature": "BOOLEAN",
        "entered_at": "TIMESTAMP",
    }
    assert manifest["marts"]["gap_trends"]["rows"] == 0
    assert manifest["marts"]["gap_trends"]["content_hash"] == "0"


def test_the_order_in_the_warehouse_does_not_matter_but_every_value_does(tmp_path, published):
    warehouse = tmp_path / "warehouse.duckdb"
    first = publish(DuckDBWarehouse(build(warehouse)), published, MARTS, {}, "a").marts[
        "fct_measures"
    ]
    other = publish(
        DuckDBWarehouse(build(warehouse, order="desc")), published, MARTS, {}, "b"
    ).marts["fct_measures"]
    with duckdb.connect(warehouse) as connection:
        connection.execute("update marts.fct_measures set stage_id = '' where n = 7")
    changed = publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "c").marts["fct_measures"]
    with duckdb.connect(warehouse) as connection:
        connection.execute("insert into marts.fct_measures from marts.fct_measures where n = 3")
    doubled = publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "d").marts["fct_measures"]

    assert first == other
    assert len({first.content_hash, changed.content_hash, doubled.content_hash}) == 3


def test_rows_lie_in_the_order_that_is_asked_for(tmp_path, published):
    warehouse = tmp_path / "warehouse.duckdb"
    order = {"fct_measures": ("is_mature", "entered_at", "n")}
    found = [
        publish(
            DuckDBWarehouse(build(warehouse, order=each)),
            published,
            MARTS,
            {},
            each,
            sorted_by=order,
        )
        for each in ("asc", "desc")
    ]
    assert found[0].marts == found[1].marts
    with duckdb.connect(warehouse) as connection:
        by_time = connection.execute(
            "from marts.fct_measures order by is_mature, entered_at, n"
        ).fetchall()
        by_all = connection.execute("from marts.fct_measures order by all").fetchall()
    assert rows_of(found[0].folder, "fct_measures") == (by_time, by_time)
    plain = publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "plain")
    assert rows_of(plain.folder, "fct_measures") == (by_all, by_all)
    assert by_time != by_all
    hashes = {each.marts["fct_measures"].content_hash for each in (*found, plain)}
    assert len(hashes) == 1


class Observed(DuckDBWarehouse):
    """A warehouse that looks at the connection that its rows pass through."""

    @contextmanager
    def reader(self, connection, work_dir):
        [self.limits] = connection.execute(
            "select current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchall()
        with super().reader(connection, work_dir) as relation:
            yield relation


@pytest.mark.parametrize(("given", "held"), [("700MB", "667.5 MiB"), ("2GB", "1.8 GiB")])
def test_what_passes_through_is_held_to_the_memory_limit(warehouse, published, given, held):
    observed = Observed(warehouse, given)
    folder = publish(observed, published, MARTS, {}, "a").folder
    assert observed.limits == (held, str(folder.with_name("a.tmp") / "spill"))
    assert not (folder / "spill").exists()


@pytest.mark.parametrize("target", Target)
def test_the_memory_limit_is_that_of_the_settings(tmp_path, target):
    if target is Target.SPARK:
        pytest.importorskip("pyhive", reason="skipped: no pyhive (make spark installs it)")
    assert warehouse_of(Settings(home=tmp_path)).memory_limit == "3GB"
    settings = Settings(home=tmp_path, target=target, memory_limit="700MB")
    assert warehouse_of(settings).memory_limit == "700MB"


def test_who_reads_the_warehouse_is_held_to_the_memory_limit(warehouse):
    limited = DuckDBWarehouse(warehouse, "700MB")
    with limited.connect() as connection:
        assert connection.execute("select current_setting('memory_limit')").fetchall() == [
            ("667.5 MiB",)
        ]
    url, connect_args = limited.sqlalchemy
    engine = sqlalchemy.create_engine(url, connect_args=connect_args)
    with engine.connect() as connection:
        asked = sqlalchemy.text("select current_setting('memory_limit')")
        assert connection.execute(asked).fetchall() == [("667.5 MiB",)]
    engine.dispose()


def test_a_sort_that_needs_more_than_the_limit_is_spilled(tmp_path, published):
    warehouse = build(tmp_path / "warehouse.duckdb", rows=1_000_000)
    limited = publish(DuckDBWarehouse(warehouse, "120MB"), published, MARTS, {}, "limited")
    assert limited.marts == publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "free").marts


def test_the_content_hash_can_be_computed_from_what_is_published(warehouse, published):
    result = publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    documented = re.search(r"in\s+DuckDB: `(.*)`", publication.PublishedMart.__doc__)
    for mart, written in result.marts.items():
        with closing(duckdb.connect()) as connection:
            for source in ("'{folder}/{mart}.parquet'", "database.{mart}"):
                connection.execute(
                    f"attach if not exists '{result.folder}/journey_gaps.duckdb' as database"
                    " (read_only)"
                )
                table = source.format(folder=result.folder, mart=mart)
                query = documented[1].replace("<mart>", table)
                assert str(connection.execute(query).fetchone()[0]) == written.content_hash


def test_bi_tools_of_today_can_open_it(warehouse, published):
    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    file = current(published) / "journey_gaps.duckdb"
    with closing(duckdb.connect(file, read_only=True)) as connection:
        [(tags,)] = connection.execute(
            "select tags from duckdb_databases() where database_name = 'journey_gaps'"
        ).fetchall()
    assert tags["storage_version"].startswith("v1.2.0")
    # The file's header: a checksum, the magic bytes, the storage version. DuckDB 1.2 opens
    # up to 65, 1.3 writes 66.
    header = file.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 65


COUNT = (
    "import duckdb, sys; "
    "print(duckdb.connect(sys.argv[1], read_only=True).execute('from fct_measures').fetchall())"
)


def test_an_open_reader_keeps_its_snapshot(tmp_path, published):
    warehouse = tmp_path / "warehouse.duckdb"
    publish(DuckDBWarehouse(build(warehouse, rows=1)), published, MARTS, {}, "old")
    database = published / "current" / "journey_gaps.duckdb"
    with closing(duckdb.connect(database, read_only=True)) as reader:
        before = reader.execute("select count(*) from fct_measures").fetchall()
        publish(DuckDBWarehouse(build(warehouse, rows=2)), published, MARTS, {}, "new")
        assert before == [(1,)]
        assert reader.execute("select count(*) from fct_measures").fetchall() == [(1,)]
        fresh = subprocess.run(
            [sys.executable, "-c", COUNT.replace("from fct", "select count(*) from fct"), database],
            capture_output=True,
            text=True,
            check=True,
        )
    assert fresh.stdout.strip() == "[(2,)]"
    assert current(published).name == "new"
    assert (published / "runs" / "old").is_dir()


def test_a_writer_can_connect_afterwards(warehouse, published):
    before = warehouse.read_bytes()
    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    assert warehouse.read_bytes() == before
    code = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('create table t (i int)')"
    subprocess.run([sys.executable, "-c", code, warehouse], check=True)
    with duckdb.connect(warehouse) as connection:
        connection.execute("insert into t values (1)")


class Crash(BaseException):
    """What a step dies of; no code may swallow it."""


# A name in the module or a method of Path, and the call of it that dies.
STEPS = [
    ("require_marts", 1),
    ("_write_marts", 1),
    ("_write_mart", 1),
    ("_write_mart", 3),
    ("_write_manifest", 1),
    ("sync", 1),
    ("sync", 2),
    ("_swap", 1),
    ("Path.mkdir", 2),
    ("Path.rename", 1),
    ("Path.symlink_to", 1),
    ("Path.replace", 1),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("step", "call"), STEPS)
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_a_crash_leaves_the_last_publication(
    tmp_path, published, monkeypatch, step, call, after, first
):
    warehouse = build(tmp_path / "warehouse.duckdb", rows=3)
    (published / "runs").mkdir(parents=True)
    if not first:
        publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "old")
    before = tree(published)
    owner, name = (Path, step.split(".")[1]) if "." in step else (publication, step)
    real = getattr(owner, name)
    calls = []

    def dying(*args, **kwargs):
        calls.append(name)
        if len(calls) < call:
            return real(*args, **kwargs)
        if after and name not in ("_swap", "replace"):
            real(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(Crash):
            publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "new")
    assert len(calls) == call
    assert tree(published) == before

    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "new")
    assert current(published).name == "new"


def test_an_interrupt_after_the_swap_does_not_take_the_publication_away(
    warehouse, published, monkeypatch
):
    real = publication._swap

    def interrupted(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(publication, "_swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    assert read_manifest(published)["publication_id"] == "a"


def test_leftovers_of_a_killed_run_are_removed(warehouse, published):
    stale = published / "runs" / "killed.tmp"
    stale.mkdir(parents=True)
    (stale / "half.parquet").write_text("half")
    (published / "current.tmp").symlink_to("runs/killed.tmp")
    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    assert {path.name for path in published.iterdir()} == {"runs", "current"}
    assert [path.name for path in (published / "runs").iterdir()] == ["a"]


def test_everything_is_on_disk_before_readers_see_it(warehouse, published, monkeypatch):
    synced: list[str] = []
    real = os.fsync

    def spy(descriptor):
        assert current(published) is None
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(publication.os, "fsync", spy)
    folder = publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a").folder
    assert synced[-2:] == ["a.tmp", "runs"]
    assert set(synced[:-2]) == {path.name for path in folder.iterdir()}


def test_a_missing_mart_is_named(warehouse, published):
    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    before = tree(published)
    with pytest.raises(JourneyGapsError, match=r"has no mart gap_ranking, stages: build"):
        publish(DuckDBWarehouse(warehouse), published, [*MARTS, "stages", "gap_ranking"], {}, "b")
    assert tree(published) == before


@pytest.mark.parametrize(
    "publication_id", ["", ".", "..", "a/b", "../a", "a.tmp", "a b", "-a", "a\n"]
)
def test_an_id_that_is_no_plain_name_is_refused(warehouse, published, publication_id):
    with pytest.raises(JourneyGapsError, match="cannot name"):
        publish(DuckDBWarehouse(warehouse), published, MARTS, {}, publication_id)
    assert not published.exists()


def test_an_id_is_published_once(warehouse, published):
    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    before = tree(published)
    with pytest.raises(JourneyGapsError, match="published already"):
        publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    assert tree(published) == before


@pytest.mark.parametrize("field", ["publication_id", "published_at", "project_version", "marts"])
def test_the_manifest_cannot_be_overruled(warehouse, published, field):
    with pytest.raises(JourneyGapsError, match=field):
        publish(DuckDBWarehouse(warehouse), published, MARTS, {field: "mine"}, "a")
    assert current(published) is None


def test_a_value_that_is_no_json_is_refused(warehouse, published):
    with pytest.raises(ValueError, match="JSON compliant"):
        publish(DuckDBWarehouse(warehouse), published, MARTS, {"share": float("nan")}, "a")
    assert tree(published) == {"runs": "folder"}


def test_a_warehouse_that_cannot_be_opened_is_named(tmp_path, published):
    with pytest.raises(JourneyGapsError, match=r"absent\.duckdb cannot be opened"):
        publish(DuckDBWarehouse(tmp_path / "absent.duckdb"), published, MARTS, {}, "a")
    assert not (tmp_path / "absent.duckdb").exists()


def test_any_path_will_do(tmp_path):
    folder = tmp_path / "it's a #é $HOME 'folder'"
    folder.mkdir()
    warehouse = build(folder / "warehouse.duckdb")
    result = publish(DuckDBWarehouse(warehouse), folder / "published", MARTS, {}, "a")
    assert result.marts["fct_measures"].rows == 50


def test_nothing_is_published_yet(published):
    assert current(published) is None
    with pytest.raises(JourneyGapsError, match="nothing is published"):
        read_manifest(published)


def test_the_working_folder_is_left_alone(warehouse, published, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    publish(DuckDBWarehouse(warehouse), published, MARTS, {}, "a")
    assert list(elsewhere.iterdir()) == []

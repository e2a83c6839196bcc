"""Spark as the warehouse: rows go over as files, nothing is a transaction, runs exclude others."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.errors import JourneyGapsError
from orchestration.landing import land, reconcile
from orchestration.landing.contract import BOOKS, CONTRACT
from orchestration.landing.replay import replay
from orchestration.publish.history import rollback
from orchestration.publish.publication import publish, read_manifest
from orchestration.quoting import quoted
from orchestration.retention.quarantine import expire
from orchestration.settings import Settings, Target
from orchestration.warehouse import warehouse_of
from orchestration.warehouse.base import WarehouseBusyError, tables
from tests.engines.server import journey_gaps
from tests.engines.spark_cluster import SparkCluster, missing

if (why := missing()) is not None:
    pytest.skip(why, allow_module_level=True)

from orchestration.warehouse import spark_receiving
from orchestration.warehouse.spark import LOCK, SparkWarehouse, spark_warehouse
from orchestration.warehouse.spark_session import SparkConnection, SparkStatementError

Rows = list[tuple[Any, ...]]


@pytest.fixture
def settings(empty_spark: SparkCluster, tmp_path: Path) -> Settings:
    assert os.environ.items() >= empty_spark.variables.items()
    return Settings(home=tmp_path / "home", target=Target.SPARK)


@pytest.fixture
def warehouse(settings: Settings) -> SparkWarehouse:
    settings.home.mkdir()
    return spark_warehouse(settings)


def query(warehouse: SparkWarehouse, *statements: str) -> Rows:
    with warehouse.connect() as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


def same_rows(warehouse: SparkWarehouse, landing: Path) -> None:
    """Assert that every landed table has the same rows, values and types in both."""
    with (
        warehouse.connect() as spark,
        closing(duckdb.connect(landing, read_only=True)) as embedded,
    ):
        for schema, names in {"raw": (*CONTRACT, *BOOKS), "quarantine": CONTRACT}.items():
            for name in names:
                table = f"{schema}.{name}"
                described = embedded.execute(f"describe {table}").fetchall()
                columns = ", ".join(quoted(column) for column, *_ in described)
                rows = f"select {columns} from {table}"
                assert sorted(spark.execute(rows).fetchall(), key=repr) == sorted(
                    embedded.execute(rows).fetchall(), key=repr
                ), table


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = folder / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


EVENTS = "event_id,event_name,occurred_at,anonymous_id,properties\n"


def test_loads_write_the_days_anew_that_they_touch_and_no_others(
    warehouse: SparkWarehouse,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After each load both hold the same rows; days without news keep their files."""
    monkeypatch.setattr(spark_receiving, "PARTITION_ROWS", 1)
    landing = tmp_path / "landing"

    def receive(name: str, rows: str) -> dict[str, str]:
        write(landing, {f"events/{name}": EVENTS + rows})
        land(settings.warehouse, landing, landing)
        warehouse.receive(settings.warehouse)
        same_rows(warehouse, settings.warehouse)
        return dict(
            query(warehouse, "select distinct partition_key, _metadata.file_name from raw.events")
        )

    first = receive(
        "one",
        'a,viewed,2026-01-01T10:00:00Z,d,"{""page"": ""/""}"\n'
        r"f,\N,2026-01-02T23:59:59.999999Z,d," + "\n"
        'b,"say ""hi"", you\\",2026-01-03T10:00:00.123456Z,d,\nc,viewed,yesterday,d,\n',
    )
    assert sorted(first) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    # One of a day that is there, and a day that is new.
    second = receive("two", "g,viewed,2026-01-03T11:00:00Z,d,\nh,viewed,2025-12-31T00:00:00Z,d,\n")
    assert sorted(second) == ["2025-12-31", *sorted(first)]
    kept = {day for day, file in first.items() if second[day] == file}
    assert kept == {"2026-01-01", "2026-01-02"}
    # The id of the only event of a day again, with another content: both go to quarantine.
    third = receive("three", "a,signed_up,2026-01-02T10:00:00Z,d,\n")
    assert third == {day: file for day, file in second.items() if day != "2026-01-01"}
    assert query(warehouse, "select count(*) from quarantine.events") == [(3,)]
    monkeypatch.setattr(spark_receiving, "_statements", nothing_is_written)
    warehouse.receive(settings.warehouse)


def nothing_is_written(*_: object) -> Sequence[str]:
    raise AssertionError("Spark has it all")


def test_a_transfer_that_broke_off_is_repeated(
    warehouse: SparkWarehouse,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    landing = tmp_path / "landing"
    rows = "a,viewed,2026-01-01T10:00:00Z,d,\nb,viewed,never,d,\n"
    write(landing, {"events/one": EVENTS + rows})
    land(settings.warehouse, landing, landing)
    warehouse.receive(settings.warehouse)
    write(landing, {"events/two": EVENTS + "c,bought,2026-01-02T10:00:00Z,d,\n"})
    land(settings.warehouse, landing, landing)

    execute = SparkConnection.execute

    def lost(connection: SparkConnection, statement: str) -> object:
        if statement.startswith("insert overwrite table raw.events"):
            raise JourneyGapsError("the connection was lost")
        return execute(connection, statement)

    with monkeypatch.context() as patch:
        patch.setattr(SparkConnection, "execute", lost)
        with pytest.raises(JourneyGapsError, match="was lost"):
            warehouse.receive(settings.warehouse)
    # What became of the rest nobody knows.
    query(warehouse, "alter table raw.events drop partition (partition_key = 'all')")
    query(warehouse, "insert into raw.loads select * from raw.loads")
    warehouse.receive(settings.warehouse)
    same_rows(warehouse, settings.warehouse)
    assert list(settings.spark_staging_place.iterdir()) == []  # type: ignore[union-attr]

    # Somebody else's rows are seen after the next load, wherever they are.
    query(warehouse, "insert into quarantine.events select * from quarantine.events")
    write(landing, {"events/three": EVENTS + "z,viewed,2026-01-02T10:00:00Z,d,\n"})
    land(settings.warehouse, landing, landing)
    warehouse.receive(settings.warehouse)
    same_rows(warehouse, settings.warehouse)


def test_what_is_replayed_or_expires_leaves_quarantine_there_too(
    warehouse: SparkWarehouse, settings: Settings, tmp_path: Path
) -> None:
    landing = tmp_path / "landing"
    write(
        landing,
        {
            "events": EVENTS + "a,viewed,2026-01-01T10:00:00Z,,\nb,viewed,2026-01-02T10:00:00Z,,\n"
            "c,,2026-01-02T10:00:00Z,,\n"
        },
    )
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    land(settings.warehouse, landing, landing, now.replace(tzinfo=None))
    warehouse.receive(settings.warehouse)
    assert query(warehouse, "select count(*) from quarantine.events") == [(2,)]
    replay(settings.warehouse, now=now.replace(tzinfo=None) + timedelta(days=2))
    warehouse.receive(settings.warehouse)
    same_rows(warehouse, settings.warehouse)
    assert query(warehouse, "select event_id, load_id from raw.events order by 1") == [
        ("a", 1),
        ("b", 2),
    ]
    assert expire(settings, now + timedelta(days=367)) == 1
    same_rows(warehouse, settings.warehouse)
    assert query(warehouse, "select count(*) from quarantine.events") == [(0,)]
    with warehouse.connect() as connection:
        assert [counts.difference for counts in reconcile(connection)] == [0] * len(CONTRACT)


def test_another_home_does_not_mix_its_loads_in_until_the_server_is_emptied(
    warehouse: SparkWarehouse, tmp_path: Path
) -> None:
    for home in ("mine", "yours"):
        rows = f"account_id,created_at,source_updated_at\n{home},2026-01-01,2026-01-01\n"
        write(tmp_path / home, {"crm_accounts": rows})
        land(tmp_path / f"{home}.duckdb", tmp_path / home, tmp_path / home)
    warehouse.receive(tmp_path / "mine.duckdb")
    with pytest.raises(JourneyGapsError, match="was filled from another home"):
        warehouse.receive(tmp_path / "yours.duckdb")
    assert query(warehouse, "select account_id from raw.crm_accounts") == [("mine",)]
    with pytest.raises(OSError, match="full"), warehouse.dropping(["raw", "quarantine", "absent"]):
        disk_full()
    assert query(warehouse, "select account_id from raw.crm_accounts") == [("mine",)]
    with warehouse.dropping(["raw", "quarantine", "absent"]):
        pass
    with warehouse.connect() as connection:
        assert tables(connection, "raw") == []
    warehouse.receive(tmp_path / "yours.duckdb")
    assert query(warehouse, "select account_id from raw.crm_accounts") == [("yours",)]


def test_one_run_at_a_time_even_from_two_machines(
    warehouse: SparkWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claimed(number: int) -> object:
        try:
            return warehouse.claim(f"run-{number}")
        except WarehouseBusyError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(claimed, range(4)))
    busy = [str(result) for result in results if isinstance(result, WarehouseBusyError)]
    [claim] = [result for result in results if not isinstance(result, WarehouseBusyError)]
    assert len(busy) == 3
    assert f"(pid {os.getpid()} on " in busy[0]
    assert f"drop database {LOCK}" in busy[0]
    claim.close()  # type: ignore[attr-defined]

    # A process that was killed with the claim in its hands.
    code = (
        "import os; from orchestration.settings import Settings;"
        "from orchestration.warehouse.spark import spark_warehouse;"
        "spark_warehouse(Settings()).claim('killed'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert query(warehouse, "show databases like 'journey_gaps_lock'") == [(LOCK,)]
    with monkeypatch.context() as patch:
        # On another machine nobody can tell whether it lives.
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        with pytest.raises(WarehouseBusyError, match="journey-gaps run killed"):
            warehouse.claim("next")
    mine = warehouse.claim("next")
    # Ended by hand and taken by somebody else: that claim is not ours to end.
    query(warehouse, f"drop database {LOCK}")
    theirs = warehouse.claim("another")
    mine.close()
    with pytest.raises(WarehouseBusyError, match="run another"):
        warehouse.claim("third")
    theirs.close()
    assert query(warehouse, "show databases like 'journey_gaps_lock'") == []


def disk_full(*_: object) -> None:
    raise OSError("disk full")


def build(warehouse: SparkWarehouse, rows: int, column: str = "n", more: str = "") -> None:
    query(
        warehouse,
        "create database if not exists marts",
        "drop table if exists marts.facts",
        f"create table marts.facts using parquet as select cast(id + 1 as int) as {column},"
        " 'é,\"' || (id + 1) as label, (id + 1) / 3::double as third,"
        r" null::string as nothing, '' as empty, '\\N' as like_null,"
        " 1.10::decimal(18,2) as amount, timestamp '2026-01-01 00:00:00.000001' as at,"
        f" date '2026-01-02' as day, id % 2 = 0 as is_odd, id as big{more} from range({rows})",
        "drop table if exists marts.nobody",
        "create table marts.nobody using parquet as"
        " select 'x' as text, timestamp '2026-01-01' as at where false",
    )


FACTS = ["facts", "nobody"]


def test_readers_in_spark_see_a_publication_once_its_files_are_there(
    warehouse: SparkWarehouse,
    spark_cluster: SparkCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = tmp_path / "published"
    build(warehouse, 2)
    publish(warehouse, published, FACTS, {}, "20260101-a")
    query(
        warehouse,
        "create database mine",
        "create view mine.newest as select max(n) as n from published.facts",
    )
    # In a session without our settings.
    assert spark_cluster.execute("select max(n) from published.facts") == [(2,)]
    build(warehouse, 3)
    with monkeypatch.context() as patch:
        patch.setattr("orchestration.publish.publication._swap", disk_full)
        with pytest.raises(OSError, match="disk full"):
            publish(warehouse, published, FACTS, {}, "20260102-b")
    assert query(warehouse, "select n from mine.newest") == [(2,)]
    assert databases(warehouse) == ["publication_20260101_a"]

    for number in (4, 5):
        build(warehouse, number, more=", 1 as added" if number == 5 else "")
        keeping = SparkWarehouse(warehouse.server, warehouse.staging, publications_kept=2)
        publish(keeping, published, FACTS[: 6 - number], {}, f"2026010{number}-d")
    assert query(warehouse, "select n from mine.newest") == [(5,)]
    assert query(warehouse, "select sum(added) from published.facts") == [(5,)]
    with warehouse.connect() as connection:
        assert tables(connection, "published") == ["facts"]
    assert databases(warehouse) == ["publication_20260104_d", "publication_20260105_d"]

    assert rollback(warehouse, published).publication_id == "20260104-d"
    assert query(warehouse, "select n from mine.newest") == [(4,)]
    assert query(warehouse, "select count(*) from published.nobody") == [(0,)]
    assert read_manifest(published)["publication_id"] == "20260104-d"
    with pytest.raises(
        JourneyGapsError, match=r"no longer has publication 20260101-a .* keeps the newest"
    ):
        rollback(warehouse, published, "20260101-a")
    assert query(warehouse, "select n from mine.newest") == [(4,)]


def databases(warehouse: SparkWarehouse) -> list[str]:
    return sorted(name for (name,) in query(warehouse, "show databases like 'publication_*'"))


@pytest.mark.parametrize("is_url", [False, True])
def test_published_values_are_those_of_spark(
    settings: Settings, tmp_path: Path, is_url: bool
) -> None:
    place = tmp_path / "st aging"
    given = f"file://{place}" if is_url else place
    warehouse = warehouse_of(settings.model_copy(update={"spark_staging": given}))
    assert isinstance(warehouse, SparkWarehouse)
    build(warehouse, 3)
    folder = publish(warehouse, tmp_path / "published", FACTS, {}, "a").folder
    with closing(duckdb.connect(folder / "journey_gaps.duckdb", read_only=True)) as connection:
        rows = connection.execute("from facts order by n").fetchall()
        kinds = [kind for _, kind, *_ in connection.execute("describe facts").fetchall()]
        empty = [kind for _, kind, *_ in connection.execute("describe nobody").fetchall()]
    assert rows == query(warehouse, "select * from marts.facts order by n")
    assert rows[0] == (
        *(1, 'é,"1', 1 / 3, None, "", r"\N", Decimal("1.10")),
        *(datetime(2026, 1, 1, 0, 0, 0, 1), date(2026, 1, 2), True, 0),
    )
    assert " ".join(kinds) == (
        "INTEGER VARCHAR DOUBLE VARCHAR VARCHAR VARCHAR DECIMAL(18,2) TIMESTAMP DATE BOOLEAN BIGINT"
    )
    assert empty == ["VARCHAR", "TIMESTAMP"]
    assert list(place.iterdir()) == []


def test_statements_are_refused_in_one_line(warehouse: SparkWarehouse) -> None:
    with warehouse.connect() as connection:
        with pytest.raises(
            SparkStatementError, match=r"\[CAST_INVALID_INPUT\] The value 'x'"
        ) as bad:
            connection.execute("select cast('x' as int)")
        assert "\n" not in str(bad.value)
        assert bad.value.condition == "CAST_INVALID_INPUT"
        assert tables(connection, "nowhere") == []


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = journey_gaps(
        *("run", "--demo", "--home", tmp_path, "--target", "spark"),
        *("--spark-host", "127.0.0.1", "--spark-port", "1"),
        JOURNEY_GAPS_SPARK_AUTH="LDAP",
        JOURNEY_GAPS_SPARK_PASSWORD="open sesame",  # noqa: S106 (of nothing)
    )
    assert done.returncode == 1
    assert "Spark at 127.0.0.1:1 cannot be opened: Connection refused" in done.stderr
    assert "JOURNEY_GAPS_SPARK_HOST" in done.stderr
    assert "sesame" not in done.stdout + done.stderr

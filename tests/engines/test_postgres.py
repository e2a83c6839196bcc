"""PostgreSQL as the warehouse: what only a server can do wrong."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg2
import pytest

from orchestration.errors import JourneyGapsError
from orchestration.landing import LandingResult, land, reconcile
from orchestration.landing.contract import CONTRACT
from orchestration.landing.existing import existing_tables
from orchestration.landing.replay import replay
from orchestration.locking import LockTimeoutError, WarehouseLock
from orchestration.publish.history import rollback
from orchestration.publish.publication import publish, read_manifest
from orchestration.retention.quarantine import expire
from orchestration.settings import Settings, Target
from orchestration.warehouse.base import tables
from orchestration.warehouse.postgres import PostgresWarehouse
from tests.engines.server import execute, journey_gaps, query

NewDatabase = Callable[[str], None]

BOOKS = ("file_columns", "landing_sources", "loads", "released_rows", "withdrawn_rows")


def test_every_load_arrives_and_what_it_withdraws_leaves(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    """After each of three loads both hold the same raw and quarantined rows."""
    new_database("loads")
    landing, warehouse = tmp_path / "landing", tmp_path / "warehouse.duckdb"
    files = {
        "one": "event_id,event_name,occurred_at,anonymous_id,properties\n"
        'a,viewed,2026-01-01T10:00:00Z,d,"{""page"": ""/""}"\nf,\\N,2026-01-01T10:00:00Z,d,\n'
        'b,"say ""hi"", you",2026-01-01T10:00:00.123456Z,d,\nc,viewed,yesterday,d,\n',
        # The id `a` again, with another content: both go to quarantine.
        "two": "event_id,event_name,occurred_at,anonymous_id\n"
        "a,signed_up,2026-01-01T10:00:00Z,d\ne,viewed,2026-01-01T10:00:00Z,d\n",
        # Nothing new.
        "three": "event_id,event_name,occurred_at,anonymous_id\ne,viewed,2026-01-01T10:00:00Z,d\n",
    }
    (landing / "events").mkdir(parents=True)
    for name, text in files.items():
        (landing / "events" / f"{name}.csv").write_text(text)
        land(warehouse, landing, landing)
        PostgresWarehouse().receive(warehouse)
        with closing(duckdb.connect(warehouse, read_only=True)) as embedded:
            for table in (f"{schema}.{t}" for schema in ("raw", "quarantine") for t in CONTRACT):
                rows = f"select * from {table} order by content_hash"
                assert query(rows) == embedded.execute(rows).fetchall(), (name, table)
            for book in BOOKS:
                rows = f"select * from raw.{book}"
                assert sorted(map(str, query(rows))) == sorted(
                    map(str, embedded.execute(rows).fetchall())
                )
    assert query("select event_id from raw.events order by event_id") == [("b",), ("e",), ("f",)]
    assert query("select count(*) from quarantine.events") == [(3,)]


def test_what_is_replayed_leaves_quarantine_on_the_server_too(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    new_database("replays")
    landing, warehouse = tmp_path / "landing", tmp_path / "warehouse.duckdb"
    landing.mkdir()
    (landing / "events.csv").write_text(
        "event_id,event_name,occurred_at\n"
        "a,viewed,2026-01-01T10:00:00Z\nb,viewed,2026-01-02T10:00:00Z\nc,,2026-01-02T10:00:00Z\n"
    )
    now = datetime(2026, 1, 1, 12)
    land(warehouse, landing, landing, now)
    PostgresWarehouse().receive(warehouse)
    assert query("select count(*) from quarantine.events") == [(2,)]
    for _ in range(2):
        replay(warehouse, now=now + timedelta(days=2))
        PostgresWarehouse().receive(warehouse)
        assert query("select event_id, load_id from raw.events order by event_id") == [
            ("a", 1),
            ("b", 2),
        ]
        assert query("select reason from quarantine.events") == [("event_name is missing",)]
        with PostgresWarehouse().connect() as connection:
            assert [counts.difference for counts in reconcile(connection)] == [0] * len(CONTRACT)


def test_tables_of_the_server_are_adopted(tmp_path: Path, new_database: NewDatabase) -> None:
    new_database("adopted")
    with closing(psycopg2.connect("")) as connection, connection:
        connection.cursor().execute(
            'create schema "my ""own"; create table "my ""own"."click;s" ("Id" int, "Action" text,'
            " at timestamptz, more jsonb);"
            ' insert into "my ""own"."click;s" values'
            " (1, E'a \"quoted\",\ntext', '2026-01-01 10:00+02', '{\"b\": 1}'),"
            " (2, null, '2026-01-01 10:00+02', null)"
        )
    entry = {
        **{"table": "events", "schema": 'my "own', "name": "click;s"},
        "columns": {
            **{"event_id": "Id", "event_name": "Action", "occurred_at": "at"},
            "properties": "more",
        },
    }
    (tmp_path / "landing").mkdir()
    warehouse = tmp_path / "warehouse.duckdb"

    def adopt(**changed: str) -> LandingResult:
        existing = existing_tables([entry | changed], is_postgres=True)
        return land(warehouse, tmp_path / "landing", tmp_path, existing=existing)

    (file,) = adopt().files
    assert (file.status.value, file.rows_kept, file.rows_quarantined) == ("adopted", 1, 1)
    PostgresWarehouse().receive(warehouse)
    assert query("select event_id, event_name, occurred_at, properties from raw.events") == [
        ("1", 'a "quoted",\ntext', datetime(2026, 1, 1, 8), '{"b":1}')
    ]
    assert adopt().load_id is None
    (missing,) = adopt(name="gone").rejected
    assert 'there is no table or view gone in schema my "own' in missing.message
    (elsewhere,) = adopt(database="nowhere").rejected
    assert 'database "nowhere" does not exist' in elsewhere.message


def test_another_home_does_not_mix_its_loads_in(tmp_path: Path, new_database: NewDatabase) -> None:
    new_database("homes")
    for home in ("mine", "yours"):
        landing = tmp_path / home
        landing.mkdir()
        (landing / "crm_accounts.csv").write_text(
            f"account_id,created_at,source_updated_at\n{home},2026-01-01,2026-01-01\n"
        )
        land(tmp_path / f"{home}.duckdb", landing, landing)
    PostgresWarehouse().receive(tmp_path / "mine.duckdb")
    with pytest.raises(JourneyGapsError, match="was filled from another home"):
        PostgresWarehouse().receive(tmp_path / "yours.duckdb")
    assert query("select account_id from raw.crm_accounts") == [("mine",)]


def test_one_run_at_a_time_even_from_two_homes(tmp_path: Path, new_database: NewDatabase) -> None:
    new_database("locks")
    mine = WarehouseLock(tmp_path / "mine" / "w.duckdb", "first", PostgresWarehouse())
    yours = WarehouseLock(tmp_path / "yours" / "w.duckdb", "second", PostgresWarehouse())
    mine.acquire(0)
    with pytest.raises(LockTimeoutError, match=r"locks on 127.*in use by journey-gaps run first"):
        yours.acquire(0)
    mine.release()
    yours.acquire(0)
    yours.release()


def disk_full(*_: object) -> None:
    raise OSError("disk full")


VERSIONS = ((1, "a"), (3, "c"), (4, "d"), (5, "d"), (6, "d"))


def build(rows: int, column: str = "n", more: str = "") -> None:
    execute("create schema if not exists marts")
    execute("drop table if exists marts.facts")
    execute(
        f"create table marts.facts as select value as {column}, 'é,\"' || value as label,"
        " value / 3::double precision as third, null::varchar as nothing, ''::varchar as empty,"
        r" '\N'::varchar as like_null,"
        f" 1.10::decimal(18,2) as amount, timestamp '2026-01-01 00:00:00.000001' as at{more}"
        f" from generate_series(1, {rows}) as value"
    )


def test_readers_in_the_server_see_a_publication_whole_or_not_at_all(
    tmp_path: Path, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_database("readers")
    published = tmp_path / "published"
    build(2)
    publish(PostgresWarehouse(), published, ["facts"], {}, "20260101-a")
    execute("create view public.mine as select max(n) as n from published.facts")

    build(3)
    with monkeypatch.context() as patch:
        patch.setattr("orchestration.publish.publication._swap", disk_full)
        with pytest.raises(OSError, match="disk full"):
            publish(PostgresWarehouse(), published, ["facts"], {}, "20260102-b")
    assert query("select n from public.mine") == [(2,)]

    with closing(psycopg2.connect("", application_name="a tool")) as reader:
        cursor = reader.cursor()
        cursor.execute("select count(*) from published.facts")
        monkeypatch.setattr("orchestration.warehouse.postgres.SWAP_ATTEMPTS", 1)
        with pytest.raises(JourneyGapsError, match=r"process \d+ \(a tool, idle in transaction\)"):
            publish(PostgresWarehouse(), published, ["facts"], {}, "20260103-c")
        cursor.execute("select count(*) from published.facts")
        assert cursor.fetchone() == (2,)

    for number in range(4, 7):
        build(number)
        publish(
            PostgresWarehouse(publications_kept=2), published, ["facts"], {}, f"2026010{number}-d"
        )
    assert query("select n from public.mine") == [(6,)]
    with PostgresWarehouse().connect() as connection:
        schemas = [f"publication_2026010{number}_{letter}" for number, letter in VERSIONS]
        assert [len(tables(connection, schema)) for schema in schemas] == [0, 0, 0, 1, 1]

    build(7, more=", 1 as added")
    publish(PostgresWarehouse(), published, ["facts"], {}, "20260107-e")
    assert query("select n from public.mine") == [(7,)]
    assert query("select sum(added) from published.facts") == [(7,)]

    build(1, column="renamed")
    with pytest.raises(JourneyGapsError, match="other views are built on it: drop them first"):
        publish(PostgresWarehouse(), published, ["facts"], {}, "20260108-e")
    assert query("select n from public.mine") == [(7,)]
    assert read_manifest(published)["publication_id"] == "20260107-e"


def test_a_rollback_takes_the_views_of_the_server_back(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    new_database("rollbacks")
    published, warehouse = tmp_path / "published", PostgresWarehouse(publications_kept=2)
    for number in (1, 2, 3):
        build(number)
        publish(warehouse, published, ["facts"], {}, f"2026010{number}-a")
    assert rollback(warehouse, published).publication_id == "20260102-a"
    assert query("select max(n) from published.facts") == [(2,)]
    assert read_manifest(published)["publication_id"] == "20260102-a"
    with pytest.raises(
        JourneyGapsError, match=r"no longer has publication 20260101-a .* keeps the newest 2"
    ):
        rollback(warehouse, published)
    assert query("select max(n) from published.facts") == [(2,)]
    assert read_manifest(published)["publication_id"] == "20260102-a"
    build(4)
    publish(warehouse, published, ["facts"], {}, "20260104-a")
    assert query("select max(n) from published.facts") == [(4,)]


def test_quarantined_rows_leave_both_and_the_server_is_emptied_for_a_rebuild(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    new_database("expiry")
    landing, settings = tmp_path / "landing", Settings(home=tmp_path, target=Target.POSTGRES)
    landing.mkdir()
    (landing / "crm_accounts.csv").write_text("account_id,created_at\na,2026-01-01\nb,never\n")
    landed_at = datetime(2026, 1, 2, tzinfo=UTC)
    land(settings.warehouse, landing, landing, landed_at)
    PostgresWarehouse().receive(settings.warehouse)
    assert expire(settings, landed_at + timedelta(days=366)) == 1
    for _ in range(2):
        released = "select table_name, load_id, reason, row_count from raw.released_rows"
        assert query(released) == [("crm_accounts", 1, "expired", 1)]
        with PostgresWarehouse().connect() as connection:
            [counts] = [c for c in reconcile(connection) if c.table == "crm_accounts"]
        assert (counts.rows_in, counts.rows_quarantined, counts.difference) == (2, 0, 0)
        PostgresWarehouse().receive(settings.warehouse)

    # As --rebuild does; what others have built on it is theirs.
    execute("create view quarantine.ours as select * from raw.crm_accounts")
    execute("create view public.mine as select * from raw.crm_accounts")
    with (
        pytest.raises(JourneyGapsError, match="other relations are built"),
        PostgresWarehouse().dropping(["raw", "quarantine", "absent"]),
    ):
        pass
    execute("drop view public.mine")
    with PostgresWarehouse().dropping(["raw", "quarantine", "absent"]):
        pass
    settings.warehouse.unlink()
    land(settings.warehouse, landing, landing)
    PostgresWarehouse().receive(settings.warehouse)
    assert query("select account_id from raw.crm_accounts") == [("a",)]


def test_published_values_are_those_of_the_server(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    new_database("values_")
    build(3)
    folder = publish(PostgresWarehouse(), tmp_path / "published", ["facts"], {}, "a").folder
    with closing(duckdb.connect(folder / "journey_gaps.duckdb", read_only=True)) as connection:
        rows = connection.execute("from facts").fetchall()
        kinds = [kind for _, kind, *_ in connection.execute("describe facts").fetchall()]
    assert rows == query("select * from marts.facts order by n")
    assert rows[0][3:6] == (None, "", r"\N")
    assert " ".join(kinds) == (
        "INTEGER VARCHAR DOUBLE VARCHAR VARCHAR VARCHAR DECIMAL(18,2) TIMESTAMP"
    )


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = journey_gaps(
        *("run", "--demo", "--home", tmp_path, "--target", "postgres"),
        *("--postgres-url", "postgresql://me:secret@127.0.0.1:1/nowhere"),
    )
    assert done.returncode == 1
    assert "PostgreSQL database nowhere on 127.0.0.1:1 cannot be opened" in done.stderr
    assert "JOURNEY_GAPS_POSTGRES_URL" in done.stderr
    assert "secret" not in done.stdout + done.stderr

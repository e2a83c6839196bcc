"""Tables that a warehouse already has: read like files, never written to."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.errors import InputError
from orchestration.landing import LandingResult, Status, land, missing_tables
from orchestration.landing.existing import existing_tables
from orchestration.landing.inputs import land_inputs
from orchestration.settings import Settings

COLUMNS = {"event_id": "id", "event_name": "Action", "occurred_at": "at"}


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A DuckDB file of somebody else's."""
    file = tmp_path / "it's ours.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            'create schema "an ""odd"; create table "an ""odd"."cl;icks"'
            ' (id int, "Action" varchar, "at" timestamptz, tags varchar[])'
        )
        connection.execute(
            'insert into "an ""odd"."cl;icks" values (2, \'y\', \'2024-02-01 10:00:00+02\', []),'
            " (1, 'x', '2024-01-31 10:00:00+02', ['a']), (3, null, '2024-01-31', null)"
        )
    return file


def adopt(site: Any, *entries: dict[str, Any]) -> LandingResult:
    existing = existing_tables(entries, is_postgres=False)
    result = land(site.warehouse, site.landing, site.map, existing=existing)
    site.require_reconciled()
    return result


def entry(file: Path | None, **changed: Any) -> dict[str, Any]:
    return {
        **{"table": "events", "database": str(file), "schema": 'an "odd', "name": "cl;icks"},
        **{"columns": COLUMNS | {"properties": {"json": "all"}}},
        **changed,
    }


def test_a_table_of_another_file_is_adopted(site: Any, company: Path) -> None:
    before = company.read_bytes()
    site.write("crm_accounts.csv", "account_id,created_at\na,2024-01-31\n")
    adopted = next(
        file for file in adopt(site, entry(company)).files if file.status is Status.ADOPTED
    )
    assert (adopted.rows_kept, adopted.rows_quarantined) == (2, 1)
    assert adopted.file == f'{company}:an "odd.cl;icks'
    assert site.query(
        "select event_id, event_name, occurred_at, properties from raw.events order by event_id"
    ) == [
        ("1", "x", datetime(2024, 1, 31, 8), '{"tags":["a"]}'),
        ("2", "y", datetime(2024, 2, 1, 8), '{"tags":[]}'),
    ]
    assert site.column("select source_name from raw.landing_sources order by 1") == [
        "crm_accounts",
        f"table {adopted.file}",
    ]
    with duckdb.connect(str(site.warehouse), read_only=True) as connection:
        assert missing_tables(connection, ["events"]) == []
    assert company.read_bytes() == before


def test_it_is_adopted_again_when_its_content_changes(site: Any, company: Path) -> None:
    assert adopt(site, entry(company)).load_id == 1
    with duckdb.connect(str(company)) as connection:
        # The same rows in another order are the same content.
        connection.execute('create table turned as from "an ""odd"."cl;icks" order by id desc')
        connection.execute('delete from "an ""odd"."cl;icks"')
        connection.execute('insert into "an ""odd"."cl;icks" from turned')
    assert adopt(site, entry(company)).load_id is None
    with duckdb.connect(str(company)) as connection:
        connection.execute(
            'insert into "an ""odd"."cl;icks" values (4, \'z\', \'2024-02-01\', null)'
        )
    (counts,) = adopt(site, entry(company)).totals
    assert (counts.rows_in, counts.rows_kept, counts.rows_duplicate) == (4, 1, 3)


def test_a_view_of_the_warehouse_itself_is_adopted(site: Any) -> None:
    adopt(site)
    with duckdb.connect(str(site.warehouse)) as connection:
        connection.execute(
            "create schema crm; create view crm.accounts as"
            " select 'a' as account_id, date '2024-01-31' as created_at"
        )
    (counts,) = adopt(site, {"table": "crm_accounts", "schema": "crm", "name": "accounts"}).totals
    assert (counts.table, counts.rows_kept) == ("crm_accounts", 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "gone"}, 'there is no table or view gone in schema an "odd'),
        ({"schema": "x; drop schema raw"}, "in schema x; drop schema raw"),
        ({"database": "gone.duckdb"}, "there is no DuckDB file"),
        ({"columns": COLUMNS | {"channel": "medium"}}, "column medium: has no such column"),
    ],
)
def test_a_table_that_cannot_be_read_is_rejected(
    site: Any, company: Path, changed: dict[str, Any], message: str
) -> None:
    site.write("crm_accounts.csv", "account_id,created_at\na,2024-01-31\n")
    result = adopt(site, entry(company, **changed))
    (rejected,) = result.rejected
    assert message in rejected.message
    assert [counts.table for counts in result.totals] == ["crm_accounts"]


def test_a_file_that_is_no_database_is_rejected(site: Any, tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("no database" * 1000)
    (rejected,) = adopt(site, entry(tmp_path / "x.duckdb")).rejected
    assert "cannot be read" in rejected.message


def test_what_is_wrong_with_the_setting_is_named(company: Path) -> None:
    with pytest.raises(InputError) as error:
        existing_tables(
            [
                {"table": "events"},
                {"table": "clicks", "schema": "s", "name": "n"},
                {"table": "events", "schema": "raw", "name": "events"},
                {"table": "events", "schema": "s", "name": "n", "zone": "UTC"},
                entry(company, time_zone="Mars"),
            ],
            is_postgres=False,
        )
    lines = [str(problem) for problem in error.value.problems]
    assert [line.partition(": ")[0] for line in lines] == [
        "JOURNEY_GAPS_SOURCES, entry 1, column schema",
        "JOURNEY_GAPS_SOURCES, entry 1, column name",
        "JOURNEY_GAPS_SOURCES, entry 2, column table",
        "JOURNEY_GAPS_SOURCES, entry 3, column schema",
        "JOURNEY_GAPS_SOURCES, entry 4, column zone",
        "JOURNEY_GAPS_SOURCES, entry 5, column time_zone",
    ]


def test_the_setting_reaches_landing_through_the_environment(
    site: Any, company: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings(
        home=site.root / "home", map=site.map, landing=str(site.landing), sources=(entry(company),)
    )
    for name, value in given.environ().items():
        if name.startswith("JOURNEY_GAPS_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.sources == given.sources
    assert json.loads(given.environ()["JOURNEY_GAPS_SOURCES"]) == [entry(company)]
    assert [file.status for file in land_inputs(settings).files] == [Status.ADOPTED]


def test_a_place_is_a_folder_or_a_url(tmp_path: Path) -> None:
    for text in ("s3://bucket/x", "memory://x", "zip://::s3://bucket/x.zip"):
        settings = Settings(landing=text)
        assert settings.landing_place == text
        assert settings.environ()["JOURNEY_GAPS_LANDING"] == text
        with pytest.raises(ValueError, match="URL"):
            assert settings.landing_dir
    assert Settings(landing=str(tmp_path)).landing_dir == tmp_path
    assert Settings(home=tmp_path).landing_dir == tmp_path / "landing"

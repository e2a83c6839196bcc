"""Whose rows a person's are, what is left of them, and that they do not come back."""

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.errors import JourneyGapsError
from orchestration.forgetting.steps import forget, preview
from orchestration.landing import FileResult, land, reconcile
from orchestration.landing.people import Needles, is_distinctive
from orchestration.settings import Settings

NOW = datetime(2026, 6, 1)
PERSON = "cust-4711"
FILES = {
    "events.csv": """
        event_id,anonymous_id,customer_id,account_id,event_name,occurred_at,properties
        e1,dev-alone-1,,,open,2026-01-01T08:00:00Z,
        e2,dev-alone-1,cust-4711,acc-sole-1,sign_up,2026-01-01T09:00:00Z,
        e3,dev-shared-1,,,open,2026-01-02T08:00:00Z,
        e4,dev-shared-1,cust-4711,,login,2026-01-02T09:00:00Z,
        e5,dev-shared-1,,,open,2026-01-03T08:00:00Z,
        e6,dev-shared-1,cust-47110,acc-firm-1,login,2026-01-03T09:00:00Z,
        e7,,cust-47110,acc-firm-1,refer,2026-01-04T09:00:00Z,"{""friend"": ""cust-4711"", ""n"": 2}"
        e8,,cust-4711-b,acc-firm-1,login,2026-01-04T09:00:00Z,
        e9,,cust-4711,,login,yesterday,
    """,
    "crm_contacts.csv": """
        contact_id,account_id,customer_id,email_hash,created_at
        con-0001,acc-sole-1,cust-4711,9f86d081884c,2026-01-01T08:00:00Z
        con-0002,acc-firm-1,cust-4711,9f86d081884c,2026-01-01T08:00:00Z
        con-0003,acc-firm-1,cust-47110,60303ae22b99,2026-01-01T08:00:00Z
    """,
    "crm_accounts.csv": """
        account_id,name,created_at
        acc-sole-1,Anna Example Ltd,2026-01-01T08:00:00Z
        acc-firm-1,Firm of several,2026-01-01T08:00:00Z
    """,
    "crm_opportunities.csv": """
        opportunity_id,account_id,contact_id,created_at
        opp-0001,acc-firm-1,con-0002,2026-01-05T08:00:00Z
        opp-0002,acc-firm-1,con-0003,2026-01-05T08:00:00Z
    """,
    "crm_stage_changes.csv": """
        change_id,opportunity_id,stage_name,changed_at
        ch1,opp-0001,won,2026-01-06T08:00:00Z
        ch2,opp-0002,won,2026-01-06T08:00:00Z
    """,
    "support_contacts.csv": """
        support_contact_id,customer_id,channel,opened_at
        sup-0001,cust-4711,call,2026-01-06T08:00:00Z
        sup-0002,cust-47110,call,2026-01-06T08:00:00Z
    """,
    "support_events.csv": """
        support_event_id,support_contact_id,kind,occurred_at
        s1,sup-0001,opened,2026-01-06T08:00:00Z
        s2,sup-0002,opened,2026-01-06T08:00:00Z
    """,
    "survey_responses.csv": """
        response_id,customer_id,survey,score,verbatim,asked_at
        res-0001,cust-4711,nps,3,I am unhappy,2026-01-07T08:00:00Z
        res-0002,cust-47110,nps,9,my friend cust-4711 is not,2026-01-07T08:00:00Z
    """,
    "experiment_assignments.csv": """
        experiment_id,customer_id,arm,assigned_at
        new_form,cust-4711,control,2026-01-01T08:00:00Z
        new_form,cust-47110,treatment,2026-01-01T08:00:00Z
    """,
    "event_log.csv": """
        source_case_id,activity,occurred_at
        cust-4711,open,2026-01-01T08:00:00Z
        cust-47110,open,2026-01-01T08:00:00Z
        broken "line" of cust-4711,1
        broken "line" of nobody,1
    """,
}
KEPT = {
    "events": ["e5", "e6", "e7", "e8"],
    "crm_contacts": ["con-0003"],
    "crm_accounts": ["acc-firm-1"],
    "crm_opportunities": ["opp-0002"],
    "crm_stage_changes": ["ch2"],
    "support_contacts": ["sup-0002"],
    "support_events": ["s2"],
    "survey_responses": ["res-0002"],
    "experiment_assignments": ["new_form"],
}


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line.strip() for line in text.strip().splitlines()]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a HOME in which everything of FILES has landed, and nothing was built."""
    root = tmp_path_factory.mktemp("landed")
    for name, text in FILES.items():
        write(root / "landing", name, text)
    (root / "map").mkdir()
    land(root / "home" / "warehouse.duckdb", root / "landing", root / "map", NOW)
    return root


@pytest.fixture
def settings(landed: Path, tmp_path: Path) -> Settings:
    """A copy of it for the test alone."""
    shutil.copytree(landed, tmp_path, dirs_exist_ok=True)
    return Settings(home=tmp_path / "home", landing=tmp_path / "landing", map=tmp_path / "map")


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(settings.warehouse, read_only=True)) as connection:
        return connection.execute(sql).fetchall()


def land_again(settings: Settings) -> Callable[[], tuple[FileResult, ...]]:
    return lambda: land(settings.warehouse, settings.landing_dir, settings.map, NOW).files


def test_rows_of_the_person_go_and_nobody_elses(settings: Settings) -> None:
    proof = forget(settings, [PERSON], land_again(settings))
    assert proof.remains == []
    for table, ids in KEPT.items():
        key = "experiment_id" if table == "experiment_assignments" else "*"
        rows = query(settings, f"select columns(*) from raw.{table} order by 1")
        assert [row[0] for row in rows] == ids, (table, key)
    assert query(settings, "select source_case_id from raw.event_log") == [("cust-47110",)]
    # The event with a wrong time and the broken line that names the person; not the other one.
    assert query(settings, "select content from quarantine.events") == []
    [(line,)] = query(settings, "select content from quarantine.event_log")
    assert "nobody" in line


def test_others_who_mention_the_person_stay_without_the_name(settings: Settings) -> None:
    forget(settings, [PERSON], land_again(settings))
    [(properties,)] = query(settings, "select properties from raw.events where event_id = 'e7'")
    assert json.loads(properties) == {"friend": "[forgotten]", "n": "2"} or json.loads(
        properties
    ) == {"friend": "[forgotten]", "n": 2}
    [(verbatim,)] = query(settings, "select verbatim from raw.survey_responses")
    assert verbatim == "my friend [forgotten] is not"


def test_counts_still_reconcile(settings: Settings) -> None:
    forget(settings, [PERSON], land_again(settings))
    with closing(duckdb.connect(settings.warehouse)) as connection:
        counts = {each.table: each for each in reconcile(connection)}
    assert [each for each in counts.values() if each.difference] == []
    assert counts["events"].rows_released == 5
    assert query(settings, "select distinct reason, load_id from raw.released_rows") == [
        ("forgotten", 1)
    ]


def test_no_byte_of_the_person_is_left_in_home(settings: Settings) -> None:
    forget(settings, [PERSON], land_again(settings))
    needles = Needles((PERSON, "dev-alone-1", "acc-sole-1", "9f86d081884c"), frozenset({PERSON}))
    for path in settings.home.rglob("*"):
        if path.is_file():
            assert not needles.in_bytes.search(path.read_bytes()), path


def test_the_person_does_not_come_back(settings: Settings) -> None:
    """Neither by a file read again with another mapping nor by a new one."""
    forget(settings, [PERSON], land_again(settings))
    for name, text in FILES.items():
        header, _, rest = text.strip().partition("\n")
        write(settings.landing_dir, name, f"{header},added\n" + rest.replace("\n", ",x\n"))
    write(
        settings.landing_dir,
        "events/new.csv",
        """
        event_id,anonymous_id,customer_id,event_name,occurred_at,properties
        f1,dev-alone-1,,open,2026-02-01T08:00:00Z,
        f2,,cust-4711,open,2026-02-01T08:00:00Z,
        f3,,cust-4711,open,tomorrow,
        f4,,cust-47110,refer,2026-02-01T08:00:00Z,"{""friend"": ""It was cust-4711.""}"
        """,
    )
    results = {file.file: file for file in land_again(settings)()}
    assert "3 rows of forgotten people left out" in results["events/new.csv"].message
    assert results["events/new.csv"].rows_in == 1
    for table in ("raw.events", "quarantine.events", "raw.crm_contacts", "raw.survey_responses"):
        for row in query(settings, f"select * from {table}"):
            assert not any(
                isinstance(value, str) and value in (PERSON, "dev-alone-1", "con-0001")
                for value in row
            )
    assert not query(settings, "select 1 from raw.events where properties like '%cust-4711%'")
    assert query(settings, "select count(*) from raw.events where event_id = 'f4'") == [(1,)]


def test_hashes_are_keyed_and_private(settings: Settings) -> None:
    forget(settings, [PERSON], land_again(settings))
    key = settings.home / "forgotten.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(bytes.fromhex(key.read_text())) == 32
    assert PERSON not in (settings.home / "forgotten.json").read_text()
    key.unlink()
    with pytest.raises(JourneyGapsError, match=r"forgotten\.key is missing"):
        land_again(settings)()


def test_adopted_tables_are_their_owners(settings: Settings) -> None:
    with closing(duckdb.connect(settings.warehouse)) as connection:
        connection.execute("create schema crm")
        connection.execute(f"create table crm.people as select '{PERSON}' as id, 7 as years")
        connection.execute("create table crm.places as select 'cust-47110' as id")
    sources = [{"table": "crm_accounts", "schema": "crm", "name": "people"}]
    settings = settings.model_copy(update={"sources": sources})
    proof = forget(settings, [PERSON], land_again(settings))
    remains = sorted(line.place for line in proof.remains)
    assert remains == ["warehouse.duckdb", "warehouse.duckdb: crm"]
    assert query(settings, "select * from crm.people, crm.places") == [(PERSON, 7, "cust-47110")]


def test_landing_files_that_still_name_the_person_are_listed(settings: Settings) -> None:
    before = {path: path.read_bytes() for path in settings.landing_dir.rglob("*")}
    proof = forget(settings, [PERSON], land_again(settings))
    assert proof.landing_files["survey_responses.csv"] == 2
    assert proof.landing_files["crm_stage_changes.csv"] == 1
    assert before == {path: path.read_bytes() for path in settings.landing_dir.rglob("*")}


def test_a_forgetting_that_broke_off_is_finished_by_the_same_command(settings: Settings) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forget(settings, [PERSON], killed)
    journal = settings.home / "forgetting.json"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    with pytest.raises(JourneyGapsError, match="not finished"):
        forget(settings, ["cust-47110"], land_again(settings))

    # What the ids lead to is no longer in the raw tables: the journal knows it.
    log = settings.home / "logs" / "run.log"
    log.parent.mkdir()
    log.write_text("row of dev-alone-1\n")
    proof = forget(settings, [PERSON], land_again(settings))
    assert proof.remains == []
    assert {line.place: line.rows_before for line in proof.lines}["raw.events"] == 4
    assert log.read_text() == "row of [forgotten]\n"
    assert not journal.exists()


def test_names_of_files_are_texts_too(settings: Settings) -> None:
    export = f"of {PERSON}"
    write(
        settings.landing_dir,
        f"events/{export}.csv",
        "event_id,event_name,occurred_at\nx1,open,2026-01-01T08:00:00Z",
    )
    land_again(settings)()
    assert forget(settings, [PERSON], land_again(settings)).remains == []
    assert query(settings, "select source_file from raw.loads where load_id = 2") == [
        ("events/of [forgotten].csv",)
    ]


def test_logs_and_dagsters_books_are_scrubbed(settings: Settings) -> None:
    settings.dagster_dir.mkdir()
    books = settings.dagster_dir / "index.db"
    with closing(sqlite3.connect(books)) as connection:
        connection.execute("create table event_logs (id integer primary key, event text)")
        connection.execute("insert into event_logs (event) values (?)", [f'{{"id": "{PERSON}"}}'])
        connection.execute('insert into event_logs (event) values (\'{"id": "other"}\')')
        connection.commit()
    audit = settings.home / "runs.jsonl"
    audit.write_text(f'{{"message": "event_id {PERSON} twice"}}\n{{"message": "fine"}}\n')
    proof = forget(settings, [PERSON], land_again(settings))
    assert proof.remains == []
    with closing(sqlite3.connect(books)) as connection:
        events = connection.execute("select event from event_logs order by id").fetchall()
    assert events == [('{"id": "[forgotten]"}',), ('{"id": "other"}',)]
    assert [json.loads(line) for line in audit.read_text().splitlines()][1] == {"message": "fine"}
    assert PERSON.encode() not in books.read_bytes()


def test_books_that_are_in_use_are_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.forgetting.scrubbing._PATIENCE_SECONDS", 0)
    settings.dagster_dir.mkdir()
    with closing(sqlite3.connect(settings.dagster_dir / "index.db")) as connection:
        connection.execute("create table event_logs (event text)")
        connection.execute("insert into event_logs values (?)", [PERSON])
        connection.commit()
        connection.execute("begin immediate")
        with pytest.raises(JourneyGapsError, match="stop Dagster's UI"):
            forget(settings, [PERSON], land_again(settings))
        connection.rollback()
    assert forget(settings, [PERSON], land_again(settings)).remains == []


def test_what_cannot_be_erased_is_said(settings: Settings) -> None:
    """A database of somebody's own inside HOME is neither ours to change nor to overlook."""
    with closing(duckdb.connect(settings.home / "mine.duckdb")) as connection:
        connection.execute(f"create table copy as select '{PERSON}' as who")
    proof = forget(settings, [PERSON], land_again(settings))
    remains = sorted(line.place for line in proof.remains)
    assert remains == ["mine.duckdb"]
    assert (settings.home / "forgetting.json").exists()


def test_a_dry_run_changes_nothing(settings: Settings) -> None:

    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in settings.home.glob("*.[!l]*")}

    before = content()
    proof = preview(settings, [PERSON])
    assert {line.place: line.rows_before for line in proof.lines}["quarantine.event_log"] == 1
    assert content() == before


def test_an_unknown_id_is_an_error(settings: Settings) -> None:
    arguments = ["forget", "nobody-9", "--home", str(settings.home)]
    arguments += ["--landing", str(settings.landing_dir), "--map", str(settings.map)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "nobody-9 is found nowhere" in result.stderr


def test_short_ids_are_looked_for_only_where_an_id_stands(settings: Settings) -> None:
    write(
        settings.landing_dir,
        "survey_responses/short.csv",
        """
        response_id,customer_id,survey,score,verbatim,asked_at
        r1,7,nps,3,mine,2026-01-07T08:00:00Z
        r2,8,nps,9,7 of 10,2026-01-07T08:00:00Z
        """,
    )
    land_again(settings)()
    proof = forget(settings, ["7"], land_again(settings))
    assert "7" in proof.vague
    assert proof.remains == []
    assert query(
        settings, "select verbatim from raw.survey_responses where response_id in ('r1', 'r2')"
    ) == [("7 of 10",)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", False), ("12345", False), ("123456", True), ("anna", False), ("c1001", True)],
)
def test_distinctive(text: str, expected: bool) -> None:
    assert is_distinctive(text) is expected


def test_needles_are_whole_words() -> None:
    needles = Needles(("A-100", "123456", 'o"x99'), frozenset({"A-100"}))
    found = needles.words.findall('A-100 A-1001 A-100-2 x:A-100, 0.123456 123456 {"o\\"x99"}')
    assert found == ["A-100", "A-100", "123456", 'o\\"x99']
    with closing(duckdb.connect()) as connection:
        [(text,)] = connection.execute(
            f"select {needles.redacted_sql('t')} from (select 'A-100,A-100;A-1001 123456' as t)"
        ).fetchall()
    assert text == "[forgotten],[forgotten];A-1001 000000"

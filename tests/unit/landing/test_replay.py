"""Quarantine: what it lists, and what leaves it when rows are judged again."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.errors import JourneyGapsError
from orchestration.landing import reconcile
from orchestration.landing.contract import CONFLICT_REASON
from orchestration.landing.quarantine import quarantine_counts, quarantined_rows
from orchestration.landing.replay import Replay, ReplayResult, replay
from orchestration.locking import WarehouseLock
from orchestration.settings import Settings

NOW = datetime(2024, 6, 1, 12, 0)
LATER = NOW + timedelta(days=1)
EVENTS = "event_id,event_name,occurred_at\n"


def replayed(site: Any, now: datetime = LATER, **given: Any) -> dict[str, Replay]:
    result = again(site, now, **given)
    return {done.table: done for done in result.tables if done != Replay(done.table)}


def again(site: Any, now: datetime = LATER, **given: Any) -> ReplayResult:
    result = replay(site.warehouse, now=now, **given)
    site.require_reconciled()
    return result


def test_a_clock_that_ran_ahead_is_forgiven_once_the_time_has_come(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,x,2024-06-01\n2,x,2024-06-01T23:00:00Z\n3,x,2030-01-01\n")
    site.land()
    assert replayed(site) == {
        "events": Replay("events", rows_judged=2, rows_kept=1, rows_failing=1)
    }
    assert site.query(
        "select event_id, load_id, loaded_at, source_file, source_line"
        " from raw.events order by event_id"
    ) == [
        ("1", 1, NOW, "events.csv", 2),
        ("2", 2, LATER, "events.csv", 3),
    ]
    assert site.query("select status, rows_in, rows_kept from raw.loads where load_id = 2") == [
        ("replayed", 1, 1)
    ]
    assert site.query("select * from raw.released_rows") == [("events", 1, LATER, "replayed", 1)]
    # Landing the same file again finds nothing new, replaying neither.
    assert site.land(now=LATER).load_id is None
    assert again(site).load_id is None


def test_the_time_zone_is_that_of_the_landing(site: Any) -> None:
    site.declare("sources: [{name: e, files: e.csv, table: events, time_zone: America/Sao_Paulo}]")
    site.write("e.csv", EVENTS + "1,x,2024-06-01 20:00\n")
    site.land()
    assert again(site).load_id == 2
    assert site.column("select occurred_at from raw.events") == [datetime(2024, 6, 1, 23, 0)]


def test_a_row_that_landed_since_is_a_duplicate(site: Any) -> None:
    site.write("events.csv", EVENTS + "2,x,2024-06-01T23:00:00Z\n")
    site.land()
    site.write("events.csv", EVENTS + "2,x,2024-06-01T23:00:00Z\n3,x,2024-06-01\n")
    assert site.land(now=LATER).totals[0].rows_kept == 2
    assert replayed(site)["events"] == Replay("events", rows_judged=1, rows_duplicate=1)


def test_a_contradiction_shows_itself_when_rows_are_replayed(site: Any) -> None:
    """A replay never puts a second content of an id into raw, nor leaves the first there."""
    site.write("events.csv", EVENTS + "1,x,2024-06-01\n1,y,2024-06-01T23:00:00Z\n")
    site.land()
    assert replayed(site)["events"] == Replay("events", rows_judged=1, rows_conflicting=1)
    assert site.query("select event_id from raw.events") == []
    assert site.column("select reason from quarantine.events") == [CONFLICT_REASON] * 2
    assert site.query("select row_id, load_id from raw.withdrawn_rows") == [("1", 2)]
    assert replayed(site)["events"] == Replay("events", rows_contradicting=2)


def test_the_accepted_file_ends_a_contradiction(site: Any) -> None:
    site.write("events/wrong.csv", EVENTS + "1,x,2024-06-01 10:00\n2,x,2024-06-01\n")
    site.land()
    site.write("events/right.csv", EVENTS + "1,y,2024-06-01 11:00\n")
    site.land()
    assert again(site, accept="events/none.csv").load_id is None
    assert replayed(site, accept="events/right.csv")["events"] == Replay(
        "events", rows_judged=1, rows_kept=1, rows_superseded=1
    )
    assert site.query("select event_id, event_name, occurred_at from raw.events order by 1") == [
        ("1", "y", datetime(2024, 6, 1, 11, 0)),
        ("2", "x", datetime(2024, 6, 1)),
    ]
    assert site.query("select reason, row_count from raw.released_rows order by all") == [
        ("replayed", 1),
        ("superseded", 1),
    ]
    assert site.column("select count(*) from quarantine.events") == [0]


def test_a_file_with_both_contents_cannot_be_accepted(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,x,2024-06-01\n1,y,2024-06-01\n")
    site.land()
    assert replayed(site, accept="events.csv")["events"].rows_contradicting == 2


def test_a_line_that_could_not_be_read_stays(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,x\n")
    site.land()
    assert replayed(site)["events"] == Replay("events", rows_unread=1)
    assert site.column("select count(*) from quarantine.events") == [1]


def test_what_still_fails_says_why_today(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,,2024-06-01T23:00:00Z\n")
    site.land()
    result = again(site)
    assert result.load_id == 2
    assert site.column("select reason from quarantine.events") == ["event_name is missing"]
    assert site.query("select status, rows_in from raw.loads where load_id = 2") == [
        ("replayed", 0)
    ]


def test_only_what_is_meant_is_judged(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,x,2024-06-01T23:00:00Z\n")
    site.write("crm_accounts.csv", "account_id,created_at\na,2024-06-01T23:00:00Z\n")
    site.land()
    assert replayed(site, table="crm_accounts", reason="IS MISSING") == {}
    assert set(replayed(site, table="crm_accounts", reason="AFTER the load")) == {"crm_accounts"}
    with pytest.raises(JourneyGapsError, match="there is no raw table 'clicks'"):
        again(site, table="clicks")


def test_replayed_events_stand_where_they_stood_in_their_file(site: Any) -> None:
    rows = [f"c,{step},2024-05-01\n" for step in "abcdefg"]
    for place in (0, 2, 3, 5):
        rows[place] = rows[place].replace("2024-05-01", "2024-06-01T23:00:00Z")
    site.write("event_log.csv", "source_case_id,activity,occurred_at\n" + "".join(rows))
    site.land()
    again(site)
    assert site.query("select activity, event_seq from raw.event_log order by event_seq") == [
        (step, number) for number, step in enumerate("abcdefg", start=1)
    ]


def test_every_table_replays_to_what_landing_later_gives(new_site: Any) -> None:
    """Typed values, defaults and hashes do not depend on the way through quarantine."""
    files = {
        "survey_responses.csv": "response_id,survey,score,asked_at,answered_at\n"
        "1,NPS,9,2024-06-01T23:00:00Z,2024-06-01T23:30:00Z\n",
        "crm_opportunities.csv": "opportunity_id,amount,is_won,created_at,closed_at\n"
        "o,1234.567,yes,2024-06-01T23:00:00Z,\n",
        "events.jsonl": '{"event_id": 1, "event_name": "é \\"x\\"", "occurred_at": '
        '"2024-06-01T23:00:00.123456Z", "plan": {"b": [1, null], "a": "2"}}\n',
        "fx_rates.csv": "currency,rate_date,rate_to_reporting_currency\nUSD,2024-06-02,0.91\n",
        "event_log.csv": "source_case_id,activity,occurred_at,cost\nc,a,2024-06-01T23:00Z,5\n",
    }
    early, late = new_site(), new_site()
    for site in (early, late):
        for name, text in files.items():
            site.write(name, text)
    early.land()
    assert all(done.rows_kept == 1 for done in replayed(early).values())
    late.land(now=LATER)
    for name in files:
        rows = f"select * exclude (load_id) from raw.{name.partition('.')[0]}"
        assert early.query(rows) == late.query(rows) != []


def test_an_error_leaves_quarantine_as_it_was(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write("events.csv", EVENTS + "1,x,2024-06-01T23:00:00Z\n")
    site.land()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("orchestration.landing.replay.book", fail)
    with pytest.raises(OSError, match="disk full"):
        again(site)
    assert site.column("select count(*) from quarantine.events") == [1]
    assert site.column("select count(*) from raw.events") == [0]


def test_quarantine_is_counted_and_shown(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,,2024-06-01\n2,,2024-06-01\n3,x,never\n")
    site.land()
    with duckdb.connect(str(site.warehouse)) as connection:
        first, second = quarantine_counts(connection)
        assert (first.table, first.reason, first.file, first.rows, first.lines) == (
            *("events", "event_name is missing", "events.csv"),
            *(2, (2, 3)),
        )
        assert second.rows == 1
        assert [row.line for row in quarantined_rows(connection, top=2)] == [2, 3]
        (row,) = quarantined_rows(connection, "events", "NEVER")
        assert json.loads(row.content)["occurred_at"] == "never"


def test_a_row_deleted_by_hand_breaks_the_count(site: Any) -> None:
    site.write("events.csv", EVENTS + "1,x,2024-06-01\n2,x,2024-06-01T23:00:00Z\n")
    site.land()
    again(site)
    with duckdb.connect(str(site.warehouse)) as connection:
        connection.execute("delete from raw.events where event_id = '2'")
        broken = {counts.table: counts.difference for counts in reconcile(connection)}
    assert {table: rows for table, rows in broken.items() if rows} == {"events": 1}


def cli(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["quarantine", *arguments])
    return result.exit_code, result.output


def test_the_command_lists_and_replays(site: Any) -> None:
    home = site.root / "home"
    exit_code, output = cli("list", "--home", str(home))
    assert (exit_code, "nothing has landed" in output) == (1, True)
    site.warehouse = Settings(home=home).warehouse
    site.write("events.csv", EVENTS + "1,x,2024-06-01T23:00:00Z\n2,,2024-06-01\n3,x\n")
    site.land()
    exit_code, output = cli("list", "--home", str(home))
    assert (exit_code, "event_name is missing" in output) == (0, True)
    exit_code, output = cli("list", "--home", str(home), "--rows", "--format", "json")
    assert [row["line"] for row in json.loads(output)] == [2, 3, 4]
    exit_code, output = cli("list", "--home", str(home), "--format", "csv", "--top", "1")
    assert output.splitlines()[0] == "table,reason,file,rows,lines"
    assert len(output.splitlines()) == 2
    _, output = cli("list", "--home", str(home), "--format", "md")
    assert output.startswith("| table | reason | file | rows | lines |\n| --- |")

    exit_code, output = cli("replay", "--home", str(home))
    assert exit_code == 0
    assert "events: judged 2: kept 1, still failing 1" in output
    assert "events: 1 lines could not be read and stay" in output
    assert "load 2" in output
    assert "Nothing changed." in cli("replay", "--home", str(home))[1]


def test_a_replay_waits_for_nobody_for_ever(site: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    site.warehouse = Settings(home=home).warehouse
    site.write("events.csv", EVENTS + "1,,2024-06-01\n")
    site.land()
    lock = WarehouseLock(site.warehouse, "run-7")
    lock.acquire(0)
    try:
        exit_code, output = cli("replay", "--home", str(home), "--lock-timeout", "0")
    finally:
        lock.release()
    assert (exit_code, "is in use by run run-7" in output) == (1, True)

"""`doctor` and `status` on PostgreSQL: their SQL, and the server itself."""

import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from orchestration.doctor import Level
from orchestration.doctor.map_use import map_use
from orchestration.doctor.services import services
from orchestration.landing.contract import create_tables_sql
from orchestration.publish.inputs import landed_files
from orchestration.settings import Settings, Target
from orchestration.status import NOTHING_LANDED, status_of
from orchestration.warehouse.postgres import PostgresWarehouse
from tests.built_models import BUILT

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def execute(sql: str) -> None:
    with closing(psycopg2.connect("")) as connection, connection:
        connection.cursor().execute(sql)


def test_the_map_and_the_server_are_examined(
    tmp_path: Path, new_database: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)
    new_database("doctor")
    settings = Settings(home=tmp_path, target=Target.POSTGRES)
    assert status_of(settings).read_from == NOTHING_LANDED
    [server] = services(settings, NOW)
    assert server.level is Level.OK
    assert "database doctor" in server.message

    execute(BUILT)
    with PostgresWarehouse().connect() as connection:
        assert list(map_use(connection, NOW.date())) == []
    execute(
        "update intermediate.int_journey_rules set event_name = 'chekked'"
        " where stage_id = 'checked';"
        "delete from intermediate.int_mapped_events where stage_id = 'checked';"
        "delete from intermediate.int_journey_events where source = 'crm_stage_changes';"
        "insert into intermediate.int_unmapped_events values ('events', 'ping', 40, 100);"
        "update marts.fct_journey_coverage set cases = 0 where stage_id <> 'opened';"
        "update intermediate.int_segment_values set segment_value = '(unknown)';"
        "insert into journey_map.metrics values ('nps');"
        "insert into marts.fct_action_readouts values ('call', '2026-06-30', 'too_early', 'late')"
    )
    with PostgresWarehouse().connect() as connection:
        messages = [finding.message for finding in map_use(connection, NOW.date())]
    assert messages == [
        "events: 40.0% of the rows have names that no rule reads: ping (40)",
        "1 rule that no event meets: loans/checked (events has no 'chekked', "
        "did you mean 'checked'?)",
        "stages that no case reached: loans/won",
        "loans: 0 of 1 events of crm_stage_changes lead to a case by customer_id",
        "dimensions without a known value: loans/region (of crm_accounts)",
        "1 of 2 metrics have no value: nps",
        "action call was to be read on 2026-06-30: late",
    ]


def test_inputs_of_a_load_are_read_from_the_server(new_database: Callable[[str], None]) -> None:
    new_database("inputs")
    execute(
        "create schema raw;"
        + next(sql for sql in create_tables_sql() if "raw.loads" in sql)
        + ";insert into raw.loads values"
        " (1, '2026-01-05', 'events', 's', 'a.csv', 'ab', 'cd', 3, 2, 1, 0, 'landed', ''),"
        " (2, '2026-01-06', 'events', 's', 'b.csv', 'ef', 'cd', 0, 0, 0, 0, 'rejected', 'torn')"
    )
    with PostgresWarehouse().connect() as connection:
        assert [file["source_file"] for file in landed_files(connection)] == ["a.csv", "b.csv"]
        [file] = landed_files(connection, 1)
    assert (file["file_sha256"], file["rows_kept"], file["status"]) == ("ab", 2, "landed")

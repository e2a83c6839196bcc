"""The raw contract: what landed text becomes, and why a row is refused."""

import hashlib
import json
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import pytest

from orchestration.landing.contract import (
    CONTRACT,
    Kind,
    create_tables_sql,
    install_macros,
    judge_sql,
)

LOADED_AT = datetime(2024, 6, 1, 12, 0)


@cache
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    install_macros(connection)
    return connection


def judge(
    table: str, row: dict[str, str | None], zone: str = "UTC", number: int = 7
) -> dict[str, Any]:
    """One landed row, judged: row `number` of its file."""
    contract = CONTRACT[table]
    cells = {name: f"c{index}" for index, name in enumerate(row)}
    columns = ", ".join(f"?::varchar as {cell}" for cell in cells.values())
    engine().execute(
        f"create or replace temp table landed as select {number} as row_number, 9 as source_line,"
        f" null::varchar as fault, null::varchar as raw_text, {columns}",
        list(row.values()),
    )
    judged = judge_sql(contract, "landed", cells.values(), cells, zone, LOADED_AT)
    result = engine().execute(judged)
    names = [description[0] for description in result.description]
    values = result.fetchone()
    assert values is not None
    return dict(zip(names, values, strict=True))


def event(**columns: str | None) -> dict[str, str | None]:
    return {
        "event_id": "e1",
        "event_name": "view",
        "occurred_at": "2024-01-31T10:00:00Z",
        **columns,
    }


def deal(**columns: str | None) -> dict[str, str | None]:
    return {"opportunity_id": "o1", "created_at": "2024-01-31", **columns}


def survey(**columns: str | None) -> dict[str, str | None]:
    return {"response_id": "r1", "survey": "nps", "asked_at": "2024-01-31", **columns}


def rate(**columns: str | None) -> dict[str, str | None]:
    return {
        "currency": "EUR",
        "rate_date": "2024-01-31",
        "rate_to_reporting_currency": "1.08",
        **columns,
    }


def test_the_contract_has_the_tables_and_columns_of_the_domain() -> None:
    """domain.md §4, word for word."""
    columns = {name: " ".join(c.name for c in table.columns) for name, table in CONTRACT.items()}
    assert columns == {
        "crm_accounts": "account_id name industry employee_count region plan created_at"
        " source_updated_at",
        "crm_contacts": "contact_id account_id customer_id email_hash persona"
        " acquisition_channel created_at source_updated_at",
        "crm_opportunities": "opportunity_id account_id contact_id pipeline amount currency"
        " owner created_at closed_at is_won source_updated_at",
        "support_contacts": "support_contact_id customer_id channel topic opened_at"
        " first_response_at resolved_at agent_team source_updated_at",
        "survey_responses": "response_id customer_id survey score scale_min scale_max"
        " is_higher_better verbatim touchpoint_id asked_at answered_at followed_up_at"
        " source_updated_at",
        "fx_rates": "currency rate_date rate_to_reporting_currency source_updated_at",
        "events": "event_id anonymous_id customer_id account_id session_id event_name"
        " occurred_at received_at channel properties",
        "crm_stage_changes": "change_id opportunity_id stage_name changed_at changed_by",
        "support_events": "support_event_id support_contact_id kind agent_team occurred_at",
        "experiment_assignments": "experiment_id customer_id arm assigned_at",
        "event_log": "event_id source_case_id event_seq activity lifecycle resource"
        " occurred_at attributes",
    }
    records = {name for name, table in CONTRACT.items() if table.kind is Kind.RECORD}
    assert records == {
        "crm_accounts",
        "crm_contacts",
        "crm_opportunities",
        "support_contacts",
        "survey_responses",
        "fx_rates",
    }


@pytest.mark.parametrize("table", CONTRACT)
def test_id_and_time_are_required(table: str) -> None:
    contract = CONTRACT[table]
    required = {column.name for column in contract.columns if column.is_required}
    assert contract.time_column in required
    assert set(contract.id_columns) <= required or table == "event_log"


def test_tables_have_the_types_of_the_interface() -> None:
    with duckdb.connect() as connection:
        for statement in create_tables_sql():
            connection.execute(statement)
        types = {
            (table, column): sql_type
            for table, column, sql_type in connection.execute(
                "select table_name, column_name, data_type from duckdb_columns()"
                " where schema_name = 'raw'"
            ).fetchall()
        }
    assert types["crm_opportunities", "amount"] == "DECIMAL(18,2)"
    assert types["crm_opportunities", "is_won"] == "BOOLEAN"
    assert types["crm_accounts", "employee_count"] == "INTEGER"
    assert types["survey_responses", "score"] == "DOUBLE"
    assert types["fx_rates", "rate_to_reporting_currency"] == "DECIMAL(18,8)"
    assert types["fx_rates", "rate_date"] == "DATE"
    assert types["event_log", "event_seq"] == "BIGINT"
    assert types["events", "occurred_at"] == "TIMESTAMP"
    assert types["events", "properties"] == "VARCHAR"
    assert {table for table, column in types if column == "content_hash"} == set(CONTRACT)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2024-01-31T10:00:00Z", "Europe/Amsterdam", datetime(2024, 1, 31, 10)),
        ("2024-01-31T10:00:00.5+02:00", "UTC", datetime(2024, 1, 31, 8, 0, 0, 500_000)),
        ("2024-01-31T10:00:00.000+0530", "UTC", datetime(2024, 1, 31, 4, 30)),
        ("2024-01-31 10:00:00-03", "UTC", datetime(2024, 1, 31, 13)),
        ("2024-01-31 10:00:00 +0200", "UTC", datetime(2024, 1, 31, 8)),
        ("2024-01-31 10:00:00 UTC", "Europe/Amsterdam", datetime(2024, 1, 31, 10)),
        ("2024-01-31T10:00Z", "Europe/Amsterdam", datetime(2024, 1, 31, 10)),
        ("2024-01-31T10:00+01:00", "UTC", datetime(2024, 1, 31, 9)),
        ("2024-01-31T10:00:00,25", "UTC", datetime(2024, 1, 31, 10, 0, 0, 250_000)),
        ("2024/1/31 9:30", "UTC", datetime(2024, 1, 31, 9, 30)),
        ("2024-01-31", "UTC", datetime(2024, 1, 31)),
        ("2024-01-31", "Asia/Tokyo", datetime(2024, 1, 30, 15)),
        (" 2024-01-31 10:00:00\u00a0", "UTC", datetime(2024, 1, 31, 10)),
        # Winter and summer in Amsterdam.
        ("2024-01-31 10:00:00", "Europe/Amsterdam", datetime(2024, 1, 31, 9)),
        ("2023-07-31 10:00:00", "Europe/Amsterdam", datetime(2023, 7, 31, 8)),
        # 02:30 does not exist: clocks went from 02:00 to 03:00. It becomes 03:30.
        ("2024-03-31 02:30:00", "Europe/Amsterdam", datetime(2024, 3, 31, 1, 30)),
        # 02:30 happened twice: the later one, in standard time.
        ("2023-10-29 02:30:00", "Europe/Amsterdam", datetime(2023, 10, 29, 1, 30)),
        ("2023-10-29 02:30:00+02:00", "Europe/Amsterdam", datetime(2023, 10, 29, 0, 30)),
        # Midnight does not exist on the day summer time begins.
        ("2018-11-04", "America/Sao_Paulo", datetime(2018, 11, 4, 3)),
        ("1970-01-01T00:00:00Z", "UTC", datetime(1970, 1, 1)),
        ("2024-06-01 12:05:00", "UTC", datetime(2024, 6, 1, 12, 5)),
    ],
)
def test_times_become_utc(text: str, zone: str, expected: datetime) -> None:
    judged = judge("events", event(occurred_at=text), zone)
    assert (judged["occurred_at"], judged["reason"]) == (expected, None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "is missing"),
        ("  ", "is missing"),
        ("yesterday", "'yesterday' is not a time"),
        ("31/12/2023", "'31/12/2023' is not a time"),
        ("2023-02-29", "'2023-02-29' is not a time"),
        ("2023-13-01", "is not a time"),
        ("2023-01-01 25:00:00", "is not a time"),
        ("2023-01-01T10:00:00+25:00", "is not a time"),
        ("1704067200", "is not a time"),
        ("infinity", "is not a time"),
        ("epoch", "is not a time"),
        ("0000-00-00 00:00:00", "is not a time"),
        ("1969-12-31T23:59:59.999999Z", "is before 1970-01-01 UTC"),
        ("1970-01-01T00:00:00+01:00", "is before 1970-01-01 UTC"),
        ("2024-06-01 12:05:00.000001", "is more than 5 minutes after the load"),
        ("2999-01-01", "'2999-01-01' is more than 5 minutes after the load"),
    ],
)
def test_a_missing_or_impossible_time_is_refused(text: str | None, complaint: str) -> None:
    reason = judge("events", event(occurred_at=text))["reason"]
    assert reason.startswith("occurred_at")
    assert complaint in reason


def test_the_future_is_that_of_the_source_time_zone() -> None:
    """13:00 in Amsterdam is 11:00 UTC, before the load at 12:00 UTC."""
    row = event(occurred_at="2024-06-01 13:00:00")
    assert judge("events", row, "Europe/Amsterdam")["reason"] is None
    assert "after the load" in judge("events", row, "UTC")["reason"]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table.name, column.name)
        for table in CONTRACT.values()
        for column in table.columns
        if column.type.sql == "TIMESTAMP"
    ],
)
def test_no_time_may_lie_in_the_future(table: str, column: str) -> None:
    row = {c.name: "1" for c in CONTRACT[table].columns if c.is_required and not c.choices}
    row |= {c.name: c.choices[0] for c in CONTRACT[table].columns if c.choices}
    row |= {
        c.name: "2024-01-31"
        for c in CONTRACT[table].columns
        if c.type.sql in ("TIMESTAMP", "DATE") and c.is_required
    }
    assert judge(table, row)["reason"] is None
    future = judge(table, {**row, column: "2025-01-01"})["reason"]
    assert future == f"{column} '2025-01-01' is more than 5 minutes after the load"


@pytest.mark.parametrize(
    ("table", "column", "text", "expected"),
    [
        ("crm_opportunities", "amount", "1234.5", Decimal("1234.50")),
        ("crm_opportunities", "amount", "-0.005", Decimal("-0.01")),
        ("crm_opportunities", "amount", "+1e3", Decimal("1000.00")),
        ("crm_opportunities", "is_won", "True", True),
        ("crm_opportunities", "is_won", "0", False),
        ("crm_opportunities", "amount", " ", None),
        ("crm_accounts", "employee_count", "250.0", 250),
        ("survey_responses", "score", "9", 9.0),
        ("survey_responses", "score", ".5", 0.5),
        ("survey_responses", "survey", "NPS", "nps"),
        ("fx_rates", "rate_to_reporting_currency", "1.08234567", Decimal("1.08234567")),
        ("fx_rates", "rate_date", "2024-01-31 00:00:00", date(2024, 1, 31)),
        ("events", "customer_id", "  Zoë ", "Zoë"),
        ("support_contacts", "channel", "Email", "email"),
    ],
)
def test_values_are_typed(table: str, column: str, text: str, expected: object) -> None:
    judged = judge(table, {**_minimal(table), column: text})
    assert (judged[column], judged["reason"]) == (expected, None)


@pytest.mark.parametrize(
    ("table", "column", "text", "complaint"),
    [
        ("crm_opportunities", "amount", "1,234.50", "'1,234.50' is not a number"),
        ("crm_opportunities", "amount", "12,5", "is not a number"),
        ("crm_opportunities", "amount", "99999999999999999", "is not a number"),
        ("crm_opportunities", "is_won", "perhaps", "'perhaps' is not true or false"),
        ("crm_accounts", "employee_count", "3.7", "'3.7' is not a whole number"),
        ("crm_accounts", "employee_count", "0x1F", "is not a whole number"),
        ("survey_responses", "score", "NaN", "is not a number"),
        ("survey_responses", "score", "inf", "is not a number"),
        ("survey_responses", "score", "1e400", "is not a number"),
        ("survey_responses", "survey", "ces2", "'ces2' is none of nps, csat, ces"),
        ("support_contacts", "channel", "fax", "'fax' is none of call, email, chat"),
        ("fx_rates", "rate_date", "2024-01-31 10:00:00", "is not a date"),
        ("fx_rates", "rate_date", "2024-06-02", "is more than 5 minutes after the load"),
        ("fx_rates", "rate_to_reporting_currency", "", "is missing"),
        ("events", "properties", "{bad", "'{bad' is not a JSON object"),
        ("events", "properties", "[1]", "'[1]' is not a JSON object"),
        ("events", "properties", '{"a":NaN}', "is not a JSON object"),
        ("crm_stage_changes", "stage_name", None, "is missing"),
        ("event_log", "activity", "", "is missing"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused(
    table: str, column: str, text: str | None, complaint: str
) -> None:
    reason = judge(table, {**_minimal(table), column: text})["reason"]
    assert reason.startswith(column)
    assert complaint in reason


def _minimal(table: str) -> dict[str, str | None]:
    made: dict[str, dict[str, str | None]] = {
        "events": event(),
        "crm_opportunities": deal(),
        "survey_responses": survey(),
        "fx_rates": rate(),
        "crm_accounts": {"account_id": "a1", "created_at": "2024-01-31"},
        "support_contacts": {"support_contact_id": "s1", "opened_at": "2024-01-31"},
        "crm_stage_changes": {
            "change_id": "c1",
            "opportunity_id": "o1",
            "stage_name": "won",
            "changed_at": "2024-01-31",
        },
        "event_log": {"source_case_id": "7", "activity": "A", "occurred_at": "2024-01-31"},
    }
    return made[table]


def contact(**columns: str | None) -> dict[str, str | None]:
    return {"support_contact_id": "s1", "opened_at": "2024-01-31 10:00:00", **columns}


OFF_SCALE = [
    ({"score": "11"}, "score '11' is above scale_max '10'"),
    ({"score": "-1"}, "score '-1' is below scale_min '0'"),
    (
        {"survey": "csat", "score": "5.01", "scale_min": "1", "scale_max": "5"},
        "score '5.01' is above scale_max '5'",
    ),
    (
        {"survey": "ces", "score": "0", "scale_min": "1.0", "scale_max": "7"},
        "score '0' is below scale_min '1.0'",
    ),
    (
        {"score": "3", "scale_min": "5", "scale_max": "1"},
        "scale_min '5' is not below scale_max '1'",
    ),
    (
        {"score": "5", "scale_min": "5", "scale_max": "5"},
        "scale_min '5' is not below scale_max '5'",
    ),
    (
        {"survey": "csat", "score": "4"},
        "score '4' is without a scale: scale_min is missing; "
        "score '4' is without a scale: scale_max is missing",
    ),
    ({"score": "9", "scale_min": "0"}, "score '9' is without a scale: scale_max is missing"),
    (
        {"survey": "ces", "score": "9", "scale_max": "10", "scale_min": "low"},
        "scale_min 'low' is not a number (decimal point, no thousands separator)",
    ),
]


@pytest.mark.parametrize(("columns", "reason"), OFF_SCALE)
def test_a_score_off_its_scale_or_without_one_is_refused(
    columns: dict[str, str | None], reason: str
) -> None:
    judged = judge("survey_responses", survey(**columns))
    assert judged["reason"] == reason
    assert json.loads(judged["content"]).items() >= columns.items()


def test_the_usual_scale_of_nps_is_no_content_of_other_surveys() -> None:
    nps = judge("survey_responses", survey(score="10"))
    declared = judge("survey_responses", survey(score="10", scale_min="0", scale_max="10"))
    assert (nps["scale_min"], nps["scale_max"], nps["reason"]) == (0, 10, None)
    assert nps["content_hash"] == declared["content_hash"]
    unusual = judge("survey_responses", survey(score="5", scale_min="1", scale_max="5"))
    assert (unusual["scale_min"], unusual["scale_max"], unusual["reason"]) == (1, 5, None)
    # An answer that was never given needs no scale, and may have a senseless one.
    for columns in ({}, {"scale_min": "0", "scale_max": "0"}):
        assert judge("survey_responses", survey(survey="csat", **columns))["reason"] is None


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        (
            "survey_responses",
            survey(asked_at="2024-01-31 10:00:00", answered_at="2024-01-31 09:59:59.999"),
            "answered_at '2024-01-31 09:59:59.999' is before asked_at '2024-01-31 10:00:00'",
        ),
        (
            "survey_responses",
            survey(answered_at="2024-02-02", followed_up_at="2024-02-01"),
            "followed_up_at '2024-02-01' is before answered_at '2024-02-02'",
        ),
        (
            "support_contacts",
            contact(first_response_at="2024-01-30", resolved_at="2024-01-31 09:00:00"),
            "first_response_at '2024-01-30' is before opened_at '2024-01-31 10:00:00'; "
            "resolved_at '2024-01-31 09:00:00' is before opened_at '2024-01-31 10:00:00'",
        ),
    ],
)
def test_what_follows_is_not_before_what_it_follows(
    table: str, row: dict[str, str | None], reason: str
) -> None:
    assert judge(table, row)["reason"] == reason


@pytest.mark.parametrize(
    ("row", "zone"),
    [
        # At once, and as text in another zone.
        (contact(first_response_at="2024-01-31 10:00:00"), "UTC"),
        (contact(first_response_at="2024-01-31 09:30:00-01:00"), "UTC"),
        # A date says nothing of the hour.
        (contact(resolved_at="2024-01-31"), "UTC"),
        (contact(resolved_at="2024-01-31 00:00:00"), "America/Sao_Paulo"),
    ],
)
def test_times_that_may_follow_are_kept(row: dict[str, str | None], zone: str) -> None:
    assert judge("support_contacts", row, zone)["reason"] is None


def test_a_date_is_one_of_the_source_time_zone() -> None:
    """Midnight in Sao Paulo is 03:00 UTC: as a time in UTC it is no date."""
    row = contact(resolved_at="2024-01-31T03:00:00Z")
    assert judge("support_contacts", row, "America/Sao_Paulo")["reason"] is None
    assert "is before" in judge("support_contacts", row, "UTC")["reason"]


def test_a_rate_of_today_is_not_the_future_in_the_east() -> None:
    """At 16:00 UTC it is already tomorrow in Tokyo."""
    row = rate(rate_date="2024-06-02")
    assert judge("fx_rates", row, "Pacific/Kiritimati")["reason"] is None


def test_all_faults_are_named_and_long_values_shortened() -> None:
    judged = judge("events", event(event_id="", occurred_at="x" * 500, properties="[]"))
    faults = judged["reason"].split("; ")
    assert [fault.split()[0] for fault in faults] == ["event_id", "occurred_at", "properties"]
    assert "x" * 60 + "…" in faults[1]
    assert "x" * 61 not in faults[1]
    assert json.loads(judged["content"]) == {
        "event_name": "view",
        "occurred_at": "x" * 500,
        "properties": "[]",
    }


def test_json_is_compared_by_content() -> None:
    first = judge("events", event(properties='{"b": 1, "a": {"y": null, "x": "é"}}'))
    second = judge("events", event(properties=' {"a":{"y":null,"x":"\\u00e9"},"b":1} '))
    other = judge("events", event(properties='{"a":{"y":null,"x":"é"},"b":2}'))
    assert first["properties"] == '{"a":{"y":null,"x":"é"},"b":1}'
    assert first["content_hash"] == second["content_hash"]
    assert first["content_hash"] != other["content_hash"]


def test_nan_within_a_json_string_is_only_text() -> None:
    text = '{"a":"x, NaN, \\"Infinity","b":1}'
    assert judge("events", event(properties=text))["properties"] == text


def test_a_json_object_that_names_a_key_twice_keeps_its_text() -> None:
    judged = judge("events", event(properties='{"b":1,"a":2,"b":3}'))
    assert (judged["properties"], judged["reason"]) == ('{"b":1,"a":2,"b":3}', None)


def test_the_content_hash_is_the_md5_of_the_typed_values() -> None:
    judged = judge("events", event(customer_id=" c ", occurred_at="2024-01-31T11:00:00+01:00"))
    content = json.dumps(
        {
            "customer_id": "c",
            "event_id": "e1",
            "event_name": "view",
            "occurred_at": "2024-01-31 10:00:00",
        },
        separators=(",", ":"),
    )
    assert judged["content_hash"] == hashlib.md5(content.encode()).hexdigest()  # noqa: S324


def test_an_event_without_an_id_gets_one_of_what_it_says() -> None:
    row = {
        "source_case_id": "173688",
        "activity": 'A "quoted" é',
        "resource": "112",
        "occurred_at": "2024-01-31T10:00:00.5+01:00",
    }
    judged = judge("event_log", row)
    text = '["173688","A \\"quoted\\" é",null,"112","2024-01-31 09:00:00.5"]'
    assert judged["event_id"] == hashlib.md5(text.encode()).hexdigest()  # noqa: S324
    assert judged["row_id"] == judged["event_id"]
    assert judge("event_log", {**row, "event_id": "mine"})["event_id"] == "mine"
    assert judge("event_log", {**row, "occurred_at": "?"})["row_id"] is None


def test_the_order_in_the_file_is_no_content() -> None:
    first = judge("event_log", _minimal("event_log"), number=7)
    second = judge("event_log", _minimal("event_log"), number=8)
    assert (first["event_seq"], second["event_seq"]) == (7, 8)
    assert first["content_hash"] == second["content_hash"]


def test_ids_of_two_parts_do_not_collide() -> None:
    def row_id(experiment: str, customer: str) -> str:
        judged = judge(
            "experiment_assignments",
            {
                "experiment_id": experiment,
                "customer_id": customer,
                "arm": "a",
                "assigned_at": "2024-01-31",
            },
        )
        return str(judged["row_id"])

    assert row_id("x", "c") == "x:c"
    assert len({row_id("x:y", "z"), row_id("x", "y:z"), row_id("x\\", "y:z")}) == 3


def test_a_refused_row_has_a_hash_of_its_own_kind() -> None:
    """A time too far ahead today is fine tomorrow: the row is then no duplicate."""
    ahead = judge("events", event(occurred_at="2024-06-02 00:00:00"))
    assert ahead["reason"] is not None
    fine = hashlib.md5(ahead["content"].encode()).hexdigest()  # noqa: S324
    assert ahead["content_hash"] != fine

"""What else asks Spark: the gates, forgetting; and a worker that dies while it works."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.doctor import Level
from orchestration.doctor.services import services
from orchestration.forgetting.steps import forget
from orchestration.landing import land
from orchestration.settings import PROJECT_DIR, Settings, Target
from orchestration.validation.suites import run_suites
from orchestration.warehouse import warehouse_of
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from tests.dbt_process import run_dbt
from tests.engines.spark_cluster import SparkCluster, missing, wait_until

if (why := missing()) is not None:
    pytest.skip(why, allow_module_level=True)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PERSON = "cust-4711"


@pytest.fixture
def settings(empty_spark: SparkCluster, tmp_path: Path) -> Settings:
    assert os.environ.items() >= empty_spark.variables.items()
    for folder in ("home", "landing", "map", "expectations"):
        (tmp_path / folder).mkdir()
    return Settings(
        home=tmp_path / "home",
        landing=tmp_path / "landing",
        map=tmp_path / "map",
        expectations=tmp_path / "expectations",
        target=Target.SPARK,
    )


def land_and_send(settings: Settings) -> None:
    land(settings.warehouse, settings.landing_dir, settings.map, NOW.replace(tzinfo=None))
    warehouse_of(settings).receive(settings.warehouse)


def expectation(name: str, kind: str, **arguments: object) -> dict[str, object]:
    return {
        "type": kind,
        "kwargs": arguments,
        "severity": "warning",
        "description": f"{name} holds",
        "meta": {"name": name, "why": "A test."},
    }


def test_expectations_find_on_spark_what_they_find_in_the_landing_file(settings: Settings) -> None:
    (settings.landing_dir / "events.csv").write_text(
        "event_id,event_name,occurred_at,anonymous_id\n"
        "a,viewed,2026-01-01T10:00:00Z,d\nb,bought,2026-01-02T10:00:00.5Z,d\n"
        "c,it's,2026-01-03T10:00:00Z,\n"
    )
    land_and_send(settings)
    column = {"column": "event_name"}
    rows = "select event_id, occurred_at, load_id from {batch} where anonymous_id is null"
    suite = [
        expectation("known", "expect_column_values_to_not_be_null", **column),
        expectation("nobody", "expect_column_values_to_not_be_null", column="anonymous_id"),
        expectation(
            "kinds", "expect_column_values_to_be_in_set", **column, value_set=["viewed", "it's"]
        ),
        expectation(
            "recent",
            "expect_column_values_to_be_between",
            column="occurred_at",
            min_value="2026-01-02T00:00:00",
        ),
        expectation("length", "expect_column_value_lengths_to_equal", **column, value=6),
        expectation("rows", "unexpected_rows_expectation", unexpected_rows_query=rows),
        expectation(
            "later",
            "expect_column_pair_values_a_to_be_greater_than_b",
            column_A="loaded_at",
            column_B="occurred_at",
        ),
        expectation("absent", "expect_column_values_to_not_be_null", column="nothing"),
    ]
    content = {"name": "raw__events", "expectations": suite}
    (settings.expectations / "raw__events.json").write_text(json.dumps(content))
    ours, theirs = (
        {
            outcome.name: (outcome.success, outcome.observed, outcome.message)
            for outcome in run_suites(warehouse, "raw", ["events"], settings.expectations)
        }
        for warehouse in (warehouse_of(settings), DuckDBWarehouse(settings.warehouse))
    )
    # Its words are the engine's.
    ours_absent, theirs_absent = ours.pop("absent"), theirs.pop("absent")
    assert "cannot be evaluated" in ours_absent[2]
    assert "cannot be evaluated" in theirs_absent[2]
    assert ours == theirs
    assert {name for name, (success, *_) in ours.items() if success} == {"known", "later"}
    assert "bought" in ours["kinds"][2]


def test_nothing_of_a_person_is_left_in_spark(settings: Settings) -> None:
    (settings.landing_dir / "survey_responses.csv").write_text(
        "response_id,customer_id,survey,score,verbatim,asked_at\n"
        f"res-0001,{PERSON},nps,3,unhappy,2026-01-07T08:00:00Z\n"
        f"res-0002,cust-4712,nps,9,my friend {PERSON},2026-01-07T08:00:00Z\n"
        f"res-0003,{PERSON},nps,high,,2026-01-07T08:00:00Z\n"
    )
    warehouse = warehouse_of(settings)
    published: list[str] = []

    def run() -> None:
        """Land, and publish as a run does: two publications of a mart of customers."""
        land_and_send(settings)
        query("create database if not exists marts", "drop table if exists marts.people")
        query("create table marts.people as select customer_id from raw.survey_responses")
        with warehouse.publishing(f"p{len(published)}", ["people"]):
            published.append("people")

    def query(*statements: str) -> list[tuple[object, ...]]:
        with warehouse.connect() as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    run()
    assert query("select count(*) from published.people") == [(2,)]
    query("create database journey_gaps_copies", "drop database journey_gaps_copies")

    proof = forget(settings, [PERSON], run)
    assert proof.remains == []
    after = {line.place: line.rows_after for line in proof.lines}
    places = {"raw", "quarantine", "marts", "publication_p1"}
    assert {place: after.get(f"Spark: {place}") for place in places} == dict.fromkeys(places, 0)
    assert "Spark: publication_p0" not in after
    assert query("select customer_id from published.people") == [("cust-4712",)]
    assert query("select verbatim from raw.survey_responses") == [("my friend [forgotten]",)]

    # The search does find what is there: the same words, put back.
    from orchestration.forgetting.spark import rows_in_spark
    from orchestration.landing.people import Needles

    query(
        "create table marts.copies as select 'x' as customer_id, 'a\\\\b cust-4711.' as note"
        " union all select 'cust-4711', null union all select 'cust-47112', 'y'"
    )
    ids = {"customer_id": frozenset({PERSON, "a\\b"}), **dict.fromkeys(OTHER_IDS, frozenset())}
    assert rows_in_spark(settings, ids, Needles((PERSON,)))["marts"] == 2


OTHER_IDS = (
    *("source_case_id", "anonymous_id", "contact_id", "account_id", "opportunity_id"),
    *("support_contact_id", "response_id", "email_hash", "event_id"),
)


def test_a_worker_that_dies_does_not_lose_rows(
    settings: Settings, empty_spark: SparkCluster
) -> None:
    count = 2000
    lines = (f"e{n},viewed,2026-01-{n % 28 + 1:02}T10:00:00Z,d\n" for n in range(count))
    text = "event_id,event_name,occurred_at,anonymous_id\n" + "".join(lines)
    (settings.landing_dir / "events.csv").write_text(text)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(land_and_send, settings)
        wait_until(lambda: empty_spark.active_tasks() > 0, "Spark is at work")
        empty_spark.kill_worker(1)
        try:
            work.result()
        finally:
            empty_spark.start_worker(1)
    assert "Lost executor" in empty_spark.log("driver")
    with warehouse_of(settings).connect() as connection:
        assert connection.execute("select count(*) from raw.events").fetchall() == [(count,)]


def test_the_doctor_asks_the_server(settings: Settings) -> None:
    [server] = services(settings, NOW)
    assert server.level is Level.OK
    assert server.message.startswith("Spark 4")
    [nobody] = services(settings.model_copy(update={"spark_port": 1}), NOW)
    assert nobody.level is Level.ERROR
    assert "127.0.0.1:1 cannot be opened" in nobody.message


def test_dbt_finds_the_same_server(settings: Settings) -> None:
    """And leaves out what is not given: PyHive refuses an empty password."""
    variables = {**settings.environ(), "DBT_LOG_PATH": str(settings.home)}
    code, output = run_dbt(["debug", "--profiles-dir", "."], PROJECT_DIR, variables)
    assert code == 0, output
    assert "OK connection ok" in output

"""A person erased from a server: its tables are filled anew, its older publications dropped."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psycopg2

from orchestration.forgetting.steps import forget
from orchestration.landing import land
from orchestration.settings import Settings, Target
from orchestration.warehouse.postgres import PostgresWarehouse

PERSON = "cust-4711"
NOW = datetime(2026, 6, 1)


def write(folder: Path) -> None:
    (folder / "map").mkdir()
    (folder / "landing").mkdir()
    (folder / "landing" / "survey_responses.csv").write_text(
        "response_id,customer_id,survey,score,verbatim,asked_at\n"
        f"res-0001,{PERSON},nps,3,unhappy,2026-01-07T08:00:00Z\n"
        f"res-0002,cust-4712,nps,9,my friend {PERSON},2026-01-07T08:00:00Z\n"
        f"res-0003,{PERSON},nps,high,,2026-01-07T08:00:00Z\n"
    )


def execute(statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_nothing_of_a_person_is_left_on_the_server(
    new_database: Callable[[str], None], tmp_path: Path
) -> None:
    new_database("forgetting")
    write(tmp_path)
    settings = Settings(
        home=tmp_path / "home",
        landing=tmp_path / "landing",
        map=tmp_path / "map",
        target=Target.POSTGRES,
    )
    warehouse = PostgresWarehouse()

    def run() -> None:
        """Land, and publish as a run does: two publications of a mart of customers."""
        land(settings.warehouse, settings.landing_dir, settings.map, NOW)
        warehouse.receive(settings.warehouse)
        execute("create schema if not exists marts")
        execute("drop table if exists marts.people cascade")
        execute("create table marts.people as select customer_id from raw.survey_responses")
        with warehouse.publishing(f"p{len(published)}", ["people"]):
            published.append("people")

    published: list[str] = []
    run()
    assert execute("select count(*) from published.people") == [(2,)]

    proof = forget(settings, [PERSON], run)
    assert proof.remains == []
    after = {line.place: line.rows_after for line in proof.lines}
    assert after["PostgreSQL: raw"] == after["PostgreSQL: quarantine"] == 0
    assert "PostgreSQL: publication_p0" not in after
    assert execute("select customer_id from published.people") == [("cust-4712",)]
    assert execute("select verbatim from raw.survey_responses") == [("my friend [forgotten]",)]
    assert execute("select row_count from raw.released_rows order by 1") == [(1,), (1,)]


def test_what_somebody_keeps_on_the_server_is_said(
    new_database: Callable[[str], None], tmp_path: Path
) -> None:
    new_database("forgetting_copies")
    write(tmp_path)
    settings = Settings(
        home=tmp_path / "home",
        landing=tmp_path / "landing",
        map=tmp_path / "map",
        target=Target.POSTGRES,
    )

    def run() -> None:
        land(settings.warehouse, settings.landing_dir, settings.map, NOW)
        PostgresWarehouse().receive(settings.warehouse)

    run()
    execute("create schema analyst")
    execute("create table analyst.copy as select customer_id from raw.survey_responses")
    proof = forget(settings, [PERSON], run)
    assert [(line.place, line.rows_after) for line in proof.remains] == [("PostgreSQL: analyst", 1)]

"""A person in PostgreSQL: what dbt and landing fill is dropped, and filled again by the run."""

# ruff: noqa: S608 - names come from the catalog and are quoted, texts pass through literal()

from contextlib import closing

import psycopg2

from orchestration.errors import JourneyGapsError
from orchestration.forgetting.traces import holds_sql
from orchestration.landing.people import Ids, Needles
from orchestration.quoting import literal, quoted
from orchestration.warehouse.postgres import PUBLISHED, PostgresWarehouse

# Dropped files are gone from the server's disk; deleted rows would wait for a vacuum.
FILLED_BY_RUNS = ("raw", "quarantine", "staging", "intermediate", "marts")


def clear_server() -> None:
    """Drop the schemas that a run fills; readers keep the views of schema published."""
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '60s'")
        try:
            for schema in FILLED_BY_RUNS:
                cursor.execute(f"drop schema if exists {schema} cascade")
        except psycopg2.errors.LockNotAvailable as error:
            raise JourneyGapsError(
                "PostgreSQL: somebody reads the tables that are to be dropped: end their "
                "transactions, and forget again"
            ) from error


def drop_older_schemas() -> None:
    """Drop the publications behind the one that the views of schema published show."""
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '60s'")
        cursor.execute(
            "select nspname from pg_namespace where nspname like 'publication\\_%'"
            " and nspname not in (select table_schema from information_schema.view_table_usage"
            f" where view_schema = {literal(PUBLISHED)})"
        )
        for (schema,) in cursor.fetchall():
            cursor.execute(f"drop schema {quoted(schema)} cascade")


def rows_on_server(ids: Ids, needles: Needles) -> dict[str, int]:
    """Rows that hold the person, by schema, over every table of the database."""
    counts: dict[str, int] = {}
    with PostgresWarehouse().connect() as connection:
        tables: dict[tuple[str, str], dict[str, str]] = {}
        for schema, table, column, kind in connection.execute(
            "select columns.table_schema, columns.table_name, column_name, data_type"
            " from information_schema.columns as columns"
            " inner join information_schema.tables as tables using (table_schema, table_name)"
            " where table_type = 'BASE TABLE'"
            " and table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, 3"
        ).fetchall():
            tables.setdefault((schema, table), {})[column] = kind
        for (schema, table), columns in tables.items():
            [(rows,)] = connection.execute(
                f"select count(*) from {quoted(schema)}.{quoted(table)}"
                f" where {holds_sql(columns, ids, needles, '({0} ~ {1})')}"
            ).fetchall()
            counts[schema] = counts.get(schema, 0) + rows
    return counts

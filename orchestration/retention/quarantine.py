"""Quarantined rows leave after a time; the books say how many, so that every row stays counted."""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from contextlib import closing
from datetime import datetime, timedelta

import duckdb

from orchestration.landing.contract import (
    CONFLICT_REASON,
    CONTRACT,
    RELEASED,
    create_tables_sql,
)
from orchestration.quoting import literal
from orchestration.settings import Settings, Target
from orchestration.warehouse import warehouse_of
from orchestration.warehouse.base import Connection
from orchestration.warehouse.duckdb_file import open_for_writing

EXPIRED = "expired"


def expire(settings: Settings, now: datetime, *, dry_run: bool = False) -> int:
    """Delete quarantined rows that landed too long ago; return how many.

    A row whose id has two contents stays: a third content of that id must find it.
    """
    if settings.quarantine_days is None or not settings.warehouse.exists():
        return 0
    before = now.replace(tzinfo=None) - timedelta(days=settings.quarantine_days)
    with closing(open_for_writing(settings.warehouse)) as connection:
        if not _has_landed(connection):
            return 0
        if dry_run:
            return sum(_old(connection, table, before) for table in CONTRACT)
        for statement in create_tables_sql():
            connection.execute(statement)
        connection.begin()
        try:
            rows = _release(connection, before, now)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    if settings.target is Target.SPARK:
        warehouse_of(settings).receive(settings.warehouse)
    if settings.target is Target.POSTGRES:
        from orchestration.warehouse.postgres import PostgresWarehouse

        with PostgresWarehouse().writing() as server:
            _release(server, before, now)
    return rows


def _release(connection: Connection, before: datetime, now: datetime) -> int:
    """Book and delete the rows, in the caller's transaction."""
    released = 0
    for table in CONTRACT:
        rows = _old(connection, table, before)
        if rows:
            old = _condition(before)
            connection.execute(
                f"insert into raw.{RELEASED}"
                f" select {literal(table)}, load_id, timestamp {literal(_text(now))},"
                f" {literal(EXPIRED)}, count(*)"
                f" from quarantine.{table} where {old} group by load_id"
            )
            connection.execute(f"delete from quarantine.{table} where {old}")
        released += rows
    return released


def _old(connection: Connection, table: str, before: datetime) -> int:
    [(rows,)] = connection.execute(
        f"select count(*) from quarantine.{table} where {_condition(before)}"
    ).fetchall()
    return int(rows)


def _condition(before: datetime) -> str:
    return (
        f"loaded_at < timestamp {literal(_text(before))} and reason <> {literal(CONFLICT_REASON)}"
    )


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ")


def _has_landed(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(
        connection.execute(
            "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = 'loads'"
        ).fetchall()
    )

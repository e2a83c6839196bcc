"""What is in quarantine: counts by reason and file, and the rows themselves."""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.landing.contract import CONTRACT
from orchestration.quoting import literal
from orchestration.warehouse.base import Connection, tables

_FIRST_LINES = 5


@dataclass(frozen=True)
class QuarantineCount:
    """Rows of one table, reason and file; `lines` are the first of them in the file."""

    table: str
    reason: str
    file: str
    rows: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class QuarantinedRow:
    """A row with its landed texts as JSON (`content`) and where it is from."""

    table: str
    reason: str
    file: str
    line: int
    row_id: str | None
    content: str
    load_id: int
    loaded_at: datetime


def table_names(table: str | None) -> tuple[str, ...]:
    """The tables that are meant: all of the contract, or the one named.

    Raises JourneyGapsError for one that is none.
    """
    if table is None:
        return tuple(CONTRACT)
    if table not in CONTRACT:
        raise JourneyGapsError(f"there is no raw table {table!r}: they are {', '.join(CONTRACT)}")
    return (table,)


def require_landed(warehouse: Path) -> None:
    """Raise JourneyGapsError where nothing has landed yet."""
    if not warehouse.exists():
        raise JourneyGapsError(f"nothing has landed in {warehouse}: `journey-gaps run` lands files")


def condition_sql(reason: str | None) -> str:
    """SQL for rows whose reason contains a text, in any case; all where there is none."""
    return "true" if reason is None else f"contains(lower(reason), lower({literal(reason)}))"


def quarantine_counts(
    connection: duckdb.DuckDBPyConnection, table: str | None = None, reason: str | None = None
) -> list[QuarantineCount]:
    """Count rows by table, reason and file, most rows first."""
    counts = [
        QuarantineCount(name, row[0], row[1], row[2], tuple(row[3]))
        for name in _present(connection, table)
        for row in connection.execute(
            f"select reason, source_file, count(*), list(source_line order by source_line)"
            f"[:{_FIRST_LINES}] from quarantine.{name} where {condition_sql(reason)}"
            " group by reason, source_file"
        ).fetchall()
    ]
    return sorted(counts, key=lambda count: (-count.rows, count.table, count.reason, count.file))


def quarantined_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str | None = None,
    reason: str | None = None,
    top: int | None = None,
) -> list[QuarantinedRow]:
    """The rows in order of table, file and line, `top` of them at most."""
    found: list[QuarantinedRow] = []
    for name in _present(connection, table):
        limit = "" if top is None else f" limit {top - len(found)}"
        found += [
            QuarantinedRow(name, *row)
            for row in connection.execute(
                'select reason, source_file, source_line, row_id, "content", load_id, loaded_at'
                f" from quarantine.{name} where {condition_sql(reason)}"
                f" order by source_file, source_line, content_hash{limit}"
            ).fetchall()
        ]
    return found


def _present(connection: Connection, table: str | None) -> Sequence[str]:
    present = set(tables(connection, "quarantine"))
    return [name for name in table_names(table) if name in present]

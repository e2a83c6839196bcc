"""What every engine can do, and reads that are the same on all of them."""

# ruff: noqa: S608 - names come from the contract

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import duckdb

from orchestration.errors import JourneyGapsError

# A mart's name to the SQL of a relation with its rows, for a DuckDB connection.
MartReader = Callable[[str], str]


class WarehouseBusyError(JourneyGapsError):
    """Another run or program has the warehouse; the message is who."""


class Closeable(Protocol):
    """Something held until it is closed."""

    def close(self) -> None:
        """Let go."""


class Cursor(Protocol):
    """A statement's result."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Its rows."""


class Connection(Protocol):
    """An open warehouse."""

    def execute(self, query: str, /) -> Cursor:
        """Run one statement of portable SQL."""


@runtime_checkable
class Catalog(Protocol):
    """An open warehouse of an engine that has no information_schema."""

    def tables(self, schema: str) -> list[str]:
        """Names of the tables and views of a schema, sorted; empty where there is no schema."""


class Warehouse(Protocol):
    """One engine. Every method opens what it needs and closes it again."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def sqlalchemy(self) -> tuple[str, Mapping[str, Any]]:
        """URL and connect_args of a reading SQLAlchemy engine."""

    @property
    def sessions(self) -> int:
        """In how many sessions at once many small queries are best asked."""

    @property
    def memory_limit(self) -> str | None:
        """What a DuckDB that its rows pass through holds in memory, such as 3GB; None: no limit."""

    def connect(self) -> AbstractContextManager[Connection]:
        """Open it for reading; raises JourneyGapsError where that fails."""

    def claim(self, run_id: str) -> Closeable:
        """Take the engine for a run until the result is closed.

        Raises WarehouseBusyError where another has it.
        """

    def receive(self, landing: Path) -> None:
        """Take over what has landed in the DuckDB file `landing` since the last call.

        The schemas raw and quarantine then hold the same rows in both.
        """

    def reader(
        self, connection: duckdb.DuckDBPyConnection, work_dir: Path
    ) -> AbstractContextManager[MartReader]:
        """Make schema marts readable in a DuckDB connection; `work_dir` takes scratch files."""

    def publishing(
        self, publication_id: str, marts: Sequence[str]
    ) -> AbstractContextManager[object]:
        """Let readers inside the engine see `marts` when the block ends, all or nothing.

        An exception inside the block leaves them what they saw before.
        """

    def republishing(
        self, publication_id: str, marts: Sequence[str]
    ) -> AbstractContextManager[object]:
        """As `publishing`, for an earlier publication whose tables are still there.

        Raises JourneyGapsError where they are not.
        """


def tables(connection: Connection, schema: str) -> list[str]:
    """Names of the tables and views of a schema, sorted; empty where there is no schema."""
    if isinstance(connection, Catalog):
        return connection.tables(schema)
    rows = connection.execute(
        f"select table_name from information_schema.tables where table_schema = '{schema}'"
    ).fetchall()
    return sorted(name for (name,) in rows)


def require_marts(warehouse: Warehouse, marts: Sequence[str]) -> None:
    """Raise JourneyGapsError where a mart is not built."""
    with warehouse.connect() as connection:
        built = tables(connection, "marts")
    if missing := sorted(set(marts) - set(built)):
        raise JourneyGapsError(
            f"{warehouse.name} has no mart {', '.join(missing)}: "
            "build the marts before publishing them"
        )


def newest_load(connection: Connection) -> int | None:
    """Return the number of the newest load, None before the first."""
    [(load_id,)] = connection.execute("select max(load_id) from raw.loads").fetchall()
    newest: int | None = load_id
    return newest


def journeys_as_of(connection: Connection) -> dict[str, datetime | None]:
    """Return journey -> the time (UTC) after which nothing was seen, None without data."""
    return dict(connection.execute("select journey_id, as_of from marts.dim_journeys").fetchall())


def quarantine_reasons(
    connection: Connection, table: str, load_id: int | None = None
) -> dict[str, int]:
    """Return reason -> rows of `table` in quarantine, most frequent first.

    With a load only the rows that it put there.
    """
    rows = connection.execute(
        "select reason, count(*) as row_count"
        f" from quarantine.{table}"
        f" where {'true' if load_id is None else f'load_id = {load_id}'}"
        " group by reason"
        " order by row_count desc, reason"
    ).fetchall()
    return dict(rows)

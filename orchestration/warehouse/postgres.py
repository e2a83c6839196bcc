"""PostgreSQL: files land in DuckDB, which judges them; the server receives raw and quarantine.

Connections are libpq's: PGHOST, PGPORT, PGUSER, PGPASSWORD (or a password file), PGDATABASE,
as `Settings.environ` sets them. Inside the server readers find the views of schema
`published`; each publication has a schema of its own behind them.
"""

# ruff: noqa: S608 - names come from our tables, texts pass through literal()

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import duckdb
import psycopg2
import psycopg2.extensions

from orchestration.errors import JourneyGapsError
from orchestration.landing.contract import BOOKS, RELEASED
from orchestration.quoting import literal, quoted
from orchestration.settings import PUBLICATIONS_KEPT
from orchestration.warehouse.base import (
    Connection,
    Cursor,
    MartReader,
    WarehouseBusyError,
    tables,
)

PUBLISHED = "published"
# A second each: what reads a published view in a transaction is in the way.
SWAP_ATTEMPTS = 60
# A fixed number of ours: the advisory lock of a run.
LOCK_KEY = 0x6A6F75726E6579
CSV = r"format csv, null '\N'"

DUCKDB_TYPES = {
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "character varying": "VARCHAR",
    "date": "DATE",
    "double precision": "DOUBLE",
    "integer": "INTEGER",
    "text": "VARCHAR",
    "timestamp without time zone": "TIMESTAMP",
}


@dataclass(frozen=True)
class _Connection:
    """psycopg2's connection with the one method that reads of every engine use."""

    raw: psycopg2.extensions.connection

    def execute(self, query: str, /) -> Cursor:
        cursor = self.raw.cursor()
        cursor.execute(query)
        return cast("Cursor", cursor)


@dataclass(frozen=True)
class PostgresWarehouse:
    """The database that the libpq variables of this process name.

    `publications_kept` is how many publications keep their schema, two at least: readers may
    still have the one before open.
    """

    publications_kept: int = PUBLICATIONS_KEPT
    memory_limit: str | None = None

    @property
    def name(self) -> str:
        """Database and server, without user or password."""
        place = [os.environ.get(name, "") for name in ("PGDATABASE", "PGHOST", "PGPORT")]
        return "PostgreSQL database {} on {}:{}".format(*place)

    @property
    def sqlalchemy(self) -> tuple[str, Mapping[str, Any]]:
        """An empty URL: libpq's variables say the rest."""
        return "postgresql+psycopg2://", {}

    @property
    def sessions(self) -> int:
        """One: a query takes milliseconds."""
        return 1

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open one read-only snapshot."""
        with self._transaction("isolation level repeatable read read only") as connection:
            yield connection

    def claim(self, run_id: str) -> psycopg2.extensions.connection:
        """Take the database for a run, against runs of other machines or homes.

        Close what is returned to give it back. Raises WarehouseBusyError with the holder.
        """
        connection = self._connect(application_name=f"journey-gaps run {run_id}")
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"select pg_try_advisory_lock({LOCK_KEY})")
        if cursor.fetchone() == (True,):
            return connection
        cursor.execute(
            "select activity.application_name || ' (from '"
            " || coalesce(host(activity.client_addr), 'its own machine') || ')'"
            " from pg_locks as locks"
            " inner join pg_stat_activity as activity on locks.pid = activity.pid"
            " where locks.locktype = 'advisory' and locks.granted"
            f" and locks.classid = {LOCK_KEY >> 32} and locks.objid = {LOCK_KEY & 0xFFFFFFFF}"
        )
        row = cursor.fetchone()
        connection.close()
        raise WarehouseBusyError(row[0] if row else "another run")

    def receive(self, landing: Path) -> None:
        """Copy rows of new loads, and take away what they withdrew, in one transaction.

        Raises JourneyGapsError where the database was filled from another landing file.
        """
        with (
            closing(duckdb.connect(landing, read_only=True)) as source,
            TemporaryDirectory(prefix=".copy-", dir=landing.parent) as work_dir,
            self._transaction() as target,
        ):
            _create_tables(source, target)
            through = self._received(source, target)
            file = Path(work_dir) / "rows.csv"
            _remove_released(source, target, through, file)
            for schema, table in _tables_of(source):
                if table == RELEASED:
                    continue
                if schema == "raw" and table not in BOOKS and through:
                    _remove_changed(source, target, table, through, file)
                rows = f"select * from {schema}.{table} where load_id > {through}"
                if _copy(source, rows, target, f"{schema}.{table}", file):
                    target.execute(f"analyze {schema}.{table}")

    @contextmanager
    def reader(self, connection: duckdb.DuckDBPyConnection, work_dir: Path) -> Iterator[MartReader]:
        """Export a mart when it is asked for, all of them from one snapshot."""
        with self.connect() as snapshot:

            def read(mart: str) -> str:
                columns = _columns(snapshot, "marts", mart)
                file = work_dir / f"{mart}.csv"
                cursor = cast("_Connection", snapshot).raw.cursor()
                with file.open("wb") as sink:
                    cursor.copy_expert(
                        f"copy (select * from marts.{quoted(mart)}) to stdout ({CSV},"
                        " force_quote *)",
                        sink,
                    )
                kinds = ", ".join(
                    f"{literal(name)}: {literal(kind)}" for name, kind in columns.items()
                )
                relation = quoted(f"{mart}_csv")
                connection.execute(
                    f"create or replace temp table {relation} as"
                    f" select * from read_csv({literal(str(file))}, header = false,"
                    f" auto_detect = false, delim = ',', quote = '\"', escape = '\"',"
                    rf" nullstr = '\N', allow_quoted_nulls = false, columns = {{{kinds}}})"
                )
                file.unlink()
                return relation

            yield read

    @contextmanager
    def publishing(self, publication_id: str, marts: Sequence[str]) -> Iterator[object]:
        """Write a new schema and swap the views of schema `published`, in one transaction."""
        schema = _schema_of(publication_id)
        with self._transaction() as connection:
            connection.execute(f"create schema {schema}")
            connection.execute(f"create schema if not exists {PUBLISHED}")
            for mart in marts:
                name = quoted(mart)
                connection.execute(f"create table {schema}.{name} as select * from marts.{name}")
            self._swap(connection, schema, marts)
            yield connection
        self._drop_old(keep=schema)

    @contextmanager
    def republishing(self, publication_id: str, marts: Sequence[str]) -> Iterator[object]:
        """Swap the views back to a schema that is still there, in one transaction."""
        schema = _schema_of(publication_id)
        with self._transaction() as connection:
            if missing := sorted(set(marts) - set(tables(connection, schema))):
                raise JourneyGapsError(
                    f"{self.name} no longer has publication {publication_id} (schema {schema} is "
                    f"without {', '.join(missing)}): it keeps the newest {self.publications_kept}"
                )
            self._swap(connection, schema, marts)
            yield connection

    def _swap(self, connection: Connection, schema: str, marts: Sequence[str]) -> None:
        """Replace the views once nobody reads them: new readers wait a second at most."""
        connection.execute("set local lock_timeout = '1s'")
        for attempt in range(1, SWAP_ATTEMPTS + 1):
            connection.execute("savepoint swap")
            try:
                self._replace_views(connection, schema, marts)
            except psycopg2.errors.LockNotAvailable as error:
                connection.execute("rollback to savepoint swap")
                if attempt == SWAP_ATTEMPTS:
                    raise JourneyGapsError(
                        f"{self.name}: readers keep views of schema {PUBLISHED} open: "
                        f"{_readers(connection)}. End their transactions and run again."
                    ) from error
            else:
                return

    def _replace_views(self, connection: Connection, schema: str, marts: Sequence[str]) -> None:
        """Views keep their identity, and what analysts built on them, while columns stay.

        New columns come last (docs/contracts.md), which a view takes in place.
        """
        old = {name: _columns(connection, PUBLISHED, name) for name in _views(connection)}
        for mart, columns in old.items():
            now = list(_columns(connection, schema, mart).items()) if mart in marts else []
            if now[: len(columns)] != list(columns.items()):
                try:
                    connection.execute(f"drop view {PUBLISHED}.{quoted(mart)}")
                except psycopg2.errors.DependentObjectsStillExist as error:
                    raise JourneyGapsError(
                        f"{self.name}: the columns of {PUBLISHED}.{mart} change, and other views "
                        f"are built on it: drop them first. {error}"
                    ) from error
        for mart in marts:
            view = f"{PUBLISHED}.{quoted(mart)}"
            connection.execute(
                f"create or replace view {view} as select * from {schema}.{quoted(mart)}"
            )

    def _drop_old(self, keep: str) -> None:
        """Drop publications that nobody reads any more; one in use is left to the next time."""
        with self._transaction() as connection:
            schemas = [
                name
                for (name,) in connection.execute(
                    r"select nspname from pg_namespace where nspname like 'publication\_%'"
                    " order by nspname desc"
                ).fetchall()
                if name != keep
            ]
        for schema in schemas[self.publications_kept - 1 :]:
            with suppress(psycopg2.errors.LockNotAvailable), self._transaction() as connection:
                connection.execute("set local lock_timeout = '1s'")
                connection.execute(f"drop schema {schema} cascade")

    def _connect(self, application_name: str) -> psycopg2.extensions.connection:
        try:
            return psycopg2.connect("", application_name=application_name)
        except psycopg2.OperationalError as error:
            raise JourneyGapsError(
                f"{self.name} cannot be opened: {' '.join(str(error).split())}. Name it by "
                "--postgres-url (JOURNEY_GAPS_POSTGRES_URL) or libpq's PGHOST, PGPORT, PGUSER, "
                "PGPASSWORD and PGDATABASE; `createdb` makes one."
            ) from error

    @contextmanager
    def dropping(self, schemas: Sequence[str]) -> Iterator[object]:
        """Drop schemas when the block ends, all or none.

        Raises JourneyGapsError where something outside them is built on them.
        """
        with self._transaction() as connection:
            relations = connection.execute(
                "select table_type, table_schema, table_name from information_schema.tables"
                f" where table_schema in ({', '.join(map(literal, schemas))})"
            ).fetchall()
            try:
                # Together, since views of one schema read tables of another; without cascade,
                # which would take along what is not ours.
                for kind in ("view", "table"):
                    names = [
                        f"{quoted(schema)}.{quoted(name)}"
                        for table_type, schema, name in relations
                        if (table_type == "VIEW") == (kind == "view")
                    ]
                    if names:
                        connection.execute(f"drop {kind} {', '.join(names)}")
                connection.execute(f"drop schema if exists {', '.join(map(quoted, schemas))}")
            except psycopg2.errors.DependentObjectsStillExist as error:
                raise JourneyGapsError(
                    f"{self.name}: other relations are built on schemas that are rebuilt: drop "
                    f"them first. {error}"
                ) from error
            yield connection

    def writing(self) -> AbstractContextManager[Connection]:
        """Open it for writing: all of the block, or none of it."""
        return self._transaction()

    @contextmanager
    def _transaction(self, mode: str = "") -> Iterator[_Connection]:
        """Commit at the end of the block, roll back at an error, close in any case."""
        with closing(self._connect(application_name="journey-gaps")) as raw, raw:
            connection = _Connection(raw)
            if mode:
                connection.execute(f"set transaction {mode}")
            yield connection

    def _received(self, source: duckdb.DuckDBPyConnection, target: Connection) -> int:
        """The newest load that the database has; the landing file must know it too."""
        [(through,)] = target.execute(
            "select coalesce(max(load_id), 0) from ("
            "select load_id from raw.loads union all select load_id from raw.landing_sources"
            ") as received"
        ).fetchall()
        books = (
            "select load_id, loaded_at, table_name, file_sha256 from raw.loads"
            f" where load_id <= {through} order by 1, 2, 3, 4"
        )
        if source.execute(books).fetchall() != target.execute(books).fetchall():
            raise JourneyGapsError(
                f"{self.name} was filled from another home: its loads are not those of this one. "
                "Use the home that filled it, or another database (drop its schemas raw, "
                "quarantine, intermediate and marts to begin anew)."
            )
        return int(through)


def _tables_of(source: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Schema and name of every landed table."""
    return source.execute(
        "select schema_name, table_name from duckdb_tables()"
        " where schema_name in ('raw', 'quarantine') order by all"
    ).fetchall()


def _create_tables(source: duckdb.DuckDBPyConnection, target: Connection) -> None:
    """The tables of the landing file, with its types, where they are absent."""
    for schema in ("raw", "quarantine"):
        target.execute(f"create schema if not exists {schema}")
    for schema, table in _tables_of(source):
        columns = ", ".join(
            f"{quoted(name)} {'double precision' if kind == 'DOUBLE' else kind}"
            for name, kind, *_ in source.execute(f"describe {schema}.{table}").fetchall()
        )
        target.execute(f"create table if not exists {schema}.{table} ({columns})")


def _remove_changed(
    source: duckdb.DuckDBPyConnection,
    target: _Connection,
    table: str,
    through: int,
    file: Path,
) -> None:
    """Delete rows that later loads moved to quarantine, or gave another place in their file."""
    target.execute("create temp table changed (content_hash varchar) on commit drop")
    changed = " union all ".join(
        f"select content_hash from {schema}.{table} where load_id > {through}"
        for schema in ("raw", "quarantine")
    )
    if _copy(source, changed, target, "changed", file):
        target.execute(
            f"delete from raw.{table} as kept using changed"
            " where kept.content_hash = changed.content_hash"
        )
    target.execute("drop table changed")


def _remove_released(
    source: duckdb.DuckDBPyConnection, target: _Connection, through: int, file: Path
) -> None:
    """Take over what left raw or quarantine on purpose, as the landing file books it.

    Rows that left are in no later load, so tables with news are compared as a whole.
    """
    counts = f"select table_name, sum(row_count)::bigint from raw.{RELEASED} group by table_name"
    known = dict(target.execute(counts).fetchall())
    news = {name for name, rows in source.execute(counts).fetchall() if known.get(name) != rows}
    # Reasons that changed are a replay too, even where no row left.
    replayed = f"select table_name from raw.loads where status = 'replayed' and load_id > {through}"
    news |= {name for (name,) in source.execute(replayed).fetchall()}
    for table in sorted(news) if through else ():
        target.execute(f"delete from quarantine.{table}")
        kept = f"select * from quarantine.{table} where load_id <= {through}"
        _copy(source, kept, target, f"quarantine.{table}", file)
        target.execute("create temp table still_there (content_hash varchar) on commit drop")
        kept = f"select content_hash from raw.{table} where load_id <= {through}"
        _copy(source, kept, target, "still_there", file)
        target.execute(
            f"delete from raw.{table} where content_hash not in"
            " (select content_hash from still_there)"
        )
        target.execute("drop table still_there")
    # Its load_id is not that of its writing: it is copied as a whole.
    target.execute(f"delete from raw.{RELEASED}")
    _copy(source, f"select * from raw.{RELEASED}", target, f"raw.{RELEASED}", file)


def _copy(
    source: duckdb.DuckDBPyConnection, rows: str, target: _Connection, table: str, file: Path
) -> int:
    """Copy the rows of a DuckDB query to a table of the server; return how many."""
    [(count,)] = source.execute(
        rf"copy ({rows}) to {literal(str(file))}"
        r" (format csv, header false, force_quote *, nullstr '\N')"
    ).fetchall()
    if count:
        with file.open("rb") as stream:
            try:
                target.raw.cursor().copy_expert(f"copy {table} from stdin ({CSV})", stream)
            except psycopg2.DataError as error:
                raise JourneyGapsError(
                    f"PostgreSQL does not take a row of {table}: {' '.join(str(error).split())}"
                ) from error
    return int(count)


def _columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Names of a relation's columns and their DuckDB types, in order.

    Raises JourneyGapsError for a type that no mart has.
    """
    columns = {}
    for name, kind, precision, scale in connection.execute(
        "select column_name, data_type, numeric_precision, numeric_scale"
        " from information_schema.columns"
        f" where table_schema = {literal(schema)} and table_name = {literal(table)}"
        " order by ordinal_position"
    ).fetchall():
        if kind == "numeric" and precision is not None:
            columns[name] = f"DECIMAL({precision},{scale})"
        elif kind in DUCKDB_TYPES:
            columns[name] = DUCKDB_TYPES[kind]
        else:
            raise JourneyGapsError(f"{schema}.{table}.{name} has type {kind}: cannot be published")
    return columns


def _views(connection: Connection) -> list[str]:
    rows = connection.execute(
        "select table_name from information_schema.views"
        f" where table_schema = '{PUBLISHED}' order by table_name"
    ).fetchall()
    return [name for (name,) in rows]


def _readers(connection: Connection) -> str:
    """Who has a view of the published schema open."""
    rows = connection.execute(
        "select distinct activity.pid, activity.application_name, activity.state"
        " from pg_locks as locks"
        " inner join pg_class as relations on locks.relation = relations.oid"
        " inner join pg_stat_activity as activity on locks.pid = activity.pid"
        f" where relations.relnamespace = '{PUBLISHED}'::regnamespace"
        " and activity.pid <> pg_backend_pid() order by 1"
    ).fetchall()
    return "; ".join(
        f"process {pid} ({name or 'unnamed'}, {state or 'hidden'})" for pid, name, state in rows
    )


def _schema_of(publication_id: str) -> str:
    """A publication's schema: ids begin with their time, so names sort by age."""
    return "publication_" + re.sub(r"[^a-z0-9]", "_", publication_id.lower())

"""Spark: files land in DuckDB, which judges them; the cluster receives raw and quarantine.

A Thrift server (Spark's own HiveThriftServer2) is the door, with a metastore behind it. Rows do
not pass through it but as Parquet files, through a staging place that Spark reads and writes
too. Inside Spark readers find the views of database `published`; each publication has a
database of its own behind them.

Spark's tables of Parquet files know no transactions. What each method does instead stands there.
"""

# ruff: noqa: S608 - names come from our tables, texts pass through spark_literal()

import hashlib
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import duckdb
from filelock import FileLock

from orchestration.errors import JourneyGapsError
from orchestration.quoting import literal, quoted
from orchestration.settings import PUBLICATIONS_KEPT, Settings
from orchestration.warehouse.base import MartReader, WarehouseBusyError
from orchestration.warehouse.spark_receiving import receive
from orchestration.warehouse.spark_session import (
    SESSION,
    SESSIONS,
    SparkConnection,
    SparkServer,
    SparkStatementError,
    properties_sql,
    spark_literal,
)
from orchestration.warehouse.staging import StagedFolder, Staging

PUBLISHED = "published"
LOCK = "journey_gaps_lock"

# As our own sessions, but for how names are quoted.
DIALECT_SESSION = {**SESSION, "spark.sql.ansi.doubleQuotedIdentifiers": "false"}

DUCKDB_TYPES = {
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "double": "DOUBLE",
    "int": "INTEGER",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "timestamp_ntz": "TIMESTAMP",
}


def spark_warehouse(settings: Settings) -> "SparkWarehouse":
    """The warehouse behind the Thrift server that the settings name; nothing is opened yet."""
    password = settings.spark_password
    server = SparkServer(
        settings.spark_host,
        settings.spark_port,
        user=settings.spark_user,
        auth=settings.spark_auth,
        password=password.get_secret_value() if password is not None else None,
        kerberos_service_name=settings.spark_kerberos_service_name,
    )
    owner = hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]
    staging = Staging(settings.spark_staging_place, owner)
    return SparkWarehouse(server, staging, settings.publications_kept, settings.memory_limit)


@dataclass(frozen=True)
class SparkWarehouse:
    """The metastore behind a Thrift server, and a place that files pass through.

    `publications_kept` is how many publications keep their database, two at least: readers may
    still have the one before open.
    """

    server: SparkServer
    staging: Staging
    publications_kept: int = PUBLICATIONS_KEPT
    memory_limit: str | None = None

    @property
    def name(self) -> str:
        """The server, without user or password."""
        return str(self.server)

    @property
    def sqlalchemy(self) -> tuple[str, Mapping[str, Any]]:
        """PyHive's dialect, which quotes names its own way; all else travels beside the URL."""
        return "hive://", self.server.connect_args(DIALECT_SESSION)

    @property
    def sessions(self) -> int:
        """Some: a query waits for its planning longer than for its rows, where those are few."""
        return SESSIONS

    def connect(self) -> AbstractContextManager[SparkConnection]:
        """Open a session. It may write: Spark knows no session that may not."""
        return self.server.session()

    def claim(self, run_id: str) -> "_Claim":
        """Take the metastore for a run, against runs of other machines or homes.

        The claim is a database: of two that create it at once the metastore lets one. Its
        properties say who has it. Where that was a process of this machine that is no more, the
        claim is taken over. Close what is returned to give it back. Raises WarehouseBusyError
        with the holder, and how to end the claim of one that died on another machine.
        """
        claim = _Claim(self.server, uuid4().hex)
        with self.server.session() as connection:
            while not claim.take(connection, run_id):
                try:
                    holder = connection.properties(LOCK)
                except SparkStatementError as error:
                    if error.condition == "SCHEMA_NOT_FOUND":
                        continue  # given back just now
                    raise
                if not _is_dead(holder):
                    raise WarehouseBusyError(
                        f"journey-gaps run {holder.get('run', '?')} (pid {holder.get('pid', '?')} "
                        f"on {holder.get('host', '?')}, since {holder.get('since', '?')}; if it "
                        f"died there: drop database {LOCK})"
                    )
                _bury(connection, holder)
        return claim

    def receive(self, landing: Path) -> None:
        """Write the partitions anew whose rows are others than in the landing file.

        What broke off is repeated by the next call: orchestration/warehouse/spark_receiving.py.
        Raises JourneyGapsError where the metastore was filled from another landing file.
        """
        receive(self.server, self.staging, landing)

    @contextmanager
    def reader(self, connection: duckdb.DuckDBPyConnection, work_dir: Path) -> Iterator[MartReader]:
        """Have Spark write every mart as Parquet, a few at once, when the first is asked for.

        They are not of one snapshot: nobody else builds them while a run has the claim.
        """
        with self.staging.folder() as folder:
            kinds: dict[str, dict[str, str]] = {}

            def export(session: SparkConnection, mart: str) -> dict[str, str]:
                session.execute(
                    f"insert overwrite directory {spark_literal(f'{folder.uri}/{mart}')}"
                    f" using parquet select * from marts.{quoted(mart)}"
                )
                return session.columns("marts", mart)

            def read(mart: str) -> str:
                if not kinds:
                    with self.server.session() as session:
                        marts = session.tables("marts")
                    kinds.update(zip(marts, self.server.each(marts, export), strict=True))
                return _taken(connection, folder, mart, kinds[mart], work_dir)

            yield read

    @contextmanager
    def publishing(self, publication_id: str, marts: Sequence[str]) -> Iterator[object]:
        """Write and count a new database's tables; after the block, point the views to them.

        Spark replaces one view at a time. For the seconds that this takes, and where it breaks
        off until the next publication, some views show this one and some the one before; a
        single view is always whole. An exception inside the block leaves all as they were.
        """
        schema = _schema_of(publication_id)
        with self.server.session() as session:
            # Of one that broke off: it was never shown.
            session.execute(f"drop database if exists {schema} cascade")
            session.execute(f"create database {schema}")
            try:
                self._write(session, schema, marts)
                yield session
            except BaseException:
                with suppress(JourneyGapsError):
                    session.execute(f"drop database if exists {schema} cascade")
                raise
            self._show(session, schema, marts)
            self._drop_old(session, keep=schema)

    @contextmanager
    def republishing(self, publication_id: str, marts: Sequence[str]) -> Iterator[object]:
        """After the block, point the views back to a database that is still there."""
        schema = _schema_of(publication_id)
        with self.server.session() as session:
            if missing := sorted(set(marts) - set(session.tables(schema))):
                raise JourneyGapsError(
                    f"{self.name} no longer has publication {publication_id} (database {schema} "
                    f"is without {', '.join(missing)}): it keeps the newest "
                    f"{self.publications_kept}"
                )
            yield session
            self._show(session, schema, marts)

    @contextmanager
    def dropping(self, schemas: Sequence[str]) -> Iterator[object]:
        """Drop databases, with all that is in them, after the block.

        What breaks off is done by dropping them again.
        """
        with self.server.session() as session:
            yield session
            for schema in schemas:
                session.execute(f"drop database if exists {quoted(schema)} cascade")

    def shown(self) -> str | None:
        """The database of the publication that the views show, None before the first."""
        with self.server.session() as session:
            for view in session.views(PUBLISHED):
                rows = session.execute(f"show create table {PUBLISHED}.{quoted(view)}").fetchall()
                if found := re.search(r"from (publication_\w+)\.", str(rows[0][0])):
                    return found[1]
        return None

    def _write(self, session: SparkConnection, schema: str, marts: Sequence[str]) -> None:
        """Copy the marts; raise JourneyGapsError where a copy has another number of rows."""
        self.server.each(
            [
                f"create table {schema}.{quoted(mart)} using parquet as"
                f" select * from marts.{quoted(mart)}"
                for mart in marts
            ],
            SparkConnection.execute,
        )
        counts = (
            f"select '{mart}', '{place}', count(*) from {place}.{quoted(mart)}"
            for mart in marts
            for place in ("marts", schema)
        )
        rows: dict[str, set[int]] = {}
        for mart, _, count in session.execute(" union all ".join(counts)).fetchall():
            rows.setdefault(mart, set()).add(count)
        if wrong := sorted(mart for mart, found in rows.items() if len(found) > 1):
            raise JourneyGapsError(
                f"{self.name}: the copies of {', '.join(wrong)} in {schema} have other numbers "
                "of rows than the marts: does anybody else build them? Run again."
            )

    def _show(self, session: SparkConnection, schema: str, marts: Sequence[str]) -> None:
        """Point every view to its table; views of marts that are no longer published go."""
        session.execute(f"create database if not exists {PUBLISHED}")
        old = [view for view in session.views(PUBLISHED) if view not in marts]
        statements = [
            # Not quoted: sessions of others read quotes another way.
            f"create or replace view {PUBLISHED}.{mart} as select * from {schema}.{mart}"
            for mart in marts
        ]
        statements += [f"drop view if exists {PUBLISHED}.{quoted(view)}" for view in old]
        try:
            self.server.each(statements, SparkConnection.execute)
        except JourneyGapsError as error:
            raise JourneyGapsError(
                f"{error}. The views of {PUBLISHED} show two publications until the next run, or "
                "`journey-gaps rollback`, replaces all of them."
            ) from error

    def _drop_old(self, session: SparkConnection, keep: str) -> None:
        """Drop the publications beyond those that are kept; ids begin with their time."""
        older = [name for name in session.databases("publication_*") if name != keep]
        for schema in sorted(older, reverse=True)[self.publications_kept - 1 :]:
            session.execute(f"drop database if exists {schema} cascade")


@dataclass(frozen=True)
class _Claim:
    """A run's claim of the metastore; `claim_id` tells it from any other."""

    server: SparkServer
    claim_id: str

    def take(self, connection: SparkConnection, run_id: str) -> bool:
        """Whether nobody had it."""
        properties = {
            # Not called a token: Spark does not show those.
            "claim_id": self.claim_id,
            "run": run_id,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        try:
            connection.execute(f"create database {LOCK} with {properties_sql(properties)}")
        except SparkStatementError as error:
            if error.condition == "SCHEMA_ALREADY_EXISTS":
                return False
            raise
        return True

    def close(self) -> None:
        """Give it back, where it was not ended by hand and taken by another meanwhile."""
        with self.server.session() as connection:
            _release(connection, self.claim_id)


def _release(connection: SparkConnection, claim_id: str | None) -> None:
    try:
        if connection.properties(LOCK).get("claim_id") == claim_id:
            connection.execute(f"drop database if exists {LOCK}")
    except SparkStatementError as error:
        if error.condition != "SCHEMA_NOT_FOUND":
            raise


def _is_dead(holder: Mapping[str, str]) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    if holder.get("host") != socket.gethostname() or not holder.get("pid", "").isdigit():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _bury(connection: SparkConnection, holder: Mapping[str, str]) -> None:
    """End the claim of a dead process of this machine, but never the one that came after it."""
    with FileLock(Path(gettempdir()) / f"{LOCK}.lock"):
        _release(connection, holder.get("claim_id"))


def _taken(
    connection: duckdb.DuckDBPyConnection,
    folder: StagedFolder,
    table: str,
    kinds: Mapping[str, str],
    work_dir: Path,
) -> str:
    """A table that Spark has written, with Spark's types, as a temporary one of DuckDB.

    Its types are those that the other engines publish.
    """
    columns = {name: _duckdb_type(f"{table}.{name}", kind) for name, kind in kinds.items()}
    files = folder.fetch(table, work_dir)
    relation = quoted(f"{table}_parquet")
    if files:
        # Parquet of Spark has times with a zone, which DuckDB gives as such.
        values = ", ".join(
            f"timezone('UTC', {quoted(name)}::timestamptz)::timestamp as {quoted(name)}"
            if kind == "TIMESTAMP"
            else f"{quoted(name)}::{kind} as {quoted(name)}"
            for name, kind in columns.items()
        )
        rows = f"select {values} from read_parquet([{', '.join(literal(str(f)) for f in files)}])"
    else:
        nothing = ", ".join(f"null::{kind} as {quoted(name)}" for name, kind in columns.items())
        rows = f"select {nothing} where false"
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"create or replace temp table {relation} as {rows}")
    folder.discard(table)
    return relation


def _duckdb_type(column: str, kind: str) -> str:
    if kind in DUCKDB_TYPES:
        return DUCKDB_TYPES[kind]
    if re.fullmatch(r"decimal\(\d+,\d+\)", kind):
        return kind.upper()
    raise JourneyGapsError(f"{column} has type {kind}: cannot be published")


def _schema_of(publication_id: str) -> str:
    """A publication's database: ids begin with their time, so names sort by age."""
    return "publication_" + re.sub(r"[^a-z0-9]", "_", publication_id.lower())

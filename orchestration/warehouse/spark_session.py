"""A session of Spark's Thrift server: portable SQL in, rows of Python's own types out.

Importing this module needs PyHive, which the extra `spark` brings: import it late.
"""

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from queue import SimpleQueue
from typing import Any, TypeVar

from orchestration.errors import JourneyGapsError
from orchestration.quoting import literal, quoted

try:
    from pyhive import exc, hive  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from thrift.Thrift import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        TException,
    )
except ImportError as error:
    raise JourneyGapsError(
        "Spark is reached by PyHive, which is not installed: `make spark` or "
        "`pip install 'journey-gaps[spark]'`"
    ) from error

Item = TypeVar("Item")
Result = TypeVar("Result")

# Spark as the other engines are: names in double quotes, errors instead of nulls, times in UTC.
SESSION = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.session.timeZone": "UTC",
    # Its default, INT96, is deprecated and has no statistics.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # INSERT OVERWRITE replaces the partitions that it brings, and no others.
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
}
# Without it the server takes a setting for one of Hive's, and leaves Spark's as it was.
SETTING_PREFIX = "set:hiveconf:"
ROWS_AT_ONCE = 10_000
# Statements at once: many are small, and wait for the metastore and for planning.
SESSIONS = 4


class SparkStatementError(JourneyGapsError):
    """Spark refused a statement; `condition` is its name for why, such as SCHEMA_NOT_FOUND."""

    def __init__(self, message: str, condition: str = "") -> None:
        """Say what Spark said."""
        self.condition = condition
        super().__init__(message)


@dataclass(frozen=True)
class SparkServer:
    """Where a Thrift server is and who asks it, as dbt-spark's method `thrift` knows it.

    `auth` is NONE, NOSASL, LDAP, CUSTOM or KERBEROS; `password` belongs to LDAP and CUSTOM,
    `kerberos_service_name` to KERBEROS.
    """

    host: str
    port: int
    user: str | None = None
    auth: str | None = None
    password: str | None = None
    kerberos_service_name: str | None = None

    def __str__(self) -> str:
        """For messages: without user or password."""
        return f"Spark at {self.host}:{self.port}"

    def connect_args(self, session: Mapping[str, str]) -> dict[str, Any]:
        """What PyHive connects with, for a session with these settings of Spark."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "auth": self.auth,
            "password": self.password,
            "kerberos_service_name": self.kerberos_service_name,
            "configuration": {f"{SETTING_PREFIX}{name}": text for name, text in session.items()},
        }

    @contextmanager
    def session(self) -> Iterator["SparkConnection"]:
        """Open a session, and close it. Raises JourneyGapsError where the server is not there."""
        try:
            # PyHive writes every address that does not answer to its log, and hides why.
            socket.create_connection((self.host, self.port), timeout=30).close()
            raw = hive.connect(**self.connect_args(SESSION))
        except (OSError, TException, exc.Error, ValueError, NotImplementedError) as error:
            raise JourneyGapsError(
                f"{self} cannot be opened: {_said(error)}. Name its Thrift server by --spark-host "
                "and --spark-port (JOURNEY_GAPS_SPARK_HOST, JOURNEY_GAPS_SPARK_PORT), and what "
                "it asks for by JOURNEY_GAPS_SPARK_USER, JOURNEY_GAPS_SPARK_AUTH and "
                "JOURNEY_GAPS_SPARK_PASSWORD."
            ) from error
        try:
            yield SparkConnection(raw, str(self))
        finally:
            # The server closes it where it is gone.
            with suppress(OSError, TException, exc.Error):
                raw.close()

    def each(
        self, items: Iterable[Item], work: "Callable[[SparkConnection, Item], Result]"
    ) -> list[Result]:
        """Do the work of every item in a few sessions at once; results in the items' order.

        The first error is raised once the works that have begun are done; the rest is not begun.
        """
        given = list(items)
        free: SimpleQueue[SparkConnection] = SimpleQueue()

        def with_session(item: Item) -> Result:
            connection = free.get()
            try:
                return work(connection, item)
            finally:
                free.put(connection)

        with ExitStack() as stack:
            sessions = min(SESSIONS, len(given))
            for _ in range(sessions):
                free.put(stack.enter_context(self.session()))
            pool = stack.enter_context(ThreadPoolExecutor(sessions or 1))
            # Before the pool waits for what was not begun yet.
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            return list(pool.map(with_session, given))


@dataclass(frozen=True)
class _Rows:
    """A result that has been read."""

    rows: list[tuple[Any, ...]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


@dataclass(frozen=True)
class SparkConnection:
    """An open session: `Connection` of orchestration/warehouse/base.py, and its catalog."""

    raw: Any
    name: str

    def execute(self, query: str, /) -> _Rows:
        """Run one statement and read its rows.

        Raises SparkStatementError where Spark refuses it, JourneyGapsError where it is gone.
        """
        cursor = self.raw.cursor(arraysize=ROWS_AT_ONCE)
        try:
            cursor.execute(query)
            if not cursor.description:
                return _Rows([])
            kinds = [kind for _, kind, *_ in cursor.description]
            rows = cursor.fetchall()
        except exc.Error as error:
            message, condition = _said(error), _condition(error)
            raise SparkStatementError(f"{self.name}: {message}", condition) from error
        except (OSError, TException) as error:
            raise JourneyGapsError(
                f"{self.name} was lost in the middle of a statement: {_said(error)}"
            ) from error
        finally:
            with suppress(OSError, TException, exc.Error):
                cursor.close()
        dates = [place for place, kind in enumerate(kinds) if kind == "DATE_TYPE"]
        return _Rows([_with_dates(row, dates) for row in rows] if dates else rows)

    def databases(self, pattern: str = "*") -> list[str]:
        """Names of databases, sorted; `*` in the pattern stands for any text."""
        found = self.execute(f"show databases like {spark_literal(pattern)}").fetchall()
        return sorted(name for (name,) in found)

    def tables(self, schema: str) -> list[str]:
        """Names of the tables and views of a database, sorted; empty where there is none."""
        return self._names(f"show tables in {quoted(schema)}")

    def views(self, schema: str) -> list[str]:
        """The same of its views alone."""
        return self._names(f"show views in {quoted(schema)}")

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """Names of a relation's columns and their Spark types, in order."""
        columns: dict[str, str] = {}
        for name, kind, _ in self.execute(
            f"describe table {quoted(schema)}.{quoted(table)}"
        ).fetchall():
            # Behind them stands how the table is partitioned.
            if not name or name.startswith("#"):
                break
            columns[name] = kind
        return columns

    def properties(self, schema: str) -> dict[str, str]:
        """The properties of a database. Raises SparkStatementError where there is none."""
        rows = dict(self.execute(f"describe database extended {quoted(schema)}").fetchall())
        # ((name,value), (name,value))
        said = str(rows.get("Properties") or "")
        return dict(re.findall(r"\(([^(),]+),([^()]*)\)", said))

    def _names(self, query: str) -> list[str]:
        try:
            found = self.execute(query).fetchall()
        except SparkStatementError as error:
            if error.condition == "SCHEMA_NOT_FOUND":
                return []
            raise
        return sorted(name for _, name, *_ in found)


def spark_literal(text: str) -> str:
    """A text as a string of Spark's SQL, in which a backslash escapes."""
    return literal(text.replace("\\", "\\\\"))


def properties_sql(properties: Mapping[str, object]) -> str:
    """The properties of a database in DDL; what they say has no bracket, as `properties` reads."""
    pairs = (
        f"{spark_literal(name)} = {spark_literal(re.sub('[()]', ' ', str(value)))}"
        for name, value in properties.items()
    )
    return f"dbproperties ({', '.join(pairs)})"


def _with_dates(row: Sequence[Any], places: Iterable[int]) -> tuple[Any, ...]:
    """PyHive gives a date as text."""
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = date.fromisoformat(values[place])
    return tuple(values)


def _said(error: BaseException) -> str:
    """What an error says, without the stack trace that Spark sends along."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    status = getattr(error.args[0], "status", None) if error.args else None
    text = str(getattr(status, "errorMessage", None) or error).strip() or type(error).__name__
    # `[CONDITION] org.apache…Exception: [CONDITION] what is wrong`, then where.
    found = re.search(r"\[[A-Z][A-Z0-9_.]+\] (?!(?:org|java)\.).*", text)
    return (found[0] if found else text.splitlines()[0]).rstrip(".")


def _condition(error: BaseException) -> str:
    found = re.search(r"\[([A-Z][A-Z_]+)[.\]]", str(error))
    return found[1] if found else ""

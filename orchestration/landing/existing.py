"""Tables that a warehouse already has, as sources: adopted by landing, never written to.

The setting `sources` names them (JSON)::

    [{"table": "events", "database": "crm.duckdb", "schema": "analytics", "name": "clicks",
      "columns": {"event_id": "id", "event_name": "action", "occurred_at": "at"}}]

`table` is a table of the contract; `schema` and `name` say which table feeds it. `database` is
a DuckDB file (default: the warehouse's own file), on PostgreSQL a database of the same server
(default: the one that the run writes). All keys of a source in landing.yml may stand beside
them, but `files`. A table whose content has been adopted with the same mapping is skipped;
otherwise its rows pass the contract as those of a file do.
"""

# ruff: noqa: S608 - names pass through quoted(), texts through literal()

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from pydantic import ValidationError

from orchestration.errors import InputError, Problem
from orchestration.landing.mapping import Source, contradictions
from orchestration.landing.places import Listing
from orchestration.landing.readers import RejectedFileError, text_of
from orchestration.quoting import literal, quoted

SETTING = "JOURNEY_GAPS_SOURCES"
# What landing and the models write themselves.
_OURS = ("raw", "quarantine", "journey_map", "staging", "intermediate", "marts", "published")


@dataclass(frozen=True)
class Relation:
    """Where a table is; `database` None: in the warehouse itself."""

    database: str | None
    schema: str
    name: str

    def __str__(self) -> str:
        """As messages and raw.loads call it."""
        place = f"{self.schema}.{self.name}"
        return place if self.database is None else f"{self.database}:{place}"


@dataclass(frozen=True)
class ExistingTables:
    """The sources that are tables; `is_postgres` says in which engine they are."""

    relations: Mapping[str, Relation]
    sources: tuple[Source, ...]
    is_postgres: bool = False

    def exporting(self, connection: duckdb.DuckDBPyConnection, work_dir: Path) -> "_Exports":
        """The tables as a place of files; `connection` is the warehouse's."""
        return _Exports(self, connection, work_dir)


def existing_tables(entries: Sequence[Mapping[str, Any]], *, is_postgres: bool) -> ExistingTables:
    """Read the setting. Raises InputError with everything that is wrong with it."""
    problems: list[Problem] = []
    relations: dict[str, Relation] = {}
    sources: list[Source] = []
    for number, entry in enumerate(entries, start=1):
        where = f"{SETTING}, entry {number}"
        given = dict(entry)
        place = [given.pop(key, None) for key in ("database", "schema", "name")]
        missing = [
            key
            for key, value in zip(("schema", "name"), place[1:], strict=True)
            if not isinstance(value, str) or not value
        ]
        if missing or not isinstance(place[0], str | None):
            keys = missing or ["database"]
            problems += [Problem(where, "must be a text", column=key) for key in keys]
            continue
        relation = Relation(*place)
        if relation.database is None and relation.schema.lower() in _OURS:
            message = f"schema {relation.schema} is written by journey-gaps itself"
            problems.append(Problem(where, message, column="schema"))
            continue
        try:
            source = Source.model_validate(
                {**given, "name": f"table {relation}", "files": str(relation)}
            )
        except ValidationError as error:
            problems += [
                Problem(where, detail["msg"], column=".".join(map(str, detail["loc"])))
                for detail in error.errors()
            ]
            continue
        problems += [
            Problem(where, message, column=".".join(key))
            for key, message in contradictions(source)
            if key != ("files",)
        ]
        if str(relation) in relations:
            problems.append(Problem(where, f"{relation} is named twice"))
        relations[str(relation)] = relation
        sources.append(source)
    if problems:
        raise InputError("The tables to adopt cannot be used.", problems)
    return ExistingTables(relations, tuple(sources), is_postgres)


@dataclass(frozen=True)
class _Exports:
    """A place whose files are tables, written to `work_dir` when they are asked for."""

    tables: ExistingTables
    connection: duckdb.DuckDBPyConnection
    work_dir: Path

    def fetch(self, name: str) -> Path:
        """Write the table, its rows in an order of their own, so that equal content is equal."""
        relation = self.tables.relations[name]
        if self.tables.is_postgres:
            return _from_postgres(relation, self.work_dir / "existing.csv")
        return _from_duckdb(self.connection, relation, self.work_dir / "existing.parquet")

    @property
    def name(self) -> str:
        """The setting that names them."""
        return SETTING

    def listing(self) -> Listing:
        """Nothing is found: the setting names every table."""
        return Listing({})

    def known_sha256(self, name: str) -> str | None:  # noqa: ARG002 (part of the protocol)
        """None: a table has no version."""
        return None

    def remember(self, name: str, sha256: str) -> None:
        """Nothing is kept."""


def _from_duckdb(connection: duckdb.DuckDBPyConnection, relation: Relation, file: Path) -> Path:
    catalog = ""
    try:
        if relation.database is not None:
            path = Path(relation.database).expanduser().resolve()
            if not path.is_file():
                raise RejectedFileError(
                    f"there is no DuckDB file {path}", remedy=f"correct database in {SETTING}"
                )
            connection.execute(f"attach {literal(str(path))} as existing (read_only)")
            catalog = "existing."
        [(current,)] = connection.execute("select current_database()").fetchall()
        found = connection.execute(
            "select column_name, data_type from duckdb_columns()"
            " where database_name = ? and schema_name = ? and table_name = ? order by column_index",
            ["existing" if catalog else current, relation.schema, relation.name],
        ).fetchall()
        columns = _columns(relation, found)
        texts = ", ".join(
            f"{text_of(quoted(name), kind)} as {quoted(name)}" for name, kind in columns.items()
        )
        table = f"{catalog}{quoted(relation.schema)}.{quoted(relation.name)}"
        connection.execute(
            f"copy (select {texts} from {table} order by all)"
            f" to {literal(str(file))} (format parquet)"
        )
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise RejectedFileError(
            f"cannot be read: {str(error).splitlines()[0]}",
            remedy="close the program that has it open, or grant reading it",
        ) from error
    finally:
        connection.execute("detach database if exists existing")
    return file


def _from_postgres(relation: Relation, file: Path) -> Path:
    import psycopg2

    try:
        with closing(
            # Without a name libpq takes PGDATABASE, the one that the run writes.
            psycopg2.connect("", dbname=relation.database, application_name="journey-gaps")
        ) as server:
            server.set_session(readonly=True)
            cursor = server.cursor()
            cursor.execute(
                "select attname, format_type(atttypid, atttypmod) from pg_attribute"
                " inner join pg_class on pg_attribute.attrelid = pg_class.oid"
                " inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid"
                " where nspname = %s and relname = %s and attnum > 0 and not attisdropped"
                " order by attnum",
                (relation.schema, relation.name),
            )
            columns = _columns(relation, cursor.fetchall())
            texts = ", ".join(f"{quoted(name)}::text as {quoted(name)}" for name in columns)
            order = ", ".join(str(number) for number, _ in enumerate(columns, start=1))
            table = f"{quoted(relation.schema)}.{quoted(relation.name)}"
            with file.open("wb") as sink:
                cursor.copy_expert(
                    f"copy (select {texts} from {table} order by {order})"
                    " to stdout (format csv, header, force_quote *)",
                    sink,
                )
    except psycopg2.Error as error:
        raise RejectedFileError(
            f"cannot be read: {' '.join(str(error).split())}",
            remedy="correct database, schema and name, or grant reading it",
        ) from error
    return file


def _columns(relation: Relation, found: Iterable[tuple[str, str]]) -> dict[str, str]:
    columns = dict(found)
    if not columns:
        raise RejectedFileError(
            f"there is no table or view {relation.name} in schema {relation.schema}",
            remedy=f"correct schema and name in {SETTING}: they are read as they are written",
        )
    return columns

"""The warehouse without a person: a new file with what remains, put in the old one's place.

Deleted rows stay in the free blocks of a DuckDB file. So nothing is deleted: what remains of the
schemas raw and quarantine is copied to a new file, which has never held the person. All that
dbt builds is left behind, and built anew from there by the next run.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb

from orchestration.landing.contract import (
    CONTRACT,
    ENTITY_COLUMNS,
    Table,
    Type,
    create_tables_sql,
)
from orchestration.landing.people import Ids, Needles, among, id_columns
from orchestration.publish.publication import sync
from orchestration.quoting import literal, quoted

REASON = "forgotten"


def theirs_sql(table: Table, ids: Ids) -> str:
    """SQL over a raw table: whether a row is the person's."""
    tests = [among(quoted(name), ids.get(name, frozenset())) for name in id_columns(table)]
    return f"({' or '.join(tests) or 'false'})"


def quarantined_sql(table: Table, ids: Ids, needles: Needles) -> str:
    """SQL over a quarantine table: whether a row's content names the person anywhere.

    In a line that could not be read, a customer's id counts however short it is.
    """
    line = "json_extract_string(content, '$.line')"
    customers = Needles(tuple(sorted(ids["customer_id"])))
    tests = [
        among(f"json_extract_string(content, '$.{name}')", ids.get(name, frozenset()))
        for name in id_columns(table)
    ]
    tests += [customers.found_sql(line)]
    tests += [needles.found_sql(name) for name in ("content", "row_id", "reason")]
    return f"({' or '.join(tests)})"


def withdrawn_sql(ids: Ids, needles: Needles) -> str:
    """SQL over raw.withdrawn_rows: whether a row is the person's."""
    tests = [among(name, ids.get(name, frozenset())) for name in ENTITY_COLUMNS]
    return f"({' or '.join(tests)} or {needles.found_sql('row_id')})"


def conditions(ids: Ids, needles: Needles) -> Iterator[tuple[str, str]]:
    """Each table with rows of people, schema and name, and which rows are the person's."""
    for table in CONTRACT.values():
        yield f"raw.{table.name}", theirs_sql(table, ids)
    yield "raw.withdrawn_rows", withdrawn_sql(ids, needles)
    for table in CONTRACT.values():
        yield f"quarantine.{table.name}", quarantined_sql(table, ids, needles)


def count_rows(connection: duckdb.DuckDBPyConnection, ids: Ids, needles: Needles) -> dict[str, int]:
    """Rows of the person by table, and those of others that mention them (`… mentioned`)."""
    counts = {}
    for table, condition in conditions(ids, needles):
        counts[table] = _number(connection, f"select count(*) from {table} where {condition}")
    for contract in CONTRACT.values():
        if mentions := _mentions(contract, needles):
            table = f"raw.{contract.name}"
            counts[f"{table}, mentioned"] = _number(
                connection,
                f"select count(*) from {table}"
                f" where not {theirs_sql(contract, ids)} and ({mentions})",
            )
    return counts


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _texts(table: Table) -> list[str]:
    """The columns in which a row of somebody else may speak of the person."""
    ids = {*id_columns(table), *table.id_columns}
    return [
        column.name
        for column in table.columns
        if column.type in (Type.TEXT, Type.JSON) and column.name not in ids and not column.choices
    ]


def _mentions(table: Table, needles: Needles) -> str:
    return " or ".join(needles.found_sql(quoted(name)) for name in _texts(table) if needles)


def rewrite(warehouse: Path, ids: Ids, needles: Needles, adopted: Collection[str] = ()) -> None:
    """Put a new warehouse file without the person in the place of the old one.

    Rows of others that mention them keep their content_hash, with `[forgotten]` in the text:
    the file that they came from still counts as landed. `raw.released_rows` says how many rows
    left, by table and load of origin. Tables of the schemas `adopted` are their owner's and stay
    as they are; all other schemas are left behind. Breaking off leaves the old file.
    """
    draft = warehouse.with_name("warehouse.forgetting.duckdb")
    for leftover in (draft, Path(f"{draft}.wal")):
        leftover.unlink(missing_ok=True)
    with closing(duckdb.connect(warehouse)) as connection:
        for statement in create_tables_sql():
            connection.execute(statement)
        connection.execute("force checkpoint")
    with closing(duckdb.connect()) as connection:
        connection.execute(f"attach {literal(str(warehouse))} as old (read_only)")
        connection.execute(f"attach {literal(str(draft))} as new")
        _copy(connection, ids, needles, sorted({"raw", "quarantine", *adopted}))
        connection.execute("use memory")
        connection.execute("detach old")
        connection.execute("checkpoint new")
        connection.execute("detach new")
    sync(draft)
    Path(f"{warehouse}.wal").unlink(missing_ok=True)
    draft.replace(warehouse)
    sync(warehouse.parent)


def _copy(
    connection: duckdb.DuckDBPyConnection, ids: Ids, needles: Needles, schemas: Sequence[str]
) -> None:
    theirs = dict(conditions(ids, needles))
    for schema in schemas:
        connection.execute(f"create schema if not exists new.{quoted(schema)}")
    kept = connection.execute(
        "select schema_name, table_name, sql from duckdb_tables()"
        " where database_name = 'old'"
        f" and schema_name in ({', '.join(map(literal, schemas))}) order by all"
    ).fetchall()
    connection.execute("use new")
    for schema, name, definition in kept:
        table = f"{quoted(schema)}.{quoted(name)}"
        connection.execute(definition.replace("CREATE TABLE old.", "CREATE TABLE ", 1))
        columns = "*"
        if (
            schema in ("raw", "quarantine")
            and needles
            and (texts := _redactable(connection, schema, name))
        ):
            redacted = (f"{needles.redacted_sql(text)} as {text}" for text in texts)
            columns = f"* replace ({', '.join(redacted)})"
        condition = theirs.get(f"{schema}.{name}", "false")
        connection.execute(
            f"insert into {table} select {columns} from old.{table}"
            f" where not {condition} order by rowid"
        )
    for name, condition in theirs.items():
        schema, _, table = name.partition(".")
        if table in CONTRACT:
            connection.execute(
                "insert into raw.released_rows"
                f" select {literal(table)}, load_id, now() at time zone 'UTC',"
                f" {literal(REASON)}, count(*) from old.{schema}.{table}"
                f" where {condition} group by load_id order by load_id"
            )


def _redactable(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[str]:
    """Columns of a table, quoted, whose text may mention somebody: a file's name may, too."""
    contract = CONTRACT.get(name) if schema == "raw" else None
    if contract is not None:
        return [quoted(text) for text in (*_texts(contract), "source_file")]
    return [
        quoted(column)
        for (column,) in connection.execute(
            "select column_name from duckdb_columns() where database_name = 'old'"
            f" and schema_name = {literal(schema)} and table_name = {literal(name)}"
            " and data_type = 'VARCHAR' order by column_index"
        ).fetchall()
        if column not in _NEVER_TEXT
    ]


# Hashes and names of ours.
_NEVER_TEXT = {"content_hash", "file_sha256", "mapping_sha256", "table_name", *ENTITY_COLUMNS}

"""Move judged rows to their place: raw, quarantine, or nowhere if they are exact duplicates."""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from orchestration.errors import Problem
from orchestration.landing.contract import (
    CONFLICT_REASON,
    ENTITY_COLUMNS,
    Kind,
    Table,
    content_sql,
)
from orchestration.landing.headers import Header
from orchestration.landing.mapping import Source
from orchestration.landing.result import FileResult, Status
from orchestration.quoting import literal, quoted

# Quarantined rows of a file that its result names; all of them are in the quarantine tables.
_PROBLEMS_SHOWN = 10


@dataclass
class Entry:
    """One file for one source, as it goes through a load; its index numbers its rows."""

    source: Source
    file: str
    sha256: str | None
    status: Status
    notes: list[str]
    problems: tuple[Problem, ...] = ()
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    header: Header | None = None
    schema_change: str | None = None
    mapping_sha256: str | None = None  # default: the source's

    def result(self) -> FileResult:
        """What became of the file, once its rows are placed."""
        return FileResult(
            self.source.name,
            self.source.table,
            self.file,
            self.status,
            *self.counts,
            message="; ".join(self.notes),
            problems=self.problems,
            schema_change=self.schema_change,
        )


def incoming_rows(table: Table) -> str:
    """The temporary table with a load's judged rows of a table."""
    return f"incoming_{table.name}"


def next_load(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the next load: greater than any that a book mentions."""
    row = connection.execute(
        "select coalesce(max(load_id), 0) + 1 from ("
        "select load_id from raw.loads union all select load_id from raw.landing_sources)"
    ).fetchone()
    return int(row[0]) if row is not None else 1


def book(
    connection: duckdb.DuckDBPyConnection,
    entries: Sequence[Entry],
    load_id: int,
    loaded_at: datetime,
) -> None:
    """Write a line of raw.loads for each file that was not skipped."""
    insert_rows(
        connection,
        "raw.loads",
        [
            (
                load_id,
                loaded_at,
                entry.source.table,
                entry.source.name,
                entry.file,
                entry.sha256,
                entry.mapping_sha256 or entry.source.sha256,
                *entry.counts,
                entry.status.value,
                "; ".join(entry.notes),
            )
            for entry in entries
            if entry.status is not Status.SKIPPED
        ],
    )


def insert_rows(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Append rows to a table."""
    if rows:
        values = ", ".join("?" * len(rows[0]))
        connection.executemany(f"insert into {table} values ({values})", rows)


def place_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    entries: Sequence[Entry],
    load_id: int,
    loaded_at: datetime,
) -> int:
    """Move the judged rows of `incoming_rows(table)` to raw and quarantine; count them.

    Returns how many rows of earlier loads were withdrawn from raw.
    """
    incoming = incoming_rows(table)
    lineage = f"{load_id}, {literal(str(loaded_at))}::timestamp"
    conflict = literal(CONFLICT_REASON)
    # Of equal rows the one that stands first in its file counts, whatever order they arrive in.
    first = "arg_min(rowid, event_seq)" if table.column("event_seq") else "min(rowid)"
    connection.execute(f"""
        create or replace temp table fresh as
        with contents as (
            select content_hash, {first} as first_row from {incoming} group by content_hash
        ),
        known as (
            select content_hash from raw.{table.name} semi join contents using (content_hash)
            union all
            select content_hash from quarantine.{table.name}
            semi join contents using (content_hash)
        )
        select first_row from contents anti join known using (content_hash)
    """)
    connection.execute(f"""
        create or replace temp table conflicts as
        with arrived as (
            select row_id from {incoming} where reason is null
            and rowid in (select first_row from fresh)
        )
        select row_id from arrived group by row_id having count(*) > 1
        union
        select row_id from (select {table.row_id} as row_id from raw.{table.name})
        semi join arrived using (row_id)
        union
        select row_id from quarantine.{table.name}
        semi join arrived using (row_id) where reason = {conflict}
    """)
    if table.kind is Kind.RECORD:
        connection.execute("delete from conflicts")
    withdrawn = _withdraw(connection, table, load_id, lineage)
    if table.column("event_seq"):
        connection.execute(f"""
            update raw.{table.name} as kept
            set event_seq = earlier.event_seq, source_file = earlier.source_file,
                source_line = earlier.source_line, load_id = {load_id},
                loaded_at = {literal(str(loaded_at))}::timestamp
            from (
                select content_hash, arg_min(struct_pack(event_seq, source_file, source_line),
                    event_seq) as earlier
                from {incoming} where reason is null group by content_hash
            ) as arrived
            where kept.content_hash = arrived.content_hash
                and kept.event_seq > arrived.earlier.event_seq
        """)
    connection.execute(f"""
        create or replace temp table verdicts as
        select incoming.entry, incoming.first_row, fresh.first_row is not null as is_fresh,
            coalesce(incoming.reason, case when conflicts.row_id is not null then {conflict} end)
                as reason
        from (select entry, row_id, reason, rowid as first_row from {incoming}) as incoming
        left join fresh using (first_row)
        left join conflicts on incoming.row_id = conflicts.row_id
    """)
    columns = ", ".join(quoted(column.name) for column in table.columns)
    connection.execute(f"""
        insert into raw.{table.name}
        select {columns}, content_hash, {lineage}, source_file, source_line
        from {incoming} where rowid in
            (select first_row from verdicts where is_fresh and reason is null)
    """)
    connection.execute(f"""
        insert into quarantine.{table.name}
        select row_id, verdicts.reason, coalesce("content", {content_sql(table)}), content_hash,
            {lineage}, source_file, source_line
        from {incoming} as incoming
        inner join verdicts on incoming.rowid = verdicts.first_row
        where verdicts.is_fresh and verdicts.reason is not null
    """)
    for entry, *counts in connection.execute("""
        select entry, count(*), count(*) filter (where is_fresh and reason is null),
            count(*) filter (where is_fresh and reason is not null),
            count(*) filter (where not is_fresh)
        from verdicts group by entry
    """).fetchall():
        entries[entry].counts = (counts[0], counts[1], counts[2], counts[3])
    for entry, line, reason in connection.execute(f"""
        select verdicts.entry, incoming.source_line, verdicts.reason
        from verdicts
        inner join {incoming} as incoming on incoming.rowid = verdicts.first_row
        where verdicts.is_fresh and verdicts.reason is not null
        qualify row_number() over (
            partition by verdicts.entry order by incoming.source_line
        ) <= {_PROBLEMS_SHOWN}
        order by verdicts.entry, incoming.source_line
    """).fetchall():
        entries[entry].problems += (Problem(entries[entry].file, reason, row=line),)
    return withdrawn


def _withdraw(
    connection: duckdb.DuckDBPyConnection, table: Table, load_id: int, lineage: str
) -> int:
    """Move rows of earlier loads whose id now has two contents to quarantine."""
    contradicted = f"{table.row_id} in (select row_id from conflicts)"
    rows = connection.execute(
        f"select count(*) from raw.{table.name} where {contradicted}"
    ).fetchone()
    if rows is None or rows[0] == 0:
        return 0
    connection.execute(f"""
        insert into quarantine.{table.name}
        select {table.row_id}, {literal(CONFLICT_REASON)}, {content_sql(table)}, content_hash,
            {lineage}, source_file, source_line
        from raw.{table.name} where {contradicted}
    """)
    entities = ", ".join(quoted(name) if table.column(name) else "null" for name in ENTITY_COLUMNS)
    connection.execute(f"""
        insert into raw.withdrawn_rows
        select {literal(table.name)}, {table.row_id}, {load_id}, {entities}
        from raw.{table.name} where {contradicted}
    """)
    connection.execute(f"delete from raw.{table.name} where {contradicted}")
    return int(rows[0])

"""Land raw files in the warehouse: type them, keep what holds, set aside the rest, count all.

`land` reads what is new, judges every row by the contract and then, in one transaction, moves
rows to their place: `raw.<table>`, `quarantine.<table>`, or nowhere if they are exact duplicates.
What the tables hold afterwards depends on what arrived, not on the order or the loads in which
it did: `reconcile` proves that no row is lost.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.errors import InputError, Problem
from orchestration.landing.contract import (
    CONFLICT_REASON,
    CONTRACT,
    ENTITY_COLUMNS,
    Kind,
    Table,
    content_sql,
    create_tables_sql,
    install_macros,
    judge_sql,
)
from orchestration.landing.mapping import Plan, Source, make_plan
from orchestration.landing.readers import (
    RejectedFileError,
    fingerprint,
    format_of,
    read,
    require_unchanged,
)
from orchestration.quoting import literal, quoted
from orchestration.warehouse.base import Connection

# Quarantined rows of a file that its result names; all of them are in the quarantine tables.
_PROBLEMS_SHOWN = 10


class Status(StrEnum):
    """What became of a file for one source."""

    LANDED = "landed"
    REJECTED = "rejected"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class FileResult:
    """What became of one file for one source.

    rows_in = rows_kept + rows_quarantined + rows_duplicate. `problems` holds why a file was
    rejected, or the first of its quarantined rows.
    """

    source: str
    table: str
    file: str
    status: Status
    rows_in: int = 0
    rows_kept: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    message: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class TableCounts:
    """Rows of one raw table: what came in, and where it went."""

    table: str
    rows_in: int
    rows_kept: int
    rows_quarantined: int
    rows_duplicate: int

    @property
    def difference(self) -> int:
        """Rows that are lost (positive) or in two places (negative); 0 unless something broke."""
        return self.rows_in - self.rows_kept - self.rows_quarantined - self.rows_duplicate


@dataclass(frozen=True)
class LandingResult:
    """What one call of `land` did.

    `load_id` is None where nothing was new. `unlisted` files are in the landing folder but not
    landed, `unmatched` globs of landing.yml have no file. `rows_withdrawn` counts, by table, the
    rows that an earlier load kept and that a conflicting one now sent to quarantine.
    """

    load_id: int | None
    loaded_at: datetime
    files: tuple[FileResult, ...]
    unlisted: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    rows_withdrawn: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> tuple[FileResult, ...]:
        """Files that could not be read; the others landed."""
        return tuple(file for file in self.files if file.status is Status.REJECTED)

    @property
    def totals(self) -> tuple[TableCounts, ...]:
        """Counts of this load by table, for the tables that a file landed in."""
        landed = [file for file in self.files if file.status is Status.LANDED]
        return tuple(
            TableCounts(
                table,
                sum(file.rows_in for file in landed if file.table == table),
                sum(file.rows_kept for file in landed if file.table == table),
                sum(file.rows_quarantined for file in landed if file.table == table),
                sum(file.rows_duplicate for file in landed if file.table == table),
            )
            for table in CONTRACT
            if any(file.table == table for file in landed)
        )


def land(
    warehouse: Path, landing_dir: Path, map_dir: Path, now: datetime | None = None
) -> LandingResult:
    """Land the new files of a folder in the DuckDB warehouse, which is created if it is absent.

    `landing.yml` is looked up in `landing_dir`, then in `map_dir` (see mapping.py); the landing
    folder is only read. `now` (UTC if it has no zone; default: the clock) becomes loaded_at:
    times more than five minutes later are refused. A file whose content has landed in a table
    with the same mapping before is skipped.

    Everything is written in one transaction: an error leaves the warehouse as it was. Raises
    InputError where the folder is missing, `landing.yml` is wrong or the warehouse cannot be
    opened. A file that cannot be read raises nothing: it is rejected in the result.
    """
    plan = make_plan(landing_dir, map_dir)
    loaded_at = _naive_utc(now or datetime.now(UTC))
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with (
        _open(warehouse) as connection,
        TemporaryDirectory(prefix=".landing-", dir=warehouse.parent) as work_dir,
    ):
        install_macros(connection)
        batch = _Batch(connection, landing_dir, Path(work_dir), loaded_at)
        for name, sources in plan.files.items():
            batch.stage(name, sources)
        connection.begin()
        try:
            result = _commit(connection, plan, batch, loaded_at)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    return result


def reconcile(connection: Connection) -> list[TableCounts]:
    """Count every raw table: rows of all loads against raw, quarantine and duplicates.

    A table whose `difference` is not 0 has lost rows or has them twice.
    """
    counts = []
    for table in CONTRACT:
        landed = f"from raw.loads where table_name = {literal(table)}"
        [row] = connection.execute(f"""
            select
                (select coalesce(sum(rows_in), 0)::bigint {landed}),
                (select count(*) from raw.{table}),
                (select count(*) from quarantine.{table}),
                (select coalesce(sum(rows_duplicate), 0)::bigint {landed})
        """).fetchall()
        counts.append(TableCounts(table, *row))
    return counts


def missing_tables(connection: Connection, required: Collection[str]) -> list[str]:
    """The tables among `required` that have no row and that no file has ever landed in."""
    landed = {
        name
        for (name,) in connection.execute(
            "select distinct table_name from raw.loads where status = 'landed'"
        ).fetchall()
    }

    def is_empty(table: str) -> bool:
        return not connection.execute(f"select 1 from raw.{table} limit 1").fetchall()

    return [
        table
        for table in required
        if table not in CONTRACT or (table not in landed and is_empty(table))
    ]


def _naive_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _open(warehouse: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(warehouse))
    except duckdb.Error as error:
        problem = Problem(
            str(warehouse),
            str(error).splitlines()[0],
            remedy="close the program that has it open; it must be a DuckDB file",
        )
        raise InputError("The warehouse cannot be opened.", [problem]) from error


@dataclass
class _Entry:
    """One file for one source, as it goes through a load; its index numbers its rows."""

    source: Source
    file: str
    sha256: str | None
    status: Status
    notes: list[str]
    problems: tuple[Problem, ...] = ()
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)

    def result(self) -> FileResult:
        return FileResult(
            self.source.name,
            self.source.table,
            self.file,
            self.status,
            *self.counts,
            message="; ".join(self.notes),
            problems=self.problems,
        )


class _Batch:
    """The new rows of a load in temporary tables, before the warehouse sees any of them."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        landing_dir: Path,
        work_dir: Path,
        loaded_at: datetime,
    ) -> None:
        self.entries: list[_Entry] = []
        self.tables: set[str] = set()
        self._connection = connection
        self._landing_dir = landing_dir
        self._work_dir = work_dir
        self._loaded_at = loaded_at
        self._landed = _landed_before(connection)

    def stage(self, name: str, sources: Sequence[Source]) -> None:
        """Read a file, unless all has landed before, and judge its rows for each source."""
        path = self._landing_dir / name
        sha256 = None
        new: Sequence[Source] = sources
        try:
            mark = fingerprint(path)
            sha256 = mark.sha256
            new = [source for source in sources if not self._is_known(source, sha256)]
            self.entries += [
                _Entry(source, name, sha256, Status.SKIPPED, ["this content has landed before"])
                for source in sources
                if source not in new
            ]
            if not new:
                return
            staged = read(self._connection, path, "landing_file", self._work_dir)
        except RejectedFileError as error:
            self._reject(name, new, sha256, error)
            return
        try:
            require_unchanged(path, mark)
        except RejectedFileError as error:
            self._reject(name, new, sha256, error)
        else:
            known = {source.sha256 for source in sources}
            for source in new:
                self._judge(name, source, sha256, staged.rows, staged.header, known)
        finally:
            staged.drop(self._connection)

    def _is_known(self, source: Source, sha256: str) -> bool:
        return source.sha256 in self._landed.get((sha256, source.table), set())

    def _reject(
        self, name: str, sources: Sequence[Source], sha256: str | None, error: RejectedFileError
    ) -> None:
        problem = error.problem(name)
        self.entries += [
            _Entry(source, name, sha256, Status.REJECTED, [str(problem)], (problem,))
            for source in sources
        ]

    def _judge(
        self,
        name: str,
        source: Source,
        sha256: str,
        rows: str,
        header: Mapping[str, str],
        current_mappings: Collection[str],
    ) -> None:
        table = CONTRACT[source.table]
        try:
            bound = source.bind(header, format_of(name) or "")
        except RejectedFileError as error:
            self._reject(name, [source], sha256, error)
            return
        notes = list(bound.notes)
        mappings = self._landed.setdefault((sha256, source.table), set())
        if mappings - set(current_mappings):
            notes.append(
                "this content has landed before with another mapping: "
                "rows that the new one changes are new contents of their ids"
            )
        mappings.add(source.sha256)
        judged = judge_sql(
            table,
            rows,
            header.values(),
            bound.texts,
            source.time_zone,
            self._loaded_at,
            bound.condition,
        )
        relation = _incoming(table)
        number = len(self.entries)
        tagged = (
            f"select *, {literal(name)} as source_file, {number} as entry from ({judged}) as judged"
        )
        if table.name in self.tables:
            self._connection.execute(f"insert into {relation} {tagged}")
        else:
            self._connection.execute(f"create temp table {relation} as {tagged}")
            self.tables.add(table.name)
        notes += self._left_out(table, rows, number)
        notes += self._dates_only(table, source, number)
        self.entries.append(_Entry(source, name, sha256, Status.LANDED, notes))

    def _left_out(self, table: Table, rows: str, number: int) -> list[str]:
        """Rows of the file that the source's filter leaves to others."""
        row = self._connection.execute(
            f"select (select count(*) from {rows} as rows)"
            f" - (select count(*) from {_incoming(table)} where entry = {number})"
        ).fetchone()
        left_out = row[0] if row is not None else 0
        return [f"{left_out:,} rows left out by present or where"] if left_out else []

    def _dates_only(self, table: Table, source: Source, number: int) -> list[str]:
        """Undeclared times that are all midnight: durations under a day would be made up."""
        names = [
            column.name
            for column in table.columns
            if column.type.sql == "TIMESTAMP" and column.name not in source.date_only
        ]
        zone = literal(source.time_zone)
        tests = ", ".join(
            f"count({name}) > 1 and bool_and(timezone({zone}, timezone('UTC', {name}))::time"
            f" = '00:00')"
            for name in map(quoted, names)
        )
        if not names:
            return []
        row = self._connection.execute(
            f"select {tests} from {_incoming(table)} where entry = {number} and reason is null"
        ).fetchone()
        dates = [name for name, is_date in zip(names, row or (), strict=True) if is_date]
        return [f"{name} holds dates only: declare date_only" for name in dates]


def _incoming(table: Table) -> str:
    return f"incoming_{table.name}"


def _landed_before(
    connection: duckdb.DuckDBPyConnection,
) -> dict[tuple[str, str], set[str]]:
    """Mappings by which a content has landed in a table: (sha256, table) to their hashes."""
    landed: dict[tuple[str, str], set[str]] = {}
    if connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = 'loads'"
    ).fetchall():
        for content, table, mapping in connection.execute(
            "select file_sha256, table_name, mapping_sha256 from raw.loads where status = 'landed'"
        ).fetchall():
            landed.setdefault((content, table), set()).add(mapping)
    return landed


def _commit(
    connection: duckdb.DuckDBPyConnection, plan: Plan, batch: _Batch, loaded_at: datetime
) -> LandingResult:
    """Write a batch to the warehouse, within the caller's transaction."""
    for statement in create_tables_sql():
        connection.execute(statement)
    declarations = _declarations(plan.sources)
    is_landed = any(entry.status is Status.LANDED for entry in batch.entries)
    load_id = None
    withdrawn: dict[str, int] = {}
    if is_landed or _is_changed(connection, declarations):
        row = connection.execute(
            "select coalesce(max(load_id), 0) + 1 from ("
            "select load_id from raw.loads union all select load_id from raw.landing_sources)"
        ).fetchone()
        load_id = int(row[0]) if row is not None else 1
        for name, table in CONTRACT.items():
            if name in batch.tables:
                withdrawn[name] = _place(connection, table, batch.entries, load_id, loaded_at)
        _insert(
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
                    entry.source.sha256,
                    *entry.counts,
                    entry.status.value,
                    "; ".join(entry.notes),
                )
                for entry in batch.entries
                if entry.status is not Status.SKIPPED
            ],
        )
        _insert(
            connection,
            "raw.landing_sources",
            [(*key, *values, load_id) for key, values in declarations.items()],
        )
    return LandingResult(
        load_id=load_id,
        loaded_at=loaded_at,
        files=tuple(entry.result() for entry in batch.entries),
        unlisted=plan.unlisted,
        unmatched=plan.unmatched,
        rows_withdrawn={table: rows for table, rows in withdrawn.items() if rows},
    )


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        values = ", ".join("?" * len(rows[0]))
        connection.executemany(f"insert into {table} values ({values})", rows)


_Declarations = dict[tuple[str, str], tuple[datetime | None, datetime | None, str]]


def _declarations(sources: Sequence[Source]) -> _Declarations:
    """What the sources say of themselves: (name, table) to start, extract time, date columns."""
    return {
        (source.name, source.table): (
            source.declared("source_start"),
            source.declared("extract_time"),
            ",".join(source.date_only),
        )
        for source in sources
    }


def _is_changed(connection: duckdb.DuckDBPyConnection, declarations: _Declarations) -> bool:
    """Whether a source says something else than it last did; saying nothing is no news."""
    last: _Declarations = {
        (name, table): (start, extracted, dates)
        for name, table, start, extracted, dates in connection.execute(
            "select source_name, table_name, source_start, extract_time, date_only_columns"
            " from raw.landing_sources order by load_id"
        ).fetchall()
    }
    return any(last.get(key, (None, None, "")) != values for key, values in declarations.items())


def _place(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    entries: Sequence[_Entry],
    load_id: int,
    loaded_at: datetime,
) -> int:
    """Move a table's judged rows to raw and quarantine; count them in their entries.

    Returns how many rows of earlier loads were withdrawn from raw.
    """
    incoming = _incoming(table)
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

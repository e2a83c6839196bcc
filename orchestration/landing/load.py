"""Land raw files in the warehouse: type them, keep what holds, set aside the rest, count all.

`land` reads what is new, judges every row by the contract and then, in one transaction, moves
rows to their place: `raw.<table>`, `quarantine.<table>`, or nowhere if they are exact duplicates.
What the tables hold afterwards depends on what arrived, not on the order or the loads in which
it did: `reconcile` proves that no row is lost.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.errors import InputError, JourneyGapsError, Problem
from orchestration.landing.contract import (
    CONTRACT,
    RELEASED,
    Table,
    create_tables_sql,
    install_macros,
    judge_sql,
)
from orchestration.landing.existing import ExistingTables
from orchestration.landing.forgotten import read_forgotten
from orchestration.landing.headers import Header, last_headers, schema_changes
from orchestration.landing.mapping import Plan, Source, make_plan
from orchestration.landing.places import Folder, Place
from orchestration.landing.placing import (
    Entry,
    book,
    incoming_rows,
    insert_rows,
    next_load,
    place_rows,
)
from orchestration.landing.readers import (
    RejectedFileError,
    StagedFile,
    fingerprint,
    format_of,
    read,
    require_unchanged,
)
from orchestration.landing.result import LandingResult, Status, TableCounts
from orchestration.quoting import literal, quoted
from orchestration.warehouse.base import Connection, tables
from orchestration.warehouse.duckdb_file import open_patiently


def land(
    warehouse: Path,
    landing: Path | Place,
    map_dir: Path,
    now: datetime | None = None,
    *,
    existing: ExistingTables | None = None,
    only: Callable[[str], bool] | None = None,
    patience_seconds: float = 0,
) -> LandingResult:
    """Land the new files of a place in the DuckDB warehouse, which is created if it is absent.

    `landing.yml` is looked up in `landing` (a folder, or any place), then in `map_dir` (see
    mapping.py); the landing place is only read. `now` (UTC if it has no zone; default: the
    clock) becomes loaded_at: times more than five minutes later are refused. A file whose
    content has landed in a table with the same mapping before is skipped. `existing` tables are
    adopted like files. With `only`, just the files land for whose name it is true, and no table
    is adopted. Another program that has the warehouse open is waited for, `patience_seconds` at
    most.

    Everything is written in one transaction: an error leaves the warehouse as it was. Raises
    InputError where the place is missing, `landing.yml` is wrong or the warehouse cannot be
    opened. A file that cannot be read raises nothing: it is rejected in the result.
    """
    place = Folder(landing) if isinstance(landing, Path) else landing
    plan = make_plan(place, map_dir)
    loaded_at = naive_utc(now or datetime.now(UTC))
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with (
        open_warehouse(warehouse, patience_seconds) as connection,
        TemporaryDirectory(prefix=".landing-", dir=warehouse.parent) as work_dir,
    ):
        install_macros(connection)
        batch = _Batch(connection, Path(work_dir), loaded_at)
        for name, sources in plan.files.items():
            if only is None or only(name):
                batch.stage(place, name, sources)
        if existing is not None:
            plan = replace(plan, sources=(*plan.sources, *existing.sources))
            if only is None:
                exports = existing.exporting(connection, Path(work_dir))
                for source in existing.sources:
                    batch.stage(exports, source.files, [source], Status.ADOPTED)
        connection.begin()
        try:
            result = _commit(connection, plan, batch, loaded_at)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    return result


def reconcile(connection: Connection) -> list[TableCounts]:
    """Count every raw table: rows of all loads against raw, quarantine, duplicates, released.

    A table whose `difference` is not 0 has lost rows or has them twice.
    """
    counts = []
    # A warehouse that landed before there was such a book has released nothing.
    has_released = RELEASED in tables(connection, "raw")
    for table in CONTRACT:
        released = (
            f"select coalesce(sum(row_count), 0)::bigint from raw.{RELEASED}"
            f" where table_name = {literal(table)}"
            if has_released
            else "0"
        )
        landed = f"from raw.loads where table_name = {literal(table)}"
        [row] = connection.execute(f"""
            select
                (select coalesce(sum(rows_in), 0)::bigint {landed}),
                (select count(*) from raw.{table}),
                (select count(*) from quarantine.{table}),
                (select coalesce(sum(rows_duplicate), 0)::bigint {landed}),
                ({released})
        """).fetchall()
        counts.append(TableCounts(table, *row))
    return counts


def missing_tables(connection: Connection, required: Collection[str]) -> list[str]:
    """The tables among `required` that have no row and that no file has ever landed in."""
    landed = {
        name
        for (name,) in connection.execute(
            "select distinct table_name from raw.loads where status in ('landed', 'adopted')"
        ).fetchall()
    }

    def is_empty(table: str) -> bool:
        return not connection.execute(f"select 1 from raw.{table} limit 1").fetchall()

    return [
        table
        for table in required
        if table not in CONTRACT or (table not in landed and is_empty(table))
    ]


def naive_utc(moment: datetime) -> datetime:
    """A time in UTC without a zone; one that has none is UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def open_warehouse(warehouse: Path, patience_seconds: float = 0) -> duckdb.DuckDBPyConnection:
    """Open it for writing, waiting for who has it open. Raises InputError where that fails."""
    try:
        return open_patiently(warehouse, patience_seconds)
    except JourneyGapsError as error:
        problem = Problem(str(warehouse), str(error).removeprefix(f"{warehouse} "))
        raise InputError("The warehouse cannot be opened.", [problem]) from error


class _Batch:
    """The new rows of a load in temporary tables, before the warehouse sees any of them."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        work_dir: Path,
        loaded_at: datetime,
    ) -> None:
        self.entries: list[Entry] = []
        self.tables: set[str] = set()
        self._connection = connection
        self._work_dir = work_dir
        self._loaded_at = loaded_at
        self._landed = landed_before(connection)
        self._headers = last_headers(connection)
        self._forgotten = read_forgotten(work_dir.parent)

    def stage(
        self,
        place: Place,
        name: str,
        sources: Sequence[Source],
        status: Status = Status.LANDED,
    ) -> None:
        """Read a file, unless all has landed before, and judge its rows for each source.

        `status` is what becomes of a file that is read.
        """
        sha256 = place.known_sha256(name)
        if sha256 is not None and all(self._is_known(source, sha256) for source in sources):
            self._skip(name, sources, sha256)
            return
        new: Sequence[Source] = sources
        try:
            path = place.fetch(name)
            mark = fingerprint(path)
            sha256 = mark.sha256
            place.remember(name, sha256)
            new = [source for source in sources if not self._is_known(source, sha256)]
            self._skip(name, [source for source in sources if source not in new], sha256)
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
                self._judge(name, source, sha256, staged, known, status)
        finally:
            staged.drop(self._connection)

    def _skip(self, name: str, sources: Sequence[Source], sha256: str) -> None:
        self.entries += [
            Entry(source, name, sha256, Status.SKIPPED, ["this content has landed before"])
            for source in sources
        ]

    def _is_known(self, source: Source, sha256: str) -> bool:
        return source.sha256 in self._landed.get((sha256, source.table), set())

    def _reject(
        self, name: str, sources: Sequence[Source], sha256: str | None, error: RejectedFileError
    ) -> None:
        problem = error.problem(name)
        self.entries += [
            Entry(source, name, sha256, Status.REJECTED, [str(problem)], (problem,))
            for source in sources
        ]

    def _judge(
        self,
        name: str,
        source: Source,
        sha256: str,
        staged: StagedFile,
        current_mappings: Collection[str],
        status: Status,
    ) -> None:
        table = CONTRACT[source.table]
        rows, header = staged.rows, staged.header
        columns = Header(name, tuple(header), staged.types)
        before = self._headers.get((source.name, table.name))
        change = schema_changes(before, columns) if before is not None else None
        try:
            bound = source.bind(header, format_of(name) or "")
        except RejectedFileError as error:
            self._reject(name, [source], sha256, error)
            if change is not None:
                self.entries[-1].notes.append(change)
                self.entries[-1].schema_change = change
            return
        self._headers[source.name, table.name] = columns
        notes = [*([change] if change is not None else []), *bound.notes]
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
        relation = incoming_rows(table)
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
        if forgotten := self._forgotten.leave_out(self._connection, table, relation, number):
            notes.append(f"{forgotten:,} rows of forgotten people left out")
        notes += self._dates_only(table, source, number)
        self.entries.append(
            Entry(source, name, sha256, status, notes, header=columns, schema_change=change)
        )

    def _left_out(self, table: Table, rows: str, number: int) -> list[str]:
        """Rows of the file that the source's filter leaves to others."""
        row = self._connection.execute(
            f"select (select count(*) from {rows} as rows)"
            f" - (select count(*) from {incoming_rows(table)} where entry = {number})"
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
            f"select {tests} from {incoming_rows(table)} where entry = {number} and reason is null"
        ).fetchone()
        dates = [name for name, is_date in zip(names, row or (), strict=True) if is_date]
        return [f"{name} holds dates only: declare date_only" for name in dates]


def landed_before(
    connection: duckdb.DuckDBPyConnection,
) -> dict[tuple[str, str], set[str]]:
    """Mappings by which a content has landed in a table: (sha256, table) to their hashes."""
    landed: dict[tuple[str, str], set[str]] = {}
    if connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = 'loads'"
    ).fetchall():
        for content, table, mapping in connection.execute(
            "select file_sha256, table_name, mapping_sha256 from raw.loads"
            " where status in ('landed', 'adopted')"
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
    is_landed = any(entry.status.is_in for entry in batch.entries)
    load_id = None
    withdrawn: dict[str, int] = {}
    if is_landed or _is_changed(connection, declarations):
        load_id = next_load(connection)
        for name, table in CONTRACT.items():
            if name in batch.tables:
                withdrawn[name] = place_rows(connection, table, batch.entries, load_id, loaded_at)
        book(connection, batch.entries, load_id, loaded_at)
        insert_rows(
            connection,
            "raw.file_columns",
            [
                (
                    load_id,
                    number,
                    entry.source.table,
                    entry.source.name,
                    entry.file,
                    entry.sha256,
                    entry.source.sha256,
                    entry.source.time_zone,
                    entry.header.json(),
                )
                for number, entry in enumerate(batch.entries)
                if entry.header is not None
            ],
        )
        insert_rows(
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
        waiting=plan.waiting,
        ignored=plan.ignored,
    )


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

"""Judge quarantined rows again: what holds by today's contract and clock moves to raw.

A row is judged from its landed texts, which quarantine keeps, in the time zone with which its
file landed. What holds now gets the load_id of the replay, so that incremental models see it,
and keeps its file and line; what still fails stays, with today's reason. Not replayed are

- lines that could not be read: no texts were read of them. Correct the file and land it again;
- ids with two contents: which one is right is not for landing to guess. `accept` names the
  file that is right: its content moves to raw and the others are released as superseded.

Every row that leaves quarantine is booked in raw.released_rows, every one that arrives in
raw.loads (status replayed), so that the counts reconcile.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.landing.contract import (
    CONFLICT_REASON,
    CONTRACT,
    Table,
    create_tables_sql,
    install_macros,
    judge_sql,
)
from orchestration.landing.load import naive_utc, open_warehouse
from orchestration.landing.mapping import Source
from orchestration.landing.placing import (
    Entry,
    book,
    incoming_rows,
    insert_rows,
    next_load,
    place_rows,
)
from orchestration.landing.quarantine import condition_sql, require_landed, table_names
from orchestration.landing.result import Status
from orchestration.quoting import literal

_CONFLICT = literal(CONFLICT_REASON)
# What quarantine keeps of a line that could not be read: the line.
_IS_UNREAD = """json_keys("content") = ['line']"""


@dataclass(frozen=True)
class Replay:
    """What became of one table's quarantined rows.

    Of `rows_judged`, `rows_kept` moved to raw, `rows_duplicate` had landed since and were
    dropped, `rows_conflicting` hold but contradict another content of their id, `rows_failing`
    still break the contract. Not judged: `rows_contradicting` (two contents, none accepted) and
    `rows_unread` (lines that could not be read, and rows of files whose time zone is not
    known). `rows_superseded` gave way to the accepted file.
    """

    table: str
    rows_judged: int = 0
    rows_kept: int = 0
    rows_duplicate: int = 0
    rows_conflicting: int = 0
    rows_failing: int = 0
    rows_contradicting: int = 0
    rows_unread: int = 0
    rows_superseded: int = 0


@dataclass(frozen=True)
class ReplayResult:
    """`load_id` is None where no row left quarantine and no reason changed."""

    load_id: int | None
    tables: tuple[Replay, ...]


def replay(
    warehouse: Path,
    *,
    table: str | None = None,
    reason: str | None = None,
    accept: str | None = None,
    now: datetime | None = None,
) -> ReplayResult:
    """Judge the quarantined rows of a table (default: all) whose reason contains a text.

    `accept` names the source file whose contents are right where ids have two. `now` as for
    `land`. One transaction: an error leaves the warehouse as it was. The caller holds the
    warehouse's lock. Raises JourneyGapsError for an unknown table or before the first load.
    """
    names = table_names(table)
    require_landed(warehouse)
    loaded_at = naive_utc(now or datetime.now(UTC))
    with open_warehouse(warehouse) as connection:
        install_macros(connection)
        connection.begin()
        try:
            for statement in create_tables_sql():
                connection.execute(statement)
            load_id = next_load(connection)
            replays, is_changed = [], False
            for name in names:
                step = _Step(connection, CONTRACT[name], load_id, loaded_at)
                replays.append(step.run(condition_sql(reason), accept))
                is_changed = is_changed or step.is_changed
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    return ReplayResult(load_id if is_changed else None, tuple(replays))


class _Step:
    """The replay of one table, within the caller's transaction."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        load_id: int,
        loaded_at: datetime,
    ) -> None:
        self.is_changed = False
        self._connection = connection
        self._table = table
        self._quarantine = f"quarantine.{table.name}"
        self._load_id = load_id
        self._loaded_at = loaded_at

    def run(self, condition: str, accept: str | None) -> Replay:
        """Judge, move, book."""
        meant = f"{self._quarantine} where {condition}"
        total = self._count(meant)
        if total == 0:
            return Replay(self._table.name)
        contradicting = self._count(f"{meant} and reason = {_CONFLICT}")
        self._find_candidates(condition, accept or "")
        judged, accepted = self._count("candidates"), self._count("candidates where is_accepted")
        if judged == 0:
            return Replay(
                self._table.name,
                rows_contradicting=contradicting,
                rows_unread=total - contradicting,
            )
        self._judge()
        failing = self._count("judged where reason is not null")
        superseded, entries = self._move()
        counts = [sum(entry.counts[kind] for entry in entries) for kind in range(4)]
        return Replay(
            self._table.name,
            rows_judged=judged,
            rows_kept=counts[1],
            rows_duplicate=counts[3],
            rows_conflicting=counts[2],
            rows_failing=failing,
            rows_contradicting=contradicting - accepted - superseded,
            rows_unread=total - contradicting - (judged - accepted),
            rows_superseded=superseded,
        )

    def _find_candidates(self, condition: str, accept: str) -> None:
        """Rows that can be judged again, with the file that they came in."""
        self._connection.execute(f"""
            create or replace temp table candidates as
            with files as (
                select load_id, source_file, arg_min(struct_pack(source_name, time_zone,
                    file_sha256, mapping_sha256), file_number) as origin
                from raw.file_columns where table_name = {literal(self._table.name)}
                group by load_id, source_file
                having count(distinct time_zone) = 1
            ),
            accepted as (
                select row_id from {self._quarantine}
                where reason = {_CONFLICT} and source_file = {literal(accept)}
                group by row_id having count(*) = 1
            )
            select rows.*, row_number() over () as number, files.origin,
                rows.reason = {_CONFLICT} as is_accepted
            from {self._quarantine} as rows left join files using (load_id, source_file)
            where {condition} and (
                (rows.reason = {_CONFLICT} and source_file = {literal(accept)}
                    and row_id in (select row_id from accepted))
                or (rows.reason <> {_CONFLICT} and not {_IS_UNREAD} and files.origin is not null)
            )
        """)
        if self._table.column("event_seq"):
            self._place_in_files()

    def _place_in_files(self) -> None:
        """Number events as they stood among those of their file that were kept."""
        self._connection.execute(f"""
            create or replace temp table candidates as
            with kept as (
                select source_file, source_line, max(event_seq) as event_seq
                from raw.{self._table.name} group by source_file, source_line
            ),
            behind as (
                select rows.content_hash, rows.source_file, rows.source_line,
                    coalesce(kept.event_seq, 0) as event_seq
                from {self._quarantine} as rows asof left join kept
                    on rows.source_file = kept.source_file and rows.source_line >= kept.source_line
            ),
            numbered as (
                select content_hash, event_seq + row_number() over (
                    partition by source_file, event_seq order by source_line, content_hash
                ) as event_seq
                from behind
            )
            select candidates.*, numbered.event_seq
            from candidates inner join numbered using (content_hash)
        """)

    def _judge(self) -> None:
        """Put each candidate's verdict of today beside where it is from."""
        table = self._table
        names = [column.name for column in table.landed_columns]
        cells = [f"c{number}" for number in range(len(names))]
        pointers = ", ".join(literal("/" + name) for name in names)
        texts = ", ".join(f"texts[{n}] as {cell}" for n, cell in enumerate(cells, start=1))
        order = "event_seq" if table.column("event_seq") else "number"
        # What contradicted another content was typed before: its times are UTC.
        zone = "case when is_accepted then 'UTC' else origin.time_zone end"
        statements = []
        for (time_zone,) in self._connection.execute(
            f"select distinct {zone} from candidates"
        ).fetchall():
            rows = f"""(
                select {order} as row_number, number as source_line, null::varchar as fault,
                    null::varchar as raw_text, {texts}
                from (
                    select *, json_extract_string("content", [{pointers}]) as texts
                    from candidates where {zone} = {literal(time_zone)}
                ) as extracted
            )"""
            mapped = dict(zip(names, cells, strict=True))
            judged = judge_sql(table, rows, cells, mapped, time_zone, self._loaded_at)
            statements.append(f"select * from ({judged}) as judged")
        verdicts = " union all ".join(statements)
        self._connection.execute(f"""
            create or replace temp table judged as
            select judged.* replace (candidates.source_line as source_line),
                candidates.content_hash as old_hash, candidates.source_file, candidates.origin,
                candidates.is_accepted, dense_rank() over (
                    order by judged.reason is not null, candidates.source_file, candidates.origin
                ) - 1 as entry
            from ({verdicts}) as judged
            inner join candidates on judged.source_line = candidates.number
        """)

    def _move(self) -> tuple[int, list[Entry]]:
        """Move rows that hold to raw; return the superseded ones and what arrived by file."""
        connection, table = self._connection, self._table
        [(changed,)] = connection.execute(f"""
            update {self._quarantine} as kept set reason = judged.reason from judged
            where judged.old_hash = kept.content_hash and judged.reason <> kept.reason
        """).fetchall()
        self._release("content_hash in (select old_hash from judged where reason is null)")
        superseded = self._release(
            f"reason = {_CONFLICT} and row_id in"
            " (select row_id from judged where reason is null and is_accepted)",
            "superseded",
        )
        entries = self._entries()
        if entries:
            incoming = incoming_rows(table)
            connection.execute(f"""
                create or replace temp table {incoming} as
                select * exclude (old_hash, origin, is_accepted) from judged where reason is null
            """)
            place_rows(connection, table, entries, self._load_id, self._loaded_at)
            connection.execute(f"drop table {incoming}")
        elif changed:
            # Other engines learn from the books that reasons changed.
            entries = [_entry(table, "", None)]
        book(connection, entries, self._load_id, self._loaded_at)
        self.is_changed = bool(entries)
        return superseded, entries

    def _entries(self) -> list[Entry]:
        if not self._count("judged where reason is null"):
            return []
        return [
            _entry(self._table, file, origin)
            for file, origin in self._connection.execute(
                "select any_value(source_file), any_value(origin) from judged"
                " where reason is null group by entry order by entry"
            ).fetchall()
        ]

    def _release(self, condition: str, reason: str = "replayed") -> int:
        """Take rows out of quarantine and book that they left; return how many."""
        counts = self._connection.execute(f"""
            select load_id, count(*) from {self._quarantine} where {condition}
            group by load_id order by load_id
        """).fetchall()
        self._connection.execute(f"delete from {self._quarantine} where {condition}")
        insert_rows(
            self._connection,
            "raw.released_rows",
            [
                (self._table.name, load_id, self._loaded_at, reason, count)
                for load_id, count in counts
            ],
        )
        return sum(count for _, count in counts)

    def _count(self, relation: str) -> int:
        [(count,)] = self._connection.execute(f"select count(*) from {relation}").fetchall()
        return int(count)


def _entry(table: Table, file: str, origin: Mapping[str, str] | None) -> Entry:
    """A file whose rows are judged again; of a withdrawn row only the file's name is known."""
    told = origin or {}
    source = Source(name=told.get("source_name", "replay"), files=file or "*", table=table.name)
    return Entry(
        source,
        file,
        told.get("file_sha256"),
        Status.REPLAYED,
        ["judged again out of quarantine"],
        mapping_sha256=told.get("mapping_sha256"),
    )

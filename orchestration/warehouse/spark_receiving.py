"""Spark takes over raw and quarantine: whole partitions, until both sides hold the same rows.

Spark has no transactions, so nothing depends on what an earlier call did or did not finish.
Each table is a set of partitions, and a partition has a fingerprint (how many rows, which
contents, of which loads) that DuckDB and Spark compute alike. Partitions that differ are
written again by INSERT OVERWRITE, those that are gone are dropped, and then Spark is asked for
its fingerprints again. A property of the database `raw` says which state of the landing file
Spark has as a whole; it is taken away before the first change and set after the last.

A small table is one partition. A large one is divided by the month, and then by the day, of its
time column: a load writes the days anew that it brings rows of, takes rows from or moves.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.landing.contract import BOOKS, CONTRACT
from orchestration.quoting import literal, quoted
from orchestration.warehouse.spark_session import (
    SparkConnection,
    SparkServer,
    properties_sql,
    spark_literal,
)
from orchestration.warehouse.staging import StagedFolder, Staging

SCHEMAS = ("raw", "quarantine")
PARTITION = "partition_key"
# Partitions of fewer rows on average take longer to list and open than to read.
PARTITION_ROWS = 100_000
# From the coarsest; formats of DuckDB's strftime.
DIVISIONS = ("all", "%Y-%m", "%Y-%m-%d")

# Properties of database raw: the landing file's state that Spark has; its loads up to which
# number, and what they were; what its tables look like.
RECEIVED, FILLED_FROM, TABLES = (f"journey_gaps.{name}" for name in ("received", "loads", "tables"))
IN_PROGRESS = "in progress"

# Of a partition's rows, alike in both dialects; {0} is a number, of the content hash.
_FINGERPRINT = (
    "count(*), coalesce(sum({0}), 0), coalesce(sum(({0} * coalesce(load_id, 0)) % 16777213), 0)"
)
IN_DUCKDB = _FINGERPRINT.format("('0x' || substr(content_hash, 1, 6))::bigint")
IN_SPARK = _FINGERPRINT.format("conv(substr(content_hash, 1, 6), 16, 10)::bigint")

# Partition -> rows, their contents, the loads of these.
Partitions = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class _Table:
    """A landed table: columns with DuckDB's types, and the partition of a row in DuckDB's SQL.

    A book has no partitions, and is always written as a whole.
    """

    schema: str
    name: str
    columns: Mapping[str, str]
    partition: str | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def create_sql(self) -> str:
        kinds = {"VARCHAR": "string"}
        columns = [f"{quoted(n)} {kinds.get(k, k.lower())}" for n, k in self.columns.items()]
        if self.partition is None:
            return f"create table {self} ({', '.join(columns)}) using parquet"
        columns.append(f"{PARTITION} string")
        return (
            f"create table {self} ({', '.join(columns)}) using parquet partitioned by ({PARTITION})"
        )

    def rows_sql(self, partitions: Sequence[str] | None = None) -> str:
        """Its rows, or those of some partitions, in DuckDB: times have the zone that Spark gives
        them, UTC."""
        columns = [
            f"timezone('UTC', {quoted(name)}) as {quoted(name)}"
            if kind == "TIMESTAMP"
            else quoted(name)
            for name, kind in self.columns.items()
        ]
        condition = "true"
        if self.partition is not None:
            columns.append(f"{self.partition} as {PARTITION}")
        if partitions is not None:
            condition = f"{self.partition} in ({', '.join(map(literal, partitions))})"
        return f"select {', '.join(columns)} from {self} where {condition}"


def receive(server: SparkServer, staging: Staging, landing: Path) -> None:
    """Give Spark the rows of schemas raw and quarantine of the DuckDB file `landing`.

    Nobody else may write either meanwhile. A call that broke off is repeated by the next one.
    Raises JourneyGapsError where Spark was filled from another landing file, or has other rows
    afterwards.
    """
    with closing(duckdb.connect(landing, read_only=True)) as source, server.session() as target:
        source.execute("set TimeZone = 'UTC'")
        tables = _tables(source)
        wanted = {str(table): _partitions(source, table) for table in tables}
        state = _digest(wanted, *(_contents(source, table) for table in tables))
        for schema in SCHEMAS:
            target.execute(f"create database if not exists {schema}")
        properties = target.properties("raw")
        _require_same_home(source, properties.get(FILLED_FROM), server)
        if properties.get(RECEIVED) == state:
            return
        _set(target, {RECEIVED: IN_PROGRESS, FILLED_FROM: _loads(source)})
        kept = _create_tables(server, target, tables, properties.get(TABLES))
        found = _partitions_in_spark(target, kept)
        news = [
            table
            for table in tables
            if table.partition is None or wanted[str(table)] != found.get(str(table))
        ]
        with (
            TemporaryDirectory(prefix=".copy-", dir=landing.parent) as work_dir,
            staging.folder() as folder,
        ):
            statements = [
                _statements(
                    source, table, wanted[str(table)], found.get(str(table), {}), folder, work_dir
                )
                for table in news
            ]
            server.each(statements, _execute_all)
        # A session goes on with the files that it has found before.
        with server.session() as witness:
            arrived = _partitions_in_spark(witness, news)
        if wrong := [name for name, partitions in arrived.items() if partitions != wanted[name]]:
            raise JourneyGapsError(
                f"{server} has other rows of {', '.join(wrong)} than {landing} after it received "
                "them: does anybody else write them? Run again; if it stays so, "
                "`journey-gaps run --rebuild`."
            )
        _set(target, {RECEIVED: state})


def _tables(source: duckdb.DuckDBPyConnection) -> list[_Table]:
    """Every landed table, with the partitions that suit the rows that it has now."""
    found = source.execute(
        "select schema_name, table_name from duckdb_tables()"
        " where schema_name in ('raw', 'quarantine') order by all"
    ).fetchall()
    return [
        _Table(
            schema,
            name,
            {
                column: kind
                for column, kind, *_ in source.execute(f"describe {schema}.{name}").fetchall()
            },
            _division(source, schema, name),
        )
        for schema, name in found
    ]


def _division(source: duckdb.DuckDBPyConnection, schema: str, name: str) -> str | None:
    """SQL of a row's partition: the finest whose partitions are large enough on average."""
    if name in BOOKS:
        return None
    whole, *finer = DIVISIONS
    if schema == "quarantine":
        return literal(whole)
    moment = quoted(CONTRACT[name].time_column)
    for division in reversed(finer):
        key = f"strftime({moment}, {literal(division)})"
        [(rows, partitions)] = source.execute(
            f"select count(*), count(distinct {key}) from {schema}.{name}"
        ).fetchall()
        if rows and rows >= PARTITION_ROWS * partitions:
            return key
    return literal(whole)


def _partitions(source: duckdb.DuckDBPyConnection, table: _Table) -> Partitions:
    if table.partition is None:
        return {}
    rows = source.execute(
        f"select {table.partition} as {PARTITION}, {IN_DUCKDB} from {table} group by {PARTITION}"
    ).fetchall()
    return {key: (count, contents, loads) for key, count, contents, loads in rows}


def _partitions_in_spark(
    target: SparkConnection, tables: Sequence[_Table]
) -> dict[str, Partitions]:
    divided = [table for table in tables if table.partition is not None]
    found: dict[str, Partitions] = {str(table): {} for table in tables}
    if divided:
        query = " union all ".join(
            f"select {spark_literal(str(table))}, {PARTITION}, {IN_SPARK} from {table}"
            f" group by {PARTITION}"
            for table in divided
        )
        for name, key, count, contents, loads in target.execute(query).fetchall():
            found[name][key] = (count, contents, loads)
    return found


def _contents(source: duckdb.DuckDBPyConnection, table: _Table) -> str:
    """What a book says, '' for a table that has fingerprints."""
    if table.partition is not None:
        return ""
    [(contents,)] = source.execute(
        "select coalesce(sum(md5_number_lower(to_json(book)::varchar)), 0)::varchar"
        f" from {table} as book"
    ).fetchall()
    return str(contents)


def _loads(source: duckdb.DuckDBPyConnection, through: int | None = None) -> str:
    """The number of the newest load (or of those until `through`), and what they were."""
    rows = source.execute(
        "select load_id, loaded_at, table_name, file_sha256 from raw.loads"
        f" where {'true' if through is None else f'load_id <= {through}'} order by all"
    ).fetchall()
    newest = through if through is not None else max((row[0] for row in rows), default=0)
    return f"{newest}:{_digest(rows)}"


def _require_same_home(
    source: duckdb.DuckDBPyConnection, filled_from: str | None, server: SparkServer
) -> None:
    """The landing file must know every load that Spark has."""
    if filled_from is not None and filled_from != _loads(
        source, through=int(filled_from.partition(":")[0])
    ):
        raise JourneyGapsError(
            f"{server} was filled from another home: its loads are not those of this one. "
            "Use the home that filled it, or another metastore (drop its databases raw, "
            "quarantine, intermediate and marts to begin anew)."
        )


def _create_tables(
    server: SparkServer, target: SparkConnection, tables: Sequence[_Table], known: str | None
) -> list[_Table]:
    """Create what is absent, and where the contract has changed all of it; return the rest."""
    looks = _digest([table.create_sql for table in tables])
    present = {f"{schema}.{name}" for schema in SCHEMAS for name in target.tables(schema)}
    kept = [table for table in tables if known == looks and str(table) in present]
    server.each(
        [
            [f"drop table if exists {table}", table.create_sql]
            for table in tables
            if table not in kept
        ],
        _execute_all,
    )
    _set(target, {TABLES: looks})
    return kept


def _statements(
    source: duckdb.DuckDBPyConnection,
    table: _Table,
    wanted: Partitions,
    found: Partitions,
    folder: StagedFolder,
    work_dir: str,
) -> list[str]:
    """Send what differs of a table; return the statements that then make Spark have its rows."""
    gone = [
        f"alter table {table} drop if exists partition ({PARTITION} = {spark_literal(key)})"
        for key in found.keys() - wanted.keys()
    ]
    changed = [key for key, rows in wanted.items() if found.get(key) != rows]
    if table.partition is not None and not changed:
        return gone
    file = Path(work_dir) / f"{table}.parquet"
    rows = table.rows_sql(None if table.partition is None else changed)
    source.execute(f"copy ({rows}) to {literal(str(file))} (format parquet)")
    sent = f"parquet.`{folder.send(file).replace('`', '``')}`"
    if table.partition is None:
        return [f"insert overwrite table {table} select * from {sent}"]
    # A file a partition, unless that is large.
    hint = f"/*+ rebalance({PARTITION}) */ " if len(changed) > 1 else ""
    overwrite = f"insert overwrite table {table} partition ({PARTITION}) select {hint}* from {sent}"
    return [overwrite, *gone]


def _execute_all(connection: SparkConnection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _set(target: SparkConnection, properties: Mapping[str, str]) -> None:
    target.execute(f"alter database raw set {properties_sql(properties)}")


def _digest(*values: object) -> str:
    return md5(repr(values).encode(), usedforsecurity=False).hexdigest()

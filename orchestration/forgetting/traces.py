"""Where a person's texts stand in what a HOME holds: rows of tables, bytes of files.

Every table is searched column by column, since databases and Parquet files pack their texts;
and the bytes of every file besides.
"""

# ruff: noqa: S608 - names come from catalogs and are quoted, texts pass through literal()

import gzip
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.errors import InputError
from orchestration.landing.forgotten import HASHES_FILE, KEY_FILE
from orchestration.landing.inputs import landing_place_of
from orchestration.landing.people import ID_COLUMNS, Ids, Needles, among
from orchestration.landing.readers import RejectedFileError, format_of
from orchestration.quoting import literal, quoted
from orchestration.settings import Settings
from orchestration.warehouse.base import Connection

JOURNAL_FILE = "forgetting.json"
_SQLITE = b"SQLite format 3\0"


def files(settings: Settings) -> Iterator[Path]:
    """Every file under HOME that this tool writes; not the landing folder, which it only reads."""
    own = {settings.home / name for name in (KEY_FILE, HASHES_FILE, JOURNAL_FILE)}
    landing = settings.landing_place
    for path in sorted(settings.home.rglob("*")):
        is_theirs = isinstance(landing, Path) and path.is_relative_to(landing)
        if path.is_file() and not path.is_symlink() and path not in own and not is_theirs:
            yield path


def place(settings: Settings, path: Path) -> str:
    """The heading under which a file is counted."""
    parts = path.relative_to(settings.home).parts
    if parts[0] == "published":
        return "published, " + ("older" if _is_older(settings, path) else "current")
    return parts[0] if len(parts) > 1 else path.name


def _is_older(settings: Settings, path: Path) -> bool:
    current = (settings.published_dir / "current").resolve()
    return not path.is_relative_to(current)


def search(settings: Settings, ids: Ids, needles: Needles) -> Mapping[str, tuple[int, int]]:
    """Place -> rows of tables that hold the person, and times that their texts stand in bytes.

    Places without either are there as well, with zeros: they were searched.
    """
    rows, found = Counter[str](), Counter[str]()
    for path in files(settings):
        if not path.exists():  # beside a database: it goes with the connection
            continue
        name = place(settings, path)
        for table, count in rows_in(path, ids, needles).items():
            heading = f"{name}: {table.partition('.')[0]}" if path == settings.warehouse else name
            rows[heading] += count
        found[name] += occurrences(path, needles)
    return {name: (rows[name], found[name]) for name in sorted({*rows, *found})}


def occurrences(path: Path, needles: Needles) -> int:
    """How often the texts stand in a file's bytes, unpacked where it is gzip."""
    if not needles or not path.stat().st_size:
        return 0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        count = needles.count_in(data)
        if data[:2] == b"\x1f\x8b":
            # Named like gzip, or cut off: its bytes were searched as they are.
            with suppress(OSError, EOFError, zlib.error):
                count += needles.count_in(gzip.decompress(data))
    return count


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database, whatever it is called."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def rows_in(path: Path, ids: Ids, needles: Needles) -> dict[str, int]:
    """Rows that hold the person, by table, where a file is a database or Parquet; else none."""
    if is_sqlite(path):
        return _rows_in_sqlite(path, needles)
    with path.open("rb") as file:
        head = file.read(16)
    if path.suffix == ".duckdb" and head[8:12] == b"DUCK":
        with closing(duckdb.connect(path, read_only=True)) as connection:
            return rows_in_tables(connection, ids, needles)
    if head[:4] == b"PAR1":
        with closing(duckdb.connect()) as connection:
            relation = f"read_parquet({literal(str(path))})"
            columns = {
                name: kind
                for name, kind, *_ in connection.execute(
                    f"describe select * from {relation}"
                ).fetchall()
            }
            condition = holds_sql(columns, ids, needles)
            query = f"select count(*) from {relation} where {condition}"
            return {path.name: _number(connection, query)}
    return {}


def rows_in_tables(connection: Connection, ids: Ids, needles: Needles) -> dict[str, int]:
    """The same for the tables (not the views) of an open DuckDB file."""
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns()"
        " semi join duckdb_tables() using (database_oid, table_oid) order by all"
    ).fetchall():
        columns.setdefault((schema, table), {})[column] = kind
    return {
        f"{schema}.{table}": _number(
            connection,
            f"select count(*) from {quoted(schema)}.{quoted(table)}"
            f" where {holds_sql(kinds, ids, needles)}",
        )
        for (schema, table), kinds in columns.items()
    }


def holds_sql(
    columns: Mapping[str, str],
    ids: Ids,
    needles: Needles,
    match: str = "regexp_matches({0}, {1})",
) -> str:
    """SQL over a table (column -> type): whether a row holds the person in any column.

    A text that could be anything is looked for only where an id stands.
    """
    tests = []
    for name, kind in columns.items():
        if kind.lower().startswith(_NUMERIC):
            continue
        text = f"{quoted(name)}::varchar"
        if name in ID_COLUMNS:
            tests.append(among(text, ids.get(name, frozenset())))
        elif name == "entity_id":
            tests.append(among(text, _entities(ids)))
        if needles:
            tests.append(needles.found_sql(text, match))
    return " or ".join(tests) or "false"


_NUMERIC = (
    *("bigint", "integer", "hugeint", "double", "decimal", "numeric", "boolean", "date"),
    *("timestamp", "float", "real", "smallint", "tinyint", "int", "u"),
)


def _entities(ids: Ids) -> frozenset[str]:
    """How the facts name the person; see macros/rules.sql."""
    entities = {*ids["customer_id"], *ids["account_id"], *ids["opportunity_id"]}
    entities |= ids["support_contact_id"]
    entities |= {f"customer:{text}" for text in ids["customer_id"]}
    entities |= {f"anonymous:{text}" for text in ids["anonymous_id"]}
    return frozenset(entities)


def _rows_in_sqlite(path: Path, needles: Needles) -> dict[str, int]:
    counts = {}
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for table, columns in sqlite_columns(connection).items():
            rows = connection.execute(
                f"select {', '.join(map(quoted, columns))} from {quoted(table)}"
            )
            counts[table] = sum(
                any(needles.in_bytes.search(as_bytes(value)) for value in row) for row in rows
            )
    return counts


def sqlite_columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The columns of each table of an SQLite file; any of them may hold text."""
    tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    return {
        table: [row[1] for row in connection.execute(f"pragma table_info({quoted(table)})")]
        for (table,) in tables
    }


def as_bytes(value: object) -> bytes:
    """A value of an SQLite row as bytes to search; numbers are none."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""


def _number(connection: Connection, query: str) -> int:
    [(number,)] = connection.execute(query).fetchall()
    return int(number)


def landing_lines(settings: Settings, customers: Needles) -> dict[str, int]:
    """Files of the landing place that name the person, and how many lines (or rows) do."""
    found = {}
    with TemporaryDirectory() as cache:
        # Not that of HOME, which is searched as well.
        place = landing_place_of(settings, Path(cache))
        try:
            names = sorted(place.listing().files)
        except InputError:
            return {}
        for name in names:
            try:
                lines = _lines_of(place.fetch(name), customers)
            except RejectedFileError:
                continue
            if lines:
                found[name] = lines
    return found


def _lines_of(path: Path, customers: Needles) -> int:
    if format_of(path.name) == "parquet" and not path.name.lower().endswith(".gz"):
        try:
            return sum(rows_in(path, _NO_IDS, customers).values())
        except duckdb.Error:
            return occurrences(path, customers)
    return _lines_with(path, customers)


_NO_IDS: Ids = {name: frozenset() for name in ID_COLUMNS}


def _lines_with(path: Path, customers: Needles) -> int:
    is_packed = path.name.lower().endswith(".gz")
    count = 0
    try:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            for line in file:
                count += customers.in_bytes.search(line) is not None
    except (OSError, EOFError, zlib.error):
        return count
    return count

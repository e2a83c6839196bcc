"""A DuckDB file never shrinks: what was deleted leaves free blocks, which a new file has not."""

import os
import shutil
from contextlib import closing
from pathlib import Path

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.quoting import literal, quoted
from orchestration.warehouse.duckdb_file import open_for_writing

# Below both, the time to copy is worth more than the room: new rows take the free blocks first.
FREE_SHARE = 0.5
FREE_BYTES = 256_000_000


def free_bytes(warehouse: Path) -> tuple[int, int]:
    """Bytes of free blocks, and of all of them; the file must exist and be free to write."""
    with closing(open_for_writing(warehouse)) as connection:
        connection.execute("checkpoint")
        [(block, total, free)] = connection.execute(
            "select block_size, total_blocks, free_blocks from pragma_database_size()"
            " where database_name = current_database()"
        ).fetchall()
    return free * block, total * block


def is_worthwhile(warehouse: Path) -> bool:
    """Whether more than half of the file, and a quarter of a gigabyte, holds nothing."""
    if not warehouse.exists() or warehouse.stat().st_size < FREE_BYTES:
        return False
    free, total = free_bytes(warehouse)
    return free > FREE_BYTES and free > FREE_SHARE * total


def compact(warehouse: Path, memory_limit: str) -> int:
    """Write the file anew without its free blocks; return the bytes that this gave back.

    The caller holds the warehouse. The old file stays until the new one has the same tables and
    as many rows, on disk. Raises JourneyGapsError where there is no room for both.
    """
    free, total = free_bytes(warehouse)
    before = warehouse.stat().st_size
    room = shutil.disk_usage(warehouse.parent).free
    if room < total - free:
        raise JourneyGapsError(
            f"{warehouse} cannot be compacted: that takes {total - free:,} bytes beside it, and "
            f"{room:,} are free"
        )
    draft = warehouse.with_name(f"{warehouse.name}.compact")
    spill = warehouse.with_name(f"{warehouse.name}.compacting")
    try:
        _discard(draft, spill)
        with closing(duckdb.connect()) as connection:
            connection.execute(f"set memory_limit = {literal(memory_limit)}")
            connection.execute(f"set temp_directory = {literal(str(spill))}")
            connection.execute(f"attach {literal(str(warehouse))} as before_it (read_only)")
            # dbt's views name their catalog, which is the file's name.
            name = quoted(warehouse.stem)
            connection.execute(f"attach {literal(str(draft))} as {name}")
            connection.execute("set disabled_compression_methods = 'fsst'")
            connection.execute(f"copy from database before_it to {name}")
            if _contents(connection, "before_it") != _contents(connection, warehouse.stem):
                raise JourneyGapsError(f"{warehouse} cannot be compacted: the copy has other rows")
            connection.execute(f"detach {name}")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(warehouse)
    finally:
        _discard(draft, spill)
    return before - warehouse.stat().st_size


def _contents(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[tuple[object, ...]]:
    """Every table with its rows, and every view."""
    here = f"database_name = {literal(catalog)}"
    contents: list[tuple[object, ...]] = []
    for schema, table in connection.execute(
        f"select schema_name, table_name from duckdb_tables() where {here}"  # noqa: S608 (a literal)
    ).fetchall():
        relation = ".".join(map(quoted, (catalog, schema, table)))
        [(rows,)] = connection.execute(
            f"select count(*) from {relation}"  # noqa: S608 (quoted)
        ).fetchall()
        contents.append((schema, table, rows))
    contents += connection.execute(
        "select schema_name, view_name, -1 from duckdb_views()"  # noqa: S608 (a literal)
        f" where {here} and not internal"
    ).fetchall()
    return sorted(contents)


def _discard(draft: Path, spill: Path) -> None:
    draft.unlink(missing_ok=True)
    draft.with_name(f"{draft.name}.wal").unlink(missing_ok=True)
    shutil.rmtree(spill, ignore_errors=True)

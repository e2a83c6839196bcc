"""What changed in a source's files: columns that are new, missing, moved or of another type."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from orchestration.landing.readers import format_of

# Formats in which a column without a value does not show, and order means nothing.
_SPARSE = ("jsonl", "xes")


@dataclass(frozen=True)
class Header:
    """The columns of one landed file in their order, with their types where the file has types."""

    file: str
    columns: tuple[str, ...]
    types: Mapping[str, str]

    def json(self) -> str:
        """As `raw.file_columns` keeps it: name and type (null: text) of each column, in order."""
        return json.dumps([[name, self.types.get(name)] for name in self.columns])

    @classmethod
    def from_json(cls, file: str, text: str) -> "Header":
        """Read what `json` wrote."""
        pairs: list[tuple[str, str | None]] = [(name, kind) for name, kind in json.loads(text)]
        return cls(file, tuple(name for name, _ in pairs), {n: k for n, k in pairs if k})


def schema_changes(before: Header, now: Header) -> str | None:
    """What is another in `now`, None where nothing is: columns new, missing, moved, retyped."""
    new = [name for name in now.columns if name not in before.columns]
    missing = [name for name in before.columns if name not in now.columns]
    changes = [f"new {', '.join(new)}"] if new else []
    if missing:
        changes.append(f"missing {', '.join(missing)}")
    formats = {format_of(header.file) for header in (before, now)}
    if formats.isdisjoint(_SPARSE):
        shared = [name for name in now.columns if name in before.columns]
        order = [name for name in before.columns if name in now.columns]
        moved = _moved(order, shared)
        changes += [f"moved {', '.join(moved)}"] if moved else []
    changes += [
        f"{name} was {before.types[name]}, is {kind}"
        for name, kind in now.types.items()
        if name in before.types and before.types[name] != kind
    ]
    if not changes:
        return None
    return f"schema changed since {before.file}: {'; '.join(changes)}"


def _moved(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The fewest columns that explain another order: all but a longest run left in order."""
    places = {name: place for place, name in enumerate(before)}
    best: list[list[str]] = []
    for name in now:
        shorter = [run for run in best if places[run[-1]] < places[name]]
        best.append([*max(shorter, key=len, default=[]), name])
    kept = max(best, key=len, default=[])
    return [name for name in now if name not in kept]


def last_headers(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], Header]:
    """The newest landed header of each source and table; none before the first load."""
    if not connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = 'file_columns'"
    ).fetchall():
        return {}
    return {
        (source, table): Header.from_json(file, header)
        for source, table, file, header in connection.execute(
            "select source_name, table_name, source_file, header from raw.file_columns"
            " qualify row_number() over (partition by source_name, table_name"
            " order by load_id desc, file_number desc) = 1"
        ).fetchall()
    }

"""Logs, Dagster's books and old publications without a person.

Texts of files are replaced, in a copy that takes the file's place; rows of Dagster's SQLite
files are rewritten and the files vacuumed. What is no text and can be made again is removed.
"""

# ruff: noqa: S608 - names come from SQLite's catalog and are quoted

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.forgetting.traces import (
    as_bytes,
    files,
    is_sqlite,
    occurrences,
    rows_in,
    sqlite_columns,
)
from orchestration.landing.people import Ids, Needles
from orchestration.publish.publication import current
from orchestration.quoting import quoted
from orchestration.settings import Settings

# Made again when they are needed.
_DISPOSABLE = ("dbt", "logs")
# How long a statement waits for Dagster's daemon to finish its own.
_PATIENCE_SECONDS = 60


def scrub(settings: Settings, needles: Needles) -> None:
    """Take a person's texts out of every file under HOME but the warehouse and publications.

    Raises JourneyGapsError where another program holds one of Dagster's books.
    """
    # Packed copies hide what they hold, and can be fetched again.
    for copy in settings.landing_cache.glob("*/data*"):
        copy.unlink()
    if not needles:
        return
    kept = [
        path
        for path in files(settings)
        if path != settings.warehouse and not path.is_relative_to(settings.published_dir)
    ]
    databases = [path for path in kept if is_sqlite(path)]
    for path in databases:
        try:
            _scrub_sqlite(path, needles)
        except sqlite3.OperationalError as error:
            raise JourneyGapsError(
                f"{path} cannot be rewritten ({error}): stop Dagster's UI and daemon, and run the "
                "same command again"
            ) from error
    for path in kept:
        # Files beside a database come and go with its connections.
        if path not in databases and path.exists() and occurrences(path, needles):
            _scrub_file(settings, path, needles)


def _scrub_file(settings: Settings, path: Path, needles: Needles) -> None:
    room = path.relative_to(settings.home).parts[0]
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError:
        if room in _DISPOSABLE:
            path.unlink()
        return
    draft = path.with_name(f".{path.name}.forgetting")
    draft.write_bytes(needles.redacted(data))
    shutil.copystat(path, draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def _scrub_sqlite(path: Path, needles: Needles) -> None:
    """Rewrite what names the person; then the file, whose free pages keep what was."""
    with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS)) as connection:
        connection.execute("pragma secure_delete = on")
        for table, columns in sqlite_columns(connection).items():
            for column in columns:
                name = quoted(column)
                rows = connection.execute(
                    f"select rowid, {name} from {quoted(table)}"
                    f" where typeof({name}) in ('text', 'blob')"
                )
                changed = [
                    (_redacted(value, needles), rowid)
                    for rowid, value in rows
                    if needles.in_bytes.search(as_bytes(value))
                ]
                connection.executemany(
                    f"update {quoted(table)} set {name} = ? where rowid = ?", changed
                )
        connection.commit()
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")


def _redacted(value: str | bytes, needles: Needles) -> str | bytes:
    redacted = needles.redacted(as_bytes(value))
    return redacted if isinstance(value, bytes) else redacted.decode()


def drop_older_publications(settings: Settings, ids: Ids, needles: Needles) -> list[str]:
    """Remove the publications that hold the person, but for the current one; their names."""
    removed = []
    newest = current(settings.published_dir)
    for folder in sorted((settings.published_dir / "runs").glob("*")):
        if folder.is_dir() and folder.resolve() != newest and _holds(folder, ids, needles):
            shutil.rmtree(folder)
            removed.append(folder.name)
    return removed


def _holds(folder: Path, ids: Ids, needles: Needles) -> bool:
    """Whether a publication names the person; one that cannot be read may."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            if any(rows_in(path, ids, needles).values()) or occurrences(path, needles):
                return True
        except (duckdb.Error, OSError, sqlite3.Error):
            return True
    return False

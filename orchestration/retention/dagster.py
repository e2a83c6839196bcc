"""Dagster's storage by count: some thirty megabytes a run, in a file of its own and in an index."""

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from orchestration.retention.files import size

# A database is written anew where this share of its pages holds nothing.
FREE_SHARE = 0.25
# How many runs are deleted at once, at most: the first pass over an old home takes several.
BATCH = 500


def prune_runs(
    instance: dg.DagsterInstance,
    dagster_dir: Path,
    kept: int,
    kept_runs: Collection[str],
    dry_run: bool = False,
) -> tuple[int, int]:
    """Delete all but the `kept` newest runs; return how many, and the bytes that this freed.

    Runs that are not over, and `kept_runs`, stay. On SQLite the files are removed or written
    anew: deleted rows alone give nothing back.
    """
    records = instance.get_run_records()
    old = [
        record.dagster_run.run_id
        for record in sorted(records, key=lambda one: one.storage_id, reverse=True)[kept:]
        if record.dagster_run.is_finished and record.dagster_run.run_id not in kept_runs
    ][-BATCH:]
    known = {record.dagster_run.run_id for record in records}
    files = _files_of(dagster_dir, [*old, *_orphans(dagster_dir, known | set(kept_runs))])
    before = size(dagster_dir)
    if dry_run:
        return len(old), sum(size(file) for file in files)
    for run_id in old:
        _forget_checks(instance, run_id)
        instance.delete_run(run_id)
    for file in files:
        file.unlink(missing_ok=True)
    for database in dagster_dir.rglob("*.db"):
        if _free_share(database) > FREE_SHARE:
            _vacuum(database)
    return len(old), max(before - size(dagster_dir), 0)


def _forget_checks(instance: dg.DagsterInstance, run_id: str) -> None:
    """`delete_run` leaves the verdicts of checks, some hundred rows a run."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id)
        )


def _files_of(dagster_dir: Path, run_ids: Iterable[str]) -> list[Path]:
    """The SQLite files with the events of single runs."""
    folder = dagster_dir / "history" / "runs"
    return [
        file
        for run_id in run_ids
        for ending in ("", "-wal", "-shm", "-journal")
        if (file := folder / f"{run_id}.db{ending}").exists()
    ]


def _orphans(dagster_dir: Path, known: Collection[str]) -> list[str]:
    """Runs that only a file is left of: a killed deletion."""
    files = (dagster_dir / "history" / "runs").glob("*.db")
    return [file.stem for file in files if file.stem not in known and file.stem != "index"]


def _free_share(database: Path) -> float:
    with closing(sqlite3.connect(database)) as connection:
        [[pages]] = connection.execute("pragma page_count").fetchall()
        [[free]] = connection.execute("pragma freelist_count").fetchall()
    return float(free / pages) if pages else 0.0


def _vacuum(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")

"""HOME as runs leave it: room on disk, the clock, runs that fail, what is published and landed."""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.doctor.findings import Finding, Level, some
from orchestration.settings import Environment, Settings
from orchestration.status import HomeStatus

HOME, DATA = "home", "data"
# A build needs its new tables beside the old ones, and what DuckDB spills.
ROOM = 2
LEAST_FREE_BYTES = 1_000_000_000
CLOCK_SLACK = timedelta(minutes=5)
FRESH_IN_PROD = timedelta(hours=26)


def operation(settings: Settings, found: HomeStatus, now: datetime) -> Iterator[Finding]:
    """Yield what a HOME needs; `found` is its status, `now` the clock (aware)."""
    yield from _room(settings)
    yield from _clock(found, now)
    yield from _runs(settings, found, now)
    yield from _landing(found)


def _room(settings: Settings) -> Iterator[Finding]:
    folder = _existing(settings.home)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            HOME, Level.ERROR, f"{folder} cannot be written", "give this user the right, or --home"
        )
    free = shutil.disk_usage(folder).free
    warehouse = settings.warehouse.stat().st_size if settings.warehouse.exists() else 0
    wanted = max(LEAST_FREE_BYTES, ROOM * warehouse)
    room = f"{free / 1e9:,.1f} GB free, {wanted / 1e9:,.1f} GB wanted"
    if free < wanted:
        yield Finding(
            HOME,
            Level.ERROR if free < wanted / ROOM else Level.WARNING,
            f"little room in {folder}: {room}",
            "free some: `journey-gaps status` says what takes how much",
        )
    else:
        yield Finding(HOME, Level.OK, f"{settings.home}: {room}")


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _clock(found: HomeStatus, now: datetime) -> Iterator[Finding]:
    moments = {
        "a run began": datetime.fromisoformat(found.last_run["started_at"])
        if found.last_run
        else None,
        "something was published": found.publication.published_at if found.publication else None,
        "a file landed": max(
            (table.last_landed_at for table in found.tables if table.last_landed_at), default=None
        ),
    }
    for what, moment in moments.items():
        if moment is not None and moment > now + CLOCK_SLACK:
            yield Finding(
                HOME,
                Level.ERROR,
                f"the clock says {now:%Y-%m-%d %H:%M} UTC, but {what} at {moment:%Y-%m-%d %H:%M}: "
                "newer rows will be refused as of the future",
                "set the clock (timedatectl status)",
            )


def _runs(settings: Settings, found: HomeStatus, now: datetime) -> Iterator[Finding]:
    if found.killed:
        yield Finding(
            HOME, Level.WARNING, f"{found.killed} was killed", "the next run cleans up after it"
        )
    if found.failed_in_a_row and found.last_run:
        row = found.last_run
        times = "once" if found.failed_in_a_row == 1 else f"{found.failed_in_a_row} times in a row"
        why = f": {row['error'].splitlines()[0]}" if row.get("error") else ""
        yield Finding(
            HOME,
            Level.WARNING if found.failed_in_a_row == 1 else Level.ERROR,
            f"runs failed {times}, last with {row['outcome']}{why}",
            f"the log of {row['started_at'][:16]} in {settings.home / 'logs'} has all of it",
        )
    if found.damaged_lines:
        yield Finding(
            HOME,
            Level.INFO,
            f"runs.jsonl, line {some(map(str, found.damaged_lines))}: no row of a run (a power cut "
            "leaves such)",
            "delete the line",
        )
    if found.publication is None:
        yield Finding(HOME, Level.WARNING, "nothing is published", "journey-gaps run")
    elif settings.env is Environment.PROD and found.publication.published_at < now - FRESH_IN_PROD:
        hours = (now - found.publication.published_at) / timedelta(hours=1)
        yield Finding(
            HOME,
            Level.ERROR,
            f"what is published is {hours:,.0f} hours old",
            "journey-gaps status says why; `services` below, whether the schedule is on",
        )


def _landing(found: HomeStatus) -> Iterator[Finding]:
    for file in found.rejected_files:
        yield Finding(
            DATA,
            Level.WARNING,
            f"rejected: {file.get('message') or file['source_file']}",
            "send it again, whole",
        )
    last = found.last_landing or {}
    if names := last.get("unlisted_files"):
        yield Finding(
            DATA,
            Level.WARNING,
            f"{len(names)} files in the landing place that no source reads: {some(names)}",
            "name them in landing.yml, name them after a raw table, or take them away",
        )
    if patterns := last.get("unmatched_globs"):
        yield Finding(
            DATA,
            Level.WARNING,
            f"no file matches {some(patterns)}",
            "landing.yml: correct `file`, or send the file",
        )
    if found.duplicate_files:
        yield Finding(
            DATA,
            Level.INFO,
            f"files that brought only rows that were there already: {some(found.duplicate_files)}",
            "nothing is counted twice; stop sending them twice",
        )
    if found.tables:
        rows, quarantined = (
            sum(table.rows for table in found.tables),
            sum(table.quarantined for table in found.tables),
        )
        yield Finding(
            DATA,
            Level.OK if not quarantined else Level.INFO,
            f"{rows:,} rows in {len(found.tables)} raw tables, {quarantined:,} in quarantine",
            "journey-gaps status lists the reasons" if quarantined else None,
        )

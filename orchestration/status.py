"""What a HOME is like now, read from its files: what ran, what is published, what landed.

Nothing here imports Dagster, dbt or Great Expectations, and a run at work is not disturbed.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.audit import Outcome, read_runs
from orchestration.errors import JourneyGapsError
from orchestration.landing.contract import CONTRACT
from orchestration.landing.result import Status as FileStatus
from orchestration.locking import Holder, WarehouseLock
from orchestration.publish.inputs import landed_files
from orchestration.publish.publication import read_manifest
from orchestration.publish.quality import landed_tables
from orchestration.redaction import without_values
from orchestration.settings import Settings, Target
from orchestration.warehouse import warehouse_of
from orchestration.warehouse.base import tables

REASONS = 5
NOTHING_LANDED = "nothing has landed yet"
SAID = {
    Outcome.FAILED: "failed",
    Outcome.INTERRUPTED: "was interrupted",
    Outcome.KILLED: "was killed",
    Outcome.NOT_STARTED: "did not start",
}


@dataclass(frozen=True)
class TableStatus:
    """One raw table. `newest` is its newest row, `last_landed_at` when its last file landed."""

    table: str
    rows: int
    quarantined: int
    newest: datetime | None
    last_file: str | None
    last_landed_at: datetime | None
    reasons: dict[str, int]


@dataclass(frozen=True)
class PublicationStatus:
    """What readers see; `kept` counts publications, this one included."""

    publication_id: str
    published_at: datetime
    marts: int
    rows: int
    kept: int


@dataclass(frozen=True)
class HomeStatus:
    """All of it; times are UTC.

    `last_run` is the newest that ended and `failed_in_a_row` how many since the last good one.
    `running` holds the warehouse now; `killed` held it and died, which the next run will record.
    `read_from` says in words whether `tables` are those of the warehouse or of the publication.
    `last_landing` is the newest run that looked into the landing place, `duplicate_files` are
    files of other names that brought nothing new. `unhealthy` says why this HOME needs somebody,
    and is empty where it does not.
    """

    home: Path
    last_run: dict[str, Any] | None
    last_good_run: dict[str, Any] | None
    failed_in_a_row: int
    running: Holder | None
    killed: Holder | None
    publication: PublicationStatus | None
    read_from: str
    tables: list[TableStatus]
    last_landing: dict[str, Any] | None
    duplicate_files: list[str]
    disk_bytes: dict[str, int]
    damaged_lines: list[int]
    unhealthy: list[str] = field(default_factory=list)

    @property
    def rejected_files(self) -> list[dict[str, Any]]:
        """What `last_landing` could not read: every run tries such files again."""
        inputs = (self.last_landing or {}).get("inputs", [])
        return [file for file in inputs if file["status"] == FileStatus.REJECTED.value]


def status_of(settings: Settings) -> HomeStatus:
    """Return what a HOME is like now; a HOME that is not there is one in which nothing ran."""
    book = read_runs(settings.home)
    newest_first = book.rows[::-1]
    good = [number for number, row in enumerate(newest_first) if _is_good(row)]
    failed_in_a_row = good[0] if good else len(newest_first)
    running, killed = _holders(settings)
    if killed and any(row["run_id"] == killed.run_id for row in newest_first):
        killed = None
    manifest = _manifest(settings)
    read_from, landed, files = _tables(settings, manifest, running)
    publication = _publication(settings, manifest)
    last_run = newest_first[0] if newest_first else None
    return HomeStatus(
        home=settings.home,
        last_run=last_run,
        last_good_run=newest_first[good[0]] if good else None,
        failed_in_a_row=failed_in_a_row,
        running=running,
        killed=killed,
        publication=publication,
        read_from=read_from,
        tables=landed,
        last_landing=next((row for row in newest_first if row.get("inputs") is not None), None),
        duplicate_files=_duplicates(files),
        disk_bytes=_disk_bytes(settings.home),
        damaged_lines=book.damaged_lines,
        unhealthy=list(_unhealthy(last_run, failed_in_a_row, killed, publication)),
    )


def _unhealthy(
    last_run: Mapping[str, Any] | None,
    failed_in_a_row: int,
    killed: Holder | None,
    publication: PublicationStatus | None,
) -> Iterable[str]:
    if killed:
        yield f"{killed} was killed: start a run, which cleans up after it"
    if last_run is not None and not _is_good(last_run):
        said = SAID.get(last_run["outcome"], last_run["outcome"])
        times = f", like {failed_in_a_row - 1} before it" if failed_in_a_row > 1 else ""
        yield f"the last run {said}{times}"
    if publication is None:
        yield "nothing is published"


def _is_good(row: Mapping[str, Any]) -> bool:
    # A later version may know other outcomes.
    return row["outcome"] in {outcome.value for outcome in Outcome if outcome.is_good}


def _holders(settings: Settings) -> tuple[Holder | None, Holder | None]:
    """Who holds the warehouse now, and who died with it."""
    lock = WarehouseLock(settings.warehouse, "status")
    holder = lock.holder()
    if holder is None:
        return None, None
    try:
        is_held = lock.is_held()
    except OSError:
        # Of a HOME that may only be read.
        is_held = True
    # It may have ended between the two looks.
    return (holder, None) if is_held else (None, lock.holder())


def _manifest(settings: Settings) -> dict[str, Any]:
    try:
        return read_manifest(settings.published_dir)
    except (JourneyGapsError, OSError, ValueError):
        return {}


def _publication(settings: Settings, manifest: Mapping[str, Any]) -> PublicationStatus | None:
    if not manifest:
        return None
    runs = settings.published_dir / "runs"
    return PublicationStatus(
        publication_id=manifest["publication_id"],
        published_at=datetime.fromisoformat(manifest["published_at"]),
        marts=len(manifest["marts"]),
        rows=sum(mart["rows"] for mart in manifest["marts"].values()),
        kept=sum(1 for folder in runs.iterdir() if not folder.name.endswith(".tmp")),
    )


def _tables(
    settings: Settings, manifest: Mapping[str, Any], running: Holder | None
) -> tuple[str, list[TableStatus], list[dict[str, Any]]]:
    """The raw tables and their files as they are, or as published where that cannot be seen."""
    quality = manifest.get("data_quality", {}).get("tables", [])
    files = manifest.get("inputs", [])
    if running is not None and settings.target is Target.DUCKDB:
        why = f"{running} has the warehouse"
        return f"as of the publication: {why}", _described(quality, files), files
    if settings.target is Target.DUCKDB and not settings.warehouse.exists():
        return NOTHING_LANDED, [], []
    try:
        with warehouse_of(settings).connect() as connection:
            if "loads" not in tables(connection, "raw"):
                return NOTHING_LANDED, [], []
            live = landed_files(connection)
            return "as of the warehouse", _described(landed_tables(connection), live), live
    except Exception as error:
        # Damaged, locked by another program, of another version: the publication still stands.
        why = str(error).splitlines()[0]
        return f"as of the publication: {why}", _described(quality, files), files


def _described(
    quality: Iterable[Mapping[str, Any]], files: Iterable[Mapping[str, Any]]
) -> list[TableStatus]:
    last: dict[str, Mapping[str, Any]] = {}
    for file in files:
        if file["status"] != FileStatus.REJECTED.value:
            last[file["table_name"]] = file
    described = {}
    for table in quality:
        reasons: dict[str, int] = {}
        for reason, rows in table["quarantine_reasons"].items():
            reasons[without_values(reason)] = reasons.get(without_values(reason), 0) + rows
        file = last.get(table["table"], {})
        described[table["table"]] = TableStatus(
            table=table["table"],
            rows=table["rows_kept"],
            quarantined=table["rows_quarantined"],
            newest=_utc(table["newest"]),
            last_file=file.get("source_file"),
            last_landed_at=_utc(file.get("loaded_at")),
            reasons=dict(list(reasons.items())[:REASONS]),
        )
    return [described[name] for name in CONTRACT if name in described]


def _utc(moment: datetime | str | None) -> datetime | None:
    """A time of the warehouse or of a manifest, which are UTC without saying so."""
    if moment is None:
        return None
    read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def _duplicates(files: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        file["source_file"]
        for file in files
        if file["rows_in"] and file["rows_in"] == file["rows_duplicate"]
    ]


def _disk_bytes(home: Path) -> dict[str, int]:
    """Each entry of HOME -> what it takes on disk, links not followed."""
    if not home.is_dir():
        return {}
    sizes = {}
    for entry in sorted(home.iterdir()):
        files = [entry]
        if entry.is_dir() and not entry.is_symlink():
            files = [Path(folder) / name for folder, _, names in os.walk(entry) for name in names]
        total = 0
        for file in files:
            # A run may remove it meanwhile.
            with suppress(FileNotFoundError):
                total += file.lstat().st_size
        sizes[entry.name] = total
    return sizes

"""One pass over all that has a limit; what fails is told and does not keep the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from orchestration.publish.history import prune_publications
from orchestration.publish.publication import current, manifest_of
from orchestration.retention import files
from orchestration.retention.dagster import prune_runs
from orchestration.retention.quarantine import expire
from orchestration.settings import Settings
from orchestration.warehouse.compaction import compact, is_worthwhile


@dataclass(frozen=True)
class Pruned:
    """What became of one kind of thing.

    `items` and `bytes` were removed, or would be in a dry run; bytes are those of files, rows
    free room for new ones inside theirs. `problem` says why that failed, empty where it did not.
    """

    kind: str
    items: int = 0
    bytes: int = 0
    problem: str = ""

    def __str__(self) -> str:
        """For a message: logs: 12 items, 3,456,789 bytes."""
        return f"{self.kind}: {self.items:,} items, {self.bytes:,} bytes"


@dataclass(frozen=True)
class _Kept:
    """The run that readers live on, and the one in progress."""

    run_ids: frozenset[str]
    published_at: datetime | None


def prune(
    settings: Settings,
    instance: dg.DagsterInstance,
    *,
    run_id: str | None = None,
    now: datetime | None = None,
    dry_run: bool = False,
    compaction: bool | None = None,
) -> list[Pruned]:
    """Remove what exceeds the limits of the settings; the caller holds the warehouse.

    `run_id` is the run in progress. `now` (aware) is the time that ages are counted to. The
    warehouse file is written anew where that frees much of it, always or never as `compaction`
    says. Raises nothing: see `Pruned.problem`.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    kept = _kept(settings, run_id)
    warehouse = settings.warehouse

    def publications() -> tuple[int, int]:
        removed = []
        for only_show in (True, False):
            if only_show or not dry_run:
                folders = prune_publications(
                    settings.published_dir, settings.publications_kept, dry_run=only_show
                )
            if only_show:
                removed = [files.size(folder) for folder in folders]
        return len(removed), sum(removed)

    def compacted() -> tuple[int, int]:
        wanted = is_worthwhile(warehouse) if compaction is None else compaction
        if not wanted or not warehouse.exists():
            return 0, 0
        return 1, 0 if dry_run else compact(warehouse, settings.memory_limit)

    kinds: dict[str, Callable[[], tuple[int, int]]] = {
        "publications": publications,
        "logs": lambda: files.remove(
            files.old_logs(settings, moment, kept.run_ids, kept.published_at), dry_run=dry_run
        ),
        "leftovers": lambda: files.remove(files.leftovers(settings, moment), dry_run=dry_run),
        "runs in Dagster": lambda: prune_runs(
            instance, settings.dagster_dir, settings.dagster_runs_kept, kept.run_ids, dry_run
        ),
        "quarantined rows": lambda: (expire(settings, moment, dry_run=dry_run), 0),
        "warehouse file": compacted,
    }
    return [_attempt(kind, work) for kind, work in kinds.items()]


def _attempt(kind: str, work: Callable[[], tuple[int, int]]) -> Pruned:
    try:
        return Pruned(kind, *work())
    except Exception as error:
        return Pruned(kind, problem=f"{type(error).__name__}: {error}")


def _kept(settings: Settings, run_id: str | None) -> _Kept:
    folder = current(settings.published_dir)
    run_ids = {run_id} if run_id else set()
    published_at = None
    if folder is not None:
        published_at, of_current = _published(folder)
        run_ids |= of_current
    return _Kept(frozenset(run_ids), published_at)


def _published(folder: Path) -> tuple[datetime, set[str]]:
    """When a publication was published, and by which run as far as that is known."""
    try:
        manifest = manifest_of(folder)
        return datetime.fromisoformat(manifest["published_at"]), {manifest["run_id"]}
    except Exception:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC), set()

"""Files and folders by age: logs, what killed runs left, seeds of homes that are gone."""

import shutil
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.resources import SEEDS_OWNER
from orchestration.settings import Settings

# What others may be writing without the lock: dbt parses, and folders are set up.
STALE = timedelta(days=1)
# A run ends, and closes its logs, within this of its publication.
AROUND_PUBLICATION = timedelta(hours=1)


def old_logs(
    settings: Settings,
    now: datetime,
    kept_runs: Collection[str],
    published_at: datetime | None,
) -> Iterator[Path]:
    """Logs that are too old; those of `kept_runs`, and of the run at `published_at`, stay."""
    for path in _below(settings.home / "logs"):
        written = _written(path)
        if path.name in kept_runs or written > now.timestamp() - settings.logs_days * 86400:
            continue
        if published_at is None or (
            abs(written - published_at.timestamp()) > AROUND_PUBLICATION.total_seconds()
        ):
            yield path


def leftovers(settings: Settings, now: datetime) -> Iterator[Path]:
    """What no run needs: scratch of killed runs, warehouses set aside, seeds without a home."""
    for pattern in (".landing-*", ".copy-*", "*.tmp", f"{settings.warehouse.name}.compact*"):
        yield from settings.home.glob(pattern)
    yield from (settings.published_dir / "runs").glob("*.tmp")
    yield from settings.published_dir.glob("current.tmp")
    oldest = now.timestamp() - settings.logs_days * 86400
    for aside in settings.home.glob(f"{settings.warehouse.name}.damaged-*"):
        if _written(aside) <= oldest:
            yield aside
    stale = now.timestamp() - STALE.total_seconds()
    for draft in _below(settings.home / "dbt", "*/tmp*"):
        if _written(draft) <= stale:
            yield draft
    for seeds in _below(settings.seed_dir.parent):
        if seeds != settings.seed_dir and _written(seeds) <= stale and _has_no_home(seeds):
            yield seeds


def remove(paths: Iterable[Path], *, dry_run: bool) -> tuple[int, int]:
    """Remove files and folders; return how many, and their bytes."""
    items = freed = 0
    for path in list(paths):
        items += 1
        freed += size(path)
        if dry_run:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return items, freed


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; links count for nothing."""
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(size(inside) for inside in path.iterdir())
    return path.stat().st_size if path.exists() else 0


def _below(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def _written(path: Path) -> float:
    """When a file, or the newest in a folder, was written; POSIX time."""
    newest = path.lstat().st_mtime
    if path.is_dir() and not path.is_symlink():
        inside = [file.lstat().st_mtime for file in path.rglob("*") if file.is_file()]
        return max(inside, default=newest)
    return newest


def _has_no_home(seeds: Path) -> bool:
    owner = seeds / SEEDS_OWNER
    return owner.is_file() and not Path(owner.read_text(encoding="utf-8").strip()).exists()

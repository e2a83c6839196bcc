"""Publications that are kept: which there are, whether they are whole, and the way back."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import (
    DATABASE,
    ROWS_AND_HASH,
    current,
    manifest_of,
    restore,
)
from orchestration.quoting import quoted
from orchestration.warehouse.base import Warehouse


@dataclass(frozen=True)
class KeptPublication:
    """A publication's folder as it is now.

    `rows` is the sum over its marts, `bytes` of all its files; both and `run_id` as far as they
    are known. `damage` says what is wrong with its files, empty where they are as published.
    """

    publication_id: str
    folder: Path
    published_at: datetime
    run_id: str | None
    rows: int | None
    bytes: int
    is_current: bool
    damage: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """One row of a list, values as JSON and CSV have them."""
        return {
            "publication_id": self.publication_id,
            "published_at": self.published_at.isoformat(timespec="seconds"),
            "run_id": self.run_id,
            "rows": self.rows,
            "bytes": self.bytes,
            "is_current": self.is_current,
            "state": "damaged" if self.damage else "complete",
            "damage": "; ".join(self.damage) or None,
        }


def kept_publications(published_dir: Path, *, verify: bool = False) -> list[KeptPublication]:
    """Return the publications that are there, newest first; drafts are none.

    With `verify` every file is read and compared with the manifest (see `damage_of`); without,
    only an unreadable manifest is damage.
    """
    folders = [
        folder
        for folder in (published_dir / "runs").glob("*")
        if folder.is_dir() and folder.suffix != ".tmp"
    ]
    described = [_described(folder, current(published_dir), verify=verify) for folder in folders]
    return sorted(described, key=lambda one: (one.published_at, one.publication_id), reverse=True)


def damage_of(folder: Path) -> Iterator[str]:
    """What of a publication is not as its manifest says, one sentence a file."""
    try:
        marts: Mapping[str, Mapping[str, Any]] = manifest_of(folder)["marts"]
    except (JourneyGapsError, KeyError) as error:
        yield f"no manifest ({error})"
        return
    for name, mart in marts.items():
        file = folder / f"{name}.parquet"
        if not file.is_file():
            yield f"{file.name} is missing"
            continue
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != mart["sha256"]:
                yield f"{file.name} is not the file that was published (sha256)"
    yield from _damage_of_database(folder / DATABASE, marts)


def rollback(
    warehouse: Warehouse, published_dir: Path, publication_id: str | None = None
) -> KeptPublication:
    """Make an earlier publication current and return it; without an id the one before current.

    The caller holds the warehouse. Raises JourneyGapsError where there is no such publication, or
    its files are not those that were published; the current one then stays.
    """
    kept = kept_publications(published_dir)
    chosen = _before_current(kept) if publication_id is None else _named(kept, publication_id)
    if damage := list(damage_of(chosen.folder)):
        raise JourneyGapsError(
            f"{chosen.publication_id} is damaged and cannot be current: {'; '.join(damage)}. "
            "`journey-gaps publications list` shows which are complete."
        )
    restore(warehouse, published_dir, chosen.publication_id)
    return next(
        one
        for one in kept_publications(published_dir)
        if one.publication_id == chosen.publication_id
    )


def prune_publications(published_dir: Path, kept: int, *, dry_run: bool = False) -> list[Path]:
    """Remove all but the `kept` newest publications; return the folders. The current one stays."""
    superfluous = [one for one in kept_publications(published_dir)[kept:] if not one.is_current]
    for one in superfluous:
        if not dry_run:
            shutil.rmtree(one.folder)
    return [one.folder for one in superfluous]


def _described(folder: Path, serving: Path | None, *, verify: bool) -> KeptPublication:
    damage: tuple[str, ...] = ()
    try:
        manifest = manifest_of(folder)
        published_at = datetime.fromisoformat(manifest["published_at"])
        rows = sum(mart["rows"] for mart in manifest["marts"].values())
    except (JourneyGapsError, KeyError, TypeError, ValueError) as error:
        manifest, rows = {}, None
        published_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        damage = (f"no manifest ({error})",)
    if verify and not damage:
        damage = tuple(damage_of(folder))
    return KeptPublication(
        publication_id=folder.name,
        folder=folder,
        published_at=published_at,
        run_id=manifest.get("run_id"),
        rows=rows,
        bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        is_current=serving == folder.resolve(),
        damage=damage,
    )


def _damage_of_database(file: Path, marts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The manifest has no hash of the database: its rows have those of the manifest."""
    if not file.is_file():
        yield f"{file.name} is missing"
        return
    try:
        with closing(duckdb.connect(file, read_only=True)) as connection:
            for name, mart in marts.items():
                [(rows, content_hash)] = connection.execute(
                    f"from {quoted(name)} as mart {ROWS_AND_HASH}"
                ).fetchall()
                if (rows, content_hash) != (mart["rows"], mart["content_hash"]):
                    yield f"{file.name}: {name} has not the rows that were published"
    except duckdb.Error as error:
        yield f"{file.name} cannot be read ({str(error).splitlines()[0]})"


def _before_current(kept: list[KeptPublication]) -> KeptPublication:
    position = next((i for i, one in enumerate(kept) if one.is_current), None)
    if position is None:
        raise JourneyGapsError("nothing is published yet, or `current` leads nowhere: name an ID")
    if position + 1 == len(kept):
        raise JourneyGapsError(
            f"{kept[position].publication_id} is current, and none before it is kept"
        )
    return kept[position + 1]


def _named(kept: list[KeptPublication], publication_id: str) -> KeptPublication:
    for one in kept:
        if one.publication_id == publication_id:
            return one
    known = ", ".join(one.publication_id for one in kept) or "none"
    raise JourneyGapsError(f"there is no publication {publication_id}; kept are {known}")

"""What readers see: a complete new folder per publication, then one swap of a symlink.

    published/
        current -> runs/<publication_id>
        runs/<publication_id>/
            <mart>.parquet          one per mart
            journey_gaps.duckdb     the same tables, schema main
            manifest.json           what this is, and what is in it
            report.html             the same for people

A reader who has a file open keeps it: nothing is ever written twice.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
from pydantic_core import to_jsonable_python

from orchestration.errors import JourneyGapsError
from orchestration.quoting import literal, quoted
from orchestration.warehouse.base import Warehouse, require_marts

DATABASE = "journey_gaps.duckdb"
CURRENT = "current"
MANIFEST = "manifest.json"
REPORT_FILE = "report.html"
# What today's BI tools can open.
STORAGE_VERSION = "v1.2.0"
# Over a relation called mart: see PublishedMart.
ROWS_AND_HASH = (
    "select count(*), coalesce(sum(md5_number_lower(to_json(mart)::varchar)), 0)::varchar"
)


@dataclass(frozen=True)
class PublishedMart:
    """One mart as published.

    `columns` maps name to DuckDB type, in order; `bytes` and `sha256` are of the Parquet
    file. `content_hash` depends on the rows alone, not on their order or on the file; in
    DuckDB: `select coalesce(sum(md5_number_lower(to_json(mart)::varchar)), 0) from <mart> as mart`.
    """

    rows: int
    columns: dict[str, str]
    bytes: int
    sha256: str
    content_hash: str


@dataclass(frozen=True)
class Publication:
    """A publication that readers see: its folder, and its marts by name."""

    publication_id: str
    folder: Path
    published_at: datetime
    marts: Mapping[str, PublishedMart]


def publish(
    warehouse: Warehouse,
    published_dir: Path,
    marts: Sequence[str],
    manifest: Mapping[str, object],
    publication_id: str,
    now: datetime | None = None,
    complete: Callable[[Path], object] = lambda _: None,
    *,
    sorted_by: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Publication:
    """Publish `marts` of schema marts of `warehouse` and make them current.

    `manifest` is added to the manifest: values that pydantic can turn into JSON. `now` (aware)
    is the time of publication. `complete` may add files to the folder, which then holds the
    marts and the manifest, before readers see it. A server's own readers see the marts at the
    same moment, short of a crash between the two.

    Rows lie in the order of the columns that `sorted_by` names for their mart (which must tell
    rows apart, or equal rows would not make equal files), else of all columns. What is more than
    the warehouse's memory_limit is spilled into the folder.

    Whatever fails, the last publication stays current and nothing of this one remains.
    Raises JourneyGapsError where a mart is missing, the warehouse cannot be opened, or the id
    is no plain file name or was published before.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(?<!\.tmp)", publication_id, re.ASCII):
        raise JourneyGapsError(f"{publication_id!r} cannot name a publication's folder")
    final = published_dir / "runs" / publication_id
    draft = final.with_name(f"{publication_id}.tmp")
    if final.exists():
        raise JourneyGapsError(f"{publication_id} is published already: {final}")
    published_at = (now or datetime.now(UTC)).astimezone(UTC)

    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(published_dir)
    try:
        draft.mkdir()
        written = _write_marts(warehouse, draft, marts, sorted_by)
        _write_manifest(draft, manifest, publication_id, published_at, written)
        complete(draft)
        with warehouse.publishing(publication_id, marts):
            sync(*draft.iterdir(), draft)
            draft.rename(final)
            sync(final.parent)
            _swap(published_dir, final)
    except BaseException:
        _sweep(published_dir)
        if current(published_dir) != final.resolve():
            shutil.rmtree(final, ignore_errors=True)
        raise
    return Publication(publication_id, final, published_at, written)


def restore(warehouse: Warehouse, published_dir: Path, publication_id: str) -> Path:
    """Make a publication that is still there current again, and return its folder.

    Its files are taken as they are: see `history.rollback`. A server's own readers see its marts
    at the same moment. Raises JourneyGapsError where the folder or the server no longer has it;
    then the current one stays.
    """
    folder = published_dir / "runs" / publication_id
    manifest = manifest_of(folder)
    before = current(published_dir)
    _sweep(published_dir)
    try:
        with warehouse.republishing(publication_id, list(manifest["marts"])):
            _swap(published_dir, folder)
            sync(published_dir)
    except BaseException:
        # The server may refuse at its commit.
        if before is not None and current(published_dir) != before:
            _sweep(published_dir)
            _swap(published_dir, published_dir / before.relative_to(published_dir.resolve()))
        raise
    return folder


def current(published_dir: Path) -> Path | None:
    """Return the folder of the current publication, None before the first.

    It stays the same folder while newer ones are published: read all from the one returned.
    """
    link = published_dir / CURRENT
    return link.resolve() if link.exists() else None


def read_manifest(published_dir: Path) -> dict[str, Any]:
    """Return the manifest of the current publication; raises JourneyGapsError before the first."""
    folder = current(published_dir)
    if folder is None:
        raise JourneyGapsError(f"nothing is published in {published_dir} yet")
    return manifest_of(folder)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of a publication; raises JourneyGapsError where it cannot be read."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JourneyGapsError(f"{folder / MANIFEST} cannot be read: {error}") from error
    return manifest


def _sweep(published_dir: Path) -> None:
    """Remove what a failed or killed publication left half done."""
    for draft in (published_dir / "runs").glob("*.tmp"):
        shutil.rmtree(draft)
    (published_dir / "current.tmp").unlink(missing_ok=True)


def _write_marts(
    warehouse: Warehouse,
    folder: Path,
    marts: Sequence[str],
    sorted_by: Mapping[str, Sequence[str]],
) -> dict[str, PublishedMart]:
    """Write the database and the Parquet files; rows pass through DuckDB alone."""
    require_marts(warehouse, marts)
    spill = folder / "spill"
    spill.mkdir()
    config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(spill)}
    if warehouse.memory_limit is not None:
        config["memory_limit"] = warehouse.memory_limit
    with closing(duckdb.connect(config=config)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"attach {literal(str(folder / DATABASE))} as published "
            f"(storage_version '{STORAGE_VERSION}')"
        )
        with warehouse.reader(connection, spill) as relation:
            written = {
                mart: _write_mart(connection, folder, mart, relation(mart), sorted_by.get(mart, ()))
                for mart in marts
            }
        connection.execute("detach published")
    shutil.rmtree(spill, ignore_errors=True)
    return written


def _write_mart(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    mart: str,
    relation: str,
    columns_of_order: Sequence[str],
) -> PublishedMart:
    name = quoted(mart)
    order = ", ".join(map(quoted, columns_of_order)) or "all"
    parquet = folder / f"{mart}.parquet"
    connection.execute(f"create table published.{name} as from {relation} order by {order}")
    connection.execute(
        f"copy published.{name} to {literal(str(parquet))} (format parquet, compression zstd)"
    )
    columns = connection.execute(f"describe published.{name}").fetchall()
    [(rows, content_hash)] = connection.execute(
        f"from published.{name} as mart {ROWS_AND_HASH}"
    ).fetchall()
    with parquet.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return PublishedMart(
        rows=rows,
        columns={column: kind for column, kind, *_ in columns},
        bytes=parquet.stat().st_size,
        sha256=sha256,
        content_hash=content_hash,
    )


def _write_manifest(
    folder: Path,
    manifest: Mapping[str, object],
    publication_id: str,
    published_at: datetime,
    marts: Mapping[str, PublishedMart],
) -> None:
    content: dict[str, object] = {
        "publication_id": publication_id,
        "published_at": published_at,
        "project_version": version("journey-gaps"),
    }
    if taken := sorted(manifest.keys() & {*content, "marts"}):
        raise JourneyGapsError(f"the manifest says {', '.join(taken)} by itself")
    content |= manifest
    content["marts"] = {name: asdict(mart) for name, mart in marts.items()}
    text = json.dumps(to_jsonable_python(content), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def sync(*paths: Path) -> None:
    """Wait until files and folders are on disk: a power cut must not leave `current` empty."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(published_dir: Path, final: Path) -> None:
    """Point `current` to `final`: the one moment at which readers see something new."""
    link = published_dir / "current.tmp"
    link.symlink_to(final.relative_to(published_dir))
    link.replace(published_dir / CURRENT)

"""Where raw files come from: a folder, or any location that fsspec knows (`s3://`, `zip://` …).

A place lists its files and hands each over as a local file. Files of a remote place are copied
to a cache in HOME by place, name and version: a file that did not change is not fetched again,
and one whose content has landed not even after it left the cache.

What a listing says of a file that is not to be read yet, or ever:

- ignored: names that programs use while they write or keep for themselves (`*.tmp`, `*.part`,
  `*.crdownload`, `.hidden`, `_SUCCESS`), and names that lead out of the place;
- waiting: files that were modified less than the settle time ago.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from fsspec.core import url_to_fs  # type: ignore[import-untyped]

from orchestration.errors import InputError, Problem
from orchestration.landing.readers import RejectedFileError, require_inside

TEMPORARY_SUFFIXES = (".tmp", ".part", ".crdownload")
# What file systems call the time of the last change, in the order of trust.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
# What tells two versions of one name apart, where a file system has it.
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "generation", "VersionId", "CRC")
_HASH = "sha256"


@dataclass(frozen=True)
class ListedFile:
    """A file of a place: `size` in bytes, `modified` in seconds since 1970 where known.

    `version` changes whenever its content may have changed.
    """

    name: str
    size: int
    modified: float | None
    version: str


@dataclass(frozen=True)
class Listing:
    """The files of a place by name, relative to it, with /; `ignored` gives names and why."""

    files: Mapping[str, ListedFile]
    waiting: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hash of the names and versions of all settled files."""
        versions = sorted((file.name, file.version) for file in self.files.values())
        return hashlib.sha256(json.dumps(versions).encode()).hexdigest()


class Place(Protocol):
    """Where raw files come from."""

    @property
    def name(self) -> str:
        """What to call it in a message; holds no password."""

    def listing(self) -> Listing:
        """Name its files. Raises InputError where it cannot be read."""

    def fetch(self, name: str) -> Path:
        """Return a local file of that content, valid until the next call.

        Raises RejectedFileError where there is no such file, it changes or leads elsewhere.
        """

    def known_sha256(self, name: str) -> str | None:
        """Return the hash of its content where it is known without fetching it."""

    def remember(self, name: str, sha256: str) -> None:
        """Keep the hash of the content of a file that was fetched."""


def place_of(
    location: Path | str, *, cache: Path, cache_bytes: int, settle_seconds: float = 0
) -> Place:
    """The place that a path or URL names; `cache` is a folder for copies of remote files.

    Raises InputError where no file system for the URL's protocol is installed.
    """
    if isinstance(location, Path):
        return Folder(location, settle_seconds)
    if location.startswith("file://"):
        return Folder(Path(unquote(urlsplit(location).path)), settle_seconds)
    return Remote(location, cache, cache_bytes, settle_seconds)


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"//[^/@]*@", "//***@", url)


def _reason_to_ignore(name: str) -> str | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        return "its name leads out of the landing place"
    if name.lower().endswith(TEMPORARY_SUFFIXES):
        return "a program is still writing it, by its name"
    if any(part.startswith((".", "_")) for part in path.parts):
        return "hidden, by its name"
    return None


def _sorted_out(files: list[ListedFile], settle_seconds: float) -> Listing:
    now = datetime.now(UTC).timestamp()
    settled: dict[str, ListedFile] = {}
    waiting: list[str] = []
    ignored: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.name):
        reason = _reason_to_ignore(file.name)
        # Clocks differ, and are set back: a time shortly ahead is as fresh as one just past.
        if reason is not None:
            ignored[file.name] = reason
        elif file.modified is not None and abs(now - file.modified) < settle_seconds:
            waiting.append(file.name)
        else:
            settled[file.name] = file
    return Listing(settled, tuple(waiting), ignored)


@dataclass(frozen=True)
class Folder:
    """A folder of this machine; it is only read."""

    path: Path
    settle_seconds: float = 0

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def listing(self) -> Listing:
        """Its files, those of subfolders too. Raises InputError where it is no folder."""
        if not self.path.is_dir():
            message = "is no folder" if self.path.exists() else "does not exist"
            remedy = "name a folder of raw files: --landing or JOURNEY_GAPS_LANDING"
            raise InputError(
                "The landing folder cannot be read.",
                [Problem(str(self.path), message, remedy=remedy)],
            )
        files = []
        for path in self.path.rglob("*"):
            # What is deleted between being found and being looked at was never there.
            with suppress(FileNotFoundError):
                if path.is_file():
                    status = path.stat()
                    version = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
                    name = path.relative_to(self.path).as_posix()
                    files.append(ListedFile(name, status.st_size, status.st_mtime, version))
        return _sorted_out(files, self.settle_seconds)

    def fetch(self, name: str) -> Path:
        """The file itself."""
        path = self.path / name
        require_inside(path, self.path)
        return path

    def known_sha256(self, name: str) -> str | None:  # noqa: ARG002 (part of the protocol)
        """None: hashing a local file tells what it holds now."""
        return None

    def remember(self, name: str, sha256: str) -> None:
        """Nothing is kept about local files."""


class Remote:
    """A location of fsspec. Its files are read from copies in a cache of bounded size.

    One process at a time may fetch: whoever holds the warehouse's lock.
    """

    def __init__(self, url: str, cache: Path, cache_bytes: int, settle_seconds: float = 0) -> None:
        """`url` may be chained (`zip://::s3://bucket/files.zip`); nothing is opened yet."""
        self._url = url
        self._cache = cache
        self._cache_bytes = cache_bytes
        self._settle_seconds = settle_seconds
        self._listed: Listing | None = None

    @property
    def name(self) -> str:
        """The URL, without user and password."""
        return without_password(self._url)

    def listing(self) -> Listing:
        """Its files, freshly asked for. Raises InputError where the location cannot be read."""
        system, root = self._open()
        try:
            found = system.find(root, detail=True)
        except Exception as error:  # every protocol has errors of its own
            raise self._unreadable(f"cannot be listed: {error}") from error
        if not found and not system.exists(root):
            raise self._unreadable("does not exist")
        self._listed = _sorted_out(
            [_listed_file(_relative(path, root), info) for path, info in found.items()],
            self._settle_seconds,
        )
        return self._listed

    def fetch(self, name: str) -> Path:
        """A copy of the file, from the cache where its version is there."""
        file = self._file(name)
        folder = self._folder(file)
        copy = folder / ("data" + "".join(PurePosixPath(name.lower()).suffixes[-2:]))
        if not copy.exists():
            self._make_room(file.size)
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f"{os.getpid()}.draft"
            try:
                self._download(file, draft)
                draft.replace(copy)
            finally:
                draft.unlink(missing_ok=True)
        os.utime(copy)
        return copy

    def known_sha256(self, name: str) -> str | None:
        """The hash that was kept with this version of the file."""
        listed = self._listed.files.get(name) if self._listed else None
        if listed is None:
            return None
        try:
            return (self._folder(listed) / _HASH).read_text()
        except FileNotFoundError:
            return None

    def remember(self, name: str, sha256: str) -> None:
        """Keep it; it stays when the copy leaves the cache."""
        (self._folder(self._file(name)) / _HASH).write_text(sha256)

    def _open(self) -> tuple[Any, str]:
        try:
            # Listings are not to be remembered: what changed is what we come for.
            system, root = url_to_fs(self._url, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            # Its message says which package: "Install s3fs to access S3".
            package = re.search(r"[Ii]nstall ['\"`]?([\w.-]+)", str(error))
            remedy = f"pip install {package.group(1)}" if package else "install its package"
            raise self._unreadable(f"needs a package: {error}", remedy) from error
        except Exception as error:  # a protocol may connect at once, with errors of its own
            known = "protocols are those of fsspec: s3, gcs, abfs, sftp, zip, …"
            raise self._unreadable(f"cannot be opened: {error}", known) from error
        return system, str(root)

    def _unreadable(self, message: str, remedy: str | None = None) -> InputError:
        remedy = remedy or "name a readable location: --landing or JOURNEY_GAPS_LANDING"
        return InputError(
            "The landing place cannot be read.",
            [Problem(self.name, without_password(message), remedy=remedy)],
        )

    def _file(self, name: str) -> ListedFile:
        listed = self._listed or self.listing()
        if name not in listed.files:
            raise RejectedFileError(
                "there is no such file", remedy="deliver it, or take it off the list"
            )
        return listed.files[name]

    def _folder(self, file: ListedFile) -> Path:
        key = json.dumps([self._url, file.name, file.version])
        return self._cache / hashlib.sha256(key.encode()).hexdigest()

    def _download(self, file: ListedFile, target: Path) -> None:
        system, root = self._open()
        path = f"{root.rstrip('/')}/{file.name}" if root else file.name
        try:
            with system.open(path, "rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            now = _listed_file(file.name, system.info(path))
        except FileNotFoundError as error:
            raise RejectedFileError(
                "there is no such file any more", remedy="deliver it, or take it off the list"
            ) from error
        except Exception as error:  # every protocol has errors of its own
            raise RejectedFileError(
                f"cannot be fetched: {without_password(str(error))}", remedy="run again"
            ) from error
        if now.version != file.version or target.stat().st_size != file.size:
            raise RejectedFileError(
                "changed while it was read",
                remedy="land it when it is complete: write under another name, then rename",
            )

    def _make_room(self, size: int) -> None:
        """Remove the copies that were used longest ago until `size` more bytes fit."""
        for draft in self._cache.glob("*/*.draft"):
            draft.unlink()  # of a run that was killed: ours is not begun
        copies = []
        for path in self._cache.glob("*/data*"):
            status = path.stat()
            copies.append((status.st_mtime, status.st_size, path))
        total = sum(size_ for _, size_, _ in copies)
        for _, size_, path in sorted(copies):
            if total + size <= self._cache_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size_


def _relative(path: str, root: str) -> str:
    base = root.rstrip("/")
    return path[len(base) :].lstrip("/") if base and path.startswith(base + "/") else path


def _listed_file(name: str, info: Mapping[str, Any]) -> ListedFile:
    """A file by what its file system says of it: each protocol has words of its own."""
    modified = next((_seconds(info[key]) for key in _TIMES if info.get(key) is not None), None)
    size = int(info.get("size") or 0)
    told = {key: str(info[key]) for key in _VERSIONS if info.get(key) is not None}
    version = json.dumps([size, modified, told], sort_keys=True)
    return ListedFile(name, size, modified, hashlib.sha256(version.encode()).hexdigest())


def _seconds(moment: object) -> float | None:
    if isinstance(moment, int | float):
        return float(moment)
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None

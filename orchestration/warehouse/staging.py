"""A place that this machine and an engine both reach: Parquet files pass through it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec  # type: ignore[import-untyped]  # it ships no types

from orchestration.errors import JourneyGapsError


@dataclass(frozen=True)
class Staging:
    """A folder, or a URL that both fsspec and the engine know.

    `owner` tells what one home has put there from what others have.
    """

    place: Path | str
    owner: str

    @contextmanager
    def folder(self) -> Iterator["StagedFolder"]:
        """A new folder in it, removed with all that is in it when the block ends.

        What a killed process of the same owner has left is removed first. Raises
        JourneyGapsError where the place cannot be written.
        """
        prefix = f"journey-gaps-{self.owner}-"
        # Not as_uri(): Spark takes what that escapes literally.
        uri = f"file://{self.place}" if isinstance(self.place, Path) else self.place.rstrip("/")
        try:
            filesystem, place = fsspec.core.url_to_fs(uri)
            for left in filesystem.ls(place, detail=False) if filesystem.exists(place) else ():
                if Path(left).name.startswith(prefix):
                    filesystem.rm(left, recursive=True)
            name = f"{prefix}{uuid4().hex}"
            folder = StagedFolder(f"{uri}/{name}", filesystem, f"{place}/{name}")
            filesystem.makedirs(folder.path, exist_ok=True)
        except (OSError, ImportError, ValueError) as error:
            raise JourneyGapsError(
                f"{self.place} cannot be written: {error}. JOURNEY_GAPS_SPARK_STAGING names a "
                "folder or a URL that this machine and Spark both read and write."
            ) from error
        try:
            yield folder
        finally:
            # A store without folders has none where nothing was put in it.
            if folder.filesystem.exists(folder.path):
                folder.filesystem.rm(folder.path, recursive=True)


@dataclass(frozen=True)
class StagedFolder:
    """One folder of a staging place: `uri` for the engine, `path` for `filesystem` (fsspec)."""

    uri: str
    filesystem: Any
    path: str

    def send(self, file: Path) -> str:
        """Move a file of this machine there; return its URI."""
        if self.uri.startswith("file:"):
            shutil.move(file, Path(self.path) / file.name)
        else:
            self.filesystem.put_file(str(file), f"{self.path}/{file.name}")
            file.unlink()
        return f"{self.uri}/{file.name}"

    def fetch(self, name: str, target: Path) -> list[Path]:
        """The Parquet files of its folder `name`, in the folder `target` where they are remote."""
        found = sorted(self.filesystem.glob(f"{self.path}/{name}/*.parquet"))
        if self.uri.startswith("file:"):
            return [Path(file) for file in found]
        files = []
        for number, source in enumerate(found):
            files.append(target / f"{name}-{number}.parquet")
            self.filesystem.get_file(source, str(files[-1]))
        return files

    def discard(self, name: str) -> None:
        """Remove its folder `name`."""
        if self.filesystem.exists(f"{self.path}/{name}"):
            self.filesystem.rm(f"{self.path}/{name}", recursive=True)

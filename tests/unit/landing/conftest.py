import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.landing import FileResult, LandingResult, land, reconcile

NOW = datetime(2024, 6, 1, 12, 0)


@dataclass
class Site:
    """A landing folder, a map folder and a warehouse in a temporary folder."""

    root: Path

    def __post_init__(self) -> None:
        self.warehouse = self.root / "home" / "warehouse.duckdb"
        self.landing = self.root / "landing"
        self.map = self.root / "map"
        self.landing.mkdir()
        self.map.mkdir()

    def write(self, name: str, content: str | bytes) -> Path:
        """A file in the landing folder, packed if it is named so."""
        path = self.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def declare(self, text: str) -> None:
        """A landing.yml in the map folder."""
        (self.map / "landing.yml").write_text(text)

    def land(self, now: datetime = NOW) -> LandingResult:
        result = land(self.warehouse, self.landing, self.map, now)
        self.require_reconciled()
        return result

    def land_one(self, name: str, content: str | bytes) -> FileResult:
        """Land one more file; what became of it."""
        self.write(name, content)
        (file,) = [file for file in self.land().files if file.file == name]
        return file

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def column(self, sql: str) -> list[Any]:
        return [row[0] for row in self.query(sql)]

    def require_reconciled(self) -> None:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            assert [counts for counts in reconcile(connection) if counts.difference] == []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def new_site(tmp_path: Path) -> Callable[[], Site]:
    """As many sites as a test needs."""
    made: list[Site] = []

    def make() -> Site:
        root = tmp_path / f"site{len(made)}"
        root.mkdir()
        made.append(Site(root))
        return made[-1]

    return make

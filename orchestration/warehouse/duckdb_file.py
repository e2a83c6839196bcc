"""The embedded default: one DuckDB file, in which files land and which dbt writes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.quoting import literal, quoted
from orchestration.warehouse.base import Closeable, MartReader, WarehouseBusyError


@dataclass(frozen=True)
class DuckDBWarehouse:
    """A DuckDB file; `file` need not exist before something lands."""

    file: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.file)

    @property
    def sqlalchemy(self) -> tuple[str, Mapping[str, Any]]:
        """The path travels beside the URL, which would end at a `?` in it."""
        return "duckdb:///?access_mode=read_only", {"database": str(self.file)}

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file read-only."""
        try:
            connection = duckdb.connect(self.file, read_only=True)
        except duckdb.Error as error:
            raise JourneyGapsError(f"{self.file} cannot be opened: {error}") from error
        with connection:
            yield connection

    def claim(self, run_id: str) -> Closeable:  # noqa: ARG002 (part of the protocol)
        """See that no other process has the file open; steps of the run will open it."""
        if self.file.exists():
            try:
                duckdb.connect(self.file).close()
            except duckdb.IOException as error:
                if "Could not set lock" not in str(error):
                    raise
                raise WarehouseBusyError("another program") from error
        return ExitStack()

    def receive(self, landing: Path) -> None:
        """Files land here: nothing is to be taken over."""

    @contextmanager
    def reader(
        self,
        connection: duckdb.DuckDBPyConnection,
        work_dir: Path,  # noqa: ARG002 (part of the protocol)
    ) -> Iterator[MartReader]:
        """Attach the file under the name that dbt gave it: a view may name its catalog."""
        try:
            connection.execute(f"attach {literal(str(self.file))} as warehouse (read_only)")
        except duckdb.Error as error:
            raise JourneyGapsError(f"{self.file} cannot be opened: {error}") from error
        yield lambda mart: f"warehouse.marts.{quoted(mart)}"
        connection.execute("detach warehouse")

    def publishing(
        self,
        publication_id: str,  # noqa: ARG002
        marts: Sequence[str],  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Readers take the published files."""
        return nullcontext()

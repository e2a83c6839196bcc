"""The embedded default: one DuckDB file, in which files land and which dbt writes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.quoting import literal, quoted
from orchestration.warehouse.base import Closeable, MartReader, WarehouseBusyError
from orchestration.warehouse.damage import cannot_open, user_of

POLL_SECONDS = 0.1


def open_for_writing(file: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, which is created where it is absent.

    Raises WarehouseBusyError where another program has it open, DamagedWarehouseError where it
    cannot be read, JourneyGapsError for the rest.
    """
    try:
        return duckdb.connect(file)
    except (duckdb.Error, OSError) as error:
        if (user := user_of(error)) is not None:
            raise WarehouseBusyError(user) from error
        raise cannot_open(file, error) from error


def open_patiently(file: Path, seconds: float) -> duckdb.DuckDBPyConnection:
    """As `open_for_writing`, but wait up to `seconds` for another program to close it.

    Raises JourneyGapsError with who it is where that takes longer.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return open_for_writing(file)
        except WarehouseBusyError as busy:
            if time.monotonic() >= deadline:
                raise JourneyGapsError(
                    f"{file} is in use by {busy}; gave up after {seconds:g} s. Close it there."
                ) from busy
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class DuckDBWarehouse:
    """A DuckDB file; `file` need not exist before something lands.

    Who reads it holds `memory_limit` at most in memory, such as 3GB, and spills the rest.
    """

    file: Path
    memory_limit: str | None = None

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.file)

    @property
    def sqlalchemy(self) -> tuple[str, Mapping[str, Any]]:
        """The path travels beside the URL, which would end at a `?` in it."""
        config = {} if self.memory_limit is None else {"memory_limit": self.memory_limit}
        return "duckdb:///?access_mode=read_only", {"database": str(self.file), "config": config}

    @property
    def sessions(self) -> int:
        """One: a query takes all cores."""
        return 1

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file read-only."""
        try:
            connection = duckdb.connect(self.file, read_only=True)
        except duckdb.Error as error:
            raise cannot_open(self.file, error) from error
        with connection:
            if self.memory_limit is not None:
                connection.execute(f"set memory_limit = {literal(self.memory_limit)}")
            yield connection

    def claim(self, run_id: str) -> Closeable:  # noqa: ARG002 (part of the protocol)
        """See that no other process has the file open; steps of the run will open it.

        Raises DamagedWarehouseError where it is no DuckDB file that can be read.
        """
        if self.file.is_file() and not self.file.stat().st_size:
            # Killed while it was created: nothing is in it.
            self.file.unlink()
        if self.file.exists():
            open_for_writing(self.file).close()
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
            raise cannot_open(self.file, error) from error
        yield lambda mart: f"warehouse.marts.{quoted(mart)}"
        connection.execute("detach warehouse")

    def publishing(
        self,
        publication_id: str,  # noqa: ARG002
        marts: Sequence[str],  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Readers take the published files."""
        return nullcontext()

    def republishing(
        self, publication_id: str, marts: Sequence[str]
    ) -> AbstractContextManager[object]:
        """Readers take the published files."""
        return self.publishing(publication_id, marts)

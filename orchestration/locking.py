"""One run at a time per warehouse: an OS lock, freed by the holder's death if need be."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from orchestration.errors import JourneyGapsError
from orchestration.files import write_whole
from orchestration.warehouse import DuckDBWarehouse, Warehouse
from orchestration.warehouse.base import WarehouseBusyError

POLL_SECONDS = 0.1


class LockTimeoutError(JourneyGapsError):
    """`holder`, a run or another program, kept the warehouse longer than this run may wait."""

    def __init__(self, warehouse: object, holder: str, timeout_seconds: float) -> None:
        """Say for whom it waited, how long, and what to do."""
        self.holder = holder
        super().__init__(
            f"{warehouse} is in use by {holder}; gave up after {timeout_seconds:g} s. "
            "Wait for it to end or stop it, or wait longer with --lock-timeout "
            "(JOURNEY_GAPS_LOCK_TIMEOUT_SECONDS)."
        )


@dataclass(frozen=True)
class Holder:
    """Who has the warehouse; `since` is UTC in ISO 8601."""

    run_id: str
    pid: int
    since: str

    def __str__(self) -> str:
        """For a message: `run <id> (pid <pid>, since <time>)`."""
        return f"run {self.run_id} (pid {self.pid}, since {self.since})"


class WarehouseLock:
    """The exclusive right to write one warehouse.

    Between processes of one machine `<warehouse>.lock` is locked by the operating system, so
    nothing is left to clean up after a killed run. A side file tells who holds it; found by
    the next holder, it tells whose run was killed. Then the engines themselves are claimed:
    a server may have runs from other machines.
    """

    def __init__(
        self, warehouse: Path, run_id: str, *engines: Warehouse, opens_file: bool = True
    ) -> None:
        """The lock of the DuckDB file `warehouse`, wanted by the run `run_id`; not yet taken.

        `engines` are claimed besides the file. Without `opens_file` the file itself is left
        alone, for those who do not need it: it may be damaged.
        """
        self._warehouse = warehouse
        self._run_id = run_id
        self._engines = (*([DuckDBWarehouse(warehouse)] if opens_file else []), *engines)
        self._claims = ExitStack()
        self._lock = filelock.FileLock(warehouse.with_suffix(".lock"))
        self._side_file = warehouse.with_suffix(".lock.json")

    def holder(self) -> Holder | None:
        """Who holds the lock, None where nobody does or has not said so yet."""
        try:
            return Holder(**json.loads(self._side_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def is_held(self) -> bool:
        """Whether a process holds the lock now; asked by taking it for a moment."""
        self._warehouse.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._lock.acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True

    def acquire(
        self, timeout_seconds: float, cancelled: Callable[[], bool] = lambda: False
    ) -> Holder | None:
        """Wait for the lock and for whatever else has the warehouse open.

        Returns the holder whose run was killed while it held the lock, if any. Raises
        LockTimeoutError after `timeout_seconds`, or once `cancelled()` is true.
        """
        deadline = time.monotonic() + timeout_seconds
        self._warehouse.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(
                timeout=timeout_seconds, poll_interval=POLL_SECONDS, cancel_check=cancelled
            )
        except filelock.Timeout:
            holder = str(self.holder() or "another run")
            raise LockTimeoutError(self._warehouse, holder, timeout_seconds) from None
        killed = self.holder()
        try:
            for engine in self._engines:
                self._claim(engine, deadline, timeout_seconds, cancelled)
        except BaseException:
            self._claims.close()
            self._lock.release()
            raise
        self._announce()
        return killed

    def release(self) -> None:
        """Give the lock back."""
        self._side_file.unlink(missing_ok=True)
        self._claims.close()
        self._lock.release()

    def _announce(self) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(self._side_file, json.dumps(asdict(Holder(self._run_id, os.getpid(), since))))

    def _claim(
        self,
        engine: Warehouse,
        deadline: float,
        timeout_seconds: float,
        cancelled: Callable[[], bool],
    ) -> None:
        """Steps of a killed run, a `dbt build` or a reader may still have it."""
        while True:
            try:
                self._claims.callback(engine.claim(self._run_id).close)
            except WarehouseBusyError as busy:
                if cancelled() or time.monotonic() >= deadline:
                    raise LockTimeoutError(engine.name, str(busy), timeout_seconds) from busy
                time.sleep(POLL_SECONDS)
            else:
                return

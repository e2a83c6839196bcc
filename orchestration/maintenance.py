"""Work on a HOME that is no run: the warehouse is held for it as for a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.locking import WarehouseLock
from orchestration.settings import Settings
from orchestration.warehouse import warehouse_of


@contextmanager
def warehouse_held(
    settings: Settings,
    purpose: str,
    *,
    opens_file: bool = True,
    timeout_seconds: float | None = None,
) -> Iterator[None]:
    """Hold the warehouse for the block; others see `purpose` as the run that has it.

    Without `opens_file` the DuckDB file may be damaged. Raises LockTimeoutError where a run keeps
    it longer than `timeout_seconds` (default: what the settings allow).
    """
    engines = []
    if settings.target.is_server:
        # libpq reads what the settings say of the server.
        os.environ.update(settings.environ())
        engines = [warehouse_of(settings)]
    lock = WarehouseLock(settings.warehouse, purpose, *engines, opens_file=opens_file)
    killed = lock.acquire(
        settings.lock_timeout_seconds if timeout_seconds is None else timeout_seconds
    )
    try:
        if killed:
            # Dagster takes seconds to import, and there seldom is anybody to bury.
            from orchestration.executor import bury
            from orchestration.resources import open_instance

            with open_instance(settings) as instance:
                bury(instance, settings, killed)
        yield
    finally:
        lock.release()

"""For commands that write the warehouse themselves: alone, as a run is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.locking import WarehouseLock
from orchestration.settings import Settings, Target
from orchestration.warehouse import warehouse_of


@contextmanager
def exclusively(settings: Settings, command: str) -> Iterator[None]:
    """Hold the warehouse for the block; `command` is what others read who wait for it.

    Raises LockTimeoutError where a run keeps it longer than the settings allow to wait.
    """
    engines = []
    if settings.target is Target.POSTGRES:
        # libpq reads what the settings say of the server.
        os.environ.update(settings.environ())
        engines = [warehouse_of(settings)]
    lock = WarehouseLock(settings.warehouse, command, *engines)
    killed = lock.acquire(settings.lock_timeout_seconds)
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

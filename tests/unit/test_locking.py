"""The lock between real processes: one holder, a named one, and none after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from orchestration.locking import Holder, LockTimeoutError, WarehouseLock

# Holds the lock, says so, and waits for its standard input to close.
HOLD_LOCK = """
import sys
from pathlib import Path
from orchestration.locking import WarehouseLock

lock = WarehouseLock(Path(sys.argv[1]), "run-of-another")
lock.acquire(60)
print("held", flush=True)
sys.stdin.read()
lock.release()
"""
HOLD_FILE = """
import sys
import duckdb

connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def process(script: str, warehouse: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds something of the warehouse until its input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "home" / "warehouse.duckdb"


def test_a_second_holder_learns_whom_it_waits_for(warehouse: Path) -> None:
    lock = WarehouseLock(warehouse, "mine")
    with process(HOLD_LOCK, warehouse) as other:
        holder = lock.holder()
        with pytest.raises(LockTimeoutError) as error:
            lock.acquire(0)
    assert holder is not None
    assert (holder.run_id, holder.pid) == ("run-of-another", other.pid)
    assert f"run run-of-another (pid {other.pid}, since {holder.since})" in str(error.value)
    assert "gave up after 0 s" in str(error.value)
    assert "--lock-timeout" in str(error.value)


def test_it_waits_until_the_holder_is_done(warehouse: Path) -> None:
    lock = WarehouseLock(warehouse, "mine")
    asked = 0

    with process(HOLD_LOCK, warehouse) as other:

        def let_go_when_asked() -> bool:
            nonlocal asked
            asked += 1
            if other.stdin and not other.stdin.closed:
                other.stdin.close()
            return False

        assert lock.acquire(60, cancelled=let_go_when_asked) is None
    assert asked > 0
    assert lock.holder() == Holder("mine", os.getpid(), lock.holder().since)  # type: ignore[union-attr]
    lock.release()
    assert lock.holder() is None


def test_a_killed_holder_frees_the_lock_and_is_named(warehouse: Path) -> None:
    lock = WarehouseLock(warehouse, "mine")
    with process(HOLD_LOCK, warehouse) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        killed = lock.acquire(0)
    assert killed is not None
    assert (killed.run_id, killed.pid) == ("run-of-another", other.pid)
    lock.release()
    again = WarehouseLock(warehouse, "next")
    assert again.acquire(0) is None
    again.release()


def test_a_program_that_has_the_file_open_is_waited_for(warehouse: Path) -> None:
    warehouse.parent.mkdir()
    lock = WarehouseLock(warehouse, "mine")
    with process(HOLD_FILE, warehouse):
        with pytest.raises(LockTimeoutError, match="in use by another program"):
            lock.acquire(0)
        assert lock.holder() is None
    assert lock.acquire(0) is None
    duckdb.connect(warehouse).close()
    lock.release()


def test_waiting_ends_when_the_run_is_interrupted(warehouse: Path) -> None:
    lock = WarehouseLock(warehouse, "mine")
    with process(HOLD_LOCK, warehouse), pytest.raises(LockTimeoutError):
        lock.acquire(3600, cancelled=lambda: True)


def test_two_warehouses_do_not_wait_for_each_other(tmp_path: Path) -> None:
    first = WarehouseLock(tmp_path / "a" / "warehouse.duckdb", "first")
    second = WarehouseLock(tmp_path / "b" / "warehouse.duckdb", "second")
    first.acquire(0)
    second.acquire(0)
    first.release()
    second.release()

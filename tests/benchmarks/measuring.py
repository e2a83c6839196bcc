"""What a contender costs, measured in a process of its own."""

import math
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

LOOK_SECONDS = 0.1


class Cost(NamedTuple):
    """Of a piece of work and the processes it waited for, beside its result.

    The peak is the largest resident memory of any one process, in MB.
    """

    result: Any
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float


class Limits(NamedTuple):
    """What a piece of work may take: resident memory, as often as it is looked at, and time."""

    memory_mb: float = math.inf
    seconds: float = math.inf


UNLIMITED = Limits()


class StoppedError(Exception):
    """A piece of work was stopped at a limit, which the message names."""


def cpu_seconds() -> float:
    """Of this process and the processes it waited for, so far."""
    return sum(usage.ru_utime + usage.ru_stime for usage in _usages())


def measured(
    work: Callable[[], Any], *, prepare: Callable[[], Any] | None = None, limits: Limits = UNLIMITED
) -> Cost:
    """Run in a forked process, after `prepare`, which is not counted (imports).

    Forked, since a spawned one would have to pickle the work, which is a closure, and would
    count the start of Python and every import; a fork has what the caller imported, and the
    caller's memory is a floor of its peak. Raises StoppedError where it reaches a limit; processes
    that the work starts are not watched.
    """

    def child(pipe: Any) -> None:
        if prepare is not None:
            prepare()
        began, cpu = time.perf_counter(), cpu_seconds()
        try:
            result = work()
        except (MemoryError, duckdb.OutOfMemoryException):
            pipe.send(StoppedError("out of memory"))
            return
        wall = time.perf_counter() - began
        peak = max(usage.ru_maxrss for usage in _usages()) / 1024
        pipe.send(Cost(result, cpu_seconds() - cpu, wall, peak))

    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(send,))
    process.start()
    send.close()
    try:
        _watch(process, receive, limits)
        cost: Cost | StoppedError = receive.recv()
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGKILL:
            raise StoppedError("killed by the system") from None
        raise SystemExit("a contender failed: see above") from None
    except StoppedError:
        process.kill()
        raise
    finally:
        process.join()
    if isinstance(cost, StoppedError):
        raise cost
    return cost


def _watch(process: BaseProcess, answer: Connection, limits: Limits) -> None:
    """Return when there is an answer, or an end without one; raise StoppedError at a limit."""
    began = time.perf_counter()
    while not answer.poll(LOOK_SECONDS):
        if time.perf_counter() - began > limits.seconds:
            raise StoppedError(f"{limits.seconds:,.0f} s")
        if _resident_mb(process) > limits.memory_mb:
            raise StoppedError(f"{limits.memory_mb:,.0f} MB")


def _resident_mb(process: BaseProcess) -> float:
    try:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * resource.getpagesize() / 2**20


def _usages() -> list[resource.struct_rusage]:
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

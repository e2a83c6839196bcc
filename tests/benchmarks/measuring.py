"""What a contender costs, measured in a process of its own."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Cost(NamedTuple):
    """Of a piece of work and the processes it waited for, beside its result.

    The peak is the largest resident memory of any one process, in MB.
    """

    result: Any
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float


def cpu_seconds() -> float:
    """Of this process and the processes it waited for, so far."""
    return sum(usage.ru_utime + usage.ru_stime for usage in _usages())


def measured(work: Callable[[], Any]) -> Cost:
    """Run in a forked process.

    Forked, since a spawned one would have to pickle the work, which is a closure, and would
    count the start of Python and every import; a fork has what the caller imported, and the
    caller's memory is a floor of its peak.
    """

    def child(pipe: Any) -> None:
        began, cpu = time.perf_counter(), cpu_seconds()
        result = work()
        wall = time.perf_counter() - began
        peak = max(usage.ru_maxrss for usage in _usages()) / 1024
        pipe.send(Cost(result, cpu_seconds() - cpu, wall, peak))

    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(send,))
    process.start()
    send.close()
    try:
        cost: Cost = receive.recv()
    except EOFError:
        raise SystemExit("a contender failed: see above") from None
    process.join()
    return cost


def _usages() -> list[resource.struct_rusage]:
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

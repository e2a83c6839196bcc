"""The process that a run's steps are forked from: it imports once what each of them needs."""

from multiprocessing import forkserver, set_forkserver_preload

START_METHOD = "forkserver"
PRELOADED = ("orchestration.definitions", "duckdb", "great_expectations")


def warm_up() -> None:
    """Start importing, beside this process; the executor finds it started.

    The steps get the environment, the output streams and the open files of this moment.
    """
    set_forkserver_preload(list(PRELOADED))
    forkserver.ensure_running()

"""dbt in a process of its own, forked from one that has imported it: half the start-up."""

import atexit
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

PRELOADED = ["dbt.cli.main", "dbt.adapters.duckdb", "dbt.task.build", "duckdb"]


def run_dbt(arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run dbt in `folder` with `env` on top of this environment; its exit code and output."""
    context = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(PRELOADED)
    with tempfile.NamedTemporaryFile("r") as output:
        process = context.Process(
            target=_invoke, args=(list(arguments), folder, {**os.environ, **env}, output.name)
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode, output.read()


def _invoke(arguments: list[str], folder: Path, env: dict[str, str], output: str) -> None:
    """In the child: the environment, the folder and the output are its own."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sink = os.open(output, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(sink, descriptor)
    from dbt.cli.main import cli

    try:
        cli(arguments, prog_name="dbt")
    finally:
        # A forked process skips these, and dbt closes the warehouse in one of them.
        atexit._run_exitfuncs()

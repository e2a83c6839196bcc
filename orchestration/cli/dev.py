"""`journey-gaps dev`: Dagster's UI, its schedules and sensors."""

import os
import signal
import sys
from typing import Annotated

import typer

from orchestration.cli.program import (
    Demo,
    EngineTarget,
    Env,
    Home,
    Landing,
    Map,
    PostgresUrl,
    load_settings,
)
from orchestration.settings import PROJECT_DIR


def dev(
    demo: Demo = False,
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    env: Env = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    port: Annotated[int, typer.Option(help="Port of the UI on 127.0.0.1.")] = 3000,
) -> None:
    """Dagster's UI and its schedule, on the same instance as `run`."""
    settings = load_settings(
        demo=demo,
        map=map_,
        landing=landing,
        home=home,
        env=env,
        target=target,
        postgres_url=postgres_url,
    )
    from orchestration.resources import open_instance

    open_instance(settings).dispose()
    command = [sys.executable, "-m", "dagster", "dev", "--module-name", "orchestration.definitions"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # A shell's `&` has it ignored; Dagster would then ignore SIGTERM too, and outlive both.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(PROJECT_DIR)
    os.execve(sys.executable, command, os.environ | settings.environ())  # noqa: S606 (no shell)

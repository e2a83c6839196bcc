"""`journey-gaps dev`, `ui` and `daemon`: Dagster's UI, its schedules and sensors."""

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
    SparkHost,
    SparkPort,
    load_settings,
)
from orchestration.settings import PROJECT_DIR, Settings

LOOPBACK = "127.0.0.1"
MODULE = ("--module-name", "orchestration.definitions")
Port = Annotated[int, typer.Option(help="Port of the UI.")]


def dev(
    demo: Demo = False,
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    env: Env = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
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
        spark_host=spark_host,
        spark_port=spark_port,
    )
    _become(settings, "dagster", "dev", *MODULE, "--host", LOOPBACK, "--port", str(port))


def ui(
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    env: Env = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    port: Port = 3000,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. The UI has no login: whoever reaches it may run."),
    ] = LOOPBACK,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, launch nothing.")
    ] = False,
) -> None:
    """Dagster's UI alone; schedules and sensors need `daemon` beside it."""
    settings = load_settings(
        map=map_,
        landing=landing,
        home=home,
        env=env,
        target=target,
        postgres_url=postgres_url,
        spark_host=spark_host,
        spark_port=spark_port,
    )
    if host not in (LOOPBACK, "::1", "localhost"):
        typer.echo(
            f"Warning: the UI has no login, and {host} may be reached from elsewhere. Put a proxy "
            "with a login before it: docs/security.md.",
            err=True,
        )
    arguments = ["--host", host, "--port", str(port)] + (["--read-only"] if read_only else [])
    _become(settings, "dagster_webserver", *MODULE, *arguments)


def daemon(
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    env: Env = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
) -> None:
    """Schedules and sensors, without a UI. One a HOME."""
    settings = load_settings(
        map=map_,
        landing=landing,
        home=home,
        env=env,
        target=target,
        postgres_url=postgres_url,
        spark_host=spark_host,
        spark_port=spark_port,
    )
    _become(settings, "dagster._daemon", "run", *MODULE)


def _become(settings: Settings, module: str, *arguments: str) -> None:
    """Replace this process by a program of Dagster's, on the instance of this HOME."""
    from orchestration.resources import open_instance

    os.environ.update(settings.environ())
    open_instance(settings).dispose()
    # A shell's `&` has it ignored; Dagster would then ignore SIGTERM too, and outlive both.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(PROJECT_DIR)
    command = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, command, os.environ)  # noqa: S606 (no shell)

"""Real servers on loopback: Spark (spark_cluster.py) and PostgreSQL.

The latter is as unlike the default engine as it can be: its collation is not binary (ICU)
and its time zone is not UTC: neither may matter.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.engines.spark_cluster import SparkCluster, missing, running_cluster

USER, PASSWORD = "journey_gaps", "p$ss word"
SETTINGS = ("timezone=America/New_York", "fsync=off", "listen_addresses=127.0.0.1")


def server_programs() -> Path | None:
    """The folder of initdb and postgres, the newest where there are several."""
    found = [Path(program).parent for program in [shutil.which("initdb")] if program]
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return next(iter([*found, *(program.parent for program in reversed(installed))]), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, str]]:
    """libpq's variables of a running server; without its programs the test is skipped."""
    programs = server_programs()
    if programs is None:
        pytest.skip("skipped: no PostgreSQL server (apt-get install postgresql)")
    # The server refuses to run as root; pytest's own folders are closed to others.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="journey-gaps-postgres-"))
    password = folder / "password"
    password.write_text(PASSWORD)
    if user:
        for path in (folder, password):
            shutil.chown(path, user)
    data = folder / "data"
    subprocess.run(
        [
            *(programs / "initdb", "--pgdata", data, "--username", USER, "--pwfile", password),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"),
            *("--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        user=user,
        cwd=folder,
    )
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = [part for setting in SETTINGS for part in ("-c", setting)]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", port, "-k", folder, *options],
        stderr=subprocess.PIPE,
        text=True,
        user=user,
        cwd=folder,
    )
    assert server.stderr is not None
    log = []
    for line in server.stderr:
        log.append(line)
        if "ready to accept connections" in line:
            break
    else:
        raise AssertionError("".join(log))
    # Nobody reads its log from here on, and a full pipe would stop it.
    drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
    yield {"PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": USER, "PGPASSWORD": PASSWORD}
    server.send_signal(signal.SIGINT)
    server.wait(timeout=60)
    drain.wait(timeout=60)
    shutil.rmtree(folder)


@pytest.fixture
def new_database(
    postgres: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Create an empty database and make it the one that libpq opens."""

    def create(name: str) -> None:
        for variable, value in (postgres | {"PGTZ": "UTC", "PGDATABASE": "postgres"}).items():
            monkeypatch.setenv(variable, value)
        with closing(psycopg2.connect("")) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"create database {name}")
        monkeypatch.setenv("PGDATABASE", name)

    return create


@pytest.fixture(scope="session")
def spark_cluster() -> Iterator[SparkCluster]:
    """A Spark cluster of two executors; without Java or pyspark the test is skipped."""
    if (why := missing()) is not None:
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="journey-gaps-spark-"))
    with running_cluster(folder) as cluster:
        yield cluster
    shutil.rmtree(folder)


@pytest.fixture
def empty_spark(spark_cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch) -> SparkCluster:
    """The cluster without any table, as the server that settings of this process name."""
    for variable, value in spark_cluster.variables.items():
        monkeypatch.setenv(variable, value)
    spark_cluster.clear()
    return spark_cluster

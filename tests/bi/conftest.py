"""A real Superset on loopback, with a home of its own, beside a publication of the demo."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.defs.models.assets import published_marts
from orchestration.publish.publication import publish
from orchestration.warehouse import DuckDBWarehouse
from tests.browser.conftest import browser as browser
from tests.conftest import Workbench
from tests.engines.conftest import postgres as postgres

PROGRAMS = "SUPERSET_PROGRAMS"
USER = "analyst"
# It imports for half a minute on a machine that has nothing else to do.
PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Superset:
    """A server, and who may do everything in it."""

    address: str
    user: str
    password: str


@pytest.fixture(scope="session")
def home(demo: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with a publication of the demo."""
    folder = tmp_path_factory.mktemp("bi")
    manifest = json.loads((demo.settings.dbt_target_dir / "manifest.json").read_text())
    marts = [mart.path[-1] for mart in published_marts(manifest)]
    warehouse = DuckDBWarehouse(demo.settings.warehouse)
    publish(warehouse, folder / "published", marts, {}, "bi")
    return folder


@pytest.fixture(scope="session", autouse=True)
def superset_programs() -> Path:
    """Where bi/superset-requirements.txt is installed; elsewhere the tests are skipped at once."""
    if PROGRAMS not in os.environ:
        pytest.skip("skipped: no Superset (make test-bi installs one)")
    return Path(os.environ[PROGRAMS]).resolve()


@pytest.fixture(scope="session")
def superset(
    superset_programs: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Superset]:
    """Superset as its own defaults have it, started in HOME, where the connection looks."""
    folder = tmp_path_factory.mktemp("superset")
    (folder / "superset_config.py").write_text(
        f"SECRET_KEY = {secrets.token_hex()!r}\n"
        f"SQLALCHEMY_DATABASE_URI = {f'sqlite:///{folder}/superset.db'!r}\n"
    )
    variables = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "SUPERSET_HOME": str(folder),
        "SUPERSET_CONFIG_PATH": str(folder / "superset_config.py"),
    }
    password = secrets.token_hex()

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [superset_programs / "superset", *arguments],
            cwd=home,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run("db", "upgrade")
    run("init")
    named = ("--username", USER, "--firstname", "An", "--lastname", "Analyst")
    run("fab", "create-admin", *named, "--email", "a@example.com", "--password", password)
    with _serving(superset_programs, home, variables) as address:
        yield Superset(address, USER, password)
    shutil.rmtree(folder)


@contextmanager
def _serving(programs: Path, folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """The address of a web server that is a process of its own."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        listens = "127.0.0.1:" + str(free.getsockname()[1])
    server = subprocess.Popen(
        [
            *(programs / "gunicorn", "--bind", listens, "--workers", "1"),
            *("--worker-class", "gthread", "--threads", "8"),
            *("--timeout", str(PATIENCE_SECONDS), "superset.app:create_app()"),
        ],
        cwd=folder,
        env=dict(variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    log = []
    for line in server.stderr:
        log.append(line)
        if "Listening at" in line:
            break
    else:
        raise AssertionError("".join(log))
    # Nobody reads its log from here on, and a full pipe would stop it.
    drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
    try:
        # Answered once a worker has imported everything.
        health = f"http://{listens}/health"
        with urllib.request.urlopen(health, timeout=PATIENCE_SECONDS) as response:
            assert response.read() == b"OK"
        yield f"http://{listens}"
    finally:
        server.terminate()
        server.wait(timeout=60)
        drain.wait(timeout=60)

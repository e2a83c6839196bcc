"""What the tests of a server share: the program as a process, and the database that libpq opens."""

import os
import subprocess
import sys
from contextlib import closing

import psycopg2

from orchestration.settings import PROJECT_DIR
from orchestration.warehouse.postgres import PostgresWarehouse

# Of a whole run on a busy machine; what hangs is stopped all the same.
PATIENCE_SECONDS = 2700


def journey_gaps(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestration", *map(str, arguments)],
        cwd=PROJECT_DIR,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def query(sql: str) -> list[tuple[object, ...]]:
    with PostgresWarehouse().connect() as connection:
        return connection.execute(sql).fetchall()


def execute(sql: str) -> None:
    with closing(psycopg2.connect("")) as connection, connection:
        connection.cursor().execute(sql)

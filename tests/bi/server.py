"""The published marts in a server's schema `published`, and a role that reads them."""

import io
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2

from orchestration.publish.contracts import committed
from orchestration.quoting import quoted

READER = "reader"
# As docs/bi.md has them.
GRANTS = f"""
    grant usage on schema published to {READER};
    grant select on all tables in schema published to {READER};
"""


def load(published: Path, password: str) -> None:
    """Copy every mart of the DuckDB file to the server that libpq opens."""
    with (
        duckdb.connect(published, read_only=True) as file,
        closing(psycopg2.connect("")) as server,
        server,
        server.cursor() as cursor,
    ):
        cursor.execute("create schema published")
        for mart, contract in committed().items():
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in contract.columns.items())
            cursor.execute(f"create table published.{quoted(mart)} ({columns})")
            names = ", ".join(map(quoted, contract.columns))
            rows = file.execute(f"select {names} from {quoted(mart)}").df()
            # Whole numbers with gaps among them are no floats to the server.
            content = io.StringIO(rows.convert_dtypes().to_csv(index=False, header=False))
            cursor.copy_expert(f"copy published.{quoted(mart)} from stdin (format csv)", content)
        cursor.execute(f"create role {READER} login password %s", [password])
        cursor.execute(GRANTS)

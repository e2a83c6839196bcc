"""One statement of Jinja on any engine: rendered by dbt for it, then run over its own driver."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb
import psycopg2
import yaml

from orchestration.settings import PROJECT_DIR
from tests.dbt_process import run_dbt
from tests.engines.macro_cases import Cases, Value

SEPARATOR = "\n-- the next statement\n"
Engine = Literal["duckdb", "postgres", "spark"]
Row = tuple[object, ...]
Ask = Callable[[str], list[Row]]


def statement(cases: Cases, target: Engine) -> str:
    """The query over the inputs, which are literals of the target's dialect."""
    columns = list(cases.inputs.items())
    rows = "\nunion all\n".join(
        "select "
        + ", ".join(
            f"cast({literal(value, target)} as {kind}) as {column}"
            for value, (column, kind) in zip(row, columns, strict=True)
        )
        for row in cases.rows
    )
    return f"with inputs as (\n{rows}\n)\n{cases.query}"


def literal(value: Value, target: Engine) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        backslash = "\\\\" if target == "spark" else "\\"
        text = value.replace("\\", backslash).replace("'", "''")
        return f"'{text}'"
    return f"'{value.isoformat()}'" if isinstance(value, date) else repr(value)


def rendered(statements: Sequence[str], target: Engine, folder: Path) -> list[str]:
    """What dbt makes of them for a target, by one invocation; its files lie in `folder`."""
    inline = SEPARATOR.join(statements)
    variables = {"JOURNEY_GAPS_HOME": str(folder), "JOURNEY_GAPS_THREADS": "1"}
    exit_code, output = run_dbt(
        [
            *("compile", "--quiet", "--inline", inline, "--target", target),
            *("--profiles-dir", ".", "--target-path", str(folder / "dbt")),
            *("--no-populate-cache", "--log-level-file", "none"),
        ],
        PROJECT_DIR,
        # The profile asks for the variable whatever the target is.
        variables if target == "postgres" else {**variables, "PGUSER": "nobody"},
    )
    assert exit_code == 0, output
    return [part.strip() for part in output.split(SEPARATOR.strip())]


@contextmanager
def asking(target: Engine, server: Mapping[str, str]) -> Iterator[Ask]:
    """A function from a query to its rows, in a session with the settings of the profile's."""
    if target == "duckdb":
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield lambda sql: connection.execute(sql).fetchall()
    elif target == "postgres":
        with closing(psycopg2.connect("")) as session, session.cursor() as cursor:
            yield lambda sql: _fetched(cursor, sql)
    else:
        # Installed with Spark only.
        from pyhive import hive

        profile = yaml.safe_load((PROJECT_DIR / "profiles.yml").read_text())
        settings = profile["journey_gaps"]["outputs"]["spark"]["server_side_parameters"]
        with (
            closing(
                hive.connect(
                    host=server["JOURNEY_GAPS_SPARK_HOST"],
                    port=int(server["JOURNEY_GAPS_SPARK_PORT"]),
                    configuration=settings,
                )
            ) as session,
            closing(session.cursor()) as cursor,
        ):
            yield lambda sql: _fetched(cursor, sql)


def _fetched(cursor: Any, sql: str) -> list[Row]:
    cursor.execute(sql)
    return list(cursor.fetchall())


def comparable(row: Row, expected: Row) -> Row:
    """A row with Python's types where a driver has its own: PyHive's dates are text."""
    return tuple(
        date.fromisoformat(value) if isinstance(value, str) and type(other) is date else value
        for value, other in zip(row, expected, strict=True)
    )

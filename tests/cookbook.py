"""The queries of docs/cookbook.md, and their answers from a publication."""

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from orchestration.settings import PROJECT_DIR
from orchestration.warehouse.base import Connection

PAGE = PROJECT_DIR / "docs" / "cookbook.md"
# A first run restates nothing.
EMPTY_IN_A_FIRST_RUN = {9}
# Engines add doubles up in another order, and a difference of two keeps fewer digits.
TOLERANCE = 1e-9

Rows = list[tuple[object, ...]]


@dataclass(frozen=True)
class Recipe:
    """One heading of the page with what is below it."""

    number: int
    question: str
    reading: str
    sql: str


@dataclass(frozen=True)
class Answer:
    columns: list[str]
    rows: Rows


def recipes() -> list[Recipe]:
    """Every section that has a number, in the order of the page."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = []
    for section in sections:
        match = re.fullmatch(
            r"(\d+)\. ([^\n]+)\n\n(.+?)\n\n```sql\n(.+?)```\s*", section, flags=re.DOTALL
        )
        assert match, section
        number, question, reading, sql = match.groups()
        found.append(Recipe(int(number), question, reading, sql))
    return found


def recipe(number: int) -> Recipe:
    return next(recipe for recipe in recipes() if recipe.number == number)


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> Answer:
    result = connection.execute(sql)
    return Answer([column[0] for column in result.description or []], result.fetchall())


def differing(embedded: Path, server: Connection) -> dict[int, str]:
    """Number of each query whose rows are not the same in both, with what differs.

    `embedded` is a published DuckDB file, `server` reads the same publication. Rows are compared
    in one order for both, since engines order texts differently.
    """
    server.execute("set search_path to published")
    found = {}
    with duckdb.connect(embedded, read_only=True) as connection:
        for each in recipes():
            ours = _sorted(answer(connection, each.sql).rows)
            theirs = _sorted(server.execute(each.sql).fetchall())
            if not ours:
                found[each.number] = "no rows"
            elif len(ours) != len(theirs):
                found[each.number] = f"{len(ours)} rows, and {len(theirs)} in the server"
            elif unequal := [
                pair for pair in zip(ours, theirs, strict=True) if not _is_same(*pair)
            ]:
                found[each.number] = str(unequal[0])
    return found


def _sorted(rows: Rows) -> Rows:
    """Rows by what identifies them, texts and times, then by their numbers."""
    return sorted(rows, key=lambda row: (_words(row), [_number(value) for value in row]))


def _words(row: tuple[object, ...]) -> list[str]:
    return [str(value) if isinstance(value, str | bool | date | datetime) else "" for value in row]


def _number(value: object) -> float:
    is_number = isinstance(value, int | float | Decimal)
    return float(value) if is_number else -math.inf  # type: ignore[arg-type]


def _is_same(ours: tuple[object, ...], theirs: tuple[object, ...]) -> bool:
    return _words(ours) == _words(theirs) and all(
        math.isclose(_number(mine), _number(other), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for mine, other in zip(ours, theirs, strict=True)
    )

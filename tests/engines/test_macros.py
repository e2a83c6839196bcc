"""Every dispatched macro answers the same on every engine, and nothing else asks which it is."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_DIR
from tests.engines.engine_sql import Ask, Engine, asking, comparable, rendered, statement
from tests.engines.macro_cases import CASES, JOIN_BY_HASH, Cases
from tests.engines.portable_cases import PORTABLE
from tests.engines.spark_cluster import SparkCluster

ENGINES: tuple[Engine, ...] = ("duckdb", "postgres", "spark")
SPARK = ("JOURNEY_GAPS_SPARK_HOST", "JOURNEY_GAPS_SPARK_PORT")
# Statements around a model's own: every run of test_parity.py runs them.
OF_BUILDS = {"analyze", "delete_and_insert", "is_half_written"}
# Not dispatched themselves, but made of macros that are.
COMPOSED = {"safe_double", "safe_moment"}


@pytest.fixture
def server(request: pytest.FixtureRequest, engine: Engine) -> Mapping[str, str]:
    """The engine's server, named in the environment: given there, or started by the tests."""
    if engine == "postgres":
        request.getfixturevalue("new_database")("macros")
    if engine != "spark":
        return {}
    pytest.importorskip("pyhive", reason="skipped: no dbt-spark here")
    if all(name in os.environ for name in SPARK):
        return {name: os.environ[name] for name in SPARK}
    cluster: SparkCluster = request.getfixturevalue("empty_spark")
    return cluster.variables


@pytest.mark.parametrize("engine", ENGINES)
def test_every_macro_answers_as_by_hand(
    engine: Engine, server: Mapping[str, str], tmp_path: Path
) -> None:
    by_name = [(name, cases) for name, parts in (CASES | PORTABLE).items() for cases in parts]
    *queries, join_by_hash = rendered(
        [*(statement(cases, engine) for _, cases in by_name), "{{ join_by_hash() }}"],
        engine,
        tmp_path,
    )
    wrong = []
    with asking(engine, server) as ask:
        for (name, cases), query in zip(by_name, queries, strict=True):
            wrong += [f"{name}: {line}" for line in _differences(cases, query, ask)]
    assert wrong == []
    assert join_by_hash.split(";")[0] == JOIN_BY_HASH.get(engine, "")


def test_every_dispatched_macro_has_cases() -> None:
    dispatched = set()
    for file in _sql_files("macros"):
        dispatched |= set(re.findall(r'adapter\.dispatch\(\s*["\'](\w+)', file.read_text()))
    assert dispatched - OF_BUILDS - {"join_by_hash"} == CASES.keys() - COMPOSED


def test_nothing_but_dispatch_asks_for_the_engine() -> None:
    asks = re.compile(r"\btarget\s*(\.|\[)\s*['\"]?(type|name|profile)|adapter\s*\.\s*type\b")
    found = [
        file.relative_to(PROJECT_DIR).as_posix()
        for folder in ("macros", "models", "tests/dbt")
        for file in (*_sql_files(folder), *(PROJECT_DIR / folder).rglob("*.yml"))
        if asks.search(file.read_text())
    ]
    assert found == []


def test_models_call_macros_by_their_own_names() -> None:
    """An engine's variant called by its name would be that engine's on every other."""
    variant = re.compile(r"\b(default|duckdb|postgres|spark|snowflake|bigquery)__\w+\(")
    found = [
        file.relative_to(PROJECT_DIR).as_posix()
        for folder in ("models", "tests/dbt")
        for file in _sql_files(folder)
        if variant.search(file.read_text())
    ]
    assert found == []


def _sql_files(folder: str) -> Iterator[Path]:
    files = sorted((PROJECT_DIR / folder).rglob("*.sql"))
    assert files
    yield from files


def _differences(cases: Cases, query: str, ask: Ask) -> list[str]:
    expected = list(cases.expected)
    rows = [comparable(row, expected[0]) for row in ask(query)]
    expected = [comparable(row, expected[0]) for row in expected]
    if not cases.is_ordered:
        rows, expected = sorted(rows, key=repr), sorted(expected, key=repr)
    # Of equal numbers and booleans, too, the types are the same.
    if repr(rows) == repr(expected):
        return []
    if "number" not in cases.inputs or len(rows) != len(expected):
        return [f"{rows}, expected {expected}"]
    answers, inputs = dict(rows), {row[0]: row[1:] for row in cases.rows}
    return [
        f"{inputs[number]!r}: {answers[number]!r}, expected {answer!r}"
        for number, answer in expected
        if repr(answers[number]) != repr(answer)
    ]

"""The models in the dialects of Snowflake and BigQuery: compiled and parsed. Nothing is run.

dbt compiles every model with the dialect's adapter, without a connection, and sqlglot parses
the statements. That finds what a dialect's grammar has not. What it cannot find (types, rows,
speed) nobody has looked at, and docs/engines.md says so. The lists are exact: what goes, and
what comes, is written down here and there.
"""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from tests.dialects.compiling import STUBS, compiled_models

DIALECTS = ("snowflake", "bigquery")
# `over` wants parentheses, so no window has a name. What BigQuery lacks is in CONSTRUCTS.
UNPARSED = {
    "snowflake": {
        *("fct_survival_curves", "gap_drivers", "int_action_arms", "int_work_items"),
        *("int_funnel_chains", "int_funnel_rounds", "int_record_values", "int_stage_visits"),
        *("int_support_contacts", "int_survival_buckets", "int_survival_curves"),
        "int_working_hours",
    },
    # A quote within a literal is \' there.
    "bigquery": {"int_feedback_texts"},
}
# What sqlglot parses for all dialects alike, though these have no such thing. (Snowflake's
# intervals with the unit behind the quotes are a preview.)
CONSTRUCTS = {
    "snowflake": {"named window", "interval '1' day"},
    "bigquery": {"::", "interval '1' day", "(a, b) in"},
}
# Of what is looked for, what a dialect has.
HAD = {"snowflake": {"::", "(a, b) in"}, "bigquery": {"named window"}}
# Functions of both, by their references (docs.snowflake.com, cloud.google.com/bigquery/docs).
SHARED = {
    *("abs", "avg", "ceil", "chr", "coalesce", "count", "date_trunc", "dense_rank", "exp"),
    *("first_value", "floor", "greatest", "lag", "lead", "least", "left", "length", "ln"),
    *("lower", "lpad", "max", "md5", "min", "mod", "nullif", "percent_rank", "power", "rank"),
    *("regexp_replace", "replace", "right", "row_number", "sqrt", "substr", "sum", "translate"),
    *("trim",),
}
FUNCTIONS = {
    "snowflake": {
        *SHARED,
        *("concat_ws", "convert_timezone", "date_part", "get", "hash", "listagg", "position"),
        *("regexp_instr", "regexp_like", "split_part", "try_parse_json"),
        *("try_to_timestamp_ntz", "try_to_timestamp_tz"),
    },
    "bigquery": {
        *SHARED,
        *("datetime", "farm_fingerprint", "json_value", "parse_json", "regexp_contains"),
        *("safe_cast", "string_agg", "timestamp", "to_json_string", "unix_micros"),
    },
}
# Functions that the models ask for and the dialect lacks.
MISSING = {
    # Rows of a range come from a table function, in `from` only.
    "snowflake": {"generate_series"},
    "bigquery": {"concat_ws", "generate_series", "position", "split_part"},
}
# Words before a parenthesis that call nothing.
NO_FUNCTIONS = {
    *("and", "as", "by", "case", "decimal", "distinct", "else", "group", "in", "not", "on"),
    *("or", "over", "select", "then", "using", "when", "where"),
}


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of a dbt with the adapters, named by DIALECT_PROGRAMS (make test-dialects)."""
    folder = os.environ.get("DIALECT_PROGRAMS")
    if folder is None:
        pytest.skip("skipped: no dbt for other dialects (make test-dialects)")
    return Path(folder).absolute()


@pytest.fixture(
    scope="module",
    params=[(dialect, state) for dialect in DIALECTS for state in STUBS],
    ids=" ".join,
)
def compiled(
    request: pytest.FixtureRequest, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, str]]:
    """A dialect, and each model's statement in it, for a first build and for an increment."""
    dialect, state = request.param
    return dialect, compiled_models(dialect, state, programs, tmp_path_factory.mktemp(dialect))


def test_models_parse_in_the_dialect_and_are_not_run(
    compiled: tuple[str, dict[str, str]],
) -> None:
    dialect, statements = compiled
    assert len(statements) > 100
    failed = {}
    for model, sql in statements.items():
        try:
            sqlglot.parse_one(sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        except SqlglotError as error:
            failed[model] = str(error)
    assert failed.keys() == UNPARSED[dialect], failed


def test_functions_are_the_dialects_own_but_for_those_listed(
    compiled: tuple[str, dict[str, str]],
) -> None:
    dialect, statements = compiled
    called: dict[str, set[str]] = {}
    for model, tokens in _tokenized(dialect, statements):
        for name, after in pairwise(tokens):
            word = name.text.lower()
            if after.token_type == TokenType.L_PAREN and re.fullmatch(r"[a-z]\w*", word):
                called.setdefault(word, set()).add(model)
    used = called.keys() - NO_FUNCTIONS
    unknown = used - FUNCTIONS[dialect]
    assert unknown == MISSING[dialect], {name: called[name] for name in unknown}
    assert FUNCTIONS[dialect] <= used, "a function is listed that no model uses any more"


def test_constructs_that_only_the_parser_knows_are_listed(
    compiled: tuple[str, dict[str, str]],
) -> None:
    dialect, statements = compiled
    found = set()
    for _, tokens in _tokenized(dialect, statements):
        for token, after in pairwise(tokens):
            kinds = (token.token_type, after.token_type)
            if kinds[0] == TokenType.OVER and kinds[1] != TokenType.L_PAREN:
                found.add("named window")
            if kinds[0] == TokenType.DCOLON:
                found.add("::")
            if kinds == (TokenType.INTERVAL, TokenType.STRING):
                found.add("interval '1' day")
    if any(re.search(r"\([\w.]+, [\w.]+(, [\w.]+)*\) in \(", sql) for sql in statements.values()):
        found.add("(a, b) in")
    assert found - HAD[dialect] == CONSTRUCTS[dialect]


def _tokenized(dialect: str, statements: dict[str, str]) -> Iterator[tuple[str, list[Token]]]:
    for model, sql in statements.items():
        if model not in UNPARSED[dialect] or dialect == "snowflake":
            yield model, sqlglot.tokenize(sql, read=dialect)

"""Suites of expectations in GX format, `expectations/<schema>__<table>.json`, run by push-down.

Reading a suite is cheap; running one imports great_expectations (seconds).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from orchestration.errors import InputError, Problem
from orchestration.warehouse.base import Warehouse, tables

if TYPE_CHECKING:
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation

Severity = Literal["critical", "warning", "info"]

SQL_EXPECTATION = "unexpected_rows_expectation"
EXAMPLES = 3


class Meta(BaseModel):
    """What the project asks of every expectation, in GX's free field `meta`."""

    model_config = ConfigDict(frozen=True)

    # It becomes the name of an asset check.
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Declared(BaseModel):
    """One expectation as its suite declares it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    kwargs: dict[str, Any]
    meta: Meta
    severity: Severity
    description: str | None = None

    @model_validator(mode="after")
    def _sql_is_described(self) -> Self:
        if self.type == SQL_EXPECTATION and not self.description:
            raise ValueError("an expectation in SQL needs a description of what is expected")
        return self

    @property
    def column(self) -> str | None:
        """The column it is about, None where it is about several or the whole table."""
        return self.kwargs.get("column")


class Suite(BaseModel):
    """The expectations of one table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    expectations: list[Declared]
    meta: dict[str, Any] = {}

    @field_validator("expectations")
    @classmethod
    def _names_are_unique(cls, expectations: list[Declared]) -> list[Declared]:
        names = [declared.meta.name for declared in expectations]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several expectations are named {', '.join(twice)}")
        return expectations


@dataclass(frozen=True)
class ExpectationOutcome:
    """One expectation, evaluated.

    `observed` is short: "3 of 1,000 rows", "" where it holds. `message` is a sentence: what
    was expected, what was seen, how often, with examples. `exception` says why it could not
    be evaluated, which is never success.
    """

    table: str
    name: str
    expectation_type: str
    column: str | None
    severity: Severity
    success: bool
    observed: str
    message: str
    exception: str | None

    @property
    def blocks(self) -> bool:
        """Whether nothing behind the gate may run."""
        return not self.success and (self.severity == "critical" or self.exception is not None)


def read_suites(expectations_dir: Path, schema: str, tables: Sequence[str]) -> dict[str, Suite]:
    """Return the suite of each of `tables`, in their order, without importing GX.

    Raises InputError with every problem found: a missing or unreadable file, a missing name,
    reason or severity, two expectations of one name. GX's own rules are left to `run_suites`.
    """
    problems: list[Problem] = []
    suites: dict[str, Suite] = {}
    for table in tables:
        file = _suite_file(expectations_dir, schema, table)
        try:
            content = json.loads(file.read_bytes())
            suites[table] = Suite.model_validate(content)
        except FileNotFoundError:
            remedy = "write one, or leave the table unchecked"
            problems.append(Problem(str(file), f"{schema}.{table} has no suite", remedy=remedy))
        except json.JSONDecodeError as error:
            problems.append(Problem(str(file), f"no JSON: {error.msg}", row=error.lineno))
        except UnicodeDecodeError as error:
            problems.append(Problem(str(file), f"not in UTF-8: {error}"))
        except ValidationError as error:
            problems.extend(
                Problem(str(file), f"{_place(content, detail['loc'])}: {detail['msg']}")
                for detail in error.errors()
            )
    if problems:
        raise InputError(f"The expectations of schema {schema} cannot be read:", problems)
    return suites


def run_suites(
    warehouse: Warehouse, schema: str, tables: Sequence[str], expectations_dir: Path
) -> list[ExpectationOutcome]:
    """Evaluate the suites of `tables` in `schema` of `warehouse`.

    Outcomes come in the order of `tables` and, within a table, of its suite. The engine
    computes; counts and a few examples come back.

    Raises InputError with every problem found in the suites, where a table has no suite and
    where a suite of this schema has no table; JourneyGapsError where it cannot be opened.
    """
    suites = read_suites(expectations_dir, schema, tables)
    _require_tables(warehouse, schema, expectations_dir)
    expectations = _to_gx(suites, expectations_dir, schema)

    from orchestration.validation.engine import open_warehouse

    def evaluated(names: Sequence[str]) -> list[ExpectationOutcome]:
        with open_warehouse(warehouse, schema) as datasource:
            return [
                outcome
                for table in names
                for outcome in _evaluate(
                    f"{schema}.{table}",
                    suites[table],
                    expectations[table],
                    datasource.add_table_asset(table)
                    .add_batch_definition_whole_table("whole table")
                    .get_batch(),
                )
            ]

    if warehouse.sessions == 1:
        return evaluated(list(suites))
    with ThreadPoolExecutor(warehouse.sessions) as pool:
        of_tables = pool.map(evaluated, [[table] for table in suites])
        return [outcome for outcomes in of_tables for outcome in outcomes]


def _suite_file(expectations_dir: Path, schema: str, table: str) -> Path:
    return expectations_dir / f"{schema}__{table}.json"


def _place(content: Any, path: tuple[int | str, ...]) -> str:
    """Name the field of a suite that pydantic found at `path`, and its expectation."""
    match path:
        case ("expectations", int(index), *field):
            label = f"expectation {index + 1} ({_label(content, index)})"
            return ".".join([label, *map(str, field)])
    return ".".join(map(str, path)) or "suite"


def _label(content: Any, index: int) -> str:
    match content["expectations"][index]:
        case {"meta": {"name": str(label)}} | {"type": str(label)}:
            return label
    return "unnamed"


def _require_tables(warehouse: Warehouse, schema: str, expectations_dir: Path) -> None:
    """A suite whose table is gone, or misspelt, would otherwise never be missed."""
    with warehouse.connect() as connection:
        names = tables(connection, schema)
    expected = {_suite_file(expectations_dir, schema, table) for table in names}
    problems = [
        Problem(
            str(file),
            f"{warehouse.name} has no table {file.stem.replace('__', '.', 1)}",
            remedy="rename or remove the suite, or build the table first",
        )
        for file in sorted(expectations_dir.glob(f"{schema}__*.json"))
        if file not in expected
    ]
    if problems:
        raise InputError("A suite of expectations has no table:", problems)


def _to_gx(
    suites: Mapping[str, Suite], expectations_dir: Path, schema: str
) -> "dict[str, list[Expectation]]":
    """Build GX's expectations; its dict form would silently drop a mistyped one."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    expectations: dict[str, list[Expectation]] = {table: [] for table in suites}
    problems: list[Problem] = []
    for table, suite in suites.items():
        for number, declared in enumerate(suite.expectations, start=1):
            try:
                configuration = ExpectationConfiguration(**declared.model_dump())
                expectations[table].append(configuration.to_domain_obj())
            except Exception as error:  # GX's errors have no common base
                message = f"expectation {number} ({declared.meta.name}), {declared.type}: {error}"
                file = _suite_file(expectations_dir, schema, table)
                problems.append(Problem(str(file), " ".join(message.split())))
    if problems:
        raise InputError("Great Expectations does not know these expectations:", problems)
    return expectations


def _evaluate(
    table: str, suite: Suite, expectations: "Sequence[Expectation]", batch: "Batch"
) -> Iterator[ExpectationOutcome]:
    """Ask for yes or no first, in one scan, and for details only where the answer is no.

    An exception may belong to a neighbour in the same scan: alone, each has its own.
    """
    from great_expectations.core import ExpectationSuite

    quick = batch.validate(
        ExpectationSuite(name=suite.name, expectations=list(expectations)),
        result_format="BOOLEAN_ONLY",
    )
    # Results come back in any order.
    held = {
        result.expectation_config.meta["name"]
        for result in quick.results
        if result.success and result.expectation_config is not None
    }
    for declared, expectation in zip(suite.expectations, expectations, strict=True):
        expected = f"{table}: {(declared.description or _in_words(expectation)).rstrip('.')}"
        observed, message, exception = "", f"{expected}; holds", None
        success = declared.meta.name in held
        if not success:
            # Only COMPLETE shows rows that an SQL expectation found.
            detail = "COMPLETE" if declared.type == SQL_EXPECTATION else "SUMMARY"
            result = batch.validate(expectation, result_format={"result_format": detail})
            exception = _exception(result.exception_info)
            success = bool(result.success) and exception is None
            if exception is not None:
                message = f"{expected}; cannot be evaluated: {exception}"
            elif not success:
                observed, seen = _seen(declared, result.result)
                message = f"{expected}; {seen}"
        yield ExpectationOutcome(
            table=table.partition(".")[2],
            name=declared.meta.name,
            expectation_type=declared.type,
            column=declared.column,
            severity=declared.severity,
            success=success,
            observed=observed,
            message=message,
            exception=exception,
        )


def _in_words(expectation: "Expectation") -> str:
    """Return GX's sentence on what is expected."""
    from great_expectations.render.renderer.inline_renderer import InlineRenderer

    (content, *_) = InlineRenderer(render_object=expectation.configuration).get_rendered_content()
    params = (content.value.params or {}).items()
    values = {name: _plain(param["value"]) for name, param in params}
    return Template(content.value.template or "").safe_substitute(values)


def _plain(value: Any) -> Any:
    """Undo GX's widening of whole numbers: 9 rather than 9.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _seen(declared: Declared, result: Mapping[str, Any]) -> tuple[str, str]:
    """Return what was observed, in short and as the end of a sentence."""
    examples: list[str] = []
    match result:
        case {"observed_value": int(count)} if declared.type == SQL_EXPECTATION:
            observed = f"{count:,} rows"
            examples = [
                ", ".join(f"{column} {value}" for column, value in row.items())
                for row in result["details"]["unexpected_rows"]
            ]
        case {"unexpected_count": int(count), "element_count": int(total)}:
            observed = f"{count:,} of {total:,} rows"
            examples = [
                " and ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
                for value in result["partial_unexpected_list"]
                if value is not None
            ]
        case _:
            observed = str(result.get("observed_value"))
            return observed, f"found {observed}"
    such_as = "; ".join(list(dict.fromkeys(examples))[:EXAMPLES])
    return observed, f"broken by {observed}" + (f", such as {such_as}" if such_as else "")


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """Return the first exception's message; GX files them flat or by metric."""
    entries = [info] if info and "raised_exception" in info else (info or {}).values()
    for entry in entries:
        if entry["raised_exception"]:
            return str(entry["exception_message"]).partition("\n")[0]
    return None

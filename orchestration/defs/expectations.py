"""Great Expectations suites as asset checks: one check per expectation, one step per gate."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import dagster as dg

from orchestration.settings import Settings
from orchestration.validation.suites import read_suites, run_suites
from orchestration.warehouse import warehouse_of


def expectation_specs(
    expectations_dir: Path, schema: str, tables: Sequence[str]
) -> list[dg.AssetCheckSpec]:
    """The checks of a schema's tables, named as in their suites.

    All are blocking: what stops a run is a result of severity ERROR, and an expectation of
    severity warning gives one where it cannot be evaluated.
    """
    return [
        dg.AssetCheckSpec(
            name=declared.meta.name,
            asset=dg.AssetKey([schema, table]),
            description=declared.meta.why,
            metadata={"severity": declared.severity, "expectation": declared.type},
            blocking=True,
        )
        for table, suite in read_suites(expectations_dir, schema, tables).items()
        for declared in suite.expectations
    ]


def only_selected(
    context: dg.AssetCheckExecutionContext, results: Iterable[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Those of a gate's results that this run asks for: in the UI, perhaps one table's."""
    selected = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    for result in results:
        if (result.asset_key, result.check_name) in selected:
            yield result


def expectation_results(
    settings: Settings, schema: str, tables: Sequence[str]
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the suites of a schema's tables in the warehouse."""
    severity = {True: dg.AssetCheckSeverity.ERROR, False: dg.AssetCheckSeverity.WARN}
    for outcome in run_suites(warehouse_of(settings), schema, tables, settings.expectations):
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey([schema, outcome.table]),
            check_name=outcome.name,
            passed=outcome.success,
            severity=severity[outcome.blocks],
            description=outcome.message,
            metadata={"observed": outcome.observed} if outcome.observed else {},
        )

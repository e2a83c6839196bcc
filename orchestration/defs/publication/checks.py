"""The second gate: readers never see marts that do not hold."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from orchestration.defs.expectations import expectation_results, expectation_specs, only_selected
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import Settings

MARTS_GATE = "marts_gate"
SCHEMA = "marts"


def build_marts_gate(expectations_dir: Path) -> dg.AssetChecksDefinition:
    """One step for every expectation on the marts."""
    tables = sorted(
        file.stem.removeprefix(f"{SCHEMA}__") for file in expectations_dir.glob(f"{SCHEMA}__*.json")
    )

    @dg.multi_asset_check(
        name=MARTS_GATE,
        specs=expectation_specs(expectations_dir, SCHEMA, tables),
        pool=WAREHOUSE_POOL,
        can_subset=True,
    )
    def marts_gate(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        selected = {key.asset_key.path[-1] for key in context.selected_asset_check_keys}
        results = expectation_results(settings, SCHEMA, sorted(selected))
        yield from only_selected(context, results)

    return marts_gate

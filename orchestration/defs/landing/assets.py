"""The raw tables, landed from files in one step."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration.landing.contract import CONTRACT
from orchestration.landing.load import LandingResult, land
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import Settings
from orchestration.warehouse import quarantine_reasons

FILES_READABLE = "files_readable"
# What landing keeps about itself, read by the facts.
BOOKS = ("landing_sources", "loads", "withdrawn_rows")
LOADS = dg.AssetKey(["raw", "loads"])


def build_landing() -> dg.AssetsDefinition:
    """One step that fills every raw table, and a warning for each table with rejected files."""

    @dg.multi_asset(
        name="landing",
        group_name="landing",
        specs=[
            dg.AssetSpec(["raw", table], deps=["journey_map"], kinds={"duckdb"})
            for table in (*CONTRACT, *BOOKS)
        ],
        check_specs=[
            dg.AssetCheckSpec(
                FILES_READABLE,
                asset=dg.AssetKey(["raw", table]),
                description="Every file of the table could be read; the others are loaded.",
            )
            for table in CONTRACT
        ],
        pool=WAREHOUSE_POOL,
    )
    def landing(
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.MaterializeResult[None]]:
        result = land(settings.warehouse, settings.landing_dir, settings.map)
        reasons = quarantine_reasons(settings.warehouse, CONTRACT, result.load_id)
        for table in CONTRACT:
            yield dg.MaterializeResult(
                asset_key=["raw", table],
                metadata={**_counts(result, table), "quarantined_by_reason": reasons[table]},
                check_results=[_files_readable(result, table)],
            )
        for table in BOOKS:
            of_load = _load(result) if table == LOADS.path[-1] else {}
            yield dg.MaterializeResult(asset_key=["raw", table], metadata=of_load)

    return landing


def _counts(result: LandingResult, table: str) -> dict[str, Any]:
    """What this load brought to one table; nothing new counts as zero rows."""
    totals = next((counts for counts in result.totals if counts.table == table), None)
    return {
        "rows_in": totals.rows_in if totals else 0,
        "rows_kept": totals.rows_kept if totals else 0,
        "rows_quarantined": totals.rows_quarantined if totals else 0,
        "rows_duplicate": totals.rows_duplicate if totals else 0,
        "rows_withdrawn": result.rows_withdrawn.get(table, 0),
    }


def _load(result: LandingResult) -> dict[str, Any]:
    """The load as a whole: its number, null where nothing was new, and its loose ends."""
    return {
        "load_id": result.load_id,
        "rejected_files": [
            {"file": file.file, "table": file.table, "message": file.message}
            for file in result.rejected
        ],
        "unlisted_files": list(result.unlisted),
        "unmatched_globs": list(result.unmatched),
    }


def _files_readable(result: LandingResult, table: str) -> dg.AssetCheckResult:
    rejected = [file for file in result.rejected if file.table == table]
    listing = "\n".join(f"- {file.file}: {file.message}" for file in rejected)
    return dg.AssetCheckResult(
        asset_key=["raw", table],
        check_name=FILES_READABLE,
        passed=not rejected,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{file.file}: {file.message}" for file in rejected) or None,
        metadata={"rejected_files": dg.MetadataValue.md(listing)} if rejected else {},
    )

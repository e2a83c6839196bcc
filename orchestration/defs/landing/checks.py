"""The first gate: nothing is built on raw tables that do not hold."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from orchestration.defs.expectations import expectation_results, expectation_specs, only_selected
from orchestration.freshness import Freshness, source_freshness
from orchestration.journey_map import load_journey_map
from orchestration.landing import TableCounts, missing_tables, reconcile
from orchestration.landing.contract import CONTRACT
from orchestration.landing.inputs import landing_place_of, sources_of
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import Settings
from orchestration.warehouse import warehouse_of

RAW_GATE = "raw_gate"
ROWS_RECONCILE = "rows_reconcile"
IS_LANDED = "is_landed"
IS_FRESH = "is_fresh"


def build_raw_gate(expectations_dir: Path) -> dg.AssetChecksDefinition:
    """One step for every check on the raw tables: suites, counts, what the map requires."""
    own = [
        dg.AssetCheckSpec(name, asset=dg.AssetKey(["raw", table]), description=why, blocking=True)
        for table in CONTRACT
        for name, why in {
            ROWS_RECONCILE: "Rows in = rows kept + quarantined + exact duplicates + released.",
            IS_LANDED: "A table that the journey map reads has landed at least once.",
        }.items()
    ]
    own += [
        dg.AssetCheckSpec(
            IS_FRESH,
            asset=dg.AssetKey(["raw", table]),
            description="Each source of the table delivered within its freshness_hours. A "
            "warning: what landed is right, but old.",
        )
        for table in CONTRACT
    ]

    @dg.multi_asset_check(
        name=RAW_GATE,
        specs=[*own, *expectation_specs(expectations_dir, "raw", list(CONTRACT))],
        pool=WAREHOUSE_POOL,
        can_subset=True,
    )
    def raw_gate(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from only_selected(context, _results(settings))

    return raw_gate


def _results(settings: Settings) -> Iterator[dg.AssetCheckResult]:
    required = load_journey_map(settings.map).sources()
    with warehouse_of(settings).connect() as connection:
        missing = missing_tables(connection, required)
        counts = reconcile(connection)
        now = datetime.now(UTC).replace(tzinfo=None)
        sources = source_freshness(connection, sources_of(settings), settings.freshness_hours, now)
    yield from freshness_results(sources)
    for table in CONTRACT:
        yield _is_landed(settings, table, is_missing=table in missing)
    for table_counts in counts:
        yield rows_reconcile(table_counts)
    yield from expectation_results(settings, "raw", list(CONTRACT))


def _is_landed(settings: Settings, table: str, *, is_missing: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=["raw", table],
        check_name=IS_LANDED,
        passed=not is_missing,
        description=f"the journey map reads raw.{table}, but no file of it has ever landed: put "
        f"one in {landing_place_of(settings).name} or name one in landing.yml"
        if is_missing
        else None,
    )


def rows_reconcile(counts: TableCounts) -> dg.AssetCheckResult:
    """Whether every row of a table that came in is somewhere, and in one place only."""
    return dg.AssetCheckResult(
        asset_key=["raw", counts.table],
        check_name=ROWS_RECONCILE,
        passed=counts.difference == 0,
        description=f"{counts.rows_in:,} rows in, {counts.rows_kept:,} kept, "
        f"{counts.rows_quarantined:,} quarantined, {counts.rows_duplicate:,} exact duplicates, "
        f"{counts.rows_released:,} released: "
        f"{abs(counts.difference):,} {'lost' if counts.difference > 0 else 'in two places'}",
        metadata=asdict(counts),
    )


def freshness_results(sources: Sequence[Freshness]) -> Iterator[dg.AssetCheckResult]:
    """A warning for each table of which a source is stale."""
    for table in CONTRACT:
        of_table = [source for source in sources if source.table == table]
        stale = [source for source in of_table if source.is_stale]
        limited = [source for source in of_table if source.limit is not None]
        yield dg.AssetCheckResult(
            asset_key=["raw", table],
            check_name=IS_FRESH,
            passed=not stale,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(str(source) for source in stale or limited) or None,
        )

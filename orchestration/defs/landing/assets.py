"""The raw tables, landed from files in one step."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import dagster as dg

from orchestration.landing import LandingResult
from orchestration.landing.contract import BOOKS, CONTRACT, OWN_BOOKS, create_tables_sql
from orchestration.landing.inputs import land_inputs
from orchestration.lineage import table_columns
from orchestration.markdown import plain
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import Settings
from orchestration.warehouse import Connection, warehouse_of
from orchestration.warehouse.base import quarantine_reasons

FILES_READABLE = "files_readable"
LOADS = dg.AssetKey(["raw", "loads"])


@cache
def landed_columns() -> dict[str, dict[str, str]]:
    """`raw.<table>` -> column -> type, as landing creates them."""
    return table_columns(create_tables_sql())


def build_landing(descriptions: Mapping[str, str]) -> dg.AssetsDefinition:
    """One step that fills every raw table, and a warning for each table with rejected files.

    `descriptions` says what each table holds.
    """

    @dg.multi_asset(
        name="landing",
        group_name="landing",
        specs=[
            dg.AssetSpec(
                ["raw", table],
                deps=["journey_map"],
                description=OWN_BOOKS.get(table) or descriptions[table],
                owners=["team:data-engineering"],
                kinds={"duckdb"},
                metadata={
                    "dagster/table_name": f"raw.{table}",
                    "dagster/column_schema": dg.TableSchema(
                        [
                            dg.TableColumn(*column)
                            for column in landed_columns()[f"raw.{table}"].items()
                        ]
                    ),
                },
            )
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
        result = land_inputs(settings)
        warehouse = warehouse_of(settings)
        warehouse.receive(settings.warehouse)
        with warehouse.connect() as connection:
            reasons = {
                # Nothing new is no load: none has the number 0.
                table: quarantine_reasons(connection, table, result.load_id or 0)
                for table in CONTRACT
            }
            rows = {table: _rows(connection, table) for table in (*CONTRACT, *BOOKS)}
        for table in CONTRACT:
            yield dg.MaterializeResult(
                asset_key=["raw", table],
                metadata={
                    "dagster/row_count": rows[table],
                    **_counts(result, table),
                    "quarantined_by_reason": reasons[table],
                },
                check_results=[_files_readable(result, table)],
            )
        for table in BOOKS:
            of_load = _load(result) if table == LOADS.path[-1] else {}
            yield dg.MaterializeResult(
                asset_key=["raw", table],
                metadata={"dagster/row_count": rows[table], **of_load},
            )

    return landing


def _rows(connection: Connection, table: str) -> int:
    # The name is one of ours.
    [(rows,)] = connection.execute(f"select count(*) from raw.{table}").fetchall()  # noqa: S608
    return int(rows)


def _counts(result: LandingResult, table: str) -> dict[str, Any]:
    """What this load brought to one table; nothing new counts as zero rows."""
    totals = next((counts for counts in result.totals if counts.table == table), None)
    return {
        "rows_in": totals.rows_in if totals else 0,
        "rows_kept": totals.rows_kept if totals else 0,
        "rows_quarantined": totals.rows_quarantined if totals else 0,
        "rows_duplicate": totals.rows_duplicate if totals else 0,
        "rows_withdrawn": result.rows_withdrawn.get(table, 0),
        "schema_changes": [
            f"{file.file}: {file.schema_change}"
            for file in result.schema_changes
            if file.table == table
        ],
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
        "waiting_files": list(result.waiting),
        "ignored_files": [{"file": name, "why": why} for name, why in result.ignored.items()],
        "schema_changes": [
            {"file": file.file, "table": file.table, "message": file.schema_change}
            for file in result.schema_changes
        ],
    }


def _files_readable(result: LandingResult, table: str) -> dg.AssetCheckResult:
    rejected = [file for file in result.rejected if file.table == table]
    listing = "\n".join(f"- {plain(file.message)}" for file in rejected)
    return dg.AssetCheckResult(
        asset_key=["raw", table],
        check_name=FILES_READABLE,
        passed=not rejected,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(file.message for file in rejected) or None,
        metadata={"rejected_files": dg.MetadataValue.md(listing)} if rejected else {},
    )

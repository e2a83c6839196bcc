"""Begin anew: the warehouse is put aside, and the next run lands and builds everything again.

Importing this module imports Dagster (seconds): import it late.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from orchestration.maintenance import warehouse_held
from orchestration.resources import dbt_manifest
from orchestration.settings import Settings, Target

LANDED_SCHEMAS = ("raw", "quarantine")


def set_aside(settings: Settings, now: datetime | None = None) -> Path | None:
    """Rename the DuckDB file, readable or not, and on a server drop what is built from it.

    Publications stay. Returns the file's new place, None where there was none. `now` (aware) is
    in its name. Raises LockTimeoutError where a run has the warehouse, JourneyGapsError where
    something that is not ours is built on the server's schemas.
    """
    file = settings.warehouse
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    aside = file.with_name(f"{file.name}.damaged-{moment:%Y%m%dT%H%M%SZ}")
    dropping: AbstractContextManager[object] = nullcontext()
    with warehouse_held(settings, "rebuild", opens_file=False):
        if settings.target is Target.POSTGRES:
            from orchestration.warehouse.postgres import PostgresWarehouse

            dropping = PostgresWarehouse().dropping(_schemas(dbt_manifest(settings)))
        if settings.target is Target.SPARK:
            from orchestration.warehouse.spark import spark_warehouse

            dropping = spark_warehouse(settings).dropping(_schemas(dbt_manifest(settings)))
        with dropping:
            if not file.exists():
                return None
            # DuckDB looks for the log of a file beside it, by its name.
            log = file.with_name(f"{file.name}.wal")
            if log.exists():
                log.replace(aside.with_name(f"{aside.name}.wal"))
            file.replace(aside)
    return aside


def _schemas(manifest: Path) -> list[str]:
    """The schemas that landing and dbt fill, and nobody else."""
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()
    built = {node["schema"] for node in nodes if node["resource_type"] in ("model", "seed")}
    return sorted({*LANDED_SCHEMAS, *built} - {"public", "default"})

"""What readers get: the published marts, swapped in whole."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import yaml

from orchestration.defs.landing.assets import LOADS
from orchestration.defs.landing.checks import RAW_GATE
from orchestration.defs.models.assets import DBT_STEP
from orchestration.defs.publication.checks import MARTS_GATE
from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import publish
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import PROJECT_DIR, Settings
from orchestration.warehouse import journeys_as_of, newest_load


def build_publication(marts: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """One asset behind every published mart and both gates."""

    @dg.asset(group_name="published", deps=marts, pool=WAREHOUSE_POOL, kinds={"parquet", "duckdb"})
    def publication(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult[None]:
        """The folder `published/current`: Parquet per mart, one DuckDB file, the manifest."""
        _require_gates(context)
        started = datetime.now(UTC)
        published = publish(
            settings.warehouse,
            settings.published_dir,
            [mart.path[-1] for mart in marts],
            _manifest(context, settings),
            publication_id=f"{started:%Y%m%dT%H%M%SZ}-{context.run.run_id[:8]}",
            now=started,
        )
        return dg.MaterializeResult(
            metadata={
                "publication_id": published.publication_id,
                "folder": dg.MetadataValue.path(published.folder),
                "rows": {name: mart.rows for name, mart in published.marts.items()},
            }
        )

    return publication


def _require_gates(context: dg.AssetExecutionContext) -> None:
    """Refuse to publish alone, as the UI offers: marts count only behind this run's gates."""
    passed = {
        entry.step_key
        for entry in context.instance.all_logs(
            context.run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS
        )
    }
    if not {RAW_GATE, DBT_STEP, MARTS_GATE} <= passed:
        raise JourneyGapsError(
            "only a run that passed both gates publishes: launch the job refresh_gap_marts"
        )


def _manifest(context: dg.AssetExecutionContext, settings: Settings) -> Mapping[str, object]:
    """What the marts were made of, beyond what publishing knows by itself."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    return {
        "run_id": context.run.run_id,
        "env": settings.env.value,
        "target": settings.target.value,
        "as_of": journeys_as_of(settings.warehouse),
        "journey_map_sha256": _of_this_run(context, dg.AssetKey("journey_map"))["sha256"],
        "facts_version": project["vars"]["facts_version"],
        "load_id": newest_load(settings.warehouse),
        "rejected_files": _of_this_run(context, LOADS)["rejected_files"],
    }


def _of_this_run(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Mapping[str, Any]:
    """The metadata of an asset that this run has materialized."""
    event = context.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    if materialization is None:
        raise JourneyGapsError(f"this run has not materialized {key.to_user_string()}")
    return {label: entry.value for label, entry in materialization.metadata.items()}

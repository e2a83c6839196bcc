"""What readers get: the published marts, swapped in whole."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml

from orchestration.defs.landing.assets import LOADS
from orchestration.defs.publication.preview import bars, preview, table
from orchestration.errors import JourneyGapsError
from orchestration.publish.contracts import committed
from orchestration.publish.inputs import landed_files
from orchestration.publish.publication import REPORT_FILE, publish
from orchestration.publish.quality import landed_tables
from orchestration.publish.reading import published_gaps
from orchestration.report import write_page
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import PROJECT_DIR, Settings
from orchestration.warehouse import warehouse_of
from orchestration.warehouse.base import journeys_as_of, newest_load

if TYPE_CHECKING:
    from orchestration.report.parts import Page

PUBLICATION = dg.AssetKey("publication")
# Dagster lists assets by name: it stands first.
REPORT = dg.AssetKey("gap_report")
TOP_GAPS = 10


def build_publication(
    marts: Sequence[dg.AssetKey],
    required: Set[dg.AssetKey | dg.AssetCheckKey],
    sorted_by: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dg.AssetsDefinition:
    """The publication behind every published mart and both gates, and the report in it.

    `required` is all that its run must have built and checked; `sorted_by` the columns by which
    a mart's rows are in order.
    """

    @dg.multi_asset(
        name="publication",
        group_name="published",
        specs=[
            dg.AssetSpec(
                PUBLICATION,
                deps=marts,
                owners=["team:data-engineering"],
                kinds={"parquet", "duckdb"},
                description="The folder `published/current`: Parquet per mart, one DuckDB file, "
                "the manifest; on a server also the views of schema `published`.",
            ),
            dg.AssetSpec(
                REPORT,
                deps=[PUBLICATION],
                owners=["team:analytics"],
                kinds={"html"},
                description="The gaps to close first, ranked. What stands behind them is in "
                "`published/current/report.html`, one page that needs no network.",
            ),
        ],
        pool=WAREHOUSE_POOL,
    )
    def publication(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.MaterializeResult[None]]:
        _require_whole_run(context, required)
        started = datetime.now(UTC)
        pages: list[Page] = []
        published = publish(
            warehouse_of(settings),
            settings.published_dir,
            [mart.path[-1] for mart in marts],
            _manifest(context, settings),
            publication_id=f"{started:%Y%m%dT%H%M%SZ}-{context.run.run_id[:8]}",
            now=started,
            # The page is part of the publication: readers never see one without the other.
            complete=lambda folder: pages.append(write_page(folder)),
            sorted_by=sorted_by,
        )
        yield dg.MaterializeResult(
            asset_key=PUBLICATION,
            metadata={
                "publication_id": published.publication_id,
                "folder": dg.MetadataValue.path(published.folder),
                "rows": {name: mart.rows for name, mart in published.marts.items()},
            },
        )
        page = published.folder / REPORT_FILE
        gaps = published_gaps(settings.published_dir, TOP_GAPS).records()
        picture = bars(gaps)
        yield dg.MaterializeResult(
            asset_key=REPORT,
            metadata={
                **({"against_benchmark": dg.MetadataValue.md(picture)} if picture else {}),
                "top_gaps": table(gaps),
                "summary": dg.MetadataValue.md(preview(pages[0])),
                "page": dg.MetadataValue.path(page),
                "bytes": page.stat().st_size,
                "charts": len(pages[0].specs),
            },
        )

    return publication


def _require_whole_run(
    context: dg.AssetExecutionContext, required: Set[dg.AssetKey | dg.AssetCheckKey]
) -> None:
    """Refuse to publish a selection, as the UI offers: marts count only behind both gates.

    A check that stops a run has stopped it before.
    """
    of_type = {
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    done: set[dg.AssetKey | dg.AssetCheckKey | None] = set()
    for entry in context.instance.all_logs(context.run.run_id, of_type=of_type):
        event = entry.get_dagster_event()
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            done.add(event.asset_key)
        else:
            done.add(event.asset_check_evaluation_data.asset_check_key)
    if not required <= done:
        raise JourneyGapsError(
            "only a run of the whole chain, with both gates, publishes: launch the job "
            "refresh_gap_marts, or materialize all"
        )


def _manifest(context: dg.AssetExecutionContext, settings: Settings) -> Mapping[str, object]:
    """What the marts were made of, beyond what publishing knows by itself."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    rejected_files = _of_this_run(context, LOADS)["rejected_files"]
    with warehouse_of(settings).connect() as connection:
        return {
            "run_id": context.run.run_id,
            "env": settings.env.value,
            "target": settings.target.value,
            "as_of": journeys_as_of(connection),
            "journey_map_sha256": _of_this_run(context, dg.AssetKey("journey_map"))["sha256"],
            "facts_version": project["vars"]["facts_version"],
            "contracts": {mart: contract.version for mart, contract in committed().items()},
            "load_id": newest_load(connection),
            "rejected_files": rejected_files,
            "inputs": landed_files(connection),
            "data_quality": {
                "tables": landed_tables(connection),
                "checks": _checks_of_this_run(context),
            },
        }


def _checks_of_this_run(context: dg.AssetExecutionContext) -> Mapping[str, object]:
    """How many checks passed, and what the others found; one that stops a run never gets here."""
    evaluations = [
        entry.get_dagster_event().asset_check_evaluation_data
        for entry in context.instance.all_logs(
            context.run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        )
    ]
    warnings = [evaluation for evaluation in evaluations if not evaluation.passed]
    return {
        "passed": len(evaluations) - len(warnings),
        "warned": len(warnings),
        "messages": sorted(
            evaluation.description
            or f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
            for evaluation in warnings
        ),
    }


def _of_this_run(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Mapping[str, Any]:
    """The metadata of an asset that this run has materialized."""
    event = context.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    if materialization is None:
        raise JourneyGapsError(f"this run has not materialized {key.to_user_string()}")
    return {label: entry.value for label, entry in materialization.metadata.items()}

"""The dbt project: one asset per seed and model, one check per data test."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtProject,
    dbt_assets,
)
from dagster_dbt.core.dbt_cli_invocation import DbtCliInvocation

from orchestration.defs.models.metadata import asset_key, manifest_node, table_metadata
from orchestration.errors import JourneyGapsError
from orchestration.resources import WAREHOUSE_POOL, Dbt
from orchestration.settings import Settings

DBT_STEP = "dbt_models"
RUN_RESULTS = "run_results.json"


class BuildConfig(dg.Config):
    """What a single build may be told."""

    full_refresh: bool = False


class ChainTranslator(DagsterDbtTranslator):
    """Names and groups of dbt's nodes in the asset graph.

    A node's group is its `meta.dagster.group`, else its schema. Seeds wait for the
    validated journey map.
    """

    def __init__(self) -> None:
        """Data tests are checks, those of sources too."""
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The step of the chain that a node belongs to."""
        schema = dbt_resource_props["config"].get("schema") or dbt_resource_props["schema"]
        return super().get_group_name(dbt_resource_props) or schema

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What the YAML says, without the template's code."""
        description: str = dbt_resource_props["description"]
        return description

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """The defaults without columns: the UI would show their words, not those of a run."""
        return {
            label: entry
            for label, entry in super().get_metadata(dbt_resource_props).items()
            if label != "dagster/column_schema"
        }

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """The default specification, with the journey map upstream of its seeds."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        if manifest_node(manifest, unique_id)["resource_type"] != "seed":
            return spec
        return spec.replace_attributes(deps=[dg.AssetDep("journey_map")])


def published_marts(manifest: Mapping[str, Any]) -> list[dg.AssetKey]:
    """Schema and name of every model whose `config.meta.published` is true, in order."""
    return sorted(
        asset_key(node)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["meta"].get("published")
    )


def source_descriptions(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What each raw table holds, as dbt's YAML says."""
    return {source["name"]: source["description"] for source in manifest["sources"].values()}


def build_models(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The assets of a parsed dbt project, built in one step."""

    @dbt_assets(
        manifest=manifest,
        name=DBT_STEP,
        pool=WAREHOUSE_POOL,
        dagster_dbt_translator=ChainTranslator(),
    )
    def dbt_models(
        context: dg.AssetExecutionContext,
        config: BuildConfig,
        dbt: Dbt,
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        # Unit tests prove the SQL, not the data: `make test` runs them.
        command = ["build", "--exclude-resource-type", "unit_test"]
        command += ["--full-refresh"] if config.full_refresh else []
        target_path = settings.dbt_target_dir / "build"
        (target_path / RUN_RESULTS).unlink(missing_ok=True)
        build = dbt.cli(command, context=context, target_path=target_path, raise_on_error=False)
        yield from _described(build, context)
        if not build.is_successful():
            raise JourneyGapsError(first_error(target_path) or str(build.get_error()))

    return dbt_models


def _described(build: DbtCliInvocation, context: dg.AssetExecutionContext) -> Iterator[Any]:
    """dbt's results as they come, each table with its rows, its columns and their lineage."""
    for event in build.stream_raw_events():
        for result in event.to_default_asset_events(
            build.manifest, build.dagster_dbt_translator, context, build.target_path
        ):
            if not isinstance(result, dg.Output):
                yield result
                continue
            try:
                of_table = table_metadata(
                    build.manifest,
                    str(result.metadata["unique_id"].value),
                    # What log_relation logged before the result: only dagster-dbt hears it.
                    event._event_history_metadata,
                    build.target_path,
                )
            except Exception:
                # The table stands: what cannot be said of it must not fail the run.
                context.log.warning("no metadata of %s", result.output_name, exc_info=True)
                of_table = {}
            seconds = {"seconds": result.metadata.get("Execution Duration")}
            yield result.with_metadata({**seconds, **of_table})


def first_error(target_path: Path) -> str | None:
    """The first node that failed in dbt's run results, with dbt's message; None if none did."""
    results = target_path / RUN_RESULTS
    if not results.exists():
        return None
    failed = [
        result
        for result in json.loads(results.read_text())["results"]
        if result["status"] in ("error", "fail", "runtime error")
    ]
    if not failed:
        return None
    name = failed[0]["unique_id"].split(".")[2]
    others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
    return f"dbt: {name}: {failed[0]['message'].strip()}{others}"

"""What Dagster is told: assets, steps, checks, the job and its schedule."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from orchestration import resources
from orchestration.definitions import defs, refresh_gap_marts
from orchestration.defs.models.assets import first_error, published_marts
from orchestration.defs.publication.assets import build_publication
from orchestration.defs.schedules import refresh_schedule
from orchestration.environments import UnknownEnvironmentError
from orchestration.errors import InputError, JourneyGapsError
from orchestration.resources import dbt_manifest, open_instance
from orchestration.settings import PROJECT_DIR, Environment, Settings
from orchestration.validation.suites import read_suites

STEPS = {
    "journey_map": (None, set()),
    "landing": ("warehouse_writer", {"journey_map"}),
    "raw_gate": ("warehouse_writer", {"landing"}),
    "dbt_models": ("warehouse_writer", {"journey_map", "landing", "raw_gate"}),
    "marts_gate": ("warehouse_writer", {"dbt_models"}),
    "publication": ("warehouse_writer", {"dbt_models", "marts_gate"}),
}
RAW_TABLES = {
    *("crm_accounts", "crm_contacts", "crm_opportunities", "crm_stage_changes", "event_log"),
    *("events", "experiment_assignments", "fx_rates", "support_contacts", "support_events"),
    "survey_responses",
}
BOOKS = {"file_columns", "landing_sources", "loads", "released_rows", "withdrawn_rows"}
CHAIN = (
    *("journey_map", "landing", "staging", "intermediate", "facts", "measures", "actions"),
    *("gaps", "published"),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A HOME of its own, in the environment too."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JOURNEY_GAPS_HOME", str(tmp_path_factory.mktemp("definitions")))
        settings = Settings()
        yield settings
    for seed in settings.seed_dir.iterdir():
        seed.unlink()
    settings.seed_dir.rmdir()


@pytest.fixture(scope="module")
def manifest(settings: Settings) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(dbt_manifest(settings).read_text())
    return content


@pytest.fixture(scope="module")
def graph(settings: Settings, manifest: dict[str, Any]) -> AssetGraph:
    assert manifest
    assert settings.dbt_target_dir.exists()
    return defs().get_repository_def().asset_graph


def test_steps_and_what_each_waits_for(graph: AssetGraph) -> None:
    assert graph
    job = refresh_gap_marts()
    steps = {
        node.name: (
            node.definition.pool,  # type: ignore[attr-defined]
            {
                output.node_name
                for outputs in job.graph.dependency_structure.input_to_upstream_outputs_for_node(
                    node.name
                ).values()
                for output in outputs
            },
        )
        for node in job.graph.nodes
    }
    assert steps == STEPS


def test_groups_follow_the_chain(graph: AssetGraph, manifest: dict[str, Any]) -> None:
    groups: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        groups.setdefault(graph.get(key).group_name or "", set()).add(key.to_user_string())
    assert groups.pop("landing") == {f"raw/{table}" for table in RAW_TABLES | BOOKS}
    assert groups.pop("published") == {"publication", "gap_report"}
    seeds = {
        f"journey_map/{node['name']}"
        for node in manifest["nodes"].values()
        if node["resource_type"] == "seed"
    }
    assert groups.pop("journey_map") == {"journey_map", *seeds}
    models = {
        f"{node['schema']}/{node['name']}"
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    assert set().union(*groups.values()) == models
    assert set(groups) <= set(CHAIN)


def test_no_group_reads_upward_in_the_chain(graph: AssetGraph) -> None:
    place = {group: number for number, group in enumerate(CHAIN)}
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        for parent in asset.parent_keys:
            assert place[graph.get(parent).group_name or ""] <= place[asset.group_name or ""], (
                parent,
                key,
            )


def test_every_asset_is_described_and_owned(graph: AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.description, key
        assert "select" not in asset.description.lower(), key
        assert set(asset.owners) <= {"team:data-engineering", "team:analytics"}, key
        assert asset.owners, key
        assert asset.kinds, key


def test_every_table_has_columns_and_checks(graph: AssetGraph) -> None:
    tables = {key for key in graph.get_all_asset_keys() if len(key.path) == 2}
    books = {dg.AssetKey(["raw", table]) for table in BOOKS}
    assert {key.asset_key for key in graph.asset_check_keys} == tables - books
    for key in tables:
        # Those of dbt's tables come with a run, which knows where they are from.
        columns = graph.get(key).metadata.get("dagster/column_schema")
        assert bool(columns) == (key.path[0] == "raw"), key


def test_the_job_and_its_schedule_are_described() -> None:
    assert refresh_gap_marts().description
    assert "off until" in (refresh_schedule(Environment.DEV).description or "")
    assert "off until" not in (refresh_schedule(Environment.PROD).description or "")


def test_names_fit_what_a_server_calls_a_relation(manifest: dict[str, Any]) -> None:
    """A unit test is a relation of its name; DuckDB would take any length, PostgreSQL takes 63."""
    names = [
        node.get("alias") or node["name"]
        for kind in ("nodes", "unit_tests")
        for node in manifest[kind].values()
    ]
    assert names
    assert [name for name in names if len(name) > 63] == []


def test_every_dbt_source_is_landed(graph: AssetGraph, manifest: dict[str, Any]) -> None:
    sources = {
        dg.AssetKey([source["schema"], source["name"]]) for source in manifest["sources"].values()
    }
    assert sources <= graph.materializable_asset_keys


def test_the_publication_waits_for_every_published_mart(
    graph: AssetGraph, manifest: dict[str, Any]
) -> None:
    marts = published_marts(manifest)
    assert dg.AssetKey(["marts", "gap_ranking"]) in marts
    assert graph.get(dg.AssetKey("publication")).parent_keys == set(marts)


def test_checks_are_suites_counts_and_dbt_tests(
    graph: AssetGraph, manifest: dict[str, Any]
) -> None:
    expectations = PROJECT_DIR / "expectations"
    of_suites = {
        (schema, table, declared.meta.name)
        for file in expectations.glob("*.json")
        for schema, table in [file.stem.split("__", 1)]
        for declared in read_suites(expectations, schema, [table])[table].expectations
    }
    own = {
        ("raw", table, name)
        for table in RAW_TABLES
        for name in ("files_readable", "is_fresh", "is_landed", "rows_reconcile")
    } | {("marts", "gap_trends", "nothing_worsens")}
    tests_of_dbt = {
        node["name"]: node["config"]["severity"].lower()
        for node in manifest["nodes"].values()
        # A singular test of several models belongs to none: dbt runs it, no asset shows it.
        if node["resource_type"] == "test"
        and (node.get("attached_node") or len(node["depends_on"]["nodes"]) == 1)
    }
    checks = {(*key.asset_key.path, key.name): graph.get(key) for key in graph.asset_check_keys}
    assert own | of_suites <= set(checks)
    assert {name for *_, name in set(checks) - own - of_suites} == set(tests_of_dbt)

    only_shown = {check for check, node in checks.items() if not node.blocking}
    assert {name for *_, name in only_shown} == {
        *("files_readable", "is_fresh", "nothing_worsens")
    } | {name for name, severity in tests_of_dbt.items() if severity == "warn"}


def test_every_run_takes_the_lock(graph: AssetGraph) -> None:
    assert graph
    repository = defs().get_repository_def()
    # The last is what the UI runs for a single asset.
    for name in ("refresh_gap_marts", "land_day", "__ASSET_JOB"):
        assert repository.get_job(name).executor_def.name == "warehouse"


def test_jobs_schedules_and_sensors(graph: AssetGraph) -> None:
    assert graph
    repository = defs().get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} == {
        *("refresh_gap_marts", "weekly_report", "land_day", "__ASSET_JOB")
    }
    assert {
        schedule.name: (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone)
        for schedule in repository.schedule_defs
    } == {
        "refresh_gap_marts_daily": ("refresh_gap_marts", "0 5 * * *", "UTC"),
        "weekly_report_mondays": ("weekly_report", "0 6 * * 1", "UTC"),
    }
    assert {
        sensor.name: (sensor.sensor_type.value, sensor.minimum_interval_seconds)
        for sensor in repository.sensor_defs
    } == {
        "new_files": ("STANDARD", 60),
        "new_journey_map": ("STANDARD", 60),
        "freshness": ("STANDARD", 3600),
        "run_failures": ("RUN_STATUS", 30),
    }


def test_the_schedule_of_each_environment() -> None:
    status = {env.value: refresh_schedule(env).default_status.value for env in Environment}
    assert status == {"dev": "STOPPED", "ci": "STOPPED", "prod": "RUNNING"}
    with pytest.raises(UnknownEnvironmentError, match="dev, ci, prod"):
        refresh_schedule("staging")  # type: ignore[arg-type]


def test_the_instance_has_pools_and_no_telemetry(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert not instance.telemetry_enabled
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
        assert instance.root_directory == str(settings.dagster_dir)


def test_the_publication_alone_is_refused(settings: Settings) -> None:
    """What the UI offers with one click."""
    result = dg.materialize(
        [build_publication([], {dg.AssetKey("marts")})],
        resources={"settings": settings},
        raise_on_error=False,
    )
    failure = result.failure_data_for_node("publication")
    assert failure is not None
    assert failure.error is not None
    assert failure.error.cause is not None
    assert (
        "only a run of the whole chain, with both gates, publishes" in failure.error.cause.message
    )


def test_the_project_is_parsed_again_only_when_it_changed(
    settings: Settings, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert manifest
    parsed = settings.dbt_target_dir / "manifest.json"
    before = parsed.stat().st_mtime_ns
    assert dbt_manifest(settings).stat().st_mtime_ns == before

    model = tmp_path / "models" / "broken.sql"
    model.parent.mkdir()
    model.write_text("select {{ unfinished")
    (tmp_path / "dbt_project.yml").write_text((PROJECT_DIR / "dbt_project.yml").read_text())
    (tmp_path / "profiles.yml").write_text((PROJECT_DIR / "profiles.yml").read_text())
    monkeypatch.setattr(resources, "PROJECT_DIR", tmp_path)
    with pytest.raises(JourneyGapsError, match="dbt cannot parse this project") as error:
        dbt_manifest(settings)
    assert "broken.sql" in str(error.value)
    assert parsed.stat().st_mtime_ns == before


def test_a_wrong_suite_is_named_before_anything_runs(
    manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert manifest
    monkeypatch.setenv("JOURNEY_GAPS_EXPECTATIONS", str(tmp_path))
    with pytest.raises(InputError, match=r"raw__crm_accounts\.json"):
        defs.load_fn()


def test_dbts_first_error_is_named(tmp_path: Path) -> None:
    assert first_error(tmp_path) is None
    results = [
        {"status": "success", "unique_id": "model.p.good", "message": "OK"},
        {"status": "fail", "unique_id": "test.p.unique_x.ab12", "message": "Got 3 results"},
        {"status": "error", "unique_id": "model.p.bad", "message": "Binder Error"},
    ]
    (tmp_path / "run_results.json").write_text(json.dumps({"results": results}))
    assert first_error(tmp_path) == "dbt: unique_x: Got 3 results (1 more failed)"

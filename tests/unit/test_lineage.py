"""What each column is made of: by hand for SQL of every shape, and for the models."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from sqlglot.errors import SqlglotError

from orchestration.defs.landing.assets import landed_columns
from orchestration.defs.models.assets import published_marts
from orchestration.defs.models.metadata import asset_key, table_metadata
from orchestration.lineage import column_lineage, table_columns
from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

VISITS = '"warehouse"."intermediate"."visits"'
STAGES = '"warehouse"."journey_map"."stages"'
RELATIONS = {
    VISITS: ["visit_id", "stage_id", "entered_at", "exited_at"],
    STAGES: ["stage_id", "stage_order", "name"],
}

# Columns of marts that are a word or a count of rows, in every row, whatever is upstream; and
# what is read from the run before, of which the first compilation knows nothing.
SELF_MADE = {
    "curve_kind": {"fct_survival_curves"},
    "period_grain": {
        *("gap_ranking", "gap_trends"),
        *("fct_measures", "fct_restatements", "fct_survival_curves", "fct_key_moments"),
    },
    "moment_kind": {"fct_moment_stages"},
    "value_basis": {"gap_ranking"},
    # Of distinct cases, each counted once.
    "reach": {"gap_ranking", "gap_suggestions"},
    "metric_id": {"fct_measures", "gap_trends", "fct_restatements"},
    "touchpoint_id": {"fct_measures", "gap_ranking", "gap_trends", "fct_restatements"},
    "segment_dimension": {"fct_measures", "gap_trends", "fct_restatements"},
    "segment_value": {"fct_measures", "gap_trends", "fct_restatements"},
    "n": {
        *("fct_measures", "gap_ranking", "gap_trends", "fct_restatements", "gap_drivers"),
        "fct_key_moments",
    },
    "n_clusters": {"fct_key_moments"},
    "exposed_n": {"gap_drivers"},
    "component": {"gap_drivers"},
    "finding_kind": {"gap_touchpoints"},
    "other_n": {"gap_touchpoints"},
    "topics": {"fct_feedback"},
    "words": {"gap_unclassified_phrases"},
    "source": {"fct_touchpoint_events", "gap_touchpoints"},
    "cases_with": {"gap_touchpoint_paths"},
    "note": {"gap_touchpoint_paths"},
    "evidence": {"gap_drivers"},
    "run_number": {"fct_restatements"},
    "entries": {"fct_stage_flows"},
    "moves": {"fct_stage_flows"},
    "share": {"fct_stage_flows"},
    "scenario_kind": {"gap_scenarios"},
    "before_n": {"fct_action_readouts"},
    "after_n": {"fct_action_readouts"},
    "n_assigned": {"fct_action_readouts"},
    "n_in_several_arms": {"fct_action_readouts"},
    "touchpoints_involved": {"gap_suggestions"},
    "cases": {"fct_journey_coverage", "fct_transition_counts"},
    "transitions": {"fct_transition_counts"},
    "visits": {"fct_journey_coverage"},
    "excluded_entities": {"fct_journey_coverage"},
    "journey_entities": {"fct_journey_coverage"},
} | {
    f"previous_{column}": {"fct_restatements"}
    for column in ("n", "numerator", "value", "ci_low", "ci_high", "as_of", "through_load_id")
}


def lineage(sql: str, dialect: str = "duckdb") -> dict[str, set[str]]:
    """Column -> `relation.column`, the relations by their last name."""
    return {
        column: {f"{relation.split('.')[-1].strip(chr(34))}.{name}" for relation, name in origins}
        for column, origins in column_lineage(sql, dialect, RELATIONS).items()
    }


def test_a_star_of_an_import_is_followed() -> None:
    sql = f"""
        with visits as (select * from {VISITS}),
        renamed as (select visits.*, exited_at - entered_at as took from visits)
        select visit_id, took, 'seen' as word, count(*) over () as n from renamed
    """
    assert lineage(sql) == {
        "visit_id": {"visits.visit_id"},
        "took": {"visits.entered_at", "visits.exited_at"},
        "word": set(),
        "n": set(),
    }


def test_an_alias_hides_the_cte_of_its_name() -> None:
    sql = f"""
        with visits as (select * from {VISITS}),
        stages as (select stage_order as stage_id, name from {STAGES})
        select visits.stage_id, visits.name from stages as visits
    """
    assert lineage(sql) == {"stage_id": {"stages.stage_order"}, "name": {"stages.name"}}


def test_filters_joins_and_groups_are_no_origin() -> None:
    sql = f"""
        select stages.name, max(visits.entered_at) as latest
        from {VISITS} as visits
        inner join {STAGES} as stages on visits.stage_id = stages.stage_id
        where visits.exited_at is null
        group by stages.name
    """
    assert lineage(sql) == {"name": {"stages.name"}, "latest": {"visits.entered_at"}}


def test_what_a_window_sorts_by_is_an_origin_named_or_not() -> None:
    inline = "row_number() over (partition by stage_id order by entered_at)"
    named = "row_number() over history"
    framed = "sum(1) over (history rows between unbounded preceding and 1 preceding)"
    for expression in (inline, named, framed):
        sql = f"""
            select {expression} as place from {VISITS}
            window history as (partition by stage_id order by entered_at)
        """
        assert lineage(sql) == {"place": {"visits.stage_id", "visits.entered_at"}}, expression


def test_a_union_is_followed_by_position() -> None:
    sql = f"""
        select visit_id as id, entered_at as at from {VISITS}
        union all select name, null from {STAGES}
        union all select 'x', exited_at from {VISITS}
    """
    assert lineage(sql) == {
        "id": {"visits.visit_id", "stages.name"},
        "at": {"visits.entered_at", "visits.exited_at"},
    }


def test_subqueries_and_laterals_are_followed() -> None:
    sql = f"""
        select
            (select max(stages.name) from {STAGES} as stages
             where stages.stage_id = visits.stage_id) as stage,
            later.day
        from {VISITS} as visits
        cross join lateral (select visits.exited_at + interval '1' day as day) as later
    """
    assert lineage(sql) == {
        "stage": {"stages.name", "stages.stage_id", "visits.stage_id"},
        "day": {"visits.exited_at"},
    }


def test_a_table_function_passes_its_arguments_on() -> None:
    sql = f"""
        with days as (
            select visits.visit_id, day_number
            from {VISITS} as visits
            cross join unnest(generate_series(visits.entered_at, visits.exited_at)) as t(day_number)
        )
        select * from days
    """
    found = lineage(sql)
    assert found["visit_id"] == {"visits.visit_id"}
    assert found["day_number"] == {"visits.entered_at", "visits.exited_at"}


def test_a_recursive_cte_ends() -> None:
    sql = f"""
        with recursive walk as (
            select stage_id, stage_order from {STAGES}
            union all
            select stage_id, stage_order + 1 from walk where stage_order < 9
        )
        select stage_order from walk
    """
    assert lineage(sql) == {"stage_order": {"stages.stage_order"}}


def test_unknown_relations_and_other_dialects() -> None:
    assert lineage("select x, 1 as one from elsewhere.t") == {"x": set(), "one": set()}
    sql = f"select (visit_id::jsonb ->> 'a')::double precision as a from {VISITS}"
    assert lineage(sql, "postgres") == {"a": {"visits.visit_id"}}
    with pytest.raises(SqlglotError):
        column_lineage("select (", "duckdb", RELATIONS)


def test_created_tables_are_read() -> None:
    statements = [
        "create schema if not exists raw",
        'create table if not exists raw.t ("a" VARCHAR, b DECIMAL(18,2), c TIMESTAMP)',
    ]
    assert table_columns(statements) == {
        "raw.t": {"a": "varchar", "b": "decimal(18, 2)", "c": "timestamp"}
    }
    assert landed_columns()["raw.loads"]["load_id"] == "bigint"


@pytest.fixture(scope="module")
def compiled(make_workbench: Callable[[str], Workbench]) -> tuple[dict[str, Any], Workbench]:
    """The manifest, and a home with the compiled SQL of every model."""
    workbench = make_workbench("lineage")
    workbench.use_map(PROJECT_DIR / "seeds" / "journey_map")
    workbench.dbt("compile")
    manifest = json.loads((workbench.settings.dbt_target_dir / "manifest.json").read_text())
    return manifest, workbench


def test_every_column_of_every_mart_leads_to_what_landed(
    compiled: tuple[dict[str, Any], Workbench],
) -> None:
    manifest, workbench = compiled
    models: dict[dg.AssetKey, dict[str, list[dg.TableColumnDep]]] = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "model":
            continue
        metadata = table_metadata(manifest, unique_id, {}, workbench.settings.dbt_target_dir)
        deps = metadata["dagster/column_lineage"].deps_by_column
        assert set(deps) == set(node["columns"]), node["name"]
        models[asset_key(node)] = deps

    def roots(key: dg.AssetKey, column: str) -> set[dg.AssetKey]:
        if key not in models:
            return {key}
        return {
            root for dep in models[key][column] for root in roots(dep.asset_key, dep.column_name)
        }

    unexplained = {
        (column, mart.path[-1])
        for mart in published_marts(manifest)
        for column in models[mart]
        if not roots(mart, column)
    }
    declared = {(column, mart) for column, marts in SELF_MADE.items() for mart in marts}
    assert unexplained <= declared
    schemas = {root.path[0] for root in roots(dg.AssetKey(["marts", "gap_ranking"]), "value")}
    assert schemas == {"raw", "journey_map"}


def test_a_column_shows_its_type_its_tests_and_where_it_is_from(
    compiled: tuple[dict[str, Any], Workbench],
) -> None:
    manifest, workbench = compiled
    metadata = table_metadata(
        manifest,
        "model.journey_gaps.fct_stage_visits",
        {
            "columns": {"visit_id": {"data_type": "VARCHAR"}, "new": {"data_type": ""}},
            "row_count": 7,
        },
        workbench.settings.dbt_target_dir,
    )
    assert metadata["dagster/row_count"] == 7
    visit_id, new = metadata["dagster/column_schema"].columns
    assert (visit_id.type, new.type, new.description) == ("varchar", "unknown", "")
    assert (visit_id.constraints.nullable, visit_id.constraints.unique) == (False, True)
    assert (new.constraints.nullable, new.constraints.unique) == (True, False)
    assert visit_id.description == (
        "case_id and visit_number.\n\n"
        "From [int_stage_visits](/assets/intermediate/int_stage_visits): "
        "attempt_number, entity_id, journey_id, visit_number"
    )


def test_a_seed_has_columns_and_no_lineage(compiled: tuple[dict[str, Any], Workbench]) -> None:
    manifest, workbench = compiled
    metadata = table_metadata(
        manifest, "seed.journey_gaps.stages", {}, workbench.settings.dbt_target_dir
    )
    assert set(metadata) == {"dagster/column_schema"}
    columns = metadata["dagster/column_schema"].columns
    assert [column.name for column in columns][:2] == ["journey_id", "stage_id"]

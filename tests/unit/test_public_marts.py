"""What others build on: contracts, the data dictionary, exposures."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import InputError, JourneyGapsError
from orchestration.publish.contracts import (
    CONTRACTS,
    Contract,
    committed,
    promised,
    published_models,
    sort_orders,
    violations,
)
from orchestration.publish.dictionary import PAGES, rewrite, written
from orchestration.resources import dbt_manifest
from orchestration.settings import PROJECT_DIR, Settings

# What reads a publication, or the marts before it, on somebody's behalf.
READERS = {
    "report": "orchestration/report/**/*.py",
    "weekly_report": "orchestration/weekly.py",
    "alerts": "orchestration/alerts/*.py",
}
BEFORE = Contract(1, (("a", "b"),), {"a": "varchar", "b": "date", "c": "bigint"})


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    settings = Settings(home=tmp_path_factory.mktemp("public_marts"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JOURNEY_GAPS_HOME", str(settings.home))
        content: dict[str, Any] = json.loads(dbt_manifest(settings).read_text())
        yield content
    for seed in settings.seed_dir.iterdir():
        seed.unlink()
    settings.seed_dir.rmdir()


def copied(manifest: dict[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(manifest))
    return copy


def test_promises_are_kept_and_what_is_written_is_current(manifest: dict[str, Any]) -> None:
    assert violations(committed(), promised(manifest)) == []
    files = written(manifest)
    there = [*CONTRACTS.iterdir(), *(PROJECT_DIR / PAGES).iterdir()]
    assert {str(path.relative_to(PROJECT_DIR)) for path in there} == set(files), "make contracts"
    for path, text in files.items():
        assert (PROJECT_DIR / path).read_text(encoding="utf-8") == text, f"{path}: make contracts"


def test_public_is_what_is_published(manifest: dict[str, Any]) -> None:
    public = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["access"] == "public"
    }
    assert public == {model["name"] for model in published_models(manifest)} == set(committed())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": {"a": "varchar", "c": "bigint"}}, ["b: is gone"]),
        (
            {"columns": {"a": "varchar", "day": "date", "c": "bigint"}},
            ["b: is gone", "None: columns have moved: new ones come last"],
        ),
        (
            {"columns": {"a": "varchar", "b": "timestamp", "c": "bigint"}},
            ["b: was date and is timestamp"],
        ),
        (
            {"columns": {"b": "date", "a": "varchar", "c": "bigint"}},
            ["None: columns have moved: new ones come last"],
        ),
        ({"keys": (("a",),)}, ["None: rows are no longer told apart by a, b"]),
        ({"columns": {**BEFORE.columns, "d": "date"}}, []),
        ({"keys": (("a", "b"), ("c",))}, []),
        ({"version": 2, "columns": {"a": "varchar"}, "keys": (("a",),)}, []),
        ({"version": 0}, ["None: version 0 comes after 1"]),
    ],
)
def test_what_breaks_readers_needs_a_higher_version(
    change: dict[str, Any], said: list[str]
) -> None:
    problems = violations({"mart": BEFORE}, {"mart": dataclasses.replace(BEFORE, **change)})
    assert [f"{problem.column}: {problem.message}" for problem in problems] == said
    assert {problem.file for problem in problems} <= {"contracts/mart.json"}


def test_a_mart_does_not_vanish_in_silence() -> None:
    (problem,) = violations({"mart": BEFORE}, {})
    assert "delete this file" in str(problem)
    assert violations({}, {"mart": BEFORE}) == []


def test_a_broken_promise_is_not_written(manifest: dict[str, Any], tmp_path: Path) -> None:
    assert len(rewrite(manifest, tmp_path)) == len(written(manifest))
    assert rewrite(manifest, tmp_path) == []
    other = copied(manifest)
    model = other["nodes"]["model.journey_gaps.fct_measures"]
    model["columns"]["value"]["data_type"] = "bigint"
    before = (tmp_path / "contracts" / "fct_measures.json").read_text()
    with pytest.raises(InputError, match=r"fct_measures.json, column value: was double precision"):
        rewrite(other, tmp_path)
    assert (tmp_path / "contracts" / "fct_measures.json").read_text() == before

    model["config"]["meta"]["contract_version"] = 2
    assert {path.name for path in rewrite(other, tmp_path)} == {
        *("fct_measures.json", "fct_measures.md", "README.md")
    }
    page = (tmp_path / PAGES / "fct_measures.md").read_text()
    assert "Contract version 2." in page
    assert "| `value` | bigint | The measure, in the metric's unit" in page


def test_a_mart_without_version_or_key_is_refused(manifest: dict[str, Any], tmp_path: Path) -> None:
    unversioned = copied(manifest)
    meta = unversioned["nodes"]["model.journey_gaps.dim_stages"]["config"]["meta"]
    del meta["contract_version"]
    with pytest.raises(JourneyGapsError, match=r"dim_stages.sql: .*contract_version to 1"):
        promised(unversioned)
    keyless = copied(manifest)
    for node in keyless["nodes"].values():
        if node.get("attached_node") == "model.journey_gaps.dim_stages":
            node["test_metadata"] = None
    with pytest.raises(JourneyGapsError, match="dim_stages is published without a key"):
        promised(keyless)
    (tmp_path / "x.json").write_text('{"version": 1}')
    with pytest.raises(JourneyGapsError, match=r"x.json is no contract"):
        committed(tmp_path)


def test_an_order_has_columns_of_the_mart_and_tells_rows_apart(manifest: dict[str, Any]) -> None:
    assert sort_orders(manifest)["fct_stage_visits"] == ("journey_id", "entered_at", "visit_id")
    assert "fct_measures" not in sort_orders(manifest)
    page = written(manifest)[str(PAGES / "fct_stage_visits.md")]
    assert "in the order of `journey_id`, `entered_at`, `visit_id`." in page
    assert "in the order of" not in written(manifest)[str(PAGES / "fct_measures.md")]
    for order, said in (
        (["entered", "visit_id"], r"fct_stage_visits.sql: .* is sorted by entered, which"),
        (["journey_id", "entered_at"], r"end config.meta.sorted_by with a key, such as visit_id"),
    ):
        other = copied(manifest)
        model = other["nodes"]["model.journey_gaps.fct_stage_visits"]
        model["config"]["meta"]["sorted_by"] = order
        with pytest.raises(JourneyGapsError, match=said):
            sort_orders(other)


def test_exposures_name_what_is_read(manifest: dict[str, Any]) -> None:
    marts = {model["name"] for model in published_models(manifest)}
    declared = {
        exposure["name"]: {name.split(".")[-1] for name in exposure["depends_on"]["nodes"]}
        for exposure in manifest["exposures"].values()
    }
    read = {
        name: {
            relation
            for file in PROJECT_DIR.glob(files)
            for relation in re.findall(r"\b(?:from|join) (?:marts\.)?(\w+)", file.read_text())
        }
        & marts
        for name, files in READERS.items()
    }
    assert all(read.values())
    assert declared == read | {"bi_tools": marts}


def test_exposures_have_a_team_and_no_person(manifest: dict[str, Any]) -> None:
    for exposure in manifest["exposures"].values():
        assert exposure["description"]
        assert exposure["maturity"] in ("high", "medium", "low")
        assert exposure["owner"]["name"].endswith(" team")
        assert re.fullmatch(r"[a-z-]+@example\.com", exposure["owner"]["email"])

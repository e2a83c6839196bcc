"""What the asset graph shows of a table that dbt built: rows, columns, where they come from."""

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.defs.landing.assets import landed_columns
from orchestration.lineage import column_lineage

# Column -> the columns it comes from, each with its asset.
Lineage = Mapping[str, Set[tuple[dg.AssetKey, str]]]


def manifest_node(manifest: Mapping[str, Any], unique_id: str) -> Mapping[str, Any]:
    """One node or source of a dbt manifest."""
    node: Mapping[str, Any] = manifest["nodes"].get(unique_id) or manifest["sources"][unique_id]
    return node


def asset_key(node: Mapping[str, Any]) -> dg.AssetKey:
    """Schema and name of a seed, model or source."""
    return dg.AssetKey([node["schema"], node["name"]])


def table_metadata(
    manifest: Mapping[str, Any], unique_id: str, logged: Mapping[str, Any], target_path: Path
) -> dict[str, Any]:
    """Metadata of a seed or model just built.

    `logged` is what the macro `log_relation` said of it: `columns`, each with its `data_type`,
    and perhaps `row_count`. `target_path` is where dbt left the compiled SQL. Raises what the
    SQL's parser raises.
    """
    node = manifest_node(manifest, unique_id)
    lineage: Lineage = {}
    if node["resource_type"] == "model":
        compiled = target_path / "compiled" / node["package_name"] / node["original_file_path"]
        lineage = model_lineage(manifest, node, compiled.read_text())
    metadata: dict[str, Any] = {
        "dagster/column_schema": _schema(manifest, node, logged.get("columns", {}), lineage)
    }
    if "row_count" in logged:
        metadata["dagster/row_count"] = logged["row_count"]
    if lineage:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(key, name) for key, name in sorted(origins)]
                for column, origins in lineage.items()
            }
        )
    return metadata


def model_lineage(
    manifest: Mapping[str, Any], node: Mapping[str, Any], compiled_sql: str
) -> Lineage:
    """Column of a model -> the columns it comes from, each with its asset.

    The columns of what a model reads are those of the YAML, complete by test; of sources,
    those that landing creates.
    """
    parents = {parent["relation_name"]: parent for parent in _parents(manifest, node)}
    found = column_lineage(
        compiled_sql,
        manifest["metadata"]["adapter_type"],
        {relation: _column_names(parent) for relation, parent in parents.items()},
    )
    return {
        column: {(asset_key(parents[relation]), name) for relation, name in origins}
        for column, origins in found.items()
    }


def _parents(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for unique_id in node["depends_on"]["nodes"]:
        yield manifest_node(manifest, unique_id)


def _column_names(node: Mapping[str, Any]) -> list[str]:
    if node["resource_type"] == "source":
        return list(landed_columns()[f"{node['schema']}.{node['name']}"])
    return list(node["columns"])


def _schema(
    manifest: Mapping[str, Any],
    node: Mapping[str, Any],
    measured: Mapping[str, Any],
    lineage: Lineage,
) -> dg.TableSchema:
    """Types as the engine has them, descriptions and tested constraints as the YAML has them."""
    described = node["columns"]
    tests = [
        test["test_metadata"]
        for test in manifest["nodes"].values()
        if test.get("attached_node") == node["unique_id"] and test.get("test_metadata")
    ]
    unique = {test["kwargs"]["column_name"] for test in tests if test["name"] == "unique"}
    never_null = {
        column
        for test in tests
        if test["name"] == "not_null_columns"
        for column in test["kwargs"]["columns"]
    }
    return dg.TableSchema(
        [
            dg.TableColumn(
                name=name,
                type=(column["data_type"] or "unknown").lower(),
                description="\n\n".join(
                    filter(
                        None,
                        (described.get(name, {}).get("description"), _origins(lineage, name)),
                    )
                ),
                constraints=dg.TableColumnConstraints(
                    nullable=name not in never_null, unique=name in unique
                ),
            )
            for name, column in (measured or described).items()
        ]
    )


def _origins(lineage: Lineage, column: str) -> str:
    """A column's lineage as Markdown: Dagster's open UI shows the metadata of it nowhere."""
    by_asset: dict[dg.AssetKey, list[str]] = {}
    for key, name in sorted(lineage.get(column, ())):
        by_asset.setdefault(key, []).append(name)
    origins = (
        f"[{key.path[-1]}](/assets/{'/'.join(key.path)}): {', '.join(names)}"
        for key, names in by_asset.items()
    )
    return f"From {'; '.join(origins)}" if by_asset else ""

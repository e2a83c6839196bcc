"""What each published mart promises: its version, its keys, its columns and their types.

The YAML beside the models says it; `contracts/<mart>.json` keeps what was promised last, so that
a change that breaks readers cannot pass unseen. docs/contracts.md has the rules.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.errors import JourneyGapsError, Problem
from orchestration.settings import PROJECT_DIR

CONTRACTS = PROJECT_DIR / "contracts"
UNIQUE_TESTS = {"unique": "column_name", "unique_combination": "columns"}


@dataclass(frozen=True)
class Contract:
    """The promise of one mart.

    `columns` maps name to the type that the YAML names, in their order; each of `keys` is a
    set of columns that tell the rows apart, sorted.
    """

    version: int
    keys: tuple[tuple[str, ...], ...]
    columns: Mapping[str, str]

    @property
    def text(self) -> str:
        """The file in `contracts/`: one line for each column."""
        content = {"version": self.version, "keys": self.keys, "columns": self.columns}
        lines = [f"  {json.dumps(name)}: {_json(value)}" for name, value in content.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def published_models(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models of a dbt manifest whose `config.meta.published` is true, by name."""
    models = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["meta"].get("published")
    ]
    return sorted(models, key=lambda node: str(node["name"]))


def promised(manifest: Mapping[str, Any]) -> dict[str, Contract]:
    """Return the contract of each published mart, as its YAML says.

    Raises JourneyGapsError where one has no `meta.contract_version`, or no key.
    """
    keys: dict[str, set[tuple[str, ...]]] = {}
    for node in manifest["nodes"].values():
        test = node.get("test_metadata") or {}
        if argument := UNIQUE_TESTS.get(test.get("name", "")):
            columns = test["kwargs"][argument]
            key = (columns,) if isinstance(columns, str) else tuple(columns)
            keys.setdefault(node["attached_node"], set()).add(tuple(sorted(key)))
    contracts = {}
    for model in published_models(manifest):
        name, version = model["name"], model["config"]["meta"].get("contract_version")
        if not isinstance(version, int) or version < 1:
            raise JourneyGapsError(
                f"{model['original_file_path']}: {name} is published without a contract: set "
                "config.meta.contract_version to 1 in its YAML"
            )
        if model["unique_id"] not in keys:
            raise JourneyGapsError(
                f"{model['original_file_path']}: {name} is published without a key: add a "
                "unique or unique_combination test"
            )
        contracts[name] = Contract(
            version,
            tuple(sorted(keys[model["unique_id"]])),
            {column["name"]: column["data_type"] for column in model["columns"].values()},
        )
    return contracts


def sort_orders(manifest: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the columns by which a mart is published in order, where its YAML says so.

    Raises JourneyGapsError where `meta.sorted_by` names no column of the mart, or does not tell
    its rows apart: equal marts would not be equal files.
    """
    contracts = promised(manifest)
    orders = {}
    for model in published_models(manifest):
        order = tuple(model["config"]["meta"].get("sorted_by", ()))
        contract = contracts[model["name"]]
        if unknown := [column for column in order if column not in contract.columns]:
            raise JourneyGapsError(
                f"{model['original_file_path']}: {model['name']} is sorted by "
                f"{', '.join(unknown)}, which it has not"
            )
        if order and not any(set(key) <= set(order) for key in contract.keys):
            raise JourneyGapsError(
                f"{model['original_file_path']}: {model['name']} is sorted by columns that do "
                f"not tell its rows apart: end config.meta.sorted_by with a key, such as "
                f"{', '.join(contract.keys[0])}"
            )
        if order:
            orders[model["name"]] = order
    return orders


def committed(folder: Path = CONTRACTS) -> dict[str, Contract]:
    """Return the contracts that were promised last, by mart.

    Raises JourneyGapsError where a file is none.
    """
    found = {}
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            keys = tuple(tuple(key) for key in content["keys"])
            found[file.stem] = Contract(content["version"], keys, content["columns"])
        except (ValueError, LookupError, TypeError) as error:
            raise JourneyGapsError(f"{file} is no contract: {error}") from error
    return found


def violations(before: Mapping[str, Contract], now: Mapping[str, Contract]) -> list[Problem]:
    """What `now` breaks of the promises `before` without saying so by a higher version."""
    problems = []
    for mart, promise in before.items():
        file = f"contracts/{mart}.json"
        if mart not in now:
            problems.append(
                Problem(
                    file,
                    "the mart is no longer published",
                    remedy="where its time is over, delete this file in the same change",
                )
            )
        elif now[mart].version < promise.version:
            problems.append(
                Problem(file, f"version {now[mart].version} comes after {promise.version}")
            )
        elif now[mart].version == promise.version:
            problems += [
                Problem(
                    file,
                    message,
                    column=column,
                    remedy=f"undo it, or raise contract_version of {mart} to {promise.version + 1}",
                )
                for column, message in _breaks(promise, now[mart])
            ]
    return problems


def _breaks(before: Contract, now: Contract) -> Iterator[tuple[str | None, str]]:
    """Column and what became of it; None for the mart as a whole."""
    for column, kind in before.columns.items():
        if column not in now.columns:
            yield column, "is gone"
        elif now.columns[column] != kind:
            yield column, f"was {kind} and is {now.columns[column]}"
    kept = [column for column in before.columns if column in now.columns]
    if list(now.columns)[: len(kept)] != kept:
        yield None, "columns have moved: new ones come last"
    for key in before.keys:
        if key not in now.keys:
            yield None, f"rows are no longer told apart by {', '.join(key)}"


def _json(value: object) -> str:
    """Version and keys in one line, columns in one line each."""
    if isinstance(value, dict):
        return json.dumps(value, indent=4)[:-1] + "  }"
    return json.dumps(value)

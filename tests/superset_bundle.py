"""bi/superset as a test reads it: the dashboard, its charts, and the datasets that they ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from bi.pack import FOLDER

Params = dict[str, Any]


@dataclass(frozen=True)
class Dataset:
    """A table of the publication, or a query over several."""

    content: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.content["table_name"])

    @property
    def relation(self) -> str:
        """What Superset selects from."""
        sql = self.content["sql"]
        return f"({sql}) as virtual_table" if sql else self.name

    @property
    def columns(self) -> dict[str, str]:
        """Of the table or the query, with their types."""
        return {
            column["column_name"]: column["type"]
            for column in self.content["columns"]
            if not column.get("expression")
        }

    @property
    def calculated(self) -> dict[str, str]:
        return {
            column["column_name"]: column["expression"]
            for column in self.content["columns"]
            if column.get("expression")
        }

    @property
    def metrics(self) -> dict[str, str]:
        return {metric["metric_name"]: metric["expression"] for metric in self.content["metrics"]}


@dataclass(frozen=True)
class Chart:
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.content["slice_name"])

    @property
    def params(self) -> Params:
        return dict(self.content["params"])

    @property
    def dataset_uuid(self) -> str:
        return str(self.content["dataset_uuid"])

    def columns(self) -> Iterator[str]:
        """Every column that the chart names."""
        for key in ("x_axis", "groupby", "groupby_b", "all_columns"):
            named = self.params.get(key) or []
            yield from [named] if isinstance(named, str) else named
        for key in ("adhoc_filters", "adhoc_filters_b"):
            yield from (each["subject"] for each in self.params.get(key, []))
        for order in self.params.get("order_by_cols", []):
            yield yaml.safe_load(order)[0]
        yield from self.params.get("column_config", {})

    def metrics(self) -> Iterator[str]:
        """Every metric that the chart names."""
        yield from self.params.get("metrics", [])
        yield from self.params.get("metrics_b", [])
        yield from filter(None, [self.params.get("metric"), self.params.get("x_axis_sort")])


class Bundle:
    """All files of the folder."""

    def _read(self, folder: str) -> list[dict[str, Any]]:
        files = sorted((FOLDER / folder).rglob("*.yaml"))
        return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]

    @cached_property
    def dashboard(self) -> dict[str, Any]:
        [content] = self._read("dashboards")
        return content

    @cached_property
    def database(self) -> dict[str, Any]:
        [content] = self._read("databases")
        return content

    @cached_property
    def datasets(self) -> dict[str, Dataset]:
        """By uuid."""
        return {content["uuid"]: Dataset(content) for content in self._read("datasets")}

    @cached_property
    def charts(self) -> dict[str, Chart]:
        """By uuid."""
        return {content["uuid"]: Chart(content) for content in self._read("charts")}

    @property
    def places(self) -> list[dict[str, Any]]:
        """The charts as the dashboard places them."""
        position = self.dashboard["position"].values()
        return [
            each["meta"] for each in position if isinstance(each, dict) and each["type"] == "CHART"
        ]

    @property
    def filters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.dashboard["metadata"]["native_filter_configuration"]
        return found

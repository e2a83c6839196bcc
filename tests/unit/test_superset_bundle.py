"""bi/superset.zip without Superset: packed, its columns promised, its queries run."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bi.pack import BUNDLE, FOLDER, contents, pack
from orchestration.publish.contracts import committed
from orchestration.quoting import quoted
from tests.superset_bundle import Bundle, Dataset

# As the contracts name types, and as Superset does.
TYPES = {"varchar": "VARCHAR", "bigint": "BIGINT", "integer": "INTEGER", "boolean": "BOOLEAN"} | {
    "double precision": "DOUBLE PRECISION",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
# As DuckDB describes them.
DESCRIBED = {"DOUBLE": "DOUBLE PRECISION"}
TIMES = {"DATE", "TIMESTAMP"}
# Of several rows too, since they are no figures of the marts.
COUNTS = {"first_rank", "reasons"}
BUNDLED = Bundle()


@pytest.fixture(scope="module")
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """Every mart as its contract promises, without rows."""
    with duckdb.connect() as connection:
        for mart, contract in committed().items():
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in contract.columns.items())
            connection.execute(f"create table {quoted(mart)} ({columns})")
        yield connection


def of_name(name: str) -> Dataset:
    return next(dataset for dataset in BUNDLED.datasets.values() if dataset.name == name)


def test_the_file_that_users_import_is_the_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(BUNDLE) as bundle:
        packed = {entry.filename: bundle.read(entry) for entry in bundle.infolist()}
    assert packed == contents(FOLDER), "python bi/pack.py"
    pack(FOLDER, tmp_path / "one.zip")
    pack(FOLDER, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_it_opens_the_published_file_for_reading_only() -> None:
    uri = BUNDLED.database["sqlalchemy_uri"]
    file, _, settings = uri.removeprefix("duckdb:///").partition("?")
    assert file == "published/current/journey_gaps.duckdb"
    assert settings.split("&") == ["access_mode=read_only", "enable_external_access=false"]
    for grant in ("allow_dml", "allow_ctas", "allow_cvas", "allow_csv_upload"):
        assert BUNDLED.database[grant] is False


@pytest.mark.parametrize("dataset", BUNDLED.datasets.values(), ids=lambda dataset: dataset.name)
def test_a_dataset_has_the_columns_that_there_are(
    empty: duckdb.DuckDBPyConnection, dataset: Dataset
) -> None:
    described = empty.execute(f"describe select * from {dataset.relation}").fetchall()
    there = {str(name): DESCRIBED.get(kind, kind) for name, kind, *_ in described}
    assert dataset.columns == there
    if not dataset.content["sql"]:
        promised = committed()[dataset.name].columns
        assert list(dataset.columns.items()) == [
            (name, TYPES[kind]) for name, kind in promised.items()
        ]
    for column in dataset.content["columns"]:
        assert column["is_dttm"] == (column["type"] in TIMES), column["column_name"]
    # A dialect that PostgreSQL does not know: each runs on both.
    words = set(str(dataset.content["sql"]).lower().split())
    assert not words & {"qualify", "exclude", "pivot", "median", "from_json"}


@pytest.mark.parametrize("dataset", BUNDLED.datasets.values(), ids=lambda dataset: dataset.name)
def test_a_figure_is_of_one_row_or_empty(
    empty: duckdb.DuckDBPyConnection, dataset: Dataset
) -> None:
    """An analyst who drops a dimension gets nothing rather than a sum."""
    for expression in dataset.calculated.values():
        empty.execute(f"select {expression} from {dataset.relation}")
    names = ", ".join(
        f"cast({number + 1} as {kind}) as {quoted(name)}"
        if kind not in {"VARCHAR", "BOOLEAN", *TIMES}
        else f"cast(null as {kind}) as {quoted(name)}"
        for number, (name, kind) in enumerate(dataset.columns.items())
    )
    for name, expression in dataset.metrics.items():
        one, two = (
            empty.execute(
                f"select {expression} from (select {names} from range({rows}))"
            ).fetchall()
            for rows in (1, 2)
        )
        if name not in COUNTS:
            assert one != [(None,)], name
            assert two == [(None,)], name


@pytest.mark.parametrize("uuid", BUNDLED.charts, ids=lambda uuid: BUNDLED.charts[uuid].name)
def test_a_chart_asks_for_what_its_dataset_has(uuid: str) -> None:
    chart = BUNDLED.charts[uuid]
    dataset = BUNDLED.datasets[chart.dataset_uuid]
    assert set(chart.columns()) <= dataset.columns.keys() | dataset.calculated.keys()
    assert set(chart.metrics()) <= dataset.metrics.keys()
    assert chart.content["viz_type"] == chart.params["viz_type"]
    # Which mart a figure is of, and how to read it.
    assert "Mart" in chart.content["description"]


def test_a_chart_of_measures_compares_like_with_like() -> None:
    """Mature, whole weeks of one metric, and the totals."""
    measures = of_name("fct_measures").content["uuid"]
    asked = [chart for chart in BUNDLED.charts.values() if chart.dataset_uuid == measures]
    assert asked
    for chart in asked:
        filters = {
            (each["subject"], each.get("comparator", each["operator"]))
            for each in chart.params["adhoc_filters"]
        }
        assert filters >= {
            ("period_grain", "week"),
            ("segment_dimension", "all"),
            ("is_mature", "IS TRUE"),
            ("is_partial", "IS FALSE"),
            ("metric_id", "conversion_rate"),
        }


def test_the_dashboard_places_every_chart_and_its_filters_reach_what_they_name() -> None:
    places = BUNDLED.places
    assert sorted(place["uuid"] for place in places) == sorted(BUNDLED.charts)
    for place in places:
        assert place["sliceName"] == BUNDLED.charts[place["uuid"]].name
    assert BUNDLED.filters
    for each in BUNDLED.filters:
        [target] = each["targets"]
        column = target["column"]["name"]
        dataset = BUNDLED.datasets[target["datasetUuid"]]
        assert column in dataset.columns
        assert each["controlValues"].get("sortMetric", "") in {"", *dataset.metrics}
        excluded = set(each["scope"]["excluded"])
        assert excluded <= {place["chartId"] for place in places}
        reached = [place for place in places if place["chartId"] not in excluded]
        for place in reached:
            asked = BUNDLED.datasets[BUNDLED.charts[place["uuid"]].dataset_uuid]
            assert column in asked.columns, (each["name"], asked.name)

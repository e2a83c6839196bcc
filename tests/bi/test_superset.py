"""bi/superset.zip as a user imports it, drawn in Chromium, over both engines."""

import math
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from playwright.sync_api import APIRequestContext, Browser, BrowserContext, Request, Response

from bi.pack import BUNDLE
from tests.bi.conftest import PATIENCE_SECONDS, Superset
from tests.bi.server import READER, load
from tests.cookbook import answer, recipe
from tests.superset_bundle import Bundle

pytestmark = pytest.mark.slow

PATIENCE = 1000 * PATIENCE_SECONDS
# Charts below the window are neither asked for nor drawn.
WINDOW = {"width": 1440, "height": 3600}
WORST = "lead_to_customer"
ALL_DRAWN = """
    expected => {
        const charts = [...document.querySelectorAll('[data-test-chart-id]')];
        return charts.length === expected
            && charts.every(chart => chart.querySelector('canvas, table'))
            && !document.querySelector('[data-test=loading-indicator]');
    }
"""
TEXTS = "charts => charts.map(chart => chart.innerText)"
BUNDLED = Bundle()
RANKING, COVERAGE = "Gaps to close first, of all journeys", "What the figures rest on"
NAMES = sorted(chart.name for chart in BUNDLED.charts.values())
TOLERANCE = 1e-9

Rows = list[dict[str, Any]]


@dataclass
class Drawn:
    """What a browser was given and shows: the rows of each chart, by its name."""

    rows: dict[str, Rows] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Analyst:
    """Somebody who is logged in, with a browser and with what it may ask of the server."""

    def __init__(self, context: BrowserContext, superset: Superset) -> None:
        self.context = context
        self.address = superset.address
        context.set_default_timeout(PATIENCE)
        # Superset's pages ask for a font and for its usage counter elsewhere.
        context.route(lambda url: not url.startswith(self.address), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{self.address}/login/")
        page.locator("#username").fill(superset.user)
        page.locator("#password").fill(superset.password)
        page.locator("button[type=submit]").first.click()
        page.wait_for_url(lambda url: "/login" not in url)
        page.close()

    @property
    def request(self) -> APIRequestContext:
        return self.context.request

    def headers(self) -> dict[str, str]:
        answered = self.request.get(f"{self.address}/api/v1/security/csrf_token/")
        return {"X-CSRFToken": answered.json()["result"], "Referer": self.address}

    def import_bundle(self) -> None:
        """What the button on the page of dashboards does."""
        file = {"name": BUNDLE.name, "mimeType": "application/zip", "buffer": BUNDLE.read_bytes()}
        answered = self.request.post(
            f"{self.address}/api/v1/dashboard/import/",
            headers=self.headers(),
            multipart={"formData": file, "overwrite": "true"},
        )
        assert answered.ok, answered.text()

    def connect(self, uri: str) -> None:
        """Point the connection that came with the bundle elsewhere."""
        listed = self.request.get(f"{self.address}/api/v1/database/").json()["result"]
        [database] = [each for each in listed if each["database_name"] == "journey_gaps"]
        answered = self.request.put(
            f"{self.address}/api/v1/database/{database['id']}",
            headers=self.headers(),
            data={"sqlalchemy_uri": uri},
        )
        assert answered.ok, answered.text()

    def draw(self) -> Drawn:
        """Open the dashboard and wait until every chart is there."""
        drawn = Drawn()
        asked: list[Response] = []
        page = self.context.new_page()
        page.on("pageerror", lambda error: drawn.errors.append(str(error)))
        page.on(
            "response",
            lambda response: asked.append(response) if "/chart/data" in response.url else None,
        )
        page.goto(self.dashboard)
        page.wait_for_function(ALL_DRAWN, arg=len(NAMES))
        drawn.texts = page.locator("[data-test-chart-id]").evaluate_all(TEXTS)
        names = self.names()
        for response in asked:
            number = _chart(response.request)
            if not response.ok:
                drawn.problems.append(response.text())
            elif number is not None:
                results = response.json()["result"]
                drawn.problems += [str(each["error"]) for each in results if each["error"]]
                drawn.rows[names[number]] = [row for each in results for row in each["data"]]
        page.close()
        return drawn

    def choose(self, journey: str, chart: str) -> Rows:
        """What a chart shows once the filter says another journey."""
        [number] = [number for number, name in self.names().items() if name == chart]
        page = self.context.new_page()
        page.goto(self.dashboard)
        page.wait_for_function(ALL_DRAWN, arg=len(NAMES))
        # What is chosen now lies over the field that opens the list.
        page.get_by_role("combobox").first.click(force=True)
        page.locator(".ant-select-item-option", has_text=journey).click()
        with page.expect_response(lambda response: _chart(response.request) == number) as answered:
            page.get_by_role("button", name="Apply filters").click()
        rows = [row for each in answered.value.json()["result"] for row in each["data"]]
        page.close()
        return rows

    @property
    def dashboard(self) -> str:
        return f"{self.address}/superset/dashboard/{BUNDLED.dashboard['slug']}/"

    def names(self) -> dict[int, str]:
        """Name of each chart by its number in this Superset."""
        charts = self.request.get(f"{self.address}/api/v1/chart/").json()["result"]
        return {chart["id"]: chart["slice_name"] for chart in charts}


def _chart(request: Request) -> int | None:
    """The number of the chart that asks for data; None of a filter, and of other requests."""
    if "/chart/data" not in request.url:
        return None
    number: int | None = request.post_data_json["form_data"].get("slice_id")
    return number


@pytest.fixture(scope="module")
def analyst(browser: Browser, superset: Superset) -> Iterator[Analyst]:
    context = browser.new_context(viewport=WINDOW)  # type: ignore[arg-type]
    someone = Analyst(context, superset)
    someone.import_bundle()
    yield someone
    context.close()


@pytest.fixture(scope="module")
def drawn(analyst: Analyst) -> Drawn:
    return analyst.draw()


@pytest.fixture(scope="module")
def file(home: Path) -> Path:
    return home / "published" / "current" / "journey_gaps.duckdb"


def test_every_chart_is_drawn_from_rows(drawn: Drawn) -> None:
    assert drawn.errors == []
    assert drawn.problems == []
    assert sorted(drawn.rows) == NAMES
    assert [name for name, rows in drawn.rows.items() if not rows] == []
    for text in drawn.texts:
        assert "No results" not in text
        assert "rror:" not in text


def test_it_opens_on_the_journey_with_the_worst_gap(drawn: Drawn) -> None:
    assert {row["journey_id"] for row in drawn.rows[COVERAGE]} == {WORST}


def test_the_filter_takes_another_journey(analyst: Analyst) -> None:
    assert {row["journey_id"] for row in analyst.choose("checkout", COVERAGE)} == {"checkout"}


def test_it_shows_what_is_published(drawn: Drawn, file: Path) -> None:
    with duckdb.connect(file, read_only=True) as connection:
        ranked = answer(connection, recipe(1).sql)
        rates = connection.execute(
            "select value, ci_low, ci_high from gap_ranking where segment_dimension = 'all'"
            " and metric_id = 'conversion_rate' and benchmark_kind = 'industry' and journey_id = ?"
            " order by value",
            [WORST],
        ).fetchall()
        [(weeks,)] = connection.execute(
            "select count(distinct period_start) from fct_measures where journey_id = ? and"
            " metric_id = 'conversion_rate' and period_grain = 'week' and is_mature"
            " and not is_partial and segment_dimension = 'all'",
            [WORST],
        ).fetchall()
    place = {name: number for number, name in enumerate(ranked.columns)}
    shown = drawn.rows[RANKING]
    for column in ("priority_rank", "sentence", "top_reason", "recoverable_cases"):
        assert [row[column] for row in shown] == [row[place[column]] for row in ranked.rows]
    by_stage: dict[str, dict[str, Any]] = {}
    for row in drawn.rows["Conversion rate by stage against its benchmark"]:
        by_stage.setdefault(row["stage"], {}).update(row)
    figures = ("conversion_rate", "interval_low", "interval_high")
    assert sorted(tuple(row[each] for each in figures) for row in by_stage.values()) == rates
    assert len(drawn.rows["Conversion rate by week, mature weeks only"]) == weeks


def test_a_new_publication_is_seen_at_the_next_look(
    analyst: Analyst, drawn: Drawn, home: Path, file: Path
) -> None:
    """No restart, no setting: the connection opens the file anew."""
    published = home / "published"
    before = (published / "current").readlink()
    newer = published / "runs" / "newer"
    newer.mkdir()
    shutil.copy(file, newer)
    with duckdb.connect(newer / file.name) as connection:
        connection.execute("delete from gap_ranking where priority_rank > 1")
    swap(published / "current", Path("runs", "newer"))
    try:
        seen = analyst.draw().rows[RANKING]
    finally:
        swap(published / "current", before)
    assert len(seen) == 1 < len(drawn.rows[RANKING])


def swap(link: Path, folder: Path) -> None:
    draft = link.with_name("next")
    draft.symlink_to(folder)
    draft.replace(link)


def test_the_same_dashboard_over_postgresql(
    analyst: Analyst,
    drawn: Drawn,
    file: Path,
    postgres: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the address of the connection differs."""
    for variable, value in (postgres | {"PGDATABASE": "postgres"}).items():
        monkeypatch.setenv(variable, value)
    password = f"p$ss @{secrets.token_hex()}"
    load(file, password)
    server = f"{READER}:{quote(password)}@{postgres['PGHOST']}:{postgres['PGPORT']}"
    analyst.connect(f"postgresql://{server}/postgres?options=-csearch_path%3Dpublished")
    found = analyst.draw()
    assert found.problems == []
    assert sorted(found.rows) == NAMES
    for name in NAMES:
        ours, theirs = (_in_order(each.rows[name]) for each in (drawn, found))
        assert len(ours) == len(theirs), name
        for mine, other in zip(ours, theirs, strict=True):
            assert _is_same(mine, other), (name, mine, other)


def _in_order(rows: Rows) -> Rows:
    return sorted(rows, key=_words)


def _words(row: dict[str, Any]) -> list[str]:
    """What is no fraction: those may differ in the last digit."""
    return [f"{name} {value}" for name, value in row.items() if not isinstance(value, float)]


def _is_same(mine: dict[str, Any], other: dict[str, Any]) -> bool:
    return mine.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=TOLERANCE)
        if isinstance(value, float) and other[name] is not None
        else value == other[name]
        for name, value in mine.items()
    )

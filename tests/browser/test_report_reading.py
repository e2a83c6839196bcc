"""Reading the report in a real Chromium: filters, every width, a keyboard, a screen reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page as BrowserPage

from orchestration.report import write_report
from orchestration.report.paper import browser as printing_browser
from orchestration.report.paper import print_report
from tests.browser.conftest import Reader
from tests.sample_publication import HOSTILE, MANIFEST, QUALITY, make_publication
from tests.segment_rows import SMALL, WITH_SEGMENTS

WIDTHS = (360, 768, 1440)
KEY = f"plan_size={SMALL}"
FUNNEL = "[data-chart=journey-1-funnel]"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "published"
    manifest = {**MANIFEST, "data_quality": QUALITY}
    return write_report(make_publication(folder, manifest, **WITH_SEGMENTS))


def choose(reader: Reader, name: str, value: str) -> BrowserPage:
    """Choose a journey or a segment."""
    reader.page.select_option(f"#filter-{name}", value)
    return reader.drawn()


@pytest.fixture(scope="module", params=WIDTHS)
def reader(
    request: pytest.FixtureRequest, reader_of: Callable[..., Reader], report: Path
) -> Reader:
    return reader_of(report, viewport={"width": request.param, "height": 900})


@pytest.fixture(scope="module")
def desktop(reader_of: Callable[..., Reader], report: Path) -> Reader:
    return reader_of(report)


def violations(page: BrowserPage) -> list[Any]:
    """What axe-core finds."""
    response = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]])
        for rule in response["violations"]
    ]


def test_nothing_is_wrong_or_too_wide_at_any_width(reader: Reader) -> None:
    page = reader.open()
    width = page.viewport_size["width"] if page.viewport_size else 0
    for is_open in (False, True):
        page.evaluate(
            "isOpen => document.querySelectorAll('details').forEach(part => part.open = isOpen)",
            is_open,
        )
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
    choose(reader, "segment", KEY)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert reader.complaints == []


def test_a_journey_hides_the_others(desktop: Reader) -> None:
    page = desktop.open()
    choose(desktop, "journey", "empty_one")
    assert not page.locator("#journey-1").is_visible()
    assert page.locator("#journey-2").is_visible()
    assert page.locator(".card:visible").count() == 0
    assert page.get_by_text("No gap of this journey is ranked.").is_visible()
    assert "No comparison is made" in page.locator("#gaps-table").inner_text()
    assert page.locator("#filter-segment option").count() == 1
    choose(desktop, "journey", "leads")
    assert page.locator(".card:visible").count() == 2
    assert page.locator("#journey-1 .chart svg").count() >= 4
    assert page.locator("#gaps-table tbody tr").count() > 3
    assert page.locator("#quality .scope:visible").first.inner_text() == "all journeys"


def test_a_segment_swaps_what_follows_it_and_the_rest_says_so(desktop: Reader) -> None:
    page = desktop.open()
    figure = page.locator(FUNNEL)
    caption = figure.locator("figcaption").inner_text()
    label = figure.get_by_role("img").get_attribute("aria-label")
    picture = figure.locator(".chart svg").first.inner_html()
    table = page.locator("#gaps-table tbody").inner_html()

    choose(desktop, "segment", KEY)
    assert figure.locator("figcaption").inner_text().startswith(f"Plan size: {SMALL}. Share of")
    assert f"Plan size: {SMALL}" in (figure.get_by_role("img").get_attribute("aria-label") or "")
    assert figure.locator("svg .bars_marks path").count() == 2
    assert figure.locator(".scope").inner_text() == f"Plan size: {SMALL}"
    figure.locator("summary").click()
    assert figure.locator("details tbody tr").count() == 4
    assert "no mature data" in figure.locator("details table").inner_text()
    assert page.locator("[data-chart=journey-1-trend-1] .scope").inner_text() == "all cases"
    assert page.locator("#gaps .scopes .scope").first.inner_text() == "all cases"
    assert page.locator("#gaps-table tbody tr").count() == 2
    # Of the times this segment has none.
    assert "no whole week" in page.locator("#journey-1-time").inner_text()
    said = page.get_by_role("status").inner_text()
    assert said.startswith(f"Shown: Plan size: {SMALL}. 2 charts and the comparisons follow")

    page.get_by_role("button", name="Show all").click()
    desktop.drawn()
    assert figure.locator("figcaption").inner_text() == caption
    assert figure.get_by_role("img").get_attribute("aria-label") == label
    assert figure.locator(".chart svg").first.inner_html() == picture
    assert page.locator("#gaps-table tbody").inner_html() == table
    assert page.locator(".scope:visible").count() == 0
    assert page.locator("#filter-status").inner_text() == ""
    assert desktop.complaints == []


def test_a_filtered_page_can_be_forwarded(desktop: Reader) -> None:
    page = desktop.open()
    choose(desktop, "journey", "leads")
    choose(desktop, "segment", f"plan_size={HOSTILE}")
    address = page.evaluate("location.hash")
    page.locator("nav a", has_text="Data quality").click()
    forwarded = page.evaluate("location.hash")
    assert forwarded == f"{address}&at=quality"

    page = desktop.open(forwarded)
    assert page.locator("#filter-journey").input_value() == "leads"
    assert page.locator("#filter-segment").input_value() == f"plan_size={HOSTILE}"
    assert not page.locator("#journey-2").is_visible()
    assert "too few data" in page.locator(f"{FUNNEL} .chart").inner_text()
    assert page.locator("#quality").evaluate("part => part.getBoundingClientRect().top") < 900
    assert page.locator("img").count() == 0

    # A publication may have lost what an older link names.
    page = desktop.open("#journey=gone&segment=gone")
    assert page.locator("#journey-2").is_visible()
    assert desktop.complaints == []


def test_a_keyboard_reaches_all_and_shows_where_it_is(desktop: Reader) -> None:
    page = desktop.open()
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "(() => { const at = document.activeElement; const style = getComputedStyle(at);"
            "return [at.tagName, at.id || at.getAttribute('aria-label') || at.textContent.trim(),"
            "style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; })()"
        )
        if where[0] == "BODY" or where in seen[:1]:
            break
        seen.append(where)
    assert seen[0][1] == "Skip to the gaps"
    assert all(is_visible for _, _, is_visible in seen)
    names = [name for _, name, _ in seen]
    assert {"filter-journey", "filter-segment", "Comparisons with the benchmarks"} <= set(names)
    for part, count in (("SUMMARY", "details"), ("A", "a[href]"), ("SELECT", "select")):
        assert [tag for tag, _, _ in seen].count(part) == page.locator(count).count()
    scrolled = page.locator(".wide:visible").count()
    assert [tag for tag, _, _ in seen].count("DIV") == scrolled


def test_charts_out_of_sight_are_drawn_before_paper(
    reader_of: Callable[..., Reader], report: Path
) -> None:
    reader = reader_of(report)
    # Nothing is drawn in idle time.
    reader.page.add_init_script("window.requestIdleCallback = () => 0")
    reader.page.set_viewport_size({"width": 1440, "height": 200})
    reader.page.goto(report.as_uri())
    reader.page.locator(FUNNEL).scroll_into_view_if_needed()
    reader.page.wait_for_selector(f"{FUNNEL} .chart svg")
    assert reader.page.locator(".chart svg").count() < 4
    reader.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    reader.page.locator(".chart svg").nth(3).wait_for(state="attached")
    width = "document.querySelector('#journey-1-funnel svg').getBoundingClientRect().width"
    assert reader.page.evaluate(width) <= 688
    reader.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert reader.page.evaluate(width) > 900


def test_without_decompression_the_numbers_and_the_journeys_stay(
    reader_of: Callable[..., Reader], report: Path
) -> None:
    reader = reader_of(report)
    reader.page.add_init_script("delete window.DecompressionStream")
    page = reader.page
    page.goto(report.as_uri())
    assert page.get_by_text("need a browser of 2023 or later").is_visible()
    assert page.locator("#filter-segment").is_disabled()
    page.select_option("#filter-journey", "empty_one")
    assert not page.locator("#journey-1").is_visible()
    assert page.locator(".chart:visible").count() == 0
    assert reader.complaints == []


@pytest.mark.usefixtures("browser")
def test_paper_has_the_charts(report: Path, tmp_path: Path) -> None:
    print_report(report, tmp_path / "report.pdf", printing_browser())
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    # More than one page, with what is drawn as vectors.
    assert pdf.count(b"/Type /Page\n") > 1
    assert len(pdf) > 60_000

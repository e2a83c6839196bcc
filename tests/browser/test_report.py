"""The report in a real Chromium: it draws what is published and asks the network for nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.report import write_report
from tests.browser.conftest import Reader
from tests.sample_publication import HOSTILE, MANIFEST, QUALITY, datasets, make_publication
from tests.sample_publication import Page as Parts

PHONE = {"width": 375, "height": 800}


def marks(reader: Reader, chart: str, layer: str) -> list[dict[str, str]]:
    """The marks of a chart's layer: their attributes."""
    found: list[dict[str, str]] = reader.page.eval_on_selector_all(
        f"#{chart} svg .{layer}_marks :is(path, line, rect, text)",
        "marks => marks.map(mark => Object.fromEntries("
        "[...mark.attributes].map(attribute => [attribute.name, attribute.value])))",
    )
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "published"
    return write_report(make_publication(folder, {**MANIFEST, "data_quality": QUALITY}))


@pytest.fixture(scope="module")
def desktop(reader_of: Callable[..., Reader], report: Path) -> Reader:
    reader = reader_of(report)
    reader.open()
    return reader


@pytest.fixture(scope="module")
def specs(report: Path) -> dict[str, Any]:
    return Parts(report.read_text()).specs


def test_page_asks_for_nothing_and_complains_of_nothing(desktop: Reader, report: Path) -> None:
    assert desktop.requests == [report.as_uri()]
    assert desktop.complaints == []


def test_every_chart_is_drawn_with_a_mark_a_row(
    desktop: Reader, specs: dict[str, dict[str, Any]]
) -> None:
    assert set(specs) == {
        "gap-1",
        "gap-2",
        "journey-1-funnel",
        "journey-1-time",
        "journey-1-curve-1",
        "journey-1-curve-2",
        "journey-1-curve-4",
        "journey-1-trend-1",
        "journey-1-trend-2",
        "journey-1-segments-1",
        "journey-1-flow",
    }
    for chart, spec in specs.items():
        for layer, rows in datasets(spec).items():
            if not layer.endswith(("_line", "_band")):
                assert len(marks(desktop, chart, layer)) == len(rows), (chart, layer)


def test_benchmarks_and_faded_weeks_are_marked_as_in_the_data(desktop: Reader) -> None:
    assert len(marks(desktop, "journey-1-funnel", "benchmarks")) == 4
    assert len(marks(desktop, "journey-1-funnel", "whiskers")) == 4
    assert len(marks(desktop, "journey-1-time", "benchmarks")) == 1
    assert len(marks(desktop, "journey-1-time", "arrows")) == 1
    faded = marks(desktop, "journey-1-trend-2", "faded_points")
    counting = marks(desktop, "journey-1-trend-2", "mature_points")
    assert (len(faded), len(counting)) == (3, 4)
    assert all(float(mark["opacity"]) < 1 and mark["fill"] == "white" for mark in faded)
    assert all(float(mark.get("opacity", 1)) == 1 for mark in counting)
    # The line breaks at the week without cases: two strokes.
    [line] = marks(desktop, "journey-1-trend-2", "mature_line")
    assert line["d"].count("M") == 2


def test_longer_bars_are_greater_shares_and_stages_stand_in_their_order(desktop: Reader) -> None:
    boxes = desktop.page.eval_on_selector_all(
        "#journey-1-funnel svg .bars_marks path",
        "bars => bars.map(bar => bar.getBoundingClientRect().toJSON())",
    )
    widths = [box["width"] for box in boxes]
    for width, share in zip(widths, [0.5, 0.4, 0.8, 0.0893], strict=True):
        assert width / widths[0] == pytest.approx(share / 0.5, rel=0.02)
    tops = [box["top"] for box in boxes]
    assert tops == sorted(tops)
    labels = desktop.page.eval_on_selector_all(
        "#journey-1-funnel svg .role-axis-label text",
        "texts => texts.map(text => text.textContent)",
    )
    stages = [label for label in labels if " · n = " in label]
    # How much of a long name fits depends on the font.
    assert stages.pop(2).startswith(HOSTILE[:10])
    assert stages == [
        "Visited50\u00a0% · n = 1,200",
        "Signed up40\u00a0% · n = 400",
        "Offer sent8.9\u00a0% · n = 56",
    ]


def test_every_chart_has_an_accessible_name(
    desktop: Reader, specs: dict[str, dict[str, Any]]
) -> None:
    images = desktop.page.get_by_role("img")
    assert images.count() == len(specs)
    names = [image.get_attribute("aria-label") or "" for image in images.all()]
    assert all(name.count(":") and "%" in name for name in names if "Time in stage" not in name)
    assert [name for name in names if "Time in stage" in name] == [
        "Time in stage (median), Leads & friends: Visited: 12\u00a0hours; Signed up: not reached; "
        f"{HOSTILE}: 3\u00a0days; Offer sent: 7.1\u00a0days, industry benchmark 2\u00a0days, "
        "lagging."
    ]
    assert desktop.page.get_by_role("heading", level=1).inner_text() == (
        "Leads & friends and Empty one"
    )


def test_names_from_the_data_are_text(desktop: Reader) -> None:
    assert desktop.page.locator("img").count() == 0
    assert desktop.page.locator(".chart svg").get_by_text("img src=x").count() > 0
    assert HOSTILE in desktop.page.locator("main").inner_text()


def test_data_behind_a_chart_opens(desktop: Reader) -> None:
    details = desktop.page.locator("#journey-1 details").first
    table = details.get_by_role("table")
    assert not table.is_visible()
    details.locator("summary").click()
    assert table.is_visible()
    assert table.locator("tbody tr").count() == 4


@pytest.mark.parametrize("opened", [False, True])
def test_nothing_is_wider_than_a_phone(
    reader_of: Callable[..., Reader], report: Path, opened: bool
) -> None:
    page = reader_of(report, viewport=PHONE).open()
    if opened:
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    wide = page.evaluate(
        "[...document.querySelectorAll('main svg, p, h1, h2, h3, figcaption, dd, li')]"
        ".filter(part => part.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wide == 0


def test_narrow_page_makes_narrow_charts(
    desktop: Reader, reader_of: Callable[..., Reader], report: Path
) -> None:
    width = "document.querySelector('#journey-1-funnel svg').getBoundingClientRect().width"
    assert desktop.page.evaluate(width) > 900
    phone = reader_of(report, viewport=PHONE).open()
    assert 300 < phone.evaluate(width) <= PHONE["width"]


def test_time_zone_of_the_reader_changes_no_chart(
    desktop: Reader, reader_of: Callable[..., Reader], report: Path
) -> None:
    drawn = "[...document.querySelectorAll('.chart svg')].map(chart => chart.outerHTML)"
    far = reader_of(report, timezone_id="Pacific/Auckland").open()
    assert far.evaluate(drawn) == desktop.page.evaluate(drawn)


def test_prints_on_paper(desktop: Reader) -> None:
    desktop.page.emulate_media(media="print")
    pdf = desktop.page.pdf(format="A4", print_background=True)
    desktop.page.emulate_media(media="screen")
    assert pdf.startswith(b"%PDF-")


def test_without_javascript_the_numbers_are_there(
    reader_of: Callable[..., Reader], report: Path
) -> None:
    page = reader_of(report, java_script_enabled=False).open()
    assert page.get_by_text("Charts need JavaScript").is_visible()
    page.locator("#journey-1 summary").first.click()
    assert page.locator("#journey-1 details table").first.is_visible()

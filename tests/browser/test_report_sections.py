"""The opening and the sections over all journeys in a real Chromium: every row is drawn."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext
from playwright.sync_api import Page as BrowserPage

from orchestration.report import write_report
from tests.sample_publication import Page as Parts
from tests.sample_publication import datasets, make_publication
from tests.sample_sections import SECTIONS


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_publication(tmp_path_factory.mktemp("report") / "p", **SECTIONS))


@pytest.fixture(scope="module")
def opened(browser: Browser, report: Path) -> Iterator[Callable[[int], BrowserPage]]:
    """Open the report without a network at a width, once its charts are drawn."""
    contexts: list[BrowserContext] = []

    def show(width: int) -> BrowserPage:
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-charts=drawn]", state="attached")
        assert complaints == []
        return page

    yield show
    for context in contexts:
        context.close()


def test_every_row_of_every_chart_is_drawn(
    opened: Callable[[int], BrowserPage], report: Path
) -> None:
    page = opened(1200)
    specs: dict[str, Any] = Parts(report.read_text()).specs
    for chart, spec in specs.items():
        for layer, rows in datasets(spec).items():
            if not layer.endswith(("_line", "_band")):
                marks = page.locator(f"#{chart} svg .{layer}_marks :is(path, line, rect, text)")
                assert marks.count() == len(rows), (chart, layer)


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_screen(opened: Callable[[int], BrowserPage], width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = page.evaluate(
        "[...document.querySelectorAll('main svg, p, h2, h3, figcaption, dd, .empty')]"
        ".filter(part => part.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wide == 0

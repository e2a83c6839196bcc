"""The opening and the sections over all journeys in a real Chromium: every row is drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.report import write_report
from tests.browser.conftest import Reader
from tests.sample_publication import Page as Parts
from tests.sample_publication import datasets, make_publication
from tests.sample_sections import SECTIONS


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_publication(tmp_path_factory.mktemp("report") / "p", **SECTIONS))


def test_every_row_of_every_chart_is_drawn(reader_of: Callable[..., Reader], report: Path) -> None:
    reader = reader_of(report)
    page = reader.open()
    assert reader.complaints == []
    specs: dict[str, Any] = Parts(report.read_text()).specs
    for chart, spec in specs.items():
        for layer, rows in datasets(spec).items():
            if not layer.endswith(("_line", "_band")):
                marks = page.locator(f"#{chart} svg .{layer}_marks :is(path, line, rect, text)")
                assert marks.count() == len(rows), (chart, layer)


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_screen(
    reader_of: Callable[..., Reader], report: Path, width: int
) -> None:
    page = reader_of(report, viewport={"width": width, "height": 900}).open()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = page.evaluate(
        "[...document.querySelectorAll('main svg, p, h2, h3, figcaption, dd, .empty')]"
        ".filter(part => part.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wide == 0

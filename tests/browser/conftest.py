"""A real Chromium, found on this machine; `.ci/run` installs one where it may."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as BrowserPage

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP = {"width": 1200, "height": 900}
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without one the test is skipped."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("skipped: no Chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield chromium
        chromium.close()


class Reader:
    """One who has a report open, without a network: what it asked for and complained of."""

    def __init__(self, browser: Browser, report: Path, **options: Any) -> None:
        self.report = report
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.has_script = options.get("java_script_enabled", True)
        self.context = browser.new_context(
            **{"viewport": {"width": 1200, "height": 900}, **options}
        )
        self.context.set_offline(True)
        self.page: BrowserPage = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, fragment: str = "") -> BrowserPage:
        """Load the page anew, until its charts are drawn."""
        self.page.goto("about:blank")
        self.requests.clear()
        self.page.goto(self.report.as_uri() + fragment)
        return self.drawn() if self.has_script else self.page

    def drawn(self) -> BrowserPage:
        """Wait for the charts of what was chosen."""
        self.page.wait_for_selector("html[data-charts=drawn]", state="attached")
        return self.page


@pytest.fixture(scope="module")
def reader_of(browser: Browser) -> Iterator[Callable[..., Reader]]:
    """A reader of a report, with options of the browser's context."""
    readers: list[Reader] = []

    def reader_of(report: Path, **options: Any) -> Reader:
        readers.append(Reader(browser, report, **options))
        return readers[-1]

    yield reader_of
    for reader in readers:
        reader.context.close()

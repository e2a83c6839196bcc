"""dbt's documentation as one page in a real Chromium: what is published, and where it is from."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import Workbench

# The page is data for what dbt's own script draws: most of it is the SQL of all models.
MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def page_file(demo: Workbench) -> Path:
    demo.dbt("docs", "generate", "--static")
    return demo.settings.dbt_target_dir / "static_index.html"


def test_the_page_shows_marts_readers_and_lineage_without_network(
    browser: Browser, page_file: Path
) -> None:
    assert page_file.stat().st_size < MOST_BYTES
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_offline(True)
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.goto(f"{page_file.as_uri()}#!/model/model.journey_gaps.gap_ranking")
    expect(page.locator("h1").filter(has_text="gap_ranking")).to_be_visible()
    # From the warehouse, not from the YAML: the catalog is in the page.
    expect(page.get_by_text("warehouse.marts.gap_ranking")).to_be_visible()
    expect(page.get_by_text("priority_rank", exact=True).first).to_be_visible()
    page.get_by_title("View Lineage Graph").click()
    expect(page.locator("#cy canvas").first).to_be_visible()

    page.goto(f"{page_file.as_uri()}#!/exposure/exposure.journey_gaps.report")
    expect(page.get_by_text("Analytics team")).to_be_visible()
    assert errors == []
    assert [url for url in asked if not url.startswith(page_file.parent.as_uri())] == []
    context.close()

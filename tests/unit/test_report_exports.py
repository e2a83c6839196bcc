"""The report in other forms: pictures, a summary for a chat, paper, a preview in Dagster."""

import re
import stat
from base64 import b64decode
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.defs.publication.preview import BARS, SHOWN, bars, preview, table
from orchestration.errors import JourneyGapsError
from orchestration.report.assembly import build_page
from orchestration.report.paper import browser, print_report
from orchestration.report.parts import Page
from orchestration.report.pictures import as_png, as_text, pictures, write_pictures
from orchestration.report.summary import LONGEST, summary
from tests.sample_publication import GAPS, HOSTILE, MANIFEST, QUALITY, TABLES, make_publication

TERMINAL = "\x1b]0;pwned\x07\u202e"
PNG = b"\x89PNG\r\n\x1a\n"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_publication(home / "published" / "runs" / "one", {**MANIFEST, "data_quality": QUALITY})
    (home / "published" / "runs" / "one" / "report.html").write_text("<p>the page</p>")
    (home / "published" / "current").symlink_to(Path("runs") / "one")
    return home


@pytest.fixture(scope="module")
def page(home: Path) -> Page:
    return build_page(home / "published" / "current")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("empty") / "p"
    return build_page(make_publication(folder, {}, **{table: [] for table in TABLES}))


@pytest.fixture
def command(home: Path) -> list[str]:
    return ["report", "--home", str(home)]


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\\", "")


def test_summary_says_the_gaps_and_what_they_rest_on(page: Page) -> None:
    text = plain(summary(page, "https://reports.example/today (new).html"))
    assert text.startswith("**Journey gaps: Leads & friends and Empty one**\n")
    for said in (
        "1. **Signed up** (Leads & friends): 40 % go on within 30 days, against an industry "
        "benchmark of 60 %: 1.5 times behind.",
        "Up to 80 more cases would have gone on in these 13 weeks.",
        "2. **Offer sent** (Leads & friends): 8.9 % go on",
        "As of · Leads & friends: 10 May 2024, 08:00 UTC",
        "Data quality: 12,000 rows came in: 11,980 kept",
        "[The report](<https://reports.example/today (new).html>)",
    ):
        assert said in text
    assert len(text) < LONGEST


def test_summary_of_nothing_says_so(empty: Page) -> None:
    text = summary(empty)
    assert "**No gap is ranked.**" in text
    assert "The report" not in text


def test_summary_of_hostile_and_long_names_is_short_and_no_markup(tmp_path: Path) -> None:
    stages = [f"[x](javascript:alert\\(1\\)) {HOSTILE} {TERMINAL} {'long ' * 300}{n}" for n in "12"]
    gaps = [
        {**GAPS[1], "gap_id": stage, "stage_id": stage, "priority_rank": rank}
        for rank, stage in enumerate(stages, start=1)
    ]
    folder = make_publication(tmp_path / "p", gap_ranking=gaps)
    text = summary(build_page(folder), "https://a.example/>x<y")
    assert len(text) < LONGEST
    assert not {"\x1b", "\x07"} & set(text)
    assert "<" not in text.replace("\\<", "").replace("(<https", "")
    ours = text.replace("[The report](<https://a.example/%3Ex%3Cy>)", "")
    assert not re.search(r"(?<!\\)\]\(", ours)


def test_a_picture_says_what_the_page_says_around_its_chart(page: Page) -> None:
    shown = {picture.name[4:]: picture for picture in pictures(page)}
    assert len(shown) == len(page.specs)
    funnel = shown["leads-friends-how-many-go-on-per-stage"]
    svg = ElementTree.fromstring(as_text(funnel))  # noqa: S314 (our own picture)
    texts = [plain("".join(text.itertext())) for text in svg.iter(f"{SVG}text")]
    assert texts[0] == "Leads & friends · How many go on, per stage"
    assert {"lagging", "ahead", "95 % interval", "industry benchmark", "target"} <= set(texts)
    assert "1,200 a stage. Source: fct_measures, benchmarks from gap_ranking." in " ".join(texts)
    # A name from the data is a text of the picture.
    assert any(text.startswith("</script><img") for text in texts)
    assert not list(svg.iter(f"{SVG}script")) + list(svg.iter(f"{SVG}image"))
    assert "var(--" not in as_text(funnel)
    # Nothing stands outside.
    right = float(svg.get("width", 0))
    assert all(float(text.get("x", 0)) < right for text in svg.iter(f"{SVG}text"))


def test_pictures_are_files_whose_names_sort(page: Page, tmp_path: Path) -> None:
    written = write_pictures(page, tmp_path / "a" / "pictures")
    assert sorted(path.name for path in written) == [path.name for path in written]
    assert {path.suffix for path in written} == {".png", ".svg"}
    png = written[0].read_bytes()
    svg = written[1].read_text()
    assert png.startswith(PNG)
    width = int.from_bytes(png[16:20], "big")
    assert f'width="{width // 2}"' in svg
    assert len(png) < 120_000


def test_control_characters_of_the_data_spoil_no_picture(tmp_path: Path) -> None:
    folder = make_publication(
        tmp_path / "p", dim_journeys=[{"journey_id": "leads", "name": f"A{TERMINAL}/../{HOSTILE}"}]
    )
    picture = next(pictures(build_page(folder)))
    assert picture.name.startswith("001-1-a-0-pwned-script-img-src-x-onerror-alert-1")
    ElementTree.fromstring(as_text(picture))  # noqa: S314 (our own picture)
    assert as_png(as_text(picture)).startswith(PNG)


def test_preview_carries_sentences_and_one_picture(page: Page, empty: Page) -> None:
    text = preview(page)
    assert "**Signed up**" in text
    [encoded] = re.findall(r"!\[[^\]]*\]\(data:image/png;base64,([\w+/=]+)\)", text)
    assert b64decode(encoded).startswith(PNG)
    assert len(text) < 100_000
    assert "data:" not in preview(empty)


def test_ranked_gaps_are_a_table_that_dagster_shows_at_once() -> None:
    ranked = {"priority_rank": 1, "sentence": "It lags.", "n": 40}
    shown = table([ranked, {**ranked, "priority_rank": None}, {**ranked, "sentence": HOSTILE}])
    assert [column.name for column in shown.schema.columns] == ["rank", "gap", "n"]
    assert [record.data for record in shown.records] == [
        {"rank": 1, "gap": "It lags.", "n": 40},
        {"rank": 1, "gap": HOSTILE, "n": 40},
    ]


def test_bars_end_at_the_value_and_the_line_stands_at_the_benchmark() -> None:
    ranked = {"priority_rank": 1, "segment_dimension": "all", "stage_id": "signed_up"}
    ranked |= {"metric_id": "conversion_rate"}
    rows = [
        {**ranked, "value": 0.4, "benchmark_value": 0.8},
        {**ranked, "value": 4.0, "benchmark_value": 2.0, "stage_id": "<b>&" * 9},
        {**ranked, "value": -4.0, "benchmark_value": 2.0},
        {**ranked, "value": 4.0, "benchmark_value": 0.0},
        {**ranked, "value": 0.1, "benchmark_value": 1.0, "segment_dimension": "region"},
        {**ranked, "value": 0.1, "benchmark_value": 1.0, "priority_rank": None},
    ]
    [encoded] = re.findall(r"^!\[[\w, ]+\]\(data:image/svg\+xml;base64,([\w+/=]+)\)$", bars(rows))
    drawing = ElementTree.fromstring(b64decode(encoded))  # noqa: S314 (our own picture)
    *found, line = [path.attrib["d"] for path in drawing.iter(f"{SVG}path")]
    # The longest bar is twice the benchmark: 200 pixels.
    assert found == ["M0 0h50v16H0", "M0 20h200v16H0"]
    assert line == "M100 0v40"
    assert [text.text for text in drawing.iter(f"{SVG}text")] == [
        "Signed up: conversion rate",
        ("<b>&" * 9)[:34],
    ]
    assert bars(rows[2:]) == ""
    longest = {**ranked, "value": 1.0, "benchmark_value": 7.0, "stage_id": "m" * 60}
    assert len(bars([longest] * (BARS + 2))) < SHOWN


def test_html_and_summary_come_from_the_publication(command: list[str], tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, command)
    assert shown.output.strip().endswith("report.html")
    copied = CliRunner().invoke(app, [*command, "--to", str(tmp_path / "new" / "r.html")])
    assert copied.exit_code == 0
    assert (tmp_path / "new" / "r.html").read_text() == "<p>the page</p>"
    told = CliRunner().invoke(app, [*command, "--format", "md", "--link", "https://a.example"])
    assert told.exit_code == 0
    assert told.output.endswith("[The report](<https://a.example>)\n")


def test_without_a_publication_the_way_out_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "journey-gaps run" in result.output


def test_without_a_browser_the_way_out_is_said(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(app, [*command, "--format", "pdf"])
    assert result.exit_code == 1
    assert "install one, name one in JOURNEY_GAPS_BROWSER" in result.output
    with pytest.raises(JourneyGapsError, match="'nope' is no program here"):
        browser("nope")


def program(path: Path, code: str) -> Path:
    """A program in the browser's place."""
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_browser_that_prints_nothing_is_reported(tmp_path: Path) -> None:
    silent = program(tmp_path / "silent", "echo out of paper >&2; exit 1")
    with pytest.raises(JourneyGapsError, match="printed nothing: out of paper"):
        print_report(tmp_path / "a.html", tmp_path / "a.pdf", silent)


def test_a_browser_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    seen = tmp_path / "children"
    hanging = program(tmp_path / "hanging", f"sleep 600 & echo $! > '{seen}'; wait")
    with pytest.raises(JourneyGapsError, match="did not print the report within"):
        print_report(tmp_path / "a.html", tmp_path / "a.pdf", hanging, seconds=3)
    stat_file = Path(f"/proc/{seen.read_text().strip()}/stat")
    # Gone, or dead and not yet collected.
    assert not stat_file.exists() or stat_file.read_text().split()[2] == "Z"

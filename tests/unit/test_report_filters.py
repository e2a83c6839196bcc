"""What the reader can choose on the report, and what each choice shows."""

from pathlib import Path

import pytest

from orchestration.report import render_report
from orchestration.report.assembly import build_page
from orchestration.report.page import packed
from orchestration.report.parts import Figure
from orchestration.report.parts import Page as Parts
from tests.sample_publication import (
    HOSTILE,
    JOURNEYS,
    MANIFEST,
    MEASURES,
    Page,
    datasets,
    make_publication,
)
from tests.segment_rows import SMALL, WITH_SEGMENTS

KEY = f"plan_size={SMALL}"
FEW = f"plan_size={HOSTILE}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_publication(
        tmp_path_factory.mktemp("report") / "published", MANIFEST, **WITH_SEGMENTS
    )


@pytest.fixture(scope="module")
def parts(folder: Path) -> Parts:
    return build_page(folder)


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(render_report(folder))


def figure(parts: Parts, chart_id: str) -> Figure:
    return next(figure for figure in parts.figures if figure.chart_id == chart_id)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_what_divides_cases_can_be_chosen(parts: Parts) -> None:
    assert [(journey.journey_id, journey.section) for journey in parts.filters.journeys] == [
        ("leads", "journey-1"),
        ("empty_one", "journey-2"),
    ]
    assert [
        (segment.key, segment.dimension, segment.value, segment.sections)
        for segment in parts.filters.segments
    ] == [
        (FEW, "Plan size", HOSTILE, ["journey-1"]),
        (KEY, "Plan size", SMALL, ["journey-1"]),
    ]


def test_a_metric_that_is_mature_sooner_hides_no_chart(parts: Parts) -> None:
    assert figure(parts, "journey-1-funnel").spec is not None
    assert figure(parts, "journey-1-time").spec is not None


def test_a_segment_has_its_own_chart_words_and_table(parts: Parts) -> None:
    whole = figure(parts, "journey-1-funnel")
    shown = whole.variants[KEY]
    assert shown.spec is not None
    assert shown.table is not None
    bars = datasets(shown.spec)["bars"]
    assert [(row["name"], row["value"], row["verdict"]) for row in bars] == [
        ("Visited", 0.55, "none"),
        ("Signed up", 0.15, "lagging"),
    ]
    assert [row["value"] for row in datasets(shown.spec)["benchmarks"]] == [0.6]
    assert plain(shown.caption) == (
        f"Plan size: {SMALL}. Share of the cases entering a stage that go on to a later one "
        "within 30 days. The last 13 mature weeks, 1 Jan to 31 Mar 2024; n = 80 to 300 a "
        "stage. Source: fct_measures, benchmarks from gap_ranking."
    )
    assert plain(shown.label).startswith(
        f"How many go on, per stage, Leads & friends, Plan size: {SMALL}: Visited: 55 %; "
        "Signed up: 15 %, industry benchmark 60 %, lagging; "
    )
    assert [plain(row[1]) for row in shown.table.rows] == ["55 %", "15 %", "", ""]
    assert whole.title == shown.title


def test_few_cases_are_shown_and_marked(parts: Parts) -> None:
    shown = figure(parts, "journey-1-funnel").variants[FEW]
    assert shown.spec is not None
    assert shown.table is not None
    [bar] = datasets(shown.spec)["bars"]
    assert plain(bar["stage"]) == "Visited\n25 % · n = 9\ntoo few data"
    assert "Too few data for a verdict on 1 of 4 stages." in shown.caption
    assert shown.table.rows[0][-1] == "too few data; too few data"
    # No measure of a time: said, not drawn.
    times = figure(parts, "journey-1-time").variants[FEW]
    assert times.spec is None
    assert times.empty == (
        f"Nothing to show yet: no whole week of “Plan size: {HOSTILE}” has had its full window."
    )


def test_the_chart_of_a_segment_is_drawn_like_that_of_all(parts: Parts) -> None:
    whole = figure(parts, "journey-1-funnel")
    shown = whole.variants[KEY]
    assert whole.spec is not None
    assert shown.spec is not None
    for spec in (whole.spec, shown.spec):
        for layer in spec["layer"]:
            labels = [label.partition("\n")[0] for label in layer["encoding"]["y"]["sort"]]
            assert labels == ["Visited", "Signed up", HOSTILE, "Offer sent"]
    assert shown.spec["config"] == whole.spec["config"]
    assert "<stage" not in str(shown.spec)


def test_the_table_of_gaps_follows_both_choices(parts: Parts) -> None:
    views, rows = parts.gap_views.views, parts.gap_views.rows
    assert set(views) == {
        (section, key)
        for section in ("", "journey-1", "journey-2")
        for key in ("", KEY, FEW)
        if (section, key) != ("", "")
    }

    def shown(section: str, key: str) -> list[tuple[str, list[str]]]:
        return [
            (title, [rows[number][1][3] for number in numbers])
            for title, numbers in views[section, key].groups
        ]

    # The row of a segment, in the words of the whole table.
    assert shown("", KEY) == [
        (
            "Segments, ranked apart (they overlap: never add them up)",
            [f"Signed up · Plan size: {SMALL}"],
        )
    ]
    assert shown("journey-1", KEY) == shown("", KEY)
    assert shown("journey-1", FEW) == [
        ("Shown, not ranked", [f"Visited · Plan size: {HOSTILE}"]),
    ]
    assert views["journey-1", FEW].note == "1 more comparison of this choice is in gap_ranking."
    assert [title for title, _ in shown("journey-1", "")] == [
        "Ranked: the gap to close first on top",
        "Shown, not ranked",
        "Segments, ranked apart (they overlap: never add them up)",
    ]
    assert views["journey-2", ""].groups == []
    assert views["journey-2", ""].note.startswith("No comparison is made for this choice")
    assert {verdict for verdict, _ in rows} == {
        "lagging",
        "unclear",
        "definition_mismatch",
        "too_few_data",
    }


def alone_in(folder: Path) -> Path:
    """One journey, whose cases nothing divides."""
    return make_publication(folder / "p", dim_journeys=JOURNEYS[:1], fct_measures=MEASURES)


def test_a_journey_without_a_card_says_why(parts: Parts, tmp_path: Path) -> None:
    assert [journey.note for journey in parts.filters.journeys] == [
        "2 gaps of this journey are ranked, none among the first of all journeys: see the table "
        "below.",
        "No gap of this journey is ranked.",
    ]
    alone = build_page(alone_in(tmp_path))
    assert len(alone.filters.journeys) == 1
    assert alone.gap_views.views == {}


def test_the_page_carries_every_choice(page: Page, parts: Parts) -> None:
    assert set(page.data["variants"]["journey-1-funnel"]) == {KEY, FEW}
    assert page.data["variants"]["journey-1-time"][FEW]["spec"] is None
    assert set(page.specs) == set(parts.specs)
    assert set(page.data["gaps"]["views"]) == {
        "\n".join(choice) for choice in parts.gap_views.views
    }
    assert page.tags.count("select") == 2
    assert set(page.values("data-section")) == {"journey-1", "journey-2"}
    assert page.values("data-sections") == ["journey-1"] * 2


def test_a_single_journey_without_segments_has_nothing_to_choose(tmp_path: Path) -> None:
    page = Page(render_report(alone_in(tmp_path)))
    assert page.tags.count("select") == 0


def test_what_the_page_carries_is_the_same_every_time() -> None:
    assert packed("a" * 1000) == packed("a" * 1000)
    assert len(packed("a" * 1000)) < 60

"""The report says what is published: its sentences, its empty states, and nothing else."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

from orchestration.errors import JourneyGapsError
from orchestration.report import render_report, words, write_report
from orchestration.report.reading import Metric
from orchestration.settings import PROJECT_DIR
from tests.sample_publication import (
    CONVERSION,
    GAPS,
    HOSTILE,
    MANIFEST,
    QUALITY,
    TABLES,
    TIME,
    Page,
    Rows,
    datasets,
    make_publication,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_publication(tmp_path_factory.mktemp("report") / "published")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(render_report(folder))


def test_top_gaps_are_sentences_of_their_rows(page: Page) -> None:
    first = page.text.index("The gaps to close first")
    cards = page.text[first : page.text.index("Comparisons with the benchmarks")]
    unknown = (
        "Not known in money: no value of a success is set (default_success_value in "
        "journeys.csv). "
        "Reason None is known: there is nothing to tell the cases apart by "
        "(segment_dimensions.csv). "
        "Owner Not named: no touchpoint is tied to it. Give touchpoints an owner_team in "
        "touchpoints.csv, or name an owner with an action in actions.csv. "
    )
    assert cards == (
        "The gaps to close first "
        "1 Leads & friends Signed up: 40 % go on within 30 days, against an industry benchmark of "
        "60 %: 1.5 times behind. "
        f"Worth Up to 80 more cases would have gone on in these 13 weeks. {unknown}"
        "Conversion rate of Signed up, against the industry benchmark "
        "95 % interval 35 to 45 % · n = 400 cases · 1 Jan to 31 Mar 2024 · "
        "25 % of the journey's cases come through here. "
        "Line: the interval; pale bar: what is missing. Source: gap_ranking. "
        "Data of “Conversion rate of Signed up, against the industry benchmark” "
        "Conversion rate of Signed up, against the industry benchmark, data "
        "Cases Conversion rate 95 % interval n Industry benchmark "
        "All cases 40 % 35 to 45 % 400 60 % "
        "2 Leads & friends Offer sent: 8.9 % go on within 30 days, against a target of 30 %: "
        "3.4 times behind. "
        f"Worth Up to 12 more cases would have gone on in these 13 weeks. {unknown}"
        "Conversion rate of Offer sent, against the target "
        "95 % interval 3.8 to 19 % · n = 56 cases · 1 Jan to 31 Mar 2024 · "
        "25 % of the journey's cases come through here. "
        "Line: the interval; pale bar: what is missing. Source: gap_ranking. "
        "Data of “Conversion rate of Offer sent, against the target” "
        "Conversion rate of Offer sent, against the target, data "
        "Cases Conversion rate 95 % interval n Target "
        "All cases 8.9 % 3.8 to 19 % 56 30 % "
    )


def test_three_gaps_lead_and_the_rest_is_counted(tmp_path: Path) -> None:
    ranked = [
        {**GAPS[0], "gap_id": str(rank), "priority_rank": rank, "stage_id": f"stage_{rank}"}
        for rank in (4, 2, 5, 1, 3)
    ]
    text = Page(render_report(make_publication(tmp_path / "p", gap_ranking=ranked))).text
    assert re.findall(r"(\d) Leads & friends Stage (\d): 8.9 %", text) == [
        (f"{rank}", f"{rank}") for rank in (1, 2, 3)
    ]
    assert "2 more gaps are ranked in the table below." in text


def test_a_gap_of_another_metric_is_said_by_its_label(tmp_path: Path) -> None:
    days = {**GAPS[2], "priority_rank": 1}
    rate = {
        **GAPS[1],
        "metric_id": "drop_off_rate",
        "gap": -0.02,
        "lag_factor": 1.05,
        "recoverable_cases": 8,
        "priority_rank": 2,
    }
    none = {**GAPS[1], "gap_id": "0", "value": 0.0, "gap": -0.6, "lag_factor": None}
    metrics = [
        CONVERSION,
        TIME,
        {**CONVERSION, "metric_id": "drop_off_rate", "label": "Drop-off rate"},
    ]
    folder = make_publication(
        tmp_path / "p",
        gap_ranking=[days, rate, {**none, "priority_rank": 3}],
        dim_metrics=metrics,
    )
    text = Page(render_report(folder)).text
    assert (
        "Offer sent: the median time in stage is 7.1 days, against an industry benchmark of "
        "2 days: 3.5 times behind. Worth Up to 306 customer-days in these 13 weeks: 5.1 days too "
        "long, times 60 visits. Reason None is known: reasons are looked for in rates only."
    ) in text
    assert (
        "Signed up: drop-off rate at 40 %, against an industry benchmark of 60 %: behind by "
        "2.0 points. Worth Up to 8 of 400 cases in these 13 weeks."
    ) in text
    assert (
        "0 % go on within 30 days, against an industry benchmark of 60 %: behind by 60 points."
    ) in text


def test_table_of_gaps_leads_with_the_ranks_and_explains_its_verdicts(page: Page) -> None:
    begin = page.text.index("Comparisons with the benchmarks")
    table = page.text[begin : page.text.index("Source: gap_ranking", begin)]
    order = [
        "Ranked: the gap to close first on top",
        "1 ▼ lagging Leads & friends Signed up",
        "2 ▼ lagging Leads & friends Offer sent",
        "Shown, not ranked",
        "▼ lagging Leads & friends Offer sent Median time in stage 7.1 days 5.4 to 8.1 days "
        "2 days (industry) 3.5 60 306 customer-days",
        f"? unclear Leads & friends {HOSTILE}",
        "≠ other definition Leads & friends Visited",
        "Segments, ranked apart",
        "1 ▼ lagging Leads & friends Signed up · Plan size: <b>small</b>",
        "1 more comparison, of segments and with the own past, is in gap_ranking; the counts "
        "below are of all.",
        "Time in a stage is shown, never ranked",
    ]
    places = [table.index(piece) for piece in order]
    assert places == sorted(places)
    assert "▲ ahead" not in table
    for meaning in ("▼ lagging (4) worse than", "▲ ahead (1) better", "≠ other definition (1)"):
        assert meaning in page.text
    assert "= at par" not in page.text


def test_table_of_gaps_stays_short_where_segments_and_own_pasts_are_many(tmp_path: Path) -> None:
    past = {**GAPS[4], "verdict": "unclear"}
    gaps = [
        *({**GAPS[6], "gap_id": f"s{rank}", "priority_rank": rank} for rank in range(1, 51)),
        *({**GAPS[6], "gap_id": f"u{row}", "priority_rank": None} for row in range(7)),
        *({**past, "gap_id": f"p{row}"} for row in range(60)),
        {**past, "gap_id": "ranked", "verdict": "lagging", "priority_rank": 1},
        {**past, "gap_id": "behind", "verdict": "lagging"},
        GAPS[3],
    ]
    page = Page(render_report(make_publication(tmp_path / "p", gap_ranking=gaps)))
    table = page.text[page.text.index("Comparisons with the benchmarks") :]
    table = table[: table.index("Source: gap_ranking")]
    assert table.count("Plan size: <b>small</b>") == 10
    assert table.count("60 % (own past)") == 2
    assert table.count("? unclear") == 1
    assert "107 more comparisons, of segments and with the own past, are in gap_ranking" in table
    assert "? unclear (61)" in page.text


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        (
            [{**GAPS[4], "verdict": "unclear"}],
            "No benchmark is set for any stage, so there is nothing to compare with but the own "
            "past: add lines to benchmarks.csv in the journey map. Of 1 comparison with the own "
            "past: 1 unclear.",
        ),
        ([], "No benchmark is set for any stage"),
        (
            [
                {**GAPS[3], "gap_id": "1"},
                {**GAPS[3], "gap_id": "2"},
                {**GAPS[3], "gap_id": "3", "verdict": "too_few_data"},
                {**GAPS[6], "gap_id": "4"},
            ],
            "Of 3 comparisons with a benchmark: 2 unclear, 1 too few data.",
        ),
        ([GAPS[2]], "Of 1 comparison with a benchmark: 1 lagging. What lags is shown below"),
    ],
)
def test_nothing_ranked_is_said_with_the_reason(tmp_path: Path, gaps: Rows, said: str) -> None:
    text = Page(render_report(make_publication(tmp_path / "p", gap_ranking=gaps))).text
    assert f"No gap is ranked. {said}" in text


def test_journey_without_mature_weeks_says_so(page: Page) -> None:
    section = page.text[page.text.index("No case of this journey has been seen.") :]
    assert section.count("no whole week of this journey has had its full window", 0, 600) == 2
    assert {name for name in page.specs if name.startswith("journey-2")} == set()


def test_empty_publication_is_still_a_page(tmp_path: Path) -> None:
    folder = make_publication(tmp_path / "p", {}, **{table: [] for table in TABLES})
    page = Page(render_report(folder))
    assert "No journey" in page.text
    assert page.specs == {}
    for missing in ("survey_responses.csv", "support_contacts.csv", "actions.csv", "stages.csv"):
        assert missing in page.text


def test_stages_are_in_the_order_of_the_journey(page: Page) -> None:
    for chart in ("funnel", "time"):
        for layer in page.specs[f"journey-1-{chart}"]["layer"]:
            labels = [label.partition("\n")[0] for label in layer["encoding"]["y"]["sort"]]
            assert labels == ["Visited", "Signed up", HOSTILE, "Offer sent"]
    trends = [label for label in page.values("aria-label") if " by week, " in label]
    assert [label.partition(" by week")[0] for label in trends] == [
        "Conversion rate of Visited",
        "Conversion rate of Signed up",
    ]


def test_funnel_and_times_show_measures_and_benchmarks(page: Page) -> None:
    funnel = datasets(page.specs["journey-1-funnel"])
    assert [row["value"] for row in funnel["bars"]] == [0.5, 0.4, 0.8, 0.0893]
    assert [row["verdict"] for row in funnel["bars"]] == ["none", "lagging", "ahead", "lagging"]
    # The benchmark of another definition is no mark to reach.
    assert sorted((row["kind"], row["value"]) for row in funnel["benchmarks"]) == [
        ("industry", 0.6),
        ("own_past", 0.6),
        ("target", 0.3),
        ("target", 0.8),
    ]
    times = datasets(page.specs["journey-1-time"])
    assert [row["value"] for row in times["points"]] == [0.5, 3.0, 7.1]
    assert [(row["name"], row["low"]) for row in times["arrows"]] == [(HOSTILE, 2.0)]
    assert [row["name"] for row in times["notes"]] == ["Signed up"]
    assert [row["value"] for row in times["benchmarks"]] == [2.0]


def test_weeks_that_do_not_count_are_apart_and_missing_ones_break_the_line(page: Page) -> None:
    trend = datasets(page.specs["journey-1-trend-2"])
    assert [row["value"] for row in trend["mature_points"]] == [0.42, 0.40, 0.38, 0.35]
    assert [row["value"] for row in trend["faded_points"]] == [0.45, 0.20, 0.10]
    assert [row["value"] for row in trend["mature_line"]] == [
        None, 0.42, 0.40, None, 0.38, 0.35, None, None,
    ]  # fmt: skip
    # Faded parts reach to the week beside them.
    assert [row["value"] for row in trend["faded_line"]] == [
        0.45, 0.42, None, None, None, 0.35, 0.20, 0.10,
    ]  # fmt: skip
    assert [(row["value"], row["from"], row["to"]) for row in trend["benchmarks"]] == [
        (0.6, "2024-03-01", "2024-04-05"),
        (0.55, "2024-04-05", "2024-04-26"),
    ]


def test_the_legend_of_the_weeks_names_the_benchmarks_they_show(page: Page) -> None:
    begin = page.text.index("faded: immature or partial week")
    assert page.text[begin:].startswith(
        "faded: immature or partial week industry benchmark Visited "
    )
    assert "own past" in page.text[:begin]


def test_captions_name_n_period_and_source(page: Page) -> None:
    assert (
        "Share of the cases entering a stage that go on to a later one within 30 days. The last "
        "13 mature weeks, 1 Jan to 31 Mar 2024; n = 56 to 1,200 a stage. Source: fct_measures, "
        "benchmarks from gap_ranking."
    ) in page.text
    assert (
        "Newest week that counts, 8 Apr 2024: 35 % of 25; n = 20 to 27 cases a week, 4 Mar to "
        "28 Apr 2024. Source: fct_measures, gap_trends."
    ) in page.text
    assert (
        "3 cases (each one pass of one customer) since 1 Jan 2024; so far 1 reached “Won” and "
        "1 reached “Lost”."
    ) in page.text


def test_every_chart_has_a_name_and_a_table(page: Page) -> None:
    assert {"journey-1-funnel", "journey-1-time", "gap-1", "gap-2"} < set(page.specs)
    assert page.values("role").count("img") == len(page.specs)
    # And one for what the metrics measure.
    assert page.tags.count("details") == len(page.specs) + 1
    assert (
        "How many go on, per stage, Leads & friends: Visited: 50 %; Signed up: 40 %, industry "
        f"benchmark 60 %, lagging; {HOSTILE}: 80 %, target 80 %, unclear, own past 60 %, ahead; "
        "Offer sent: 8.9 %, target 30 %, lagging."
    ) in plain(page.values("aria-label"))


def test_data_quality_is_shown(tmp_path: Path) -> None:
    rejected = [{"file": "a.csv", "table": "events", "message": "line 3 has <4> columns"}]
    folder = make_publication(
        tmp_path / "p", {**MANIFEST, "data_quality": QUALITY, "rejected_files": rejected}
    )
    text = Page(render_report(folder)).text
    for said in (
        "Newest data 8 May 2024, 06:00 UTC",
        "12,000 rows came in: 11,980 kept, 12 quarantined (0.10 %), 8 exact duplicates.",
        "Checks of this run: 41 passed, 1 warned, 0 failed.",
        "events: <u>few</u>",
        "events 12,000 11,980 12 8 8 May 2024, 06:00 UTC 2 days",
        "fx_rates 0 0 0 0 no data",
        "events <i>bad</i> time 9 events event_id is missing 3",
        "a.csv events line 3 has <4> columns",
        "Leads & friends 10 May 2024, 08:00 UTC 9 May 2024, 20:00 UTC 31 Mar 2024 3 1 1",
    ):
        assert said in text
    assert "does not carry" not in text


def test_publication_without_quality_says_so(page: Page) -> None:
    assert "This publication does not carry the counts of its load" in page.text
    assert "None: every file could be read." in page.text


def test_nothing_from_the_data_becomes_markup(page: Page, folder: Path) -> None:
    html = render_report(folder)
    assert HOSTILE not in html
    assert len(page.parts["script"]) == html.count("</script>") == 4
    assert not {"img", "b", "iframe", "object", "link"} & set(page.tags)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert HOSTILE in page.text


def test_page_asks_for_nothing(page: Page) -> None:
    assert page.values("src") == []
    assert {link[0] for link in page.values("href")} == {"#"}
    anchors = set(page.values("id"))
    assert {link[1:] for link in page.values("href")} <= anchors
    styles = "".join(page.parts["style"])
    assert "@import" not in styles
    assert "url(" not in styles
    note, _, _, drawing = page.parts["script"]
    assert "http" not in page.text + styles + note + drawing + json.dumps(page.data)
    [policy] = [value for value in page.values("content") if "default-src" in value]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_same_folder_same_page_in_every_process(folder: Path) -> None:
    here = render_report(folder)
    assert render_report(folder) == here
    program = (
        "import sys; from pathlib import Path; from orchestration.report import render_report; "
        "sys.stdout.buffer.write(render_report(Path(sys.argv[1])).encode())"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, folder],
        cwd=PROJECT_DIR,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    assert there.stdout.decode() == here


def test_report_is_written_beside_the_marts(folder: Path) -> None:
    path = write_report(folder)
    assert path == folder / "report.html"
    assert path.read_text(encoding="utf-8") == render_report(folder)
    assert path.stat().st_size < 600_000


@pytest.mark.parametrize("name", ["manifest.json", "journey_gaps.duckdb"])
def test_folder_without_a_publication_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_publication(tmp_path / "p")
    (folder / name).unlink()
    with pytest.raises(JourneyGapsError, match=name):
        render_report(folder)


def test_import_is_cheap() -> None:
    program = "import sys, orchestration.report; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"altair", "great_tables", "pandas", "vl_convert", "dagster"} & set(modules)


def plain(texts: Iterable[str]) -> list[str]:
    return [text.replace("\u00a0", " ") for text in texts]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.412], ["41 %"]),
        ([0.0893, 0.3], ["8.9 %", "30 %"]),
        ([0.0052], ["0.52 %"]),
        ([0, 1, None], ["0 %", "100 %", "not known"]),
        ([0.996, 0.9996], ["99.6 %", "100.0 %"]),
        ([0.596, 0.6], ["59.6 %", "60.0 %"]),
        ([0.59999, 0.6], ["60 %", "60 %"]),
        ([0.6, 0.6], ["60 %", "60 %"]),
    ],
)
def test_percentages_have_sensible_digits(shares: list[float | None], said: list[str]) -> None:
    assert plain(words.percents(*shares)) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7.1, "7.1 days"),
        (1.0, "1 day"),
        (0.5, "12 hours"),
        (0.0125, "18 minutes"),
        (0.0001, "<1 minute"),
        (0.0, "0 days"),
        (1234.4, "1,234 days"),
        (0.9997, "1 day"),
        (None, "not known"),
    ],
)
def test_times_are_said_in_a_unit_that_fits(value: float | None, said: str) -> None:
    assert plain([words.days(value)]) == [said]


@pytest.mark.parametrize(
    ("low", "high", "metric", "said"),
    [
        (0.352, 0.448, CONVERSION, "35 to 45 %"),
        (1.0, 8.1, TIME, "1 to 8.1 days"),
        (0.5, 2.0, TIME, "12 hours to 2 days"),
        (2.0, None, TIME, "at least 2 days"),
        (None, None, TIME, ""),
    ],
)
def test_intervals(low: float | None, high: float | None, metric: dict, said: str) -> None:
    assert plain([words.interval(low, high, Metric(**metric))]) == [said]


def test_periods_end_on_their_last_day() -> None:
    assert plain([words.period(date(2023, 12, 4), date(2024, 3, 4))]) == [
        "4 Dec 2023 to 3 Mar 2024"
    ]


def test_stages_that_would_read_alike_keep_their_ids() -> None:
    assert words.names(["a_b", "A b", "won"]) == {"a_b": "a_b", "A b": "A b", "won": "Won"}

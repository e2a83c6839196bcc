"""The cards, hand-offs, voice, actions and coverage of the report, against their rows."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from orchestration.report import render_report
from orchestration.report.charts.dots import ruler
from orchestration.report.reading import Gap, Metric
from orchestration.report.sections.gap_card import (
    Action,
    Details,
    Driver,
    Suggestion,
    Touchpoint,
    owner,
    reason,
    worth,
)
from tests.sample_publication import (
    CONVERSION,
    GAPS,
    HOSTILE,
    TABLES,
    TIME,
    Page,
    datasets,
    make_publication,
)
from tests.sample_sections import (
    CONTACTS,
    MOVES,
    NPS,
    NPS_GAP,
    READOUT,
    REASON,
    SECTIONS,
    TOPICS,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_publication(tmp_path_factory.mktemp("sections") / "published", **SECTIONS)


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(render_report(folder))


def table(folder: Path, name: str) -> pd.DataFrame:
    with duckdb.connect(folder / "journey_gaps.duckdb", read_only=True) as connection:
        return connection.execute(f"select * from {name}").df()


def test_card_says_worth_reason_owner_and_what_was_done(page: Page, folder: Path) -> None:
    gaps = table(folder, "gap_ranking")
    first = gaps[gaps["priority_rank"] == 1].iloc[0]
    missing = (first["benchmark_value"] - first["value"]) * first["n"]
    assert (
        f"Worth Up to {missing:.0f} more cases would have gone on in these 13 weeks, up to "
        f"{missing * first['success_share']:.0f} of them to “Won”: up to 49,000 EUR, at the mean "
        "value of the successes in the data. "
        "Reason Channel partner goes with 8.1 % (conversion rate) against 54 % of the others. "
        "An association, not a cause. "
        "Owner Nobody owns Lead routing (40 %): set its owner_team in touchpoints.csv. "
        "Customer success, who had the last action on it. Inside sales and marketing have a part "
        "in it. "
        "Last action A call: improved because of it. Conversion rate at Signed up was 45 % with "
        "call. "
    ) in page.text


def test_picture_of_a_gap_shows_all_cases_the_reason_and_the_others(page: Page) -> None:
    layers = datasets(page.specs["gap-1"])
    rows = [("All cases", 0.4), ("Channel: early partner", 0.081), ("All others", 0.54)]
    assert [(row["name"], row["value"]) for row in layers["points"]] == rows
    assert [(row["value"], row["benchmark"]) for row in layers["missing"]] == [
        (value, 0.6) for _, value in rows
    ]
    assert [(row["low"], row["high"]) for row in layers["whiskers"]] == [(0.352, 0.448)]
    assert [row["text"] for row in layers["benchmark_text"]] == ["industry benchmark 60\u00a0%"]
    assert (
        "Conversion rate of Signed up, against the industry benchmark, Leads & friends: industry "
        "benchmark 60 %; All cases: 40 % of 400 (95 % interval 35 to 45 %); Channel: early "
        "partner: 8.1 % of 100; All others: 54 % of 300."
    ) in [label.replace("\u00a0", " ") for label in page.values("aria-label")]


def test_pictures_of_days_and_scores_know_which_side_is_worse(tmp_path: Path) -> None:
    folder = make_publication(
        tmp_path / "p",
        dim_metrics=[CONVERSION, TIME, NPS],
        gap_ranking=[{**GAPS[2], "priority_rank": 1}, {**NPS_GAP, "priority_rank": 2}],
    )
    page = Page(render_report(folder))
    days, score = (datasets(page.specs[f"gap-{rank}"]) for rank in (1, 2))
    assert [(row["value"], row["benchmark"]) for row in days["missing"]] == [(7.1, 2.0)]
    assert [(row["value"], row["low"]) for row in score["points"]] == [(-6.667, -20.2)]
    assert [row["benchmark"] for row in score["missing"]] == [30.0]
    assert "net promoter score at -6.67 points, against a target of 30 points" in page.text
    assert "Not put into cases, days or money" in page.text


GAP = Gap(**{name: GAPS[1].get(name) for name in Gap.__dataclass_fields__})
RATE = Metric(**CONVERSION)
DETAILS = Details("g", 1.0, "default", "BRL", 1234.0, None, None, None)
DRIVER = Driver(
    "g", "segment", "x", None, None, "entries", "odds_ratio", 9, 4, 0.1, 0.5, True, None, "x is so."
)  # fmt: skip


@pytest.mark.parametrize(
    ("gap", "details", "said"),
    [
        ({}, {}, "Up to 80 more cases would have reached “Won” in these 13 weeks: up to 1,200 BRL, "
                 "at least in part at the journey's default value."),
        ({"recoverable_cases": 0.4}, {"value_at_stake": 3.5},
         "Up to 1 more case would have reached “Won” in these 13 weeks: up to 3.50 BRL, at least "
         "in part at the journey's default value."),
        ({}, {"value_at_stake": None}, "Up to 80 more cases would have reached “Won” in these 13 "
         "weeks. Not known in money: no value of a success is set (default_success_value in "
         "journeys.csv)."),
        ({"metric_id": "csat", "recoverable_cases": None}, {},
         "Up to 80 of 400 in these 13 weeks; not put into money."),
    ],
)  # fmt: skip
def test_worth_is_an_upper_bound(gap: dict[str, Any], details: dict[str, Any], said: str) -> None:
    text = worth(replace(GAP, **gap), RATE, replace(DETAILS, **details), ["Won"])
    assert text.replace("\u00a0", " ") == said


@pytest.mark.parametrize(
    ("drivers", "said"),
    [
        ([DRIVER], "None that chance does not explain as well."),
        ([replace(DRIVER, warning="too_few_data")], "None that chance does not explain as well."),
        (
            [replace(DRIVER, warning="simpson_reversal")],
            "None that chance does not explain as well. Not to be relied on, since the parts point "
            "one way, the whole the other: X is so.",
        ),
    ],
)
def test_reason_that_does_not_hold_is_said_with_its_warning(
    drivers: list[Driver], said: str
) -> None:
    assert reason(RATE, DETAILS, drivers) == said


def test_owner_is_the_one_of_the_action_or_the_teams_or_nobody() -> None:
    touchpoints = {"a": Touchpoint("a", None, None, None), "b": Touchpoint("b", "B", "x", None)}
    actions = {"act": Action("act", "field_sales", "An act")}
    done = replace(DETAILS, last_action_id="act")
    assert owner(done, None, touchpoints, actions) == (
        "Field sales, who had the last action on it."
    )
    shared = Suggestion("g", "a (7 %), b (5 %)", "(no owner), x")
    assert owner(DETAILS, shared, touchpoints, {}).replace("\u00a0", " ") == (
        "Nobody owns A (7 %): set its owner_team in touchpoints.csv. X has a part in it."
    )
    assert "owner_team in touchpoints.csv" in owner(DETAILS, None, {}, {})


def test_hand_offs_are_drawn_against_the_other_cases(page: Page, folder: Path) -> None:
    found = table(folder, "gap_touchpoints")
    pairs = found[(found["finding_kind"] == "hand_off") & found["warning"].isna()]
    pairs = pairs.sort_values("finding_rank")
    losses = datasets(page.specs["journey-1-handoff-losses"])
    assert [row["value"] for row in losses["points_plain"]] == list(pairs["share"])
    assert [row["other"] for row in losses["others"]] == list(pairs["other_share"])
    waits = datasets(page.specs["journey-1-handoff-waits"])
    assert [(row["value"], row["other"]) for row in waits["points_plain"]] == [(6.5, 1.25)]
    assert [row["note"] for row in waits["notes"]] == ["none went on"]
    assert "1 more pair with too few or shorter waits" in page.text
    assert "Of 9 moves 3 back." in page.text


def test_moves_between_owners_are_counted_with_their_days(page: Page) -> None:
    moves = pd.DataFrame(MOVES)
    medians = moves.groupby("is_handoff")["duration_us"].median() / 86_400_000_000
    handed = int(moves["is_handoff"].sum())
    assert (
        f"{handed} moves of {len(moves)} (40 %) go from one owner to another, after a median of "
        f"{medians[True]:.0f} days in the stage left, against {medians[False]:.0f} days of the "
        "other moves."
    ) in page.text


def test_scores_stand_by_stage_with_intervals_and_response_rates(page: Page) -> None:
    csat = datasets(page.specs["voice-csat"])
    assert [row["value"] for row in csat["points_plain"]] == [0.78]
    assert [row["value"] for row in csat["points_open"]] == [0.9]
    assert [row["value"] for row in datasets(page.specs["voice-nps"])["whiskers"]] == [-6.667]
    assert "voice-ces" not in page.specs
    assert "8 questions since 1 Jan 2024, 4 answered (50 %). csat: 2 of 5 (40 %); nps: 2 of 3" in (
        page.text
    )
    assert "csat Signed up 49 % 42 to 57 % 160 1 Jan to 31 Mar 2024" in page.text
    # Conversions, which are known later, keep their own last weeks.
    assert len(datasets(page.specs["journey-1-funnel"])["bars"]) == 4


def test_months_with_too_few_answers_are_left_out(page: Page) -> None:
    months = datasets(page.specs["voice-csat-months"])
    assert [(row["row"], row["value"]) for row in months["points_open"]] == [("2023-10", 0.8)]
    assert [row["row"] for row in months["points_plain"]] == ["2023-12", "2024-01"]
    axis = page.specs["voice-csat-months"]["layer"][0]["encoding"]["x"]
    assert axis["scale"]["domain"] == ["2023-10", "2023-11", "2023-12", "2024-01"]
    assert "Oct 2023 80 % 70 to 90 % 22" in page.text


def test_topics_count_answers_once_with_the_score_of_each_survey(page: Page) -> None:
    topics = pd.DataFrame(TOPICS)
    answers = topics.groupby("topic")["response_id"].nunique().sort_values(ascending=False)
    bars = datasets(page.specs["voice-topics"])["bars"]
    assert [row["value"] for row in bars] == list(answers)
    assert bars[0]["text"] == "3 · csat 4.3; nps 9.0"
    assert "1 answer of 4 with words (25 %) is on no topic of feedback_topics.csv." in page.text


def test_phrases_name_nobody_and_do_not_repeat_each_other(page: Page) -> None:
    assert re.findall(r"“([^”]*)” \d+", page.text) == ["far", "fine so far", HOSTILE]
    assert "Ann Smith" not in page.text


def test_contacts_are_judged_once_their_time_is_over(page: Page) -> None:
    contacts = pd.DataFrame(CONTACTS)
    judged = contacts["is_repeated"].dropna()
    assert (
        f"{len(contacts)} contacts, 1 Feb 2024 to 5 Feb 2024; after {int(judged.sum())} of "
        f"{len(judged)} ({judged.mean():.0%}) the customer came back"
    ) in page.text.replace(" %)", "%)")
    calls = contacts[contacts["channel"] == "call"]
    share = calls["is_resolved_at_first_contact"].dropna().mean()
    assert f"call 3 33 % 3 {share:.0%}".replace("0%", "0 %") + " 2 0 2 2 minutes" in page.text
    assert datasets(page.specs["voice-resolution"])["points_plain"][0]["value"] == 0.75


def test_key_moments_say_why_a_figure_is_missing(page: Page) -> None:
    assert (
        "First value Signed up (Leads & friends) 4 days 43 % (39 to 47 %) 638 74 % (n = 42) "
        "too few 31 Mar 2024"
    ) in page.text
    assert "Renewal Offer sent (Leads & friends) fewer than half reached it 43 %" in page.text


def test_actions_are_dots_against_zero_with_their_verdicts(page: Page) -> None:
    effects = datasets(page.specs["actions-1"])
    assert [row["value"] for row in effects["points_ahead"]] == [pytest.approx(11.9)]
    assert [(row["value"], row["low"], row["high"]) for row in effects["points_lagging"]] == [
        (pytest.approx(-10), pytest.approx(-15), pytest.approx(-5))
    ]
    assert [row["note"] for row in effects["notes"]] == ["… too early"]
    assert effects["zero"] == [{"value": 0}]
    for said in (
        "3 readouts: 1 improved, 1 worse, 1 too early. Only an experiment can say because.",
        READOUT.replace("signed_up", "Signed up"),
        "A call (process tweak) customer success Conversion rate at Signed up ▲ improved 5 Jan "
        "2024 to 5 Mar 2024 5 Apr 2024 experiment",
        "A page (process tweak) nobody Conversion rate at Signed up … too early",
        "A call 12 points better 6.9 points to 17 points 8.0 points 800 ▲ improved",
    ):
        assert said in page.text


def test_suggestions_keep_totals_and_segments_apart(page: Page) -> None:
    begin = page.text.index("Gaps that nobody works on")
    section = page.text[begin : page.text.index("Data quality", begin)]
    assert "2 more segments there" in section
    assert (
        "1 Conversion rate at Signed up (Leads & friends) Long term project: a touchpoint there "
        "has no owner (no owner), inside sales, marketing routing (40 %), sales call (30 %), "
        "a (2 %) and 1 more 40 % against 60 %"
    ) in section
    assert section.count(f", size {HOSTILE}") == 3


def test_coverage_says_what_rates_rest_on_and_leave_out(page: Page) -> None:
    assert "Signed up Leads & friends 1,000 700 70 % 200 100 50 9 8 7" in page.text
    assert "Won Leads & friends" not in page.text
    assert (
        "3 mature figures changed afterwards, 2 through late data and 1 through map changed, the "
        "last as of 1 May 2024, 08:00 UTC."
    ) in page.text
    assert "no_owner finding 1. Set owner_team in touchpoints.csv." in page.text
    assert page.text.count("unmapped_event finding") == 5
    assert "2 more of the same kind are in gap_touchpoints." in page.text
    assert "late finding" not in page.text


def test_every_picture_has_words_numbers_and_a_source(page: Page) -> None:
    new = [name for name in page.specs if re.match(r"gap|voice|actions|journey-1-handoff", name)]
    assert len(new) == 9
    assert page.text.count("Source: ") >= len(page.specs)
    assert page.values("role").count("img") == len(page.specs)
    labels = [label for label in page.values("aria-label") if label.endswith(".")]
    assert all(re.search(r"\d", label) for label in labels)
    assert len(labels) == len(page.specs)


def test_nothing_of_the_sections_becomes_markup(page: Page) -> None:
    assert not {"img", "b", "iframe"} & set(page.tags)
    assert REASON not in page.text


def test_sections_say_what_is_missing_and_how_to_feed_it(tmp_path: Path) -> None:
    page = Page(render_report(make_publication(tmp_path / "p", **{name: [] for name in TABLES})))
    for said in (
        "No survey landed: put survey_responses.csv into the landing folder.",
        "No answer has words: fill the column verbatim of survey_responses.csv.",
        "No support contact landed: put support_contacts.csv into the landing folder.",
        "name first_impression, first_value, extended_value or renewal in the column key_moment",
        "No action is registered: add lines to actions.csv in the journey map",
        "No case was seen in any stage.",
        "No journey is in the map.",
        "No mature figure has changed since it was first published.",
        "Nothing found: every event seen is on a stage or a touchpoint",
    ):
        assert said in page.text


@pytest.mark.parametrize(
    ("unit", "values", "ends"),
    [
        ("share", [0.97], (0, 1.0)),
        ("share", [0.0413], (0, 0.05)),
        ("share", [None], (0, 1.0)),
        ("points", [-20.0, 30.0], (-22.0, 33.0)),
        ("days", [2.0], (0, 2.2)),
    ],
)
def test_axes_end_a_little_beyond_their_values(
    unit: str, values: list[float | None], ends: tuple[float, float]
) -> None:
    axis = ruler(unit, values)
    assert (axis.low, axis.high) == pytest.approx(ends)

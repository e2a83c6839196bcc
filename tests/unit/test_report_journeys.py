"""Curves, segments and moves of a journey, checked against figures computed in another way."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from orchestration.report import render_report
from orchestration.report.charts.curves import MOST_POINTS, Point, thinned
from tests.sample_publication import (
    CONVERSION,
    CURVES,
    GAPS,
    HOSTILE,
    JOURNEYS,
    MEASURES,
    QUARTER,
    SEGMENTS,
    STAGES,
    TIME,
    Page,
    Rows,
    datasets,
    gap,
    make_publication,
    measure,
)

NAMES = {"visited": "Visited", "signed_up": "Signed up", "offer_sent": "Offer sent"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return rendered(tmp_path_factory.mktemp("report") / "published")


def rendered(folder: Path, **tables: Rows) -> Page:
    return Page(render_report(make_publication(folder, **tables)))


def between(page: Page, first: str, last: str) -> str:
    begin = page.text.index(first)
    return page.text[begin : page.text.index(last, begin)]


def label(page: Page, begin: str) -> str:
    [text] = [
        text.replace("\u00a0", " ")
        for text in page.values("aria-label")
        if text.startswith(begin) and not text.endswith(", data")
    ]
    return text


def drawn(page: Page, chart: str) -> dict[str, Any]:
    """The only chart of this name: which journey leads depends on the ranks."""
    [spec] = [spec for name, spec in page.specs.items() if name.endswith(f"-{chart}")]
    return spec


def curve_rows(page: Page, number: int) -> dict[str, Rows]:
    return datasets(drawn(page, f"curve-{number}"))


# Time in stage


def test_a_curve_says_when_half_have_left_and_what_the_benchmark_is(page: Page) -> None:
    said = (
        "alf have left after 7.1 days; 30 % are still there after 30 days; industry benchmark by "
        "which half should leave 2 days, lagging"
    )
    assert (
        f"Offer sent H{said}. n = 60 visits begun 1 Jan to 31 Mar 2024. Source: "
        "fct_survival_curves, fct_measures, gap_ranking."
    ) in page.text
    assert label(page, "Share still in Offer sent") == (
        "Share still in Offer sent by the time since the entry, n = 60 visits begun 1 Jan to "
        f"31 Mar 2024: h{said}."
    )
    assert (
        "Half have left after (p50) 7.1 days 5.4 to 8.1 days 60 "
        "The same for half of those who left, alone 4 days 42 "
        "Still in the stage after 7 days 90 % 85 to 95 % 54 "
        "Still in the stage after 14 days 50 % 45 to 55 % 30 "
        "Still in the stage after 30 days 30 % 25 to 35 % 18 "
    ) in page.text


def test_completers_alone_are_told_apart_where_they_flatter(page: Page) -> None:
    assert (
        "Counting only those who left would flatter: in “Offer sent” half of the 42 visits that "
        "ended did so within 4 days, half of all 60 within 7.1 days. share still"
    ) in page.text


def test_a_curve_falls_in_steps_from_the_entry_to_the_end_of_its_axis(page: Page) -> None:
    rows = curve_rows(page, 4)
    steps = [(row["d"], row["s"], row["l"], row["h"]) for row in rows["curve_line"]]
    assert steps == [
        (0.0, 1.0, 1.0, 1.0),
        (2.0, 0.9, 0.85, 0.95),
        (7.1, 0.5, 0.45, 0.55),
        (20.0, 0.3, 0.25, 0.35),
        (22.0, 0.3, 0.25, 0.35),
    ]
    assert [(row["d"], row["s"], row["t"]) for row in rows["quantiles"]] == [
        (7.1, 0.5, "p50 7.1\u00a0days")
    ]
    assert [(row["d"], row["s"], row["kind"]) for row in rows["benchmarks"]] == [
        (2.0, 0.5, "industry")
    ]
    # Hours, since half have left after twelve.
    hours = curve_rows(page, 1)["curve_line"]
    assert [row["d"] for row in hours] == [0.0, 6.0, 12.0, 14.4, 15.84]


def test_stages_have_one_time_axis_unless_they_differ_much(page: Page, tmp_path: Path) -> None:
    assert "each has a time axis of its own" in page.text
    alike = [
        {**row, "duration_us": row["duration_us"] * (2 if row["stage_id"] == "signed_up" else 1)}
        for row in CURVES
        if row["stage_id"] != "visited"
    ]
    same = rendered(tmp_path / "p", fct_survival_curves=alike)
    assert "All stages have one time axis." in same.text
    ends = {
        tuple(layer["encoding"]["x"]["scale"]["domain"])
        for number in (2, 4)
        for layer in drawn(same, f"curve-{number}")["layer"]
        if "scale" in layer["encoding"]["x"]
    }
    assert ends == {(0.0, 22.0)}


def test_a_benchmark_of_going_on_is_said_but_not_drawn(tmp_path: Path) -> None:
    row = {**GAPS[2], "metric_id": "time_to_advance_p50"}
    metrics = [CONVERSION, TIME, {**TIME, "metric_id": "time_to_advance_p50"}]
    page = rendered(tmp_path / "p", gap_ranking=[row], dim_metrics=metrics)
    assert "half should go on (not drawn: the curve is of leaving) 2 days, lagging" in page.text
    assert "benchmarks" not in curve_rows(page, 4)


def test_without_13_mature_weeks_all_of_them_are_shown(tmp_path: Path) -> None:
    page = rendered(
        tmp_path / "p",
        fct_survival_curves=[{**row, "period_grain": "all"} for row in CURVES],
        fct_measures=[{**row, "period_grain": "all"} for row in MEASURES],
    )
    assert "Half have left after 7.1 days" in page.text
    assert "Nobody entered this stage" in between(page, HOSTILE, "Offer sent Half")


def test_drawn_curve_is_that_of_lifelines(tmp_path: Path) -> None:
    random = Random(8)
    visits = [
        (random.expovariate(1 / 5), random.uniform(2, 40)) for _ in range(900)
    ]  # until they leave, until they are seen no more
    kaplan_meier = KaplanMeierFitter().fit(
        [min(visit) for visit in visits], [leave <= seen for leave, seen in visits]
    )
    band = kaplan_meier.confidence_interval_survival_function_
    [name] = kaplan_meier.survival_function_.columns
    survival = kaplan_meier.survival_function_[name]
    events = kaplan_meier.event_table
    rows = [
        {
            **CURVES[-1],
            "duration_us": round(days * 86_400e6),
            "at_risk": int(events.at_risk[days] - events.removed[days]),
            "survival": share,
            "survival_low": band.iloc[place, 0],
            "survival_high": band.iloc[place, 1],
        }
        for place, (days, share) in enumerate(survival.items())
        if days > 0 and events.observed[days]
    ]
    quantiles = {part: float(kaplan_meier.percentile(1 - part / 100)) for part in (50, 75, 90)}
    page = rendered(
        tmp_path / "p",
        fct_survival_curves=rows,
        fct_measures=[
            measure(f"time_in_stage_p{part}", "offer_sent", 900, days, (None, None))
            for part, days in quantiles.items()
        ],
        gap_ranking=[],
    )
    shown = curve_rows(page, 4)
    line = shown["curve_line"]
    assert 50 < len(line) <= MOST_POINTS + 5
    for time in (0.1 * tenth for tenth in range(1, int(10 * line[-1]["d"]))):
        height = [row["s"] for row in line if row["d"] <= time][-1]
        assert height == pytest.approx(kaplan_meier.predict(time), abs=0.012)
    drawn_quantiles = shown["quantiles"]
    assert [row["d"] for row in drawn_quantiles] == [
        pytest.approx(days, rel=1e-3) for days in quantiles.values()
    ]
    for days in (7, 14):
        assert (
            f"Still in the stage after {days} days {kaplan_meier.predict(days):.0%}"[:-1]
            in page.text
        )


def test_thinning_keeps_the_line_and_what_is_marked() -> None:
    random = Random(3)
    share = 1.0
    points = []
    for number in range(5000):
        share *= 1 - random.random() / 2000
        points.append(Point(float(number), share, share, share, 1))
    kept = {7.0, 4000.0}
    shown = thinned(points, kept)
    assert len(shown) <= MOST_POINTS + len(kept)
    assert shown[-1] is points[-1]
    assert kept < {point.days for point in shown}
    left_out = [point for point in points if point not in shown]
    error = max(
        next(known.share for known in reversed([points[0], *shown]) if known.days <= point.days)
        - point.share
        for point in left_out
    )
    assert 0 < error < 0.02
    assert thinned(points[:1], set()) == points[:1]


# Segments


def test_cells_are_coloured_by_their_distance_from_the_total(page: Page) -> None:
    rows = datasets(drawn(page, "segments-1"))
    cells = pd.DataFrame(rows["cells"]).set_index(["y", "x"])
    measures = pd.DataFrame(SEGMENTS).set_index(["segment_value", "stage_id"])
    totals = pd.DataFrame(MEASURES).query("metric_id == 'conversion_rate'").set_index("stage_id")
    for segment in ("<b>small</b>", "big"):
        share = measures.value[segment, "signed_up"]
        assert cells.d[segment, "Signed up"] == pytest.approx(share - totals.value["signed_up"])
        assert cells.t[segment, "Signed up"] == f"{share:.0%}".replace("%", "\u00a0%")
    assert cells.loc["All"].d.tolist() == [0, 0, 0, 0]
    # Twenty cases are few; where most have no value, no cell can be compared.
    assert {(row["y"], row["x"], row["t"]) for row in rows["blank_cells"]} == {
        ("(unknown)", "Signed up", "few"),
        ("(unknown)", "Visited", "14\u00a0%"),
        ("big", "Visited", "100\u00a0%"),
    }
    assert [(row["y"], row["x"], row["g"]) for row in rows["cell_signs"]] == [
        ("<b>small</b>", "Signed up", "▼")
    ]


def test_segments_are_told_in_words_and_in_a_table(page: Page) -> None:
    part = between(page, "How many go on, by segment", "Which way they move")
    for said in (
        "Clearly below their stage's total: plan size “<b>small</b>” in “Signed up”, 20 % of 100 "
        "against 40 % of all",
        "Plan size is unknown of 700 of 1,200 cases in “Visited” (14 % of them go on).",
        "Not shown, but in fct_measures: Plan size & region.",
        "20 points or more below the stage's total",
        "The last 13 mature weeks, 1 Jan to 31 Mar 2024; n = 20 to 700 a cell.",
        f"Plan size Visited Signed up {HOSTILE} Offer sent "
        "All 50 % of 1,200 40 % of 400 80 % of 100 8.9 % of 56 "
        "big 100 % of 500 48 % of 280 no cases no cases "
        "<b>small</b> no cases ▼ 20 % of 100 no cases no cases "
        "(unknown) 14 % of 700 28 % of 20, few no cases no cases",
    ):
        assert said in part
    assert "big & north" not in part
    assert label(page, "Conversion rate by plan size").endswith(
        "Offer sent: all 8.9 %. Lagging: <b>small</b> in Signed up 20 %."
    )


def test_many_segments_are_cut_and_counted_and_verdicts_say_what_is_few(tmp_path: Path) -> None:
    segments = [
        {
            **SEGMENTS[0],
            "segment_value": f"s{number:02}",
            "n": 100 + number,
            "n_clusters": 29 if number == 13 else 90,
        }
        for number in range(15)
    ]
    few = {
        **gap(SEGMENTS[0], "target", 0.6, "too_few_data"),
        "segment_dimension": "plan_size",
        "segment_value": "s14",
    }
    page = rendered(
        tmp_path / "p",
        fct_measures=[*MEASURES, *segments],
        gap_ranking=[few],
    )
    assert "3 smaller segments not shown." in page.text
    rows = datasets(drawn(page, "segments-1"))
    assert [row["y"] for row in rows["blank_cells"]] == ["s14", "s13"]
    segments_shown = drawn(page, "segments-1")["encoding"]["y"]["scale"]["domain"]
    assert segments_shown == ["All", *(f"s{number:02}" for number in range(14, 2, -1))]


def test_a_journey_without_segments_says_what_is_missing(tmp_path: Path) -> None:
    page = rendered(tmp_path / "p", fct_measures=MEASURES)
    assert page.text.count("No segment to compare: segment_dimensions.csv") == 2


# Moves


def moves(random: Random) -> tuple[Rows, Rows]:
    """Visits around the quarter's ends, left in all ways; the last one of each is open."""
    ways = {
        "visited": [("signed_up", "forward", 60), (HOSTILE, "skip", 5), ("lost", "exit", 30)],
        "signed_up": [(HOSTILE, "forward", 300), ("visited", "back", 40), ("won", "success", 1)],
        HOSTILE: [("offer_sent", "forward", 50), ("signed_up", "back", 7)],
        "offer_sent": [("won", "success", 9), ("lost", "exit", 20), ("visited", "back", 2)],
    }
    visits: Rows = []
    transitions: Rows = []
    for stage, ends in ways.items():
        for end, kind, number in [*ends, (None, None, 4)]:
            for _ in range(number):
                entered = datetime(2023, 12, 28) + timedelta(minutes=random.randrange(140_000))
                visit = {
                    "visit_id": str(len(visits)),
                    "case_id": str(len(visits)),
                    "journey_id": "leads",
                    "stage_id": stage,
                    "entered_at": entered,
                    "is_open": end is None,
                    "is_left_truncated": random.random() < 0.1,
                }
                visits.append(visit)
                if end:
                    transitions.append(
                        {
                            "journey_id": "leads",
                            "from_visit_id": visit["visit_id"],
                            "from_stage_id": stage,
                            "to_stage_id": end,
                            "transition_kind": kind,
                            "duration_us": random.randrange(10**12),
                        }
                    )
    # Half past midnight on the first day in Berlin, and on the day after the last.
    visits[0] |= {"entered_at": datetime(2023, 12, 31, 23, 30), "is_left_truncated": False}
    visits[1] |= {"entered_at": datetime(2024, 3, 31, 22, 30), "is_left_truncated": False}
    return visits, transitions


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, pd.DataFrame, pd.DataFrame]:
    """A page with moves, those that count, and the visits that count."""
    visits, transitions = moves(Random(1))
    local = pd.DataFrame(visits)
    local["day"] = (
        local.entered_at.dt.tz_localize("UTC")
        .dt.tz_convert(JOURNEYS[0]["time_zone"])
        .dt.tz_localize(None)
    )
    counted = local[
        (local.day >= pd.Timestamp(QUARTER[0]))
        & (local.day < pd.Timestamp(QUARTER[1]))
        & ~local.is_left_truncated
    ]
    assert "0" in set(counted.visit_id)
    assert "1" not in set(counted.visit_id)
    times = [
        measure("time_in_stage_p50", stage, int(n), 1.0, (0.9, 1.1))
        for stage, n in counted.stage_id.value_counts().items()
    ]
    page = rendered(
        tmp_path_factory.mktemp("flow") / "published",
        fct_stage_visits=visits,
        fct_stage_transitions=transitions,
        fct_measures=times,
    )
    kept = pd.DataFrame(transitions)
    return page, kept[kept.from_visit_id.isin(counted.visit_id)], counted


def test_arcs_are_the_moves_of_the_mature_weeks(
    flow: tuple[Page, pd.DataFrame, pd.DataFrame],
) -> None:
    page, kept, _ = flow
    order = [stage["stage_id"] for stage in STAGES if stage["journey_id"] == "leads"]
    groups = kept.groupby(["from_stage_id", "to_stage_id"])
    leavers = kept.from_stage_id.value_counts()
    expected: dict[Any, Any] = {
        (order.index(start), order.index(end)): (
            len(rows),
            rows.transition_kind.iloc[0].replace("skip", "forward").replace("success", "forward"),
            f"{len(rows) / leavers[start]:.3f}",
        )
        for (start, end), rows in groups
        if len(rows) / leavers[start] >= 0.01
    }
    arcs = datasets(drawn(page, "flow"))["arcs_line"]
    assert {
        (row["f"], row["e"]): (row["n"], row["k"], f"{row['n'] / leavers[order[row['f']]]:.3f}")
        for row in arcs
    } == expected
    assert {row["b"] < 0 for row in arcs if row["k"] == "back"} == {True}
    assert {row["b"] > 0 for row in arcs if row["k"] != "back"} == {True}
    widths = {row["n"]: row["w"] for row in arcs}
    assert widths[max(widths)] == 16
    # One move of some 300 is in the table alone.
    assert (1, 4) not in expected
    assert "Not drawn: 1 move of 1 kind, each below 1 % of those who left its stage." in page.text


def test_the_table_of_moves_accounts_for_all_visits(
    flow: tuple[Page, pd.DataFrame, pd.DataFrame],
) -> None:
    page, kept, counted = flow
    part = between(page, "Which way they move", "Empty one No case")
    for (start, end, kind), rows in kept.groupby(
        ["from_stage_id", "to_stage_id", "transition_kind"]
    ):
        names = [NAMES.get(stage, stage.capitalize()) for stage in (start, end)]
        names = [HOSTILE if name == HOSTILE.capitalize() else name for name in names]
        assert f"{names[0]} {names[1]} {kind} {len(rows):,} " in part
    for stage, n in counted.stage_id.value_counts().items():
        waiting = n - (kept.from_stage_id == stage).sum()
        assert f"{NAMES.get(stage, HOSTILE)} none yet still in it {waiting} " in part
    assert f"n = {len(kept)} moves of {len(counted)} visits." in part
    back = kept[kept.transition_kind == "back"]
    assert len(back) / len(kept) < 0.0995
    share = f"{len(back) / len(kept):.1%}".replace("%", " %")
    assert f"{len(back)} moves ({share}) go back to an earlier stage: " in part
    most = back[back.from_stage_id == "signed_up"]
    median = most.duration_us.median() / 86_400e6
    assert f": {len(most)} from “Signed up” to “Visited” (" in part
    assert f"of those who left it, after {median:.1f} days in the median)" in part


def test_a_journey_without_moves_says_what_is_missing(page: Page, tmp_path: Path) -> None:
    assert "No move goes back to an earlier stage." in page.text
    assert page.text.count("No move between stages is known yet") == 1
    none = rendered(tmp_path / "p", fct_stage_transitions=[])
    assert none.text.count("No move between stages is known yet") == 2


# What all of them read


def test_a_metric_that_matures_later_hides_no_other(page: Page, tmp_path: Path) -> None:
    later: Sequence[dict[str, Any]] = [
        {
            **MEASURES[0],
            "metric_id": "csat",
            "period_start": QUARTER[0] + timedelta(weeks=3),
            "period_end": QUARTER[1] + timedelta(weeks=3),
        }
    ]
    metrics = [CONVERSION, TIME, {**CONVERSION, "metric_id": "csat", "label": "CSAT"}]
    shown = rendered(tmp_path / "p", fct_measures=[*MEASURES, *later], dim_metrics=metrics)
    assert drawn(shown, "funnel") == drawn(page, "funnel")

"""The question: goals, names, what the publication cannot answer; without a warehouse."""

from datetime import date
from typing import Any

import pytest

from orchestration.counterfactual import Chain, expected
from orchestration.errors import JourneyGapsError
from orchestration.what_if import Facts, Goal, QuestionError, answer
from tests.unit.test_counterfactual import FLOWS

BENCHMARK = [Goal.parse("benchmark")]
STAGES = {"visit": "progress", "trial": "progress", "offer": "progress", "won": "success"}


def gap(stage: str, gap_id: str, **given: Any) -> dict[str, Any]:
    """A lagging rate of a lead, unless given otherwise."""
    return {
        "gap_id": gap_id,
        "benchmark_id": gap_id,
        "journey_id": "lead",
        "stage_id": stage,
        "metric_id": "conversion_rate",
        "benchmark_kind": "industry",
        "verdict": "lagging",
        **given,
    }


VISITS = gap("visit", "visits", value=0.75, benchmark_value=0.9375, ci_high=0.8333333333333334)
TRIALS = gap("trial", "trials", value=0.5, benchmark_value=0.75, ci_high=0.6)
DAYS = gap(
    "trial", "days", metric_id="time_to_advance_p50", value=6.0, benchmark_value=3.0, ci_high=7.0
)


def facts(*gaps: dict[str, Any], worth: float | None = 100.0) -> Facts:
    """A published lead, with another journey of the same stages but no chain."""
    leads = [{**flow, "journey_id": "lead"} for flow in FLOWS]
    as_is = {
        "journey_id": "lead",
        "period_start": date(2024, 1, 1),
        "period_end": date(2024, 4, 1),
        "inflow": 120,
        "observed_successes": 29,
        "mean_success_value": worth,
        "currency": "EUR",
    }
    stages = [
        {"journey_id": "lead", "stage_id": stage, "stage_kind": kind}
        for stage, kind in STAGES.items()
    ]
    for journey in ("habit", "young"):
        stages.append({"journey_id": journey, "stage_id": "in_use", "stage_kind": "progress"})
    modes = {"lead": "ordered", "habit": "any", "young": "strict"}
    return Facts(
        [{"journey_id": name, "order_mode": mode} for name, mode in modes.items()],
        stages,
        leads,
        gaps,
        [as_is],
        [{"journey_id": "lead", "stage_id": "trial", "value": 6.0}],
    )


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("benchmark", Goal("benchmark")),
        ("Target", Goal("benchmark", benchmark_kind="target")),
        ("60%", Goal("rate", 0.6)),
        ("62.5 %", Goal("rate", 0.625)),
        (".6", Goal("rate", 0.6)),
        ("1", Goal("rate", 1.0)),
        ("2d", Goal("days", 2.0)),
        ("1.5 days", Goal("days", 1.5)),
    ],
)
def test_goals(text: str, goal: Goal) -> None:
    assert Goal.parse(text) == goal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("140%", "a rate of 140% is more than everybody$"),
        ("60", "more than everybody; write 60% or 60d if you mean that"),
        ("-5%", "a rate of -5% is less than nobody"),
        ("-2d", "ends before it begins"),
        ("soon", "'soon' is no goal: write benchmark, industry, target, own_past, a rate"),
        ("0,6", "is no goal"),
        ("nan", "is no goal"),
    ],
)
def test_goals_that_are_none(text: str, message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        Goal.parse(text)


def test_each_alone_and_both_together() -> None:
    found = answer(facts(VISITS, TRIALS), ["visit", "trial"], BENCHMARK)
    assert found.journey_id == "lead"
    assert [
        ([lever.gap_id for lever in scenario.levers], scenario.successes, scenario.added_value)
        for scenario in found.scenarios
    ] == [
        ([], 30.0, 0.0),
        (["visits"], 36.25, 625.0),
        (["trials"], 38.75, 875.0),
        (["visits", "trials"], 46.5625, 1656.25),
    ]
    together = found.scenarios[-1]
    assert (together.added_successes, together.sum_of_single_effects) == (16.5625, 15.0)
    # From 83.3 % and 60 %: times 1.125 and 1.25, as worked by hand for gap_scenarios.
    assert together.cautious_added_successes == pytest.approx(7.890625)
    assert not found.notes


def test_one_goal_each_and_a_stage_with_both() -> None:
    goals = [Goal("rate", 0.75), Goal("days", 3.0)]
    found = answer(facts(worth=None), ["trial", "trial"], goals)
    rate, time, both = found.scenarios[1:]
    assert (rate.successes, time.successes, both.successes) == (38.75, 30.0, 38.75)
    assert time.saved_days == 0.875
    assert both.mean_days_to_success == pytest.approx((4.5 * 18.75 + 5 * 12.5 + 2.5 * 7.5) / 38.75)
    assert (rate.value, rate.cautious_added_successes) == (None, None)


def test_a_value_may_lie_below_but_a_benchmark_only_lifts() -> None:
    assert answer(facts(), ["offer"], [Goal("rate", 0.25)]).scenarios[1].successes == 15.0
    ahead = gap("offer", "offers", value=0.5, benchmark_value=0.25, ci_high=0.6, verdict="ahead")
    found = answer(facts(ahead), ["offer"], BENCHMARK)
    assert len(found.scenarios) == 1
    assert found.notes == [
        "the rate of offer is not behind its benchmark (industry) and stays as it is"
    ]


def test_of_several_benchmarks_the_furthest_that_lags() -> None:
    gaps = [
        {**TRIALS, "gap_id": "near", "benchmark_value": 0.625},
        TRIALS,
        {**TRIALS, "gap_id": "chance", "benchmark_value": 0.875, "verdict": "unclear"},
        {**TRIALS, "gap_id": "wanted", "benchmark_kind": "target", "benchmark_value": 0.55},
        {**TRIALS, "gap_id": "other", "verdict": "definition_mismatch", "benchmark_value": 1.0},
        DAYS,
    ]
    found = answer(facts(*gaps), ["trial"], BENCHMARK)
    assert [lever.gap_id for lever in found.scenarios[-1].levers] == ["trials", "days"]
    wanted = answer(facts(*gaps), ["trial"], [Goal.parse("target")])
    assert [lever.gap_id for lever in wanted.scenarios[-1].levers] == ["wanted"]


def test_of_ones_own_past_only_what_lags_unless_it_is_asked_for() -> None:
    past = {**TRIALS, "gap_id": "past", "benchmark_kind": "own_past", "verdict": "unclear"}
    days = {**DAYS, "benchmark_kind": "own_past", "verdict": "unclear"}
    near = {**TRIALS, "benchmark_value": 0.625}
    found = answer(facts(near, past, days), ["trial"], BENCHMARK)
    assert [lever.gap_id for lever in found.scenarios[-1].levers] == ["trials"]
    lagging = answer(facts(near, {**past, "verdict": "lagging"}), ["trial"], BENCHMARK)
    assert [lever.gap_id for lever in lagging.scenarios[-1].levers] == ["past"]
    asked = answer(facts(near, past, days), ["trial"], [Goal.parse("own_past")])
    assert [lever.gap_id for lever in asked.scenarios[-1].levers] == ["past", "days"]
    with pytest.raises(JourneyGapsError, match="say --to own_past, --to 60%"):
        answer(facts(past, days), ["trial"], BENCHMARK)


def test_what_may_be_chance_is_said() -> None:
    found = answer(facts({**TRIALS, "verdict": "unclear"}), ["trial"], BENCHMARK)
    assert found.scenarios[1].successes == 38.75
    assert "may be chance: the verdict is unclear" in found.notes[0]


def test_all_gaps_are_those_that_lag() -> None:
    unclear = gap("offer", "x", value=0.5, benchmark_value=0.6, ci_high=0.7, verdict="unclear")
    found = answer(facts(VISITS, DAYS, unclear), [], BENCHMARK, "lead", all_gaps=True)
    assert [lever.gap_id for lever in found.scenarios[-1].levers] == ["visits", "days"]
    nothing = answer(facts(unclear), [], BENCHMARK, all_gaps=True)
    assert nothing.notes == ["no gap of lead lags that this could close"]


@pytest.mark.parametrize(
    ("stages", "goals", "journey", "message"),
    [
        (["trail"], BENCHMARK, None, "no stage 'trail': did you mean trial?"),
        (["trail"], BENCHMARK, "lead", "no stage 'trail' in lead: did you mean trial?"),
        (["zzz"], BENCHMARK, "lead", "there are visit, trial, offer, won"),
        (["trial"], BENCHMARK, "leads", "no journey 'leads': did you mean lead?"),
        (["trial", "in_use"], BENCHMARK, None, "no journey has all of trial, in_use"),
        (["in_use"], BENCHMARK, None, "say which journey .--journey.: habit, young"),
        (["won"], [Goal("rate", 0.5)], None, "won ends lead: nothing moves on from it"),
        (["trial", "trial"], [Goal("rate", 0.5)], None, "the rate of trial is given twice"),
        (["trial"], [Goal("rate", 0.5)] * 2, None, "--stage is given 1 and --to 2 times"),
        ([], BENCHMARK, None, "say which stages"),
    ],
)
def test_wrong_questions(
    stages: list[str], goals: list[Goal], journey: str | None, message: str
) -> None:
    with pytest.raises(QuestionError, match=message):
        answer(facts(TRIALS), stages, goals, journey)


@pytest.mark.parametrize(
    ("stages", "goals", "journey", "message"),
    [
        (["in_use"], BENCHMARK, "habit", "order_mode any"),
        (["in_use"], BENCHMARK, "young", "no 13 weeks yet that are mature"),
        (["visit"], BENCHMARK, None, "no benchmark of the rate or the time of visit in lead"),
        (["visit"], [Goal.parse("target")], None, "no target of the rate or the time of visit"),
        (["offer"], BENCHMARK, None, "cannot be compared .* .far: definition_mismatch."),
        (["trial"], BENCHMARK, None, "cannot be compared .* .past: immature."),
        (["visit"], [Goal("days", 2.0)], None, "median time to advance from visit is not known"),
    ],
)
def test_what_the_publication_cannot_answer(
    stages: list[str], goals: list[Goal], journey: str | None, message: str
) -> None:
    far = gap("offer", "far", value=0.5, benchmark_value=0.9, verdict="definition_mismatch")
    past = gap("trial", "past", value=0.5, benchmark_value=None, verdict="immature")
    with pytest.raises(JourneyGapsError, match=message) as raised:
        answer(facts(far, past), stages, goals, journey)
    assert not isinstance(raised.value, QuestionError)


def test_where_nobody_moves_on_nothing_can_be_closed() -> None:
    published = facts(gap("offer", "far", value=0.1, benchmark_value=0.5, ci_high=0.2))
    for flow in published.flows:
        if flow["from_stage_id"] == "offer":
            flow["share"] = 0.0  # type: ignore[index]
    assert expected(Chain.of(published.flows)).successes == 0
    with pytest.raises(JourneyGapsError, match="nobody moved on from offer"):
        answer(published, ["offer"], BENCHMARK)
    assert len(answer(published, [], BENCHMARK, all_gaps=True).scenarios) == 1

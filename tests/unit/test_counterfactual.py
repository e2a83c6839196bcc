"""A chain worked by hand, and the same chain walked by many simulated cases."""

import math
from typing import Any

import numpy as np
import pytest

from orchestration.counterfactual import Chain, Change, Outcome, expected

# 100 cases begin with a visit, 20 with a trial; a quarter of the visits skips the trial.
FLOWS: list[dict[str, Any]] = [
    {"from_stage_id": from_stage, "from_stage_order": order, "to_stage_id": to_stage,
     "is_success": to_stage == "won", "inflow": inflow, "share": share, "mean_days": days}
    for from_stage, order, to_stage, inflow, share, days in [
        ("offer", 3, "won", 0, 0.5, 1.0),
        ("visit", 1, "trial", 100, 0.5, 2.0),
        ("visit", 1, "offer", 100, 0.25, 4.0),
        ("visit", 1, "won", 100, 0.0, None),
        ("trial", 2, "offer", 20, 0.5, 3.0),
        ("trial", 2, "won", 20, 0.0, None),
    ]
]  # fmt: skip
CHAIN = Chain.of(FLOWS)


def test_a_chain_by_hand() -> None:
    # An offer succeeds with 0.5, a trial with 0.25, a visit with 0.5 * 0.25 + 0.25 * 0.5. A visit
    # takes 6 days by a trial (12.5 cases) or 5 without (12.5), a trial 4 (5).
    assert list(CHAIN.moves) == ["visit", "trial", "offer"]
    assert CHAIN.rates == {"visit": 0.75, "trial": 0.5, "offer": 0.5}
    assert expected(CHAIN) == Outcome(30.0, 157.5 / 30)


@pytest.mark.parametrize(
    ("changes", "successes", "days"),
    [
        ({"visit": Change(rate=0.9375)}, 31.25 + 5, 1.25 * 137.5 + 20),
        ({"trial": Change(rate=0.75)}, 31.25 + 7.5, 6 * 18.75 + 5 * 12.5 + 4 * 7.5),
        ({"visit": Change(rate=0.9375), "trial": Change(rate=0.75)}, 46.5625, None),
        ({"trial": Change(days_factor=0.5)}, 30.0, 131.25),
        ({"offer": Change(rate=0.0)}, 0.0, None),
        ({"offer": Change(rate=0.25)}, 15.0, 157.5 / 2),
    ],
)
def test_changes_by_hand(changes: dict[str, Change], successes: float, days: float | None) -> None:
    outcome = expected(CHAIN, changes)
    assert math.isclose(outcome.successes, successes, rel_tol=1e-12)
    if days is not None:
        assert outcome.mean_days is not None
        assert math.isclose(outcome.mean_days * successes, days, rel_tol=1e-12)


def test_two_changes_are_more_than_the_sum_of_each() -> None:
    both = {"visit": Change(rate=0.9375), "trial": Change(rate=0.75)}
    singles = [expected(CHAIN, {stage: change}).successes - 30 for stage, change in both.items()]
    assert (expected(CHAIN, both).successes - 30, sum(singles)) == (16.5625, 15.0)


def test_two_changes_of_one_stage_are_one() -> None:
    both = Change(rate=0.75) & Change(days_factor=0.5)
    assert both == Change(rate=0.75, days_factor=0.5)
    assert Change(rate=0.75) & Change(rate=0.5) == Change(rate=0.5)


def test_days_are_unknown_where_those_of_a_move_are() -> None:
    untimed = [{**flow, "mean_days": None} if flow["share"] == 0.25 else flow for flow in FLOWS]
    assert expected(Chain.of(untimed)) == Outcome(30.0, None)


@pytest.mark.parametrize("rate", [-0.1, 1.4])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        expected(CHAIN, {"visit": Change(rate=rate)})


def test_where_nobody_moved_on_nobody_knows_where_to() -> None:
    stuck = [{**flow, "share": 0.0} if flow["from_stage_id"] == "offer" else flow for flow in FLOWS]
    assert expected(Chain.of(stuck)) == Outcome(0.0, None)
    with pytest.raises(ValueError, match="nobody moved on from offer"):
        expected(Chain.of(stuck), {"offer": Change(rate=0.5)})


def test_many_cases_walk_as_the_recursion_says() -> None:
    """Monte Carlo of the changed chain: each case walks by itself, with times of its own."""
    changes = {"visit": Change(rate=0.9), "trial": Change(rate=0.7, days_factor=0.25)}
    outcome = expected(CHAIN, changes)
    random = np.random.default_rng(20240517)
    copies = 2_000
    chances = {
        stage: [move.share * changes[stage].rate / CHAIN.rates[stage]  # type: ignore[operator]
                if stage in changes else move.share for move in moves]
        for stage, moves in CHAIN.moves.items()
    }  # fmt: skip
    durations: list[float] = []
    for begin, inflow in CHAIN.inflow.items():
        for _ in range(inflow * copies):
            stage, days = begin, 0.0
            while stage != "won":
                draw, moves = random.random(), CHAIN.moves[stage]
                place = int(np.searchsorted(np.cumsum(chances[stage]), draw, side="right"))
                if place == len(moves):
                    break
                factor = changes[stage].days_factor if stage in changes else 1.0
                # Of any distribution only the mean counts.
                days += random.exponential((moves[place].mean_days or 0.0) * factor)
                stage = moves[place].to_stage
            else:
                durations.append(days)
    cases = sum(CHAIN.inflow.values()) * copies
    share = outcome.successes / sum(CHAIN.inflow.values())
    assert abs(len(durations) / cases - share) < 4 * math.sqrt(share * (1 - share) / cases)
    assert outcome.mean_days is not None
    error = float(np.std(durations)) / math.sqrt(len(durations))
    assert abs(float(np.mean(durations)) - outcome.mean_days) < 4 * error

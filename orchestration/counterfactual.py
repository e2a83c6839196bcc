"""What a journey would bring if stages were other than they are: pure Python, no warehouse.

A journey is an absorbing chain of first entries (`fct_stage_flows`): a case moves from a stage
to a later one with the share of those before it, until a success or for good. The mart
`gap_scenarios` computes the same in SQL.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Self


@dataclass(frozen=True)
class Move:
    """From a stage to a later one: the share of its entries, and their mean days."""

    to_stage: str
    share: float
    mean_days: float | None
    is_success: bool


@dataclass(frozen=True)
class Chain:
    """A journey's first entries in one period.

    `moves` and `inflow` (the cases that begin there) have every stage that is passed through,
    in the journey's order.
    """

    moves: Mapping[str, tuple[Move, ...]]
    inflow: Mapping[str, int]

    @classmethod
    def of(cls, flows: Iterable[Mapping[str, Any]]) -> Self:
        """Read the rows of `fct_stage_flows` about one journey."""
        moves: defaultdict[str, list[Move]] = defaultdict(list)
        inflow: dict[str, int] = {}
        for flow in sorted(flows, key=lambda flow: flow["from_stage_order"]):
            stage = flow["from_stage_id"]
            inflow[stage] = flow["inflow"]
            moves[stage].append(
                Move(
                    flow["to_stage_id"],
                    flow["share"] or 0.0,
                    flow["mean_days"],
                    flow["is_success"],
                )
            )
        return cls({stage: tuple(own) for stage, own in moves.items()}, inflow)

    @cached_property
    def rates(self) -> dict[str, float]:
        """Share of each stage's entries that moves on."""
        return {stage: sum(move.share for move in own) for stage, own in self.moves.items()}


@dataclass(frozen=True)
class Change:
    """What becomes of a stage: its rate (None: as it is), and its days times a factor."""

    rate: float | None = None
    days_factor: float = 1.0

    def __and__(self, other: "Change") -> "Change":
        """Both changes of one stage; of two rates the other's."""
        rate = self.rate if other.rate is None else other.rate
        return Change(rate, self.days_factor * other.days_factor)


@dataclass(frozen=True)
class Outcome:
    """Successes expected of the inflow; mean days to one, None where a move's are unknown."""

    successes: float
    mean_days: float | None


def expected(chain: Chain, changes: Mapping[str, Change] | None = None) -> Outcome:
    """Return what the chain brings, with the stages in `changes` changed.

    A changed rate keeps where the cases of the stage go to: its shares grow or shrink alike.
    Raises ValueError for a rate that is none, or where nobody shows where the cases would go.
    """
    factors = {
        stage: _rate_factor(chain, stage, change.rate) for stage, change in (changes or {}).items()
    }

    @cache
    def ahead(stage: str) -> tuple[float, float]:
        """Of a case in the stage: its chance to succeed, and that times the days until then."""
        change = (changes or {}).get(stage, Change())
        chance = days = 0.0
        for move in chain.moves[stage]:
            share = move.share * factors.get(stage, 1.0)
            chance_then, days_then = (1.0, 0.0) if move.is_success else ahead(move.to_stage)
            chance += share * chance_then
            took = (move.mean_days or 0.0) * change.days_factor
            days += share * (took * chance_then + days_then)
        return chance, days

    successes = sum(inflow * ahead(stage)[0] for stage, inflow in chain.inflow.items())
    days = sum(inflow * ahead(stage)[1] for stage, inflow in chain.inflow.items())
    is_timed = all(
        move.mean_days is not None for own in chain.moves.values() for move in own if move.share
    )
    return Outcome(successes, days / successes if is_timed and successes else None)


def _rate_factor(chain: Chain, stage: str, rate: float | None) -> float:
    if rate is None:
        return 1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{rate:.0%} is no rate")
    if not chain.rates[stage]:
        raise ValueError(f"nobody moved on from {stage}, so nobody knows where to")
    return rate / chain.rates[stage]

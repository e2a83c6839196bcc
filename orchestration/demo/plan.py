"""What is planted in the demo, and what the ranking must say of it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any

import numpy as np

from orchestration.journey_map import Benchmark, load_journey_map
from orchestration.settings import PROJECT_DIR

# Time is local; the last day is included.
BEGIN, END = date(2025, 7, 1), date(2026, 6, 30)
DAYS = (END - BEGIN).days + 1
TIME_ZONE = "Europe/Berlin"

# The values of each dimension, with a share of the customers.
DIMENSIONS: Mapping[str, Mapping[str, float]] = {
    "acquisition_channel": {"organic": 0.35, "ads": 0.25, "referral": 0.2, "partner": 0.2},
    "region": {"dach": 0.4, "nordics": 0.25, "benelux": 0.2, "uk": 0.15},
    "industry": {"software": 0.35, "retail": 0.25, "logistics": 0.25, "health": 0.15},
}

# Shares of the sign-ups: one in twenty was never seen before (ad blockers).
UNTRACKED, CREATES_WORKSPACE, SELECTS_PLAN = 0.05, 0.85, 0.6


@dataclass(frozen=True)
class Segment:
    """The customers who explain most of the gap at one stage: `share` of all, `rate` there."""

    dimension: str
    value: str
    share: float
    stage_id: str
    rate: float


@dataclass(frozen=True)
class Experiment:
    """Two arms of one size, assigned from `begin` to `end`, `effect` in points at a stage."""

    experiment_id: str
    stage_id: str
    treated_arm: str
    begin: date
    end: date
    effect: float


@dataclass(frozen=True)
class Plan:
    """The planted figures. Rates are conversion rates by stage, times medians in days.

    Attributes:
        leads: sign-ups in the twelve months.
        rates: of a stage's entries, the share that goes on within the window.
        days: until half of a stage's entries have left it for any reason.
        segment: explains most of the gap at its stage; the rest has the rate that makes up
            the stage's own.
    """

    leads: int = 3000
    rates: Mapping[str, float] = field(
        default_factory=lambda: {
            "visited": 0.45,
            "signed_up": 0.40,
            "contacted": 0.70,
            "meeting_booked": 0.80,
            "first_conversation": 0.75,
            "offer_sent": 0.10,
            "workspace_created": 0.80,
            "data_connected": 0.64,
            "first_report": 0.72,
            "plan_selected": 0.86,
            "payment_details": 0.85,
            "order_review": 0.94,
        }
    )
    days: Mapping[str, float] = field(
        default_factory=lambda: {"meeting_booked": 5.0, "data_connected": 2.0}
    )
    segment: Segment = Segment("acquisition_channel", "partner", 0.3, "signed_up", 0.08)

    # Leads that wait in the queue between marketing and sales, and those that do not.
    queue_days: float = 6.0
    direct_days: float = 1.0

    # Support: episodes with a second call within 24 hours, satisfied customers after each.
    repeat_share: float = 0.25
    csat_after_repeat: float = 0.61
    csat_otherwise: float = 0.89
    promoters: float = 0.46
    detractors: float = 0.24
    mean_effort: float = 5.4

    # On mobile devices, payment sent customers back to the plans.
    loop_begin: date = date(2026, 1, 12)
    loop_end: date = date(2026, 2, 8)
    loop_rate: float = 0.40

    # Of the subscribers: used the product 30 to 60 days later, left or referred within 90.
    retention: float = 0.70
    churn: float = 0.15
    referral: float = 0.10

    experiments: tuple[Experiment, ...] = (
        Experiment(
            *("onboarding_checklist", "data_connected", "checklist"),
            *(date(2025, 11, 3), date(2026, 3, 29), 0.12),
        ),
        Experiment(
            *("welcome_call", "workspace_created", "call"),
            *(date(2026, 1, 5), date(2026, 4, 26), 0.0),
        ),
    )

    @property
    def csat(self) -> float:
        """Satisfied share of all who answer."""
        return (
            self.repeat_share * self.csat_after_repeat
            + (1 - self.repeat_share) * self.csat_otherwise
        )

    @property
    def dimensions(self) -> dict[str, dict[str, float]]:
        """Shares of each dimension's values, the planted segment's included."""
        shares = {dimension: dict(values) for dimension, values in DIMENSIONS.items()}
        own = shares[self.segment.dimension]
        own_share = own.pop(self.segment.value)
        for value, share in own.items():
            own[value] = share * (1 - self.segment.share) / (1 - own_share)
        own[self.segment.value] = self.segment.share
        return shares

    @property
    def rate_outside(self) -> float:
        """Rate of the customers outside the segment, at its stage."""
        segment = self.segment
        whole = self.rates[segment.stage_id]
        return (whole - segment.share * segment.rate) / (1 - segment.share)

    def lags(self) -> dict[str, float]:
        """Benchmark ÷ planted rate for each stage."""
        return {stage: row.value / self.rates[stage] for stage, row in rate_benchmarks().items()}

    def lagging_stages(self) -> list[str]:
        """Stages planted below their benchmark, the worst first."""
        lags = {stage: lag for stage, lag in self.lags().items() if lag > 1.1}
        return sorted(lags, key=lambda stage: -lags[stage])

    def share_of_gap(self) -> float:
        """Share of the gap at the segment's stage that lies in the segment."""
        segment = self.segment
        benchmark = rate_benchmarks()[segment.stage_id].value
        gap = benchmark - self.rates[segment.stage_id]
        return segment.share * (benchmark - segment.rate) / gap

    def entries(self, days: float = 91) -> dict[str, float]:
        """Expected entries of each stage in so many days (default: trailing 13 weeks)."""
        sign_ups = self.leads * days / DAYS
        reached = {"visited": (1 - UNTRACKED) * sign_ups / self.rates["visited"]}
        for first, size, stages in (
            ("signed_up", 1 - UNTRACKED, _LEAD_STAGES),
            ("workspace_created", CREATES_WORKSPACE, _ONBOARDING_STAGES),
        ):
            entered = sign_ups * size
            for stage in stages[stages.index(first) :]:
                reached[stage] = entered
                entered *= self.rates[stage]
        entered = reached["first_report"] * SELECTS_PLAN
        for stage in _CHECKOUT_STAGES:
            reached[stage] = entered
            entered *= self.rates[stage]
        return reached

    def truth(self) -> dict[str, Any]:
        """All planted figures and what the ranking must say, for JSON."""
        rates, times = rate_benchmarks(), time_benchmarks()
        entries, lags = self.entries(), self.lags()
        lagging = self.lagging_stages()
        slow = [stage for stage, row in times.items() if self.days[stage] > 1.1 * row.value]
        plain = {
            key: value
            for key, value in asdict(self).items()
            if key not in ("leads", "rates", "days", "segment", "experiments")
        }
        return {
            "period": {"begin": str(BEGIN), "end": str(END), "time_zone": TIME_ZONE},
            "leads": self.leads,
            "conversion_rates": {
                stage: {
                    "journey_id": row.journey_id,
                    "rate": self.rates[stage],
                    "benchmark_id": row.benchmark_id,
                    "benchmark": row.value,
                    "lag": round(lags[stage], 3),
                    "expected_entries_in_13_weeks": round(entries[stage]),
                }
                for stage, row in rates.items()
            },
            "days_in_stage": {
                stage: {
                    "journey_id": row.journey_id,
                    "median": self.days[stage],
                    "benchmark_id": row.benchmark_id,
                    "benchmark": row.value,
                }
                for stage, row in times.items()
            },
            "segment": {
                **asdict(self.segment),
                "rate_outside": round(self.rate_outside, 4),
                "share_of_gap": round(self.share_of_gap(), 3),
            },
            "unowned_touchpoint": "lead_routing",
            "csat": round(self.csat, 4),
            "experiments": [
                {**asdict(experiment), "begin": str(experiment.begin), "end": str(experiment.end)}
                for experiment in self.experiments
            ],
            **{
                key: str(value) if isinstance(value, date) else value
                for key, value in plain.items()
            },
            "expected_ranking": {
                "lag_rank": [rates[stage].benchmark_id for stage in lagging],
                "lagging": sorted(
                    [rates[stage].benchmark_id for stage in lagging]
                    + [times[stage].benchmark_id for stage in slow]
                ),
            },
        }

    @classmethod
    def draw(cls, seed: int) -> "Plan":
        """A plan at random: the worst stage, a second one and its segment, times and sizes.

        All other rates are at their benchmark. Plans whose gaps so few leads cannot show are
        drawn again.
        """
        return next(plan for plan in _drawn(np.random.default_rng(seed)) if _is_seen(plan))


_LEAD_STAGES = (
    *("visited", "signed_up", "contacted", "meeting_booked", "first_conversation", "offer_sent"),
)
_ONBOARDING_STAGES = ("workspace_created", "data_connected", "first_report")
_CHECKOUT_STAGES = ("plan_selected", "payment_details", "order_review")
# The experiment and the loop change the rates of the others.
_DRAWABLE = (*_LEAD_STAGES, "workspace_created", "first_report", "plan_selected", "order_review")


@cache
def _benchmarks() -> tuple[Benchmark, ...]:
    rows = load_journey_map(PROJECT_DIR / "seeds" / "journey_map").rows(Benchmark)
    return tuple(row for row in rows if row.segment_dimension == "all")


def rate_benchmarks() -> dict[str, Benchmark]:
    """Stage -> benchmark of its conversion rate, from the default map."""
    return {row.stage_id: row for row in _benchmarks() if row.metric_id == "conversion_rate"}


def time_benchmarks() -> dict[str, Benchmark]:
    """Stage -> benchmark of its median time, from the default map."""
    return {row.stage_id: row for row in _benchmarks() if row.metric_id == "time_in_stage_p50"}


def _drawn(rng: np.random.Generator) -> Iterator[Plan]:
    desired = {stage: row.value for stage, row in rate_benchmarks().items()}
    # Once: a stage whose plans are seldom seen would else seldom be the worst.
    worst = str(rng.choice(_DRAWABLE))
    while True:
        second = str(rng.choice([stage for stage in _DRAWABLE if stage != worst]))
        rates = {
            **desired,
            worst: round(desired[worst] / rng.uniform(1.9, 3.2), 3),
            second: round(desired[second] / rng.uniform(1.25, 1.5), 3),
        }
        if second == "visited":  # nobody knows an anonymous visitor's segment
            continue
        dimension = str(rng.choice(list(DIMENSIONS)))
        share = round(rng.uniform(0.25, 0.4), 3)
        gap = desired[second] - rates[second]
        segment = Segment(
            dimension,
            str(rng.choice(list(DIMENSIONS[dimension]))),
            share,
            second,
            round(desired[second] - rng.uniform(0.7, 0.85) * gap / share, 3),
        )
        plan = replace(
            Plan(),
            leads=int(rng.integers(1200, 2400)),
            rates=rates,
            days={
                **{stage: row.value for stage, row in time_benchmarks().items()},
                # Whole days: the rhythm of day and night bends the others by up to a tenth.
                "meeting_booked": float(rng.integers(3, 6)),
            },
            segment=segment,
        )
        if segment.rate >= 0.02 and plan.rate_outside < 0.98:
            yield plan


def _is_seen(plan: Plan) -> bool:
    """Whether 13 weeks are enough: three standard errors, and clusters to spare."""
    entries = plan.entries()
    for stage in plan.lagging_stages():
        rate, desired = plan.rates[stage], rate_benchmarks()[stage].value
        error = (desired * (1 - desired) / entries[stage]) ** 0.5
        if desired - rate < 3.5 * error or entries[stage] < 60:
            return False
    return min(entries.values()) >= 45

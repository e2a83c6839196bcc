"""The question behind `journey-gaps what-if`: which stages become what, and what that brings.

Answers come from the publication alone; the arithmetic is in `counterfactual`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any, Literal, Self

from orchestration.counterfactual import Chain, Change, expected
from orchestration.errors import JourneyGapsError

RATE_METRIC = "conversion_rate"
TIME_METRICS = ("time_to_advance_p50", "time_in_stage_p50")
BENCHMARK_KINDS = ("industry", "target", "own_past")
GOALS = f"benchmark, {', '.join(BENCHMARK_KINDS)}, a rate (60% or 0.6) or days (2d)"
# Engines round in different orders: a relative difference below this is none.
NOISE = 1e-9

Record = Mapping[str, Any]


class QuestionError(JourneyGapsError):
    """A question about what is not there, or to a value that cannot be."""


@dataclass(frozen=True)
class Facts:
    """What is published: rows of `dim_journeys`, `dim_stages`, `fct_stage_flows`, the totals of
    `gap_ranking`, `gap_scenarios` as it is, and the latest median times to advance (days).
    """

    journeys: Sequence[Record]
    stages: Sequence[Record]
    flows: Sequence[Record]
    gaps: Sequence[Record]
    scenarios: Sequence[Record]
    medians: Sequence[Record]


@dataclass(frozen=True)
class Goal:
    """What stages shall become: a benchmark (of a kind, or any), a rate or a median in days."""

    kind: Literal["benchmark", "rate", "days"]
    value: float = 0.0
    benchmark_kind: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read benchmark, a kind of benchmarks, 60%, 0.6 or 2d; raises QuestionError."""
        given = text.strip().lower()
        if given == "benchmark":
            return cls("benchmark")
        if given in BENCHMARK_KINDS:
            return cls("benchmark", benchmark_kind=given)
        match = re.fullmatch(r"(-?\d*\.?\d+)\s*(%|d|days?)?", given)
        if match is None:
            raise QuestionError(f"'{text}' is no goal: write {GOALS}")
        value, unit = float(match[1]), match[2]
        if unit in (None, "%"):
            rate = value / 100 if unit else value
            if rate < 0:
                raise QuestionError(f"a rate of {text} is less than nobody")
            if rate > 1:
                hint = "" if unit else f"; write {value:g}% or {value:g}d if you mean that"
                raise QuestionError(f"a rate of {text} is more than everybody{hint}")
            return cls("rate", rate)
        if value < 0:
            raise QuestionError(f"a time of {text} ends before it begins")
        return cls("days", value)


@dataclass(frozen=True)
class Lever:
    """One change of one stage: what it is now, what it becomes, and what says so.

    `actual` and `desired` are a rate or a median in days; `cautious` is the change if the stage
    were at the end of its interval nearest the benchmark, None where nobody measured.
    """

    stage_id: str
    metric_id: str
    actual: float
    desired: float
    change: Change
    cautious: Change | None
    benchmark_kind: str | None = None
    gap_id: str | None = None
    verdict: str | None = None

    @property
    def is_rate(self) -> bool:
        """Whether it changes the rate; else the time."""
        return self.metric_id == RATE_METRIC

    @property
    def pull(self) -> float:
        """How far the goal is away: 1 is reached, more is further."""
        if self.is_rate:
            return self.desired / self.actual
        return self.actual / self.desired if self.desired else float("inf")


@dataclass(frozen=True)
class Scenario:
    """What some changes together bring, in the words of `gap_scenarios`; none is as it is."""

    levers: tuple[Lever, ...]
    successes: float
    added_successes: float
    cautious_added_successes: float | None
    sum_of_single_effects: float
    value: float | None
    added_value: float | None
    mean_days_to_success: float | None
    saved_days: float | None


@dataclass(frozen=True)
class Answer:
    """The scenarios of one question, as it is first; notes say what a reader should know."""

    journey_id: str
    period_start: date
    period_end: date
    inflow: int
    observed_successes: int
    mean_success_value: float | None
    currency: str | None
    scenarios: list[Scenario]
    notes: list[str]

    def record(self) -> dict[str, Any]:
        """All of it as plain values."""
        content = asdict(self)
        for scenario in content["scenarios"]:
            for lever in scenario["levers"]:
                del lever["change"], lever["cautious"]
        return content


def answer(
    facts: Facts,
    stages: Sequence[str],
    goals: Sequence[Goal],
    journey_id: str | None = None,
    *,
    all_gaps: bool = False,
) -> Answer:
    """Compute the journey as it is, with each change alone, and with all together.

    `goals` are one for all `stages` or one each; `all_gaps` closes each lagging gap instead.
    Raises QuestionError, and JourneyGapsError where the publication cannot answer.
    """
    if bool(stages) == all_gaps:
        raise QuestionError("say which stages (--stage) or all that lag (--all), not both")
    if not all_gaps and len(goals) not in (1, len(stages)):
        raise QuestionError(
            f"--stage is given {len(stages)} and --to {len(goals)} times: "
            "give one goal for all, or one each"
        )
    journey_id = journey_id or _journey_of(facts, stages)
    chain = _chain(facts, journey_id)
    notes: list[str] = []
    if all_gaps:
        levers = list(_lagging(facts, journey_id, chain))
        if not levers:
            notes.append(f"no gap of {journey_id} lags that this could close")
    else:
        each = goals if len(goals) > 1 else [*goals] * len(stages)
        levers = []
        for stage, goal in zip(stages, each, strict=True):
            _require_stage(facts, journey_id, stage)
            levers += _levers(facts, journey_id, chain, stage, goal, notes)
    for lever in levers:
        if sum(_same(lever, other) for other in levers) > 1:
            what = "rate" if lever.is_rate else "time"
            raise QuestionError(f"the {what} of {lever.stage_id} is given twice")
    (as_is,) = (row for row in facts.scenarios if row["journey_id"] == journey_id)
    return Answer(
        journey_id,
        as_is["period_start"],
        as_is["period_end"],
        as_is["inflow"],
        as_is["observed_successes"],
        as_is["mean_success_value"],
        as_is["currency"],
        list(_scenarios(chain, levers, as_is["mean_success_value"])),
        notes,
    )


def _scenarios(chain: Chain, levers: Sequence[Lever], worth: float | None) -> Iterator[Scenario]:
    before = expected(chain)
    singles = {lever: expected(chain, {lever.stage_id: lever.change}) for lever in levers}
    effects = {
        lever: _difference(outcome.successes, before.successes)
        for lever, outcome in singles.items()
    }
    sets: list[tuple[Lever, ...]] = [(), *((lever,) for lever in levers)]
    for chosen in [*sets, tuple(levers)] if len(levers) > 1 else sets:
        outcome = expected(chain, _changes((lever.stage_id, lever.change) for lever in chosen))
        added = _difference(outcome.successes, before.successes)
        cautious = [(lever.stage_id, lever.cautious) for lever in chosen if lever.cautious]
        at_least = None
        if len(cautious) == len(chosen):
            successes = expected(chain, _changes(cautious)).successes
            at_least = _difference(successes, before.successes)
        saved = None
        if before.mean_days is not None and outcome.mean_days is not None:
            saved = _difference(before.mean_days, outcome.mean_days)
        yield Scenario(
            chosen,
            outcome.successes,
            added,
            at_least,
            sum(effects[lever] for lever in chosen),
            None if worth is None else outcome.successes * worth,
            None if worth is None else added * worth,
            outcome.mean_days,
            saved,
        )


def _changes(pairs: Iterable[tuple[str, Change]]) -> dict[str, Change]:
    changes: dict[str, Change] = {}
    for stage, change in pairs:
        changes[stage] = changes[stage] & change if stage in changes else change
    return changes


def _difference(figure: float, other: float) -> float:
    return 0.0 if abs(figure - other) <= NOISE * abs(other) else figure - other


def _same(lever: Lever, other: Lever) -> bool:
    return (lever.stage_id, lever.is_rate) == (other.stage_id, other.is_rate)


def _levers(
    facts: Facts, journey_id: str, chain: Chain, stage: str, goal: Goal, notes: list[str]
) -> Iterator[Lever]:
    rate = chain.rates[stage]
    if not rate:
        raise JourneyGapsError(
            f"nobody moved on from {stage} in the period, so nobody knows where to"
        )
    match goal.kind:
        case "rate":
            yield Lever(stage, RATE_METRIC, rate, goal.value, Change(rate=goal.value), None)
        case "days":
            median = next(
                (row["value"] for row in facts.medians if _is_about(row, journey_id, stage)), None
            )
            if not median:
                raise JourneyGapsError(
                    f"the median time to advance from {stage} is not known, so no other can be "
                    "compared with it"
                )
            change = Change(days_factor=goal.value / median)
            yield Lever(stage, TIME_METRICS[0], median, goal.value, change, change)
        case "benchmark":
            rows = _comparable(facts, journey_id, stage, goal.benchmark_kind)
            found = [lever for lever in (_to_benchmark(chain, row) for row in rows) if lever]
            for is_rate in (True, False):
                own = [lever for lever in found if lever.is_rate == is_rate]
                lagging = [lever for lever in own if lever.verdict == "lagging"]
                if lever := _furthest(lagging or own):
                    notes += _notes(lever)
                    if lever.pull > 1:
                        yield lever


def _comparable(
    facts: Facts, journey_id: str, stage: str, benchmark_kind: str | None
) -> list[Record]:
    """Rows of the ranking about a stage that a scenario can close; an error says why none can."""
    rows = [
        row
        for row in facts.gaps
        if _is_about(row, journey_id, stage)
        and row["metric_id"] in (RATE_METRIC, *TIME_METRICS)
        and (row["benchmark_kind"] == benchmark_kind if benchmark_kind else _is_sought(row))
    ]
    what = benchmark_kind or "benchmark"
    if not rows:
        raise JourneyGapsError(
            f"no {what} of the rate or the time of {stage} in {journey_id}: "
            "add it to benchmarks.csv, or say --to own_past, --to 60% or --to 2d"
        )
    usable = [
        row
        for row in rows
        if row["verdict"] != "definition_mismatch"
        and row["value"]
        and row["benchmark_value"] is not None
    ]
    if not usable:
        verdicts = ", ".join(f"{row['benchmark_id']}: {row['verdict']}" for row in rows)
        raise JourneyGapsError(f"{stage} cannot be compared with its {what} ({verdicts})")
    return usable


def _is_sought(gap: Record) -> bool:
    """Whether plain `benchmark` means it: a stage's own past, which each has, where it lags."""
    return bool(gap["benchmark_kind"] != "own_past" or gap["verdict"] == "lagging")


def _to_benchmark(chain: Chain, gap: Record) -> Lever | None:
    """The change that takes a stage to a benchmark, and never away from it: gap_levers in SQL."""
    stage, desired = gap["stage_id"], gap["benchmark_value"]
    known = (gap["benchmark_kind"], gap["gap_id"], gap["verdict"])
    rate = chain.rates[stage]
    if not rate or not gap["value"]:
        return None
    if gap["metric_id"] == RATE_METRIC:
        cautious = rate * desired / max(rate, gap["ci_high"])
        return Lever(
            stage,
            RATE_METRIC,
            rate,
            desired,
            Change(rate=max(rate, min(desired, 1.0))),
            Change(rate=max(rate, min(cautious, 1.0))),
            *known,
        )
    change = Change(days_factor=min(1.0, desired / gap["value"]))
    return Lever(stage, gap["metric_id"], gap["value"], desired, change, change, *known)


def _furthest(levers: Sequence[Lever]) -> Lever | None:
    """Who reaches the furthest benchmark has reached the others."""
    return min(levers, key=lambda lever: (-lever.pull, lever.gap_id or ""), default=None)


def _notes(lever: Lever) -> Iterator[str]:
    what = "rate" if lever.is_rate else "time"
    if lever.pull <= 1:
        yield (
            f"the {what} of {lever.stage_id} is not behind its benchmark "
            f"({lever.benchmark_kind}) and stays as it is"
        )
    elif lever.verdict != "lagging":
        yield (
            f"that the {what} of {lever.stage_id} is behind its benchmark "
            f"({lever.benchmark_kind}) may be chance: the verdict is {lever.verdict}"
        )


def _lagging(facts: Facts, journey_id: str, chain: Chain) -> Iterator[Lever]:
    for stage in chain.moves:
        for metrics in ((RATE_METRIC,), TIME_METRICS):
            levers = [
                _to_benchmark(chain, row)
                for row in facts.gaps
                if _is_about(row, journey_id, stage)
                and row["metric_id"] in metrics
                and row["verdict"] == "lagging"
            ]
            if lever := _furthest([lever for lever in levers if lever]):
                yield lever


def _is_about(row: Record, journey_id: str, stage: str) -> bool:
    return bool(row["journey_id"] == journey_id and row["stage_id"] == stage)


def _journey_of(facts: Facts, stages: Sequence[str]) -> str:
    """The one journey that the stages, or the only chain, leave no doubt about."""
    names = [str(row["journey_id"]) for row in facts.journeys]
    if stages:
        for stage in stages:
            if all(row["stage_id"] != stage for row in facts.stages):
                raise QuestionError(_unknown("stage", stage, _stage_names(facts)))
        having = [name for name in names if {*stages} <= {*_stage_names(facts, name)}]
    else:
        having = sorted({row["journey_id"] for row in facts.flows})
    if not having:
        raise QuestionError(f"no journey has all of {', '.join(stages)}")
    if len(having) > 1:
        raise QuestionError(f"say which journey (--journey): {', '.join(having)}")
    return having[0]


def _chain(facts: Facts, journey_id: str) -> Chain:
    modes = {row["journey_id"]: row["order_mode"] for row in facts.journeys}
    if journey_id not in modes:
        raise QuestionError(_unknown("journey", journey_id, list(modes)))
    flows = [row for row in facts.flows if row["journey_id"] == journey_id]
    if modes[journey_id] == "any":
        raise JourneyGapsError(
            f"the stages of {journey_id} come in any order (order_mode any): none lies ahead of "
            "another, so there is no chain to compute"
        )
    if not flows:
        raise JourneyGapsError(
            f"{journey_id} has no 13 weeks yet that are mature for each of its stages"
        )
    return Chain.of(flows)


def _require_stage(facts: Facts, journey_id: str, stage: str) -> None:
    kinds = {
        row["stage_id"]: row["stage_kind"]
        for row in facts.stages
        if row["journey_id"] == journey_id
    }
    if stage not in kinds:
        raise QuestionError(_unknown("stage", stage, list(kinds), f" in {journey_id}"))
    if kinds[stage] != "progress":
        raise QuestionError(f"{stage} ends {journey_id}: nothing moves on from it")


def _stage_names(facts: Facts, journey_id: str | None = None) -> list[str]:
    return [row["stage_id"] for row in facts.stages if journey_id in (None, row["journey_id"])]


def _unknown(kind: str, name: str, known: Sequence[str], place: str = "") -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(dict.fromkeys(known))}"
    return f"no {kind} '{name}'{place}: {hint}"

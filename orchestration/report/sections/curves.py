"""How long cases stay in each stage: survival curves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import inf

from orchestration.report.charts import curves as charts
from orchestration.report.charts.curves import Point, Quantile
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import TRAILING, Gap, Journey, Metric, Publication, Stage
from orchestration.report.words import (
    BENCHMARK_KINDS,
    MEDIAN_TIME,
    NBSP,
    count,
    counted,
    days,
    in_words,
    interval,
    measured,
    percent,
    percents,
    period,
    verdict_of,
)

TITLE = "How long they stay, stage by stage"
_US_A_DAY = 86_400e6
_PERCENTS = {50: "Half", 75: "Three quarters", 90: "Nine in ten"}
# The slowest stage's axis may be so many times the fastest's before each gets its own.
_COMMON_SPREAD = 6
# Where the table tells the share left, in days: for axes up to so many days.
_TOLD: tuple[tuple[float, Sequence[float]], ...] = (
    (3 / 24, (15 / 1440, 30 / 1440, 1 / 24, 1)),
    (3, (1 / 24, 0.25, 1, 7)),
    (45, (1, 7, 14, 30)),
    (inf, (7, 30, 60, 90)),
)
# Sentences about the completers only, those that differ most.
_CONTRASTS = 3
_MUCH = 1.2


@dataclass(frozen=True)
class CurvePoint:
    """A row of fct_survival_curves about leaving a stage; times in microseconds."""

    journey_id: str
    stage_id: str
    period_grain: str
    period_start: date
    duration_us: int
    at_risk: int
    survival: float
    survival_low: float
    survival_high: float | None


@dataclass(frozen=True)
class TimeMeasure:
    """A quantile of the time in a stage, of its total, beside that of completers only."""

    journey_id: str
    stage_id: str
    metric_id: str
    period_grain: str
    period_start: date
    period_end: date
    n: int
    numerator: float | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    naive_value: float | None


@dataclass(frozen=True)
class StageCurve:
    """The curve of a stage over one period, with its quantiles by percent and benchmarks."""

    stage: Stage
    name: str
    points: Sequence[Point]
    times: Mapping[int, TimeMeasure]
    benchmarks: Sequence[Gap]

    @property
    def median(self) -> TimeMeasure:
        """The measure of the median, which also carries n and the period."""
        return self.times[50]

    @property
    def quantiles(self) -> list[Quantile]:
        """Those that were reached."""
        return [
            Quantile(part, time.value)
            for part, time in self.times.items()
            if time.value is not None
        ]

    @property
    def drawn(self) -> list[Gap]:
        """The benchmarks of leaving; those of going on measure something else."""
        return [gap for gap in self.benchmarks if _is_of_leaving(gap)]

    @property
    def known_to(self) -> float:
        """Days up to which the share is known: everybody has been followed for the window."""
        return max(self.points[-1].days, float(self.stage.conversion_window_days or 0))

    @property
    def reach(self) -> float:
        """Days that an axis needs to show nearly all of the fall, and room for the labels."""
        bottom = 1 - 0.95 * (1 - self.points[-1].share)
        fall = next(point.days for point in self.points if point.share <= bottom)
        end = max([fall * 1.1, *(quantile.days * 1.1 for quantile in self.quantiles)])
        marks = [gap.benchmark_value * 1.1 for gap in self.drawn]
        return max([end, *(mark for mark in marks if mark <= 3 * end)])

    def at(self, time: float) -> Point | None:
        """What is known after so many days; None before anybody left."""
        return next((point for point in reversed(self.points) if point.days <= time), None)


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block:
    """A curve per stage, of the last mature weeks or, without them, of all mature weeks."""
    shown = [
        (number, called.stage(stage.journey_id, stage.stage_id), curve)
        for number, (stage, curve) in enumerate(
            _curves(publication, journey, called).items(), start=1
        )
    ]
    known = [curve for _, _, curve in shown if curve is not None]
    metric = publication.metrics.get(MEDIAN_TIME)
    if not known or metric is None:
        return Block(
            TITLE,
            empty="No time in a stage is known yet: it takes visits that began in a whole week "
            "whose window is over. Land older data, or run again when the window has passed.",
        )
    reaches = [curve.reach for curve in known]
    is_common = max(reaches) <= _COMMON_SPREAD * min(reaches)
    kinds = {gap.benchmark_kind for curve in known for gap in curve.drawn}
    return Block(
        title=TITLE,
        note=f"A curve begins at 100{NBSP}% and falls as cases leave the stage, for any reason. "
        "Those still in it count as still waiting (Kaplan-Meier), neither as finished nor as lost. "
        + (
            "All stages have one time axis."
            if is_common
            else "The stages differ so much that each has a time axis of its own: mind its unit."
        ),
        keys=[
            Key("curve", f"share still in the stage, 95{NBSP}% interval"),
            Key("quantile", "half, three quarters, nine in ten have left (p50, p75, p90)"),
            *(Key(f"line_{kind}", name) for kind, name in BENCHMARK_KINDS.items() if kind in kinds),
        ],
        figures=[
            _figure(
                curve,
                metric,
                f"{section}-curve-{number}",
                max(reaches) if is_common else curve.reach,
            )
            if curve
            else Figure(
                f"{section}-curve-{number}",
                name,
                empty="Nobody entered this stage in a whole week whose window is over.",
            )
            for number, name, curve in shown
        ],
        sentences=_contrasts(known),
        is_grid=True,
    )


def _curves(
    publication: Publication, journey: Journey, called: Names
) -> dict[Stage, StageCurve | None]:
    """Per progress stage, in order; None where nothing is known of it."""
    points: dict[tuple[str, str, str], list[CurvePoint]] = defaultdict(list)
    for point in publication.rows(CurvePoint, _POINTS):
        points[point.journey_id, point.stage_id, point.period_grain].append(point)
    times: dict[tuple[str, str, str, date], dict[int, TimeMeasure]] = defaultdict(dict)
    for time in publication.rows(TimeMeasure, _TIMES):
        key = (time.journey_id, time.stage_id, time.period_grain, time.period_start)
        times[key][charts.percent_of(time.metric_id)] = time
    curves: dict[Stage, StageCurve | None] = {}
    for stage in publication.progress_stages(journey):
        place = (stage.journey_id, stage.stage_id)
        curves[stage] = None
        for grain in (TRAILING, "all"):
            rows = points[*place, grain]
            if not rows:
                continue
            measures = times[*place, grain, rows[0].period_start]
            if 50 in measures:
                curves[stage] = StageCurve(
                    stage=stage,
                    name=called.stage(*place),
                    points=[_point(row) for row in rows],
                    times=measures,
                    benchmarks=_benchmarks(publication.gaps, stage),
                )
                break
    return curves


def _point(row: CurvePoint) -> Point:
    return Point(
        days=row.duration_us / _US_A_DAY,
        share=row.survival,
        low=row.survival_low,
        high=row.survival_high,
        at_risk=row.at_risk,
    )


def _benchmarks(gaps: Iterable[Gap], stage: Stage) -> list[Gap]:
    """Given times of the stage's total; the own past is a curve of its own, not a mark."""
    return [
        gap
        for gap in gaps
        if (gap.journey_id, gap.stage_id) == (stage.journey_id, stage.stage_id)
        and gap.metric_id.startswith(("time_in_stage_p", "time_to_advance_p"))
        and gap.is_total
        and gap.is_given
        and gap.touchpoint_id is None
        and gap.verdict != "definition_mismatch"
    ]


def _figure(curve: StageCurve, metric: Metric, chart_id: str, edge: float) -> Figure:
    median = curve.median
    last = curve.points[-1]
    rest = (
        f"{percent(last.share)} are still there after {days(curve.known_to)}"
        if last.share
        else f"all have left after {days(last.days)}"
    )
    goals = "".join(f"; {_goal(gap)}" for gap in curve.benchmarks)
    facts = f"{_left(curve, metric)}; {rest}{goals}"
    when = f"{counted(median.n, 'visit')} begun {period(median.period_start, median.period_end)}"
    return Figure(
        chart_id,
        title=curve.name,
        caption=f"{in_words(facts)}. n = {when}. Source: fct_survival_curves, fct_measures"
        f"{', gap_ranking' if curve.benchmarks else ''}.",
        label=f"Share still in {curve.name} by the time since the entry, n = {when}: {facts}.",
        table=_table(curve, metric, edge),
        spec=charts.curve(
            charts.within(
                charts.thinned(curve.points, {quantile.days for quantile in curve.quantiles}),
                edge,
                curve.known_to,
            ),
            curve.quantiles,
            [gap for gap in curve.drawn if gap.benchmark_value <= edge],
            edge,
        ),
    )


def _goal(gap: Gap) -> str:
    kind = BENCHMARK_KINDS.get(gap.benchmark_kind, gap.benchmark_kind)
    share = _PERCENTS[charts.percent_of(gap.metric_id)].lower()
    move = "leave" if _is_of_leaving(gap) else "go on (not drawn: the curve is of leaving)"
    verdict = verdict_of(gap.verdict).word
    return f"{kind} by which {share} should {move} {days(gap.benchmark_value)}, {verdict}"


def _is_of_leaving(gap: Gap) -> bool:
    return gap.metric_id.startswith("time_in_stage_p")


def _left(curve: StageCurve, metric: Metric) -> str:
    """By when half, three quarters and nine in ten have left, as far as they have."""
    parts = []
    for part, time in sorted(curve.times.items()):
        share = _PERCENTS[part].lower()
        if time.value is None:
            parts.append(f"fewer than {share} have left by {days(curve.known_to)}")
            break
        parts.append(f"{share} have left after {measured(time.value, metric)}")
    return "; ".join(parts)


def _table(curve: StageCurve, metric: Metric, edge: float) -> Table:
    """Times by which shares have left, then shares left after times."""
    rows = [
        [
            f"{_PERCENTS[part]} have left after (p{part})",
            measured(time.value, metric),
            interval(time.ci_low, time.ci_high, metric),
            count(time.n),
        ]
        for part, time in sorted(curve.times.items())
    ]
    if curve.median.naive_value is not None:
        rows.append(
            [
                "The same for half of those who left, alone",
                days(curve.median.naive_value),
                "",
                count(curve.median.numerator or 0),
            ]
        )
    told = next(times for longest, times in _TOLD if edge < longest)
    for time in told:
        point = curve.at(time)
        if point is None or time > curve.known_to:
            continue
        share, low, high = percents(point.share, point.low, point.high)
        rows.append(
            [
                f"Still in the stage after {days(time)}",
                share,
                f"{low.removesuffix(f'{NBSP}%')} to {high}" if point.high is not None else "",
                count(point.at_risk),
            ]
        )
    return Table(["What", "Value", f"95{NBSP}% interval", "n (at risk)"], rows)


def _contrasts(curves: Sequence[StageCurve]) -> list[str]:
    """Where the completers alone look much faster than all cases are."""
    differing = sorted(
        (curve for curve in curves if _flattery(curve) >= _MUCH),
        key=lambda curve: (-_flattery(curve), curve.stage.stage_order),
    )[:_CONTRASTS]
    if not differing:
        return []
    texts = [
        f"in “{curve.name}” half of the {counted(int(time.numerator or 0), 'visit')} that ended "
        f"did so within {days(time.naive_value)}, "
        + (
            f"half of all {count(time.n)} within {days(time.value)}"
            if time.value is not None
            else f"but fewer than half of all {count(time.n)} ended within {days(curve.known_to)}"
        )
        for curve in differing
        for time in (curve.median,)
    ]
    return [f"Counting only those who left would flatter: {'; '.join(texts)}."]


def _flattery(curve: StageCurve) -> float:
    """How many times longer the median is than that of the completers only."""
    time = curve.median
    if time.naive_value is None:
        return 0.0
    return inf if time.value is None else time.value / time.naive_value


_POINTS = """
    from fct_survival_curves
    where curve_kind = 'leaving'
    order by journey_id, stage_id, period_grain, duration_us
"""

_TIMES = f"""
    from fct_measures
    where segment_dimension = 'all' and segment_value = 'all' and touchpoint_id is null
        and metric_id in ('time_in_stage_p50', 'time_in_stage_p75', 'time_in_stage_p90')
        and period_grain in ('{TRAILING}', 'all')
    order by journey_id, stage_id, metric_id
"""

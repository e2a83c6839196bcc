"""How many go on, stage by stage and week by week."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from math import ceil

from orchestration.report.charts import weeks as charts
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import BenchmarkWeek, Journey, Measure, Metric, Publication
from orchestration.report.words import (
    BENCHMARK_KINDS,
    CONVERSION,
    NBSP,
    count,
    counted,
    day,
    in_words,
    interval,
    n_of,
    period,
    quantity,
)


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block | None:
    """The conversion rate of every stage by week, on common axes; None without any week."""
    metric = publication.metrics.get(CONVERSION)
    weeks = defaultdict(list)
    for measure in publication.weeks:
        if measure.journey_id == journey.journey_id and measure.metric_id == CONVERSION:
            weeks[measure.stage_id].append(measure)
    benchmarks = defaultdict(list)
    for benchmark in publication.benchmark_weeks:
        if benchmark.journey_id == journey.journey_id and benchmark.metric_id == CONVERSION:
            benchmarks[benchmark.stage_id].append(benchmark)
    if metric is None or not weeks:
        return None
    starts = [week.period_start for measures in weeks.values() for week in measures]
    kinds = {week.benchmark_kind for shown in benchmarks.values() for week in shown}
    return Block(
        title="How many go on, week by week",
        note=_note(journey),
        keys=[
            Key("week", f"week that counts, 95{NBSP}% interval"),
            Key("faded_week", "faded: immature or partial week"),
            *(Key(f"line_{kind}", name) for kind, name in BENCHMARK_KINDS.items() if kind in kinds),
        ],
        figures=[
            _trend(
                weeks[stage.stage_id],
                benchmarks[stage.stage_id],
                metric,
                called.stage(stage.journey_id, stage.stage_id),
                f"{section}-trend-{number}",
                (min(starts), max(starts)),
                _top(weeks, benchmarks),
            )
            for number, stage in enumerate(publication.progress_stages(journey), start=1)
            if weeks[stage.stage_id]
        ],
        is_grid=True,
    )


def _note(journey: Journey) -> str:
    zone = f", {journey.time_zone}" if journey.time_zone else ""
    return (
        "Each point is the cases that entered the stage in that week (Monday to Sunday"
        f"{zone}). Faded, hollow: the week's window is not over, or part of the week has no data; "
        "shown, never compared. Single weeks are few cases: look at the band, not at one point."
    )


def _top(weeks: dict[str, list[Measure]], benchmarks: dict[str, list[BenchmarkWeek]]) -> float:
    """Upper end of the axis of all trends of a journey: a whole tenth."""
    ends = [
        value
        for measures in weeks.values()
        for week in measures
        for value in (week.value, week.ci_high)
        if value is not None
    ]
    ends += [week.benchmark_value for stage in benchmarks.values() for week in stage]
    return min(1.0, max(1, ceil(max(ends, default=1) * 10 - 1e-9)) / 10)


def _trend(
    weeks: Sequence[Measure],
    benchmarks: Sequence[BenchmarkWeek],
    metric: Metric,
    name: str,
    chart_id: str,
    ends: tuple[date, date],
    top: float,
) -> Figure:
    settled = [week for week in weeks if not charts.is_faded(week)]
    counts = f"{n_of(week.n for week in weeks)} cases a week"
    latest = (
        f"newest week that counts, {day(settled[-1].period_start)}: "
        f"{quantity(settled[-1].value, metric)} of {count(settled[-1].n)}"
        if settled
        else "no week counts yet"
    )
    return Figure(
        chart_id,
        title=name,
        caption=f"{in_words(latest)}; {counts}, "
        f"{period(weeks[0].period_start, weeks[-1].period_end)}. "
        f"Source: fct_measures{', gap_trends' if benchmarks else ''}.",
        label=f"{metric.label} of {name} by week, {counts}; {latest}"
        + "".join(
            f"; {BENCHMARK_KINDS.get(kind, kind)} {quantity(value, metric)}"
            for kind, value in sorted(
                {(week.benchmark_kind, week.benchmark_value) for week in benchmarks}
            )
        )
        + f"; {counted(len(weeks) - len(settled), 'faded week')}.",
        table=Table(
            ["Week of", metric.label, f"95{NBSP}% interval", "n", "Counts"],
            [
                [
                    day(week.period_start),
                    quantity(week.value, metric),
                    interval(week.ci_low, week.ci_high, metric),
                    count(week.n),
                    charts.state(week),
                ]
                for week in weeks
            ],
        ),
        spec=charts.trend(weeks, benchmarks, metric, *ends, top),
    )

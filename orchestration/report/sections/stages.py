"""Over the stages of a journey: how many go on, and how long they stay."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestration.report.charts import stages as charts
from orchestration.report.charts.base import COLOURS
from orchestration.report.charts.stages import StageMeasure
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import Gap, Journey, Measure, Metric, Publication
from orchestration.report.segments import Segment, segment_of, segments_of
from orchestration.report.words import (
    BENCHMARK_KINDS,
    CONVERSION,
    MEDIAN_TIME,
    NBSP,
    VERDICTS,
    count,
    counted,
    in_words,
    interval,
    measured,
    n_of,
    period,
    quantities,
    quantity,
    verdict_of,
)

METRICS = {"funnel": CONVERSION, "time": MEDIAN_TIME}
ALL = Segment("all", "all")

Measures = Mapping[str, Measure]
# Of a stage and a metric.
Comparisons = Mapping[tuple[str, str], list[Gap]]


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block:
    """The funnel and the times of a journey, and of each of its segments, under one legend."""
    comparisons = _comparisons(publication.gaps, journey)
    return Block(
        keys=_keys(publication.gaps, journey),
        figures=[
            _with_segments(
                _StagesChart(publication, journey, called, f"{section}-{kind}", metric_id),
                comparisons,
            )
            for kind, metric_id in METRICS.items()
        ],
    )


def _keys(gaps: Iterable[Gap], journey: Journey) -> list[Key]:
    shown = [
        gap
        for gap in gaps
        if gap.journey_id == journey.journey_id
        and gap.is_total
        and gap.touchpoint_id is None
        and gap.metric_id in (CONVERSION, MEDIAN_TIME)
    ]
    verdicts = {gap.verdict for gap in shown}
    kinds = {gap.benchmark_kind for gap in shown if gap.verdict != "definition_mismatch"}
    return [
        *(
            Key(f"bar_{verdict}", VERDICTS[verdict].word)
            for verdict in COLOURS
            if verdict in verdicts
        ),
        Key("bar_neutral", "unclear, or no benchmark"),
        Key("whisker", f"95{NBSP}% interval"),
        *(Key(f"mark_{kind}", name) for kind, name in BENCHMARK_KINDS.items() if kind in kinds),
    ]


def _comparisons(gaps: Iterable[Gap], journey: Journey) -> Mapping[Segment, Comparisons]:
    """By segment the comparisons of its stages; another definition is no mark to reach."""
    found: dict[Segment, dict[tuple[str, str], list[Gap]]] = defaultdict(lambda: defaultdict(list))
    for gap in gaps:
        if (
            gap.journey_id == journey.journey_id
            and gap.metric_id in METRICS.values()
            and gap.touchpoint_id is None
            and gap.verdict != "definition_mismatch"
        ):
            found[segment_of(gap)][gap.stage_id, gap.metric_id].append(gap)
    return found


class _StagesChart:
    """The funnel or the times: one measure per stage over the last mature weeks."""

    def __init__(
        self,
        publication: Publication,
        journey: Journey,
        called: Names,
        chart_id: str,
        metric_id: str,
    ) -> None:
        self.metric = publication.metrics.get(metric_id)
        self.is_conversion = metric_id == CONVERSION
        self.title = "How many go on, per stage" if self.is_conversion else "Time in stage (median)"
        self.chart_id = chart_id
        self.journey = called.journey(journey.journey_id)
        self.stages = publication.progress_stages(journey)
        self.called = called
        self.measures: dict[Segment, dict[str, Measure]] = defaultdict(dict)
        for measure in publication.trailing:
            if (measure.journey_id, measure.metric_id) == (journey.journey_id, metric_id):
                self.measures[ALL][measure.stage_id] = measure
        for each in publication.segment_measures:
            if (each.journey_id, each.metric_id) == (journey.journey_id, metric_id):
                self.measures[segment_of(each)][each.stage_id] = each
        # Also those of which only the other chart has a measure.
        self.segments = segments_of(
            each for each in publication.segment_measures if each.journey_id == journey.journey_id
        )

    def figure(self, segment: Segment, comparisons: Comparisons) -> Figure:
        """The chart of all cases, or of those of a segment."""
        measures = self.measures.get(segment, {})
        shown = [
            StageMeasure(
                name=self.called.stage(stage.journey_id, stage.stage_id),
                measure=measures.get(stage.stage_id),
                benchmarks=comparisons.get((stage.stage_id, self.metric.metric_id), [])
                if self.metric
                else [],
            )
            for stage in self.stages
        ]
        known = [stage.measure for stage in shown if stage.measure is not None]
        if self.metric is None or not known:
            what = "this journey" if segment == ALL else f"“{segment.title}”"
            return Figure(
                self.chart_id,
                self.title,
                empty=f"Nothing to show yet: no whole week of {what} has had its full window.",
            )
        whose = "" if segment == ALL else f"{segment.title}. "
        spoken = "; ".join(_spoken(stage, self.metric) for stage in shown)
        return Figure(
            self.chart_id,
            self.title,
            caption=f"{whose}{self._what()}. {span(known)}; "
            f"{n_of(measure.n for measure in known)} a stage.{_too_few(shown)} "
            f"Source: fct_measures, benchmarks from gap_ranking.",
            label=f"{self.title}, {self.journey}{'' if segment == ALL else f', {segment.title}'}: "
            f"{spoken}.",
            table=_stage_table(shown, self.metric),
            spec=(charts.funnel if self.is_conversion else charts.times)(shown, self.metric),
        )

    def _what(self) -> str:
        if not self.is_conversion:
            return (
                "Time until half of the cases have left the stage, for any reason (Kaplan-Meier: "
                "those still in it count as still waiting); shown, never ranked"
            )
        windows = {stage.conversion_window_days for stage in self.stages} - {None}
        within = (
            f" within {counted(max(filter(None, windows)), 'day')}" if len(windows) == 1 else ""
        )
        return f"Share of the cases entering a stage that go on to a later one{within}"


def _with_segments(chart: _StagesChart, comparisons: Mapping[Segment, Comparisons]) -> Figure:
    """The chart of all cases, which holds that of every segment."""
    figure = chart.figure(ALL, comparisons.get(ALL, {}))
    if figure.spec is None:
        return figure
    return replace(
        figure,
        variants={
            segment.key: chart.figure(segment, comparisons.get(segment, {}))
            for segment in chart.segments
        },
    )


def _too_few(stages: Sequence[StageMeasure]) -> str:
    number = sum(1 for stage in stages if stage.measure and stage.has_too_few)
    return f" Too few data for a verdict on {number} of {counted(len(stages), 'stage')}." * bool(
        number
    )


def _spoken(stage: StageMeasure, metric: Metric) -> str:
    """A stage of a chart for those who hear it."""
    if stage.measure is None:
        return f"{stage.name}: no mature data"
    text = f"{stage.name}: {measured(stage.measure.value, metric)}"
    for gap in stage.benchmarks:
        kind = BENCHMARK_KINDS.get(gap.benchmark_kind, gap.benchmark_kind)
        text += f", {kind} {quantity(gap.benchmark_value, metric)}, {verdict_of(gap.verdict).word}"
    return text


def span(measures: Sequence[Measure]) -> str:
    """The days that measures cover, and how many weeks each of them does."""
    start = min(measure.period_start for measure in measures)
    end = max(measure.period_end for measure in measures)
    lengths = {(measure.period_end - measure.period_start).days // 7 for measure in measures}
    weeks = f"the last {counted(max(lengths), 'mature week')}"
    if len({measure.period_end for measure in measures}) > 1:
        return f"{in_words(weeks)} of each stage, between {period(start, end)}"
    return f"{in_words(weeks)}, {period(start, end)}"


def _stage_table(stages: Sequence[StageMeasure], metric: Metric) -> Table:
    rows = []
    for stage in stages:
        measure = stage.measure
        if measure is None:
            rows.append([stage.name, "", "", "", "no mature data", "", ""])
            continue
        shown = quantities(
            metric, measure.value, *(gap.benchmark_value for gap in stage.benchmarks)
        )
        rows.append(
            [
                stage.name,
                shown[0] if measure.value is not None else measured(None, metric),
                interval(measure.ci_low, measure.ci_high, metric),
                count(measure.n),
                period(measure.period_start, measure.period_end),
                "; ".join(
                    f"{value} ({gap.benchmark_kind})"
                    for value, gap in zip(shown[1:], stage.benchmarks, strict=True)
                ),
                "; ".join(verdict_of(gap.verdict).word for gap in stage.benchmarks),
            ]
        )
    return Table(
        ["Stage", metric.label, f"95{NBSP}% interval", "n", "Period", "Benchmark", "Verdict"], rows
    )

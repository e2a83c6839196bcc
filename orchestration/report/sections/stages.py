"""Over the stages of a journey: how many go on, and how long they stay."""

from collections.abc import Iterable, Sequence

from orchestration.report.charts import stages as charts
from orchestration.report.charts.base import COLOURS
from orchestration.report.charts.stages import StageMeasure
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import Gap, Journey, Measure, Metric, Publication, Stage
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
    period,
    quantities,
    quantity,
    verdict_of,
)


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block:
    """The funnel and the times of a journey, under one legend."""
    stages = publication.progress_stages(journey)
    return Block(
        keys=_keys(publication.gaps, journey),
        figures=[
            _over_stages(publication, journey, stages, called, f"{section}-{kind}", metric_id)
            for kind, metric_id in (("funnel", CONVERSION), ("time", MEDIAN_TIME))
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


def _over_stages(
    publication: Publication,
    journey: Journey,
    stages: Sequence[Stage],
    called: Names,
    chart_id: str,
    metric_id: str,
) -> Figure:
    """The funnel or the times: one measure per stage over the last mature weeks."""
    metric = publication.metrics.get(metric_id)
    measures = {
        measure.stage_id: measure
        for measure in publication.trailing
        if measure.journey_id == journey.journey_id and measure.metric_id == metric_id
    }
    title = "How many go on, per stage" if metric_id == CONVERSION else "Time in stage (median)"
    shown = [
        StageMeasure(
            name=called.stage(stage.journey_id, stage.stage_id),
            measure=measures.get(stage.stage_id),
            benchmarks=_benchmarks(publication.gaps, stage, metric_id),
        )
        for stage in stages
    ]
    known = [stage.measure for stage in shown if stage.measure is not None]
    if metric is None or not known:
        return Figure(
            chart_id,
            title,
            caption="",
            label="",
            table=None,
            empty="Nothing to show yet: no whole week of this journey has had its full window.",
        )
    windows = {stage.conversion_window_days for stage in stages} - {None}
    within = f" within {counted(max(filter(None, windows)), 'day')}" if len(windows) == 1 else ""
    what = (
        f"Share of the cases entering a stage that go on to a later one{within}"
        if metric_id == CONVERSION
        else "Days until half of the cases have left the stage, for any reason (Kaplan-Meier: "
        "those still in it count as still waiting); shown, never ranked"
    )
    caption = (
        f"{what}. {span(known)}; n from {count(min(measure.n for measure in known))} to "
        f"{count(max(measure.n for measure in known))} a stage. Source: fct_measures, "
        f"benchmarks from gap_ranking."
    )
    return Figure(
        chart_id,
        title,
        caption,
        label=f"{title}, {called.journey(journey.journey_id)}: "
        + "; ".join(_spoken(stage, metric) for stage in shown)
        + ".",
        table=_stage_table(shown, metric),
        spec=(charts.funnel if metric_id == CONVERSION else charts.times)(shown, metric),
    )


def _benchmarks(gaps: Iterable[Gap], stage: Stage, metric_id: str) -> list[Gap]:
    """The comparisons of a stage's total; another definition is no mark to reach."""
    return [
        gap
        for gap in gaps
        if (gap.journey_id, gap.stage_id, gap.metric_id)
        == (stage.journey_id, stage.stage_id, metric_id)
        and gap.is_total
        and gap.touchpoint_id is None
        and gap.verdict != "definition_mismatch"
    ]


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

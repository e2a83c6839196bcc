"""Scores and rates of answers and contacts, stage by stage over all journeys."""

from collections.abc import Iterable, Sequence

from orchestration.report.charts import dots
from orchestration.report.charts.dots import Dot
from orchestration.report.names import Names
from orchestration.report.parts import Figure, Key, Table
from orchestration.report.reading import Measure, Publication
from orchestration.report.words import (
    BENCHMARK_KINDS,
    NBSP,
    count,
    counted,
    interval,
    n_of,
    period,
    quantity,
)

# Rows of a chart, those that it has whatever their n, the n of the others, what a verdict needs.
ROWS = 8
FIRST_ROWS = 3
ROW_N = 10
ENOUGH = 30


def score_figure(
    publication: Publication, called: Names, metric_id: str, title: str, chart_id: str, caption: str
) -> Figure | None:
    """A metric of answers or contacts by stage of all journeys, the most frequent first."""
    metric = publication.metrics.get(metric_id)
    measures = sorted(
        (
            row
            for row in publication.trailing
            if row.metric_id == metric_id and row.value is not None and row.n
        ),
        key=lambda row: (-row.n, row.journey_id, row.stage_id),
    )
    if metric is None or not measures:
        return None
    shown = [
        row for number, row in enumerate(measures[:ROWS]) if number < FIRST_ROWS or row.n >= ROW_N
    ]
    marks = {
        (row.journey_id, row.stage_id): [
            (gap.benchmark_kind, gap.benchmark_value)
            for gap in publication.gaps
            if (gap.journey_id, gap.stage_id, gap.metric_id)
            == (row.journey_id, row.stage_id, metric_id)
            and gap.is_total
            and gap.is_given
            and gap.touchpoint_id is None
            and gap.verdict != "definition_mismatch"
        ]
        for row in shown
    }
    rows = [
        Dot(
            label=f"{place(row, called)}\n{quantity(row.value, metric)} · n = {count(row.n)}",
            value=row.value,
            text=quantity(row.value, metric),
            low=row.ci_low,
            high=row.ci_high,
            look="plain" if row.n >= ENOUGH else "open",
            marks=marks[row.journey_id, row.stage_id],
        )
        for row in shown
    ]
    ends = [end for row in shown for end in (row.value, row.ci_low, row.ci_high)]
    ends += [value for kinds in marks.values() for _, value in kinds]
    more = len(measures) - len(shown)
    return Figure(
        chart_id,
        title,
        caption=f"{caption} {n_of(row.n for row in shown)} a stage"
        + (f", {counted(more, 'stage')} with fewer left out" if more else "")
        + f"; the last 13 whole weeks, {span(shown)}. Source: fct_measures.",
        label=f"{title}, {metric.label}: "
        + "; ".join(
            f"{place(row, called)}: {quantity(row.value, metric)} of {count(row.n)}"
            + "".join(
                f", {BENCHMARK_KINDS.get(kind, kind)} {quantity(value, metric)}"
                for kind, value in marks[row.journey_id, row.stage_id]
            )
            for row in shown
        )
        + ".",
        table=Table(
            ["Stage", "Journey", metric.label, f"95{NBSP}% interval", "n", "Benchmark"],
            [
                [
                    called.stage(row.journey_id, row.stage_id),
                    called.journey(row.journey_id),
                    quantity(row.value, metric),
                    interval(row.ci_low, row.ci_high, metric),
                    count(row.n),
                    "; ".join(
                        f"{quantity(value, metric)} ({kind})"
                        for kind, value in marks[row.journey_id, row.stage_id]
                    ),
                ]
                for row in shown
            ],
            texts=2,
        ),
        spec=dots.dots(rows, dots.ruler(metric.unit, ends)),
    )


def mark_keys(publication: Publication, metrics: Iterable[str]) -> list[Key]:
    """The signs of the benchmarks that some of the metrics have."""
    wanted = set(metrics)
    kinds = {
        gap.benchmark_kind
        for gap in publication.gaps
        if gap.metric_id in wanted and gap.is_total and gap.is_given
    }
    return [Key(f"mark_{kind}", name) for kind, name in BENCHMARK_KINDS.items() if kind in kinds]


def place(measure: Measure, called: Names) -> str:
    """A stage, with its journey where another has one of that name."""
    stage = called.stage(measure.journey_id, measure.stage_id)
    is_plain = [*called.stages.values()].count(stage) <= 1
    return stage if is_plain else f"{stage} ({called.journey(measure.journey_id)})"


def span(measures: Sequence[Measure]) -> str:
    """From the first to the last day of all measures."""
    return period(
        min(row.period_start for row in measures), max(row.period_end for row in measures)
    )

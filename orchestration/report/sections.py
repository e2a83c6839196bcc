"""What the page says, section by section: text, charts and tables, without any markup."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from math import ceil
from typing import Any

from markupsafe import Markup

from orchestration.report import charts
from orchestration.report.charts import Spec, StageMeasure
from orchestration.report.reading import (
    BenchmarkWeek,
    Gap,
    Journey,
    Measure,
    Metric,
    Published,
    Stage,
)
from orchestration.report.tables import Table, gap_table, rows_left_out
from orchestration.report.words import (
    BENCHMARK_KINDS,
    CONVERSION,
    NBSP,
    UNKNOWN,
    VERDICTS,
    Verdict,
    count,
    counted,
    day,
    evidence,
    headline,
    in_words,
    interval,
    last_day,
    listed,
    measured,
    moment,
    names,
    percent,
    period,
    quantities,
    quantity,
    verdict_of,
    why_nothing_is_ranked,
    worth,
)

TIME = "time_in_stage_p50"
TOP_GAPS = 3


@dataclass(frozen=True)
class Card:
    """One gap to close, in sentences."""

    rank: int
    place: str
    journey: str
    section: str
    sentence: str
    worth: str
    evidence: str


@dataclass(frozen=True)
class Figure:
    """One chart with all that it needs on the page; `empty` says why there is none."""

    chart_id: str
    title: str
    caption: str
    label: str
    table: Table | None
    spec: Spec | None = None
    empty: str = ""


@dataclass(frozen=True)
class JourneySection:
    """One journey: its summary, its two charts over stages, and a trend per stage."""

    section: str
    name: str
    summary: str
    figures: list[Figure]
    trend_note: str
    trends: list[Figure]
    benchmark_kinds: list[str]
    trend_kinds: list[str]
    verdicts: list[tuple[str, Verdict]]


@dataclass(frozen=True)
class Quality:
    """What went in, what did not, and how far the data reach."""

    journeys: Table
    tables: Table | None
    totals: str
    reasons: Table | None
    checks: str
    messages: list[str]
    rejected: Table | None
    note: str


@dataclass(frozen=True)
class Page:
    """Everything on the page, in its order."""

    title: str
    facts: list[tuple[str, str]]
    cards: list[Card]
    nothing_ranked: str
    more_ranked: str
    gap_table: Markup | None
    gap_table_note: str
    verdict_counts: list[tuple[Verdict, int]]
    journeys: list[JourneySection]
    quality: Quality
    glossary: list[tuple[str, str]]
    publication_id: str
    specs: dict[str, Spec]


class _Names:
    """What journeys and stages are called."""

    def __init__(self, published: Published) -> None:
        self.journeys = {
            journey.journey_id: journey.name or in_words(journey.journey_id)
            for journey in published.journeys
        }
        by_journey = defaultdict(list)
        for stage in published.stages:
            by_journey[stage.journey_id].append(stage.stage_id)
        self.stages = {
            (journey, stage): name
            for journey, stages in by_journey.items()
            for stage, name in names(stages).items()
        }

    def stage(self, journey_id: str, stage_id: str) -> str:
        return self.stages.get((journey_id, stage_id), in_words(stage_id))


def build(published: Published) -> Page:
    """Put the page together from a publication: the journey with the top gap first."""
    published = replace(published, journeys=_by_rank(published))
    called = _Names(published)
    sections = {
        journey.journey_id: f"journey-{number}"
        for number, journey in enumerate(published.journeys, start=1)
    }
    journeys = [
        _journey(published, journey, called, sections[journey.journey_id])
        for journey in published.journeys
    ]
    ranked = [gap for gap in published.gaps if gap.is_total and gap.priority_rank is not None]
    left_out = rows_left_out(published.gaps)
    verdicts = Counter(gap.verdict for gap in published.gaps)
    return Page(
        title=listed(called.journeys.values()) if called.journeys else "No journey",
        facts=_facts(published, called),
        cards=[
            _card(gap, published, called, sections.get(gap.journey_id, ""))
            for gap in ranked[:TOP_GAPS]
        ],
        nothing_ranked="" if ranked else why_nothing_is_ranked(published.gaps),
        more_ranked=_more_ranked(len(ranked) - TOP_GAPS),
        # Great Tables escapes what it is given.
        gap_table=Markup(  # noqa: S704
            gap_table(published.gaps, published.metrics, called.journeys, called.stages)
        )
        if len(published.gaps) > left_out
        else None,
        gap_table_note=_gap_table_note(published, left_out),
        verdict_counts=[
            (verdict_of(verdict), verdicts[verdict])
            for verdict in sorted(verdicts, key=[*VERDICTS, *sorted(verdicts)].index)
        ],
        journeys=journeys,
        quality=_quality(published, called),
        glossary=_glossary(published.metrics.values()),
        publication_id=str(published.manifest.get("publication_id", UNKNOWN)),
        specs={
            figure.chart_id: figure.spec
            for journey in journeys
            for figure in (*journey.figures, *journey.trends)
            if figure.spec is not None
        },
    )


def _by_rank(published: Published) -> list[Journey]:
    ranks = {
        gap.journey_id: gap.priority_rank
        for gap in reversed(published.gaps)
        if gap.is_total and gap.priority_rank is not None
    }
    last = len(published.gaps) + 1
    return sorted(published.journeys, key=lambda journey: ranks.get(journey.journey_id, last))


def _facts(published: Published, called: _Names) -> list[tuple[str, str]]:
    newest = max(
        (table["newest"] for table in _source_tables(published) if table.get("newest")),
        key=_time,
        default=None,
    )
    facts = [("Published", moment(published.manifest.get("published_at")))]
    if newest is not None:
        facts.append(("Newest data", moment(newest)))
    differ = len({journey.as_of for journey in published.journeys}) > 1
    facts += [
        (
            f"As of · {called.journeys[journey.journey_id]}" if differ else "Data as of",
            moment(journey.as_of),
        )
        for journey in published.journeys[: None if differ else 1]
    ]
    facts.append(("Publication", str(published.manifest.get("publication_id", UNKNOWN))))
    return facts


def _card(gap: Gap, published: Published, called: _Names, section: str) -> Card:
    metric = published.metrics[gap.metric_id]
    windows = {
        (stage.journey_id, stage.stage_id): stage.conversion_window_days
        for stage in published.stages
    }
    return Card(
        rank=gap.priority_rank or 0,
        place=called.stage(gap.journey_id, gap.stage_id),
        journey=called.journeys.get(gap.journey_id, gap.journey_id),
        section=section,
        sentence=headline(gap, metric, windows.get((gap.journey_id, gap.stage_id))),
        worth=worth(gap),
        evidence=evidence(gap, metric),
    )


def _gap_table_note(published: Published, left_out: int) -> str:
    notes = []
    if left_out:
        verb = "is" if left_out == 1 else "are"
        notes.append(
            f"{counted(left_out, 'more comparison')}, of segments and with the own past, {verb} "
            "in gap_ranking; the counts below are of all."
        )
    if any(gap.metric_id == TIME for gap in published.gaps):
        notes.append(
            "Time in a stage is shown, never ranked: a stage that rejects fast looks fast."
        )
    return " ".join(notes)


def _more_ranked(number: int) -> str:
    if number <= 0:
        return ""
    verb = "is" if number == 1 else "are"
    return f"{counted(number, 'more gap')} {verb} ranked in the table below."


def _journey(
    published: Published, journey: Journey, called: _Names, section: str
) -> JourneySection:
    stages = [
        stage
        for stage in published.stages
        if stage.journey_id == journey.journey_id and stage.stage_kind == "progress"
    ]
    benchmarked = [
        gap
        for gap in published.gaps
        if gap.journey_id == journey.journey_id
        and gap.is_total
        and gap.touchpoint_id is None
        and gap.metric_id in (CONVERSION, TIME)
    ]
    trends = _trends(published, journey, stages, called, section)
    return JourneySection(
        section=section,
        name=called.journeys[journey.journey_id],
        summary=_summary(published, journey, called),
        figures=[
            _over_stages(published, journey, stages, called, f"{section}-{kind}", metric_id)
            for kind, metric_id in (("funnel", CONVERSION), ("time", TIME))
        ],
        trend_note=_trend_note(journey),
        trends=trends,
        benchmark_kinds=[
            kind
            for kind in BENCHMARK_KINDS
            if any(
                gap.benchmark_kind == kind and gap.verdict != "definition_mismatch"
                for gap in benchmarked
            )
        ],
        trend_kinds=[
            kind
            for kind in BENCHMARK_KINDS
            if any(
                (week.journey_id, week.metric_id, week.benchmark_kind)
                == (journey.journey_id, CONVERSION, kind)
                for week in published.benchmark_weeks
            )
        ],
        verdicts=[
            (verdict, VERDICTS[verdict])
            for verdict in charts.COLOURS
            if any(gap.verdict == verdict for gap in benchmarked)
        ],
    )


def _summary(published: Published, journey: Journey, called: _Names) -> str:
    """How many cases, and how many of them reached which end."""
    if not journey.cases or journey.oldest is None:
        return "No case of this journey has been seen."
    ends = [
        f"{count(stage.cases)} reached “{called.stage(stage.journey_id, stage.stage_id)}”"
        for stage in published.stages
        if stage.journey_id == journey.journey_id and stage.stage_kind != "progress"
    ]
    entity = f" (each one pass of one {in_words(journey.entity).lower()})" if journey.entity else ""
    text = f"{counted(journey.cases, 'case')}{entity} since {day(journey.oldest)}"
    return f"{text}; so far {listed(ends)}." if ends else f"{text}."


def _over_stages(
    published: Published,
    journey: Journey,
    stages: Sequence[Stage],
    called: _Names,
    chart_id: str,
    metric_id: str,
) -> Figure:
    """The funnel or the times: one measure per stage over the last mature weeks."""
    metric = published.metrics.get(metric_id)
    measures = {
        measure.stage_id: measure
        for measure in published.trailing
        if measure.journey_id == journey.journey_id and measure.metric_id == metric_id
    }
    title = "How many go on, per stage" if metric_id == CONVERSION else "Time in stage (median)"
    shown = [
        StageMeasure(
            name=called.stage(stage.journey_id, stage.stage_id),
            measure=measures.get(stage.stage_id),
            benchmarks=_benchmarks(published.gaps, stage, metric_id),
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
        f"{what}. {_span(known)}; n from {count(min(measure.n for measure in known))} to "
        f"{count(max(measure.n for measure in known))} a stage. Source: fct_measures, "
        f"benchmarks from gap_ranking."
    )
    return Figure(
        chart_id,
        title,
        caption,
        label=f"{title}, {called.journeys[journey.journey_id]}: "
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


def _span(measures: Sequence[Measure]) -> str:
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


def _trend_note(journey: Journey) -> str:
    zone = f", {journey.time_zone}" if journey.time_zone else ""
    return (
        "Each point is the cases that entered the stage in that week (Monday to Sunday"
        f"{zone}). Faded, hollow: the week's window is not over, or part of the week has no data; "
        "shown, never compared. Single weeks are few cases: look at the band, not at one point."
    )


def _trends(
    published: Published,
    journey: Journey,
    stages: Sequence[Stage],
    called: _Names,
    section: str,
) -> list[Figure]:
    """The conversion rate of every stage by week, on common axes."""
    metric = published.metrics.get(CONVERSION)
    weeks = defaultdict(list)
    for measure in published.weeks:
        if measure.journey_id == journey.journey_id and measure.metric_id == CONVERSION:
            weeks[measure.stage_id].append(measure)
    benchmarks = defaultdict(list)
    for benchmark in published.benchmark_weeks:
        if benchmark.journey_id == journey.journey_id and benchmark.metric_id == CONVERSION:
            benchmarks[benchmark.stage_id].append(benchmark)
    if metric is None or not weeks:
        return []
    starts = [week.period_start for measures in weeks.values() for week in measures]
    return [
        _trend(
            weeks[stage.stage_id],
            benchmarks[stage.stage_id],
            metric,
            called.stage(stage.journey_id, stage.stage_id),
            f"{section}-trend-{number}",
            (min(starts), max(starts)),
            _top(weeks, benchmarks),
        )
        for number, stage in enumerate(stages, start=1)
        if weeks[stage.stage_id]
    ]


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
    sizes = [week.n for week in weeks]
    counts = f"n = {count(min(sizes))} to {count(max(sizes))} cases a week"
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


def _source_tables(published: Published) -> list[dict[str, Any]]:
    quality = published.manifest.get("data_quality") or {}
    return list(quality.get("tables") or [])


def _time(value: str) -> datetime:
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _quality(published: Published, called: _Names) -> Quality:
    manifest = published.manifest
    quality = manifest.get("data_quality") or {}
    tables = _source_tables(published)
    rejected = quality.get("rejected_files") or manifest.get("rejected_files") or []
    checks = quality.get("checks") or {}
    reasons = sorted(
        (
            (str(table["table"]), reason, rows)
            for table in tables
            for reason, rows in (table.get("quarantine_reasons") or {}).items()
        ),
        key=lambda reason: (-reason[2], reason[:2]),
    )
    return Quality(
        journeys=_reach_of_data(published, called),
        tables=_loaded(tables, manifest.get("published_at")) if tables else None,
        totals=_totals(tables),
        reasons=Table(
            ["Table", "Reason", "Rows"],
            [[table, reason, count(rows)] for table, reason, rows in reasons],
            texts=2,
        )
        if reasons
        else None,
        checks=", ".join(
            f"{count(checks[kind])} {kind}"
            for kind in ("passed", "warned", "failed")
            if checks.get(kind) is not None
        ),
        messages=[str(message) for message in checks.get("messages") or []],
        rejected=Table(
            ["File", "Table", "Why"],
            [
                [str(file.get(key) or "") for key in ("file", "table", "message")]
                for file in rejected
            ],
            texts=3,
        )
        if rejected
        else None,
        note=""
        if quality
        else "This publication does not carry the counts of its load; its run's log has them.",
    )


def _totals(tables: Sequence[dict[str, Any]]) -> str:
    """Rows in = kept + quarantined + duplicates, over all tables."""
    if not tables:
        return ""
    rows = {
        kind: sum(table.get(f"rows_{kind}") or 0 for table in tables)
        for kind in ("in", "kept", "quarantined", "duplicate")
    }
    share = f" ({percent(rows['quarantined'] / rows['in'])})" if rows["quarantined"] else ""
    return (
        f"{counted(rows['in'], 'row')} came in: {count(rows['kept'])} kept, "
        f"{count(rows['quarantined'])} quarantined{share}, "
        f"{counted(rows['duplicate'], 'exact duplicate')}."
    )


def _loaded(tables: Sequence[dict[str, Any]], published_at: str | None) -> Table:
    rows = []
    for table in tables:
        newest = table.get("newest")
        age = ""
        if newest and published_at:
            age = _age(_time(published_at) - _time(newest))
        rows.append(
            [
                str(table["table"]),
                *(
                    count(table.get(f"rows_{kind}") or 0)
                    for kind in ("in", "kept", "quarantined", "duplicate")
                ),
                moment(newest) if newest else "no data",
                age,
            ]
        )
    return Table(
        ["Table", "Rows in", "Kept", "Quarantined", "Duplicates", "Newest", "Before publication"],
        rows,
    )


def _age(age: Any) -> str:
    hours = age.total_seconds() / 3600
    return counted(round(hours / 24), "day") if hours >= 48 else counted(round(hours), "hour")


def _reach_of_data(published: Published, called: _Names) -> Table:
    """Per journey how far its data reach, and what is left out of its rates."""
    rows = []
    for journey in published.journeys:
        observed = [
            stage.observed_through
            for stage in published.stages
            if stage.journey_id == journey.journey_id
            and stage.stage_kind == "progress"
            and stage.observed_through is not None
        ]
        ends = {
            measure.period_end
            for measure in published.trailing
            if measure.journey_id == journey.journey_id and measure.metric_id == CONVERSION
        }
        rows.append(
            [
                called.journeys[journey.journey_id],
                moment(journey.as_of),
                moment(min(observed)) if observed else UNKNOWN,
                day(last_day(min(ends))) if ends else "nothing mature yet",
                count(journey.cases),
                count(journey.open_visits),
                count(journey.left_truncated_cases),
            ]
        )
    return Table(
        [
            "Journey",
            "Data as of",
            "Outcomes known up to",
            "Mature up to",
            "Cases",
            "Still in a stage",
            "Left out: began before the data",
        ],
        rows,
    )


def _glossary(metrics: Iterable[Metric]) -> list[tuple[str, str]]:
    return [
        (
            "Benchmark",
            "The desired value of a metric: an industry figure, an internal target or the "
            "journey's own past. It is compared only with a measure of the same definition.",
        ),
        (
            "Times behind (lag factor)",
            "Desired ÷ actual where more is better, actual ÷ desired where less is: 40 % against "
            "60 % is 1.5 times behind.",
        ),
        (
            "95 % interval",
            "Where the true figure plausibly lies, given how many cases there are and that cases "
            "of one customer are alike. A verdict needs the whole interval on one side.",
        ),
        (
            "Mature",
            "A week counts once all cases that entered in it have had the full window to go on "
            "and every source is known to be complete up to there. Younger weeks are shown faded "
            "and never compared.",
        ),
        (
            "Rank",
            "By severity (how far behind, at the interval's end nearest the benchmark) times "
            "reach (which share of the journey's cases comes through the stage).",
        ),
        (
            "Short by",
            "Cases: the difference in shares times n. Customer-days: the difference in days times "
            "n. An upper bound of what closing the gap brings; never added up over stages.",
        ),
        *(
            (metric.label, metric.description)
            for metric in sorted(metrics, key=lambda metric: metric.metric_id)
            if metric.description
        ),
    ]

"""Which segments go on less, stage by stage."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from orchestration.report.charts import heatmap as charts
from orchestration.report.charts.base import COLOURS
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import (
    DIMENSIONS,
    TRAILING,
    Gap,
    Journey,
    Measure,
    Metric,
    Publication,
    SegmentMeasure,
    Stage,
)
from orchestration.report.sections.stages import span
from orchestration.report.words import (
    BENCHMARK_KINDS,
    CONVERSION,
    VERDICTS,
    count,
    counted,
    in_words,
    interval,
    listed,
    n_of,
    percent,
    percents,
    quantity,
    verdict_of,
)

TITLE = "How many go on, by segment"
UNKNOWN_VALUE = "(unknown)"
TOTAL = "All"
MOST_SEGMENTS = 12
MOST_DIMENSIONS = 6
# As minimum_n in dbt_project.yml, where no comparison says whether the data are enough.
_FEW = 30
_MOST_NAMED = 3
# From this share of a stage's cases on, those without a value say what the value means.
_MANY_UNKNOWN = 0.2


@dataclass(frozen=True)
class Grid:
    """One dimension: its segments by size, and what is known of each in each stage."""

    dimension: str
    segments: Sequence[str]
    left_out: int
    stages: Sequence[Stage]
    totals: Mapping[str, Measure]
    measures: Mapping[tuple[str, str], SegmentMeasure]
    gaps: Mapping[tuple[str, str], Sequence[Gap]]

    def is_few(self, segment: str, stage: str) -> bool:
        """Too few cases, or independent customers, for anything to be said."""
        measure = self.measures[segment, stage]
        given = [gap for gap in self.gaps.get((segment, stage), ()) if gap.is_given]
        if given:
            return any(gap.verdict == "too_few_data" for gap in given)
        clusters = measure.n if measure.n_clusters is None else measure.n_clusters
        return min(measure.n, clusters) < _FEW

    def unknown(self, stage: str) -> SegmentMeasure | None:
        """The cases without a value, where they are many."""
        measure = self.measures.get((UNKNOWN_VALUE, stage))
        total = self.totals[stage].n
        return measure if measure and measure.n >= _MANY_UNKNOWN * total else None

    def distance(self, segment: str, stage: str) -> float | None:
        """From the stage's total; None where it would say nothing, or something wrong."""
        measure = self.measures[segment, stage]
        total = self.totals[stage].value
        if measure.value is None or total is None:
            return None
        if self.is_few(segment, stage) or self.unknown(stage):
            return None
        return measure.value - total

    @property
    def distances(self) -> list[float]:
        """Of all cells that have a colour."""
        known = (self.distance(*place) for place in self.measures)
        return [abs(distance) for distance in known if distance is not None]


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block:
    """A grid of segments and stages for each dimension of the journey."""
    metric = publication.metrics.get(CONVERSION)
    grids = _grids(publication, journey)
    if metric is None or not grids:
        return Block(
            TITLE,
            empty="No segment to compare: segment_dimensions.csv in the journey map has no "
            "dimension of this journey, or no whole week has had its full window yet.",
        )
    most = max(0.05, ceil(max(max(grid.distances, default=0) for grid in grids) * 20) / 20)
    most = min(0.3, most)
    shown = grids[:MOST_DIMENSIONS]
    return Block(
        title=TITLE,
        note="The colour of a cell is its distance from the stage's total in the first row, not a "
        "verdict; the sign below a figure is one: against its benchmark, without one its own past. "
        "Segments overlap between pictures: never add them up.",
        keys=_keys(shown, most),
        figures=[
            _figure(grid, metric, called, f"{section}-segments-{number}", most)
            for number, grid in enumerate(shown, start=1)
        ],
        sentences=[
            sentence
            for sentence in (
                _furthest_below(shown, called),
                *_about_unknown(shown, called),
                _left_out(publication, journey, grids),
            )
            if sentence
        ],
    )


def _grids(publication: Publication, journey: Journey) -> list[Grid]:
    """By dimension, the one with the largest stated gap in cases first, then by name."""
    totals = {
        total.stage_id: total
        for total in publication.trailing
        if (total.journey_id, total.metric_id) == (journey.journey_id, CONVERSION)
    }
    stages = [stage for stage in publication.progress_stages(journey) if stage.stage_id in totals]
    measures: dict[str, dict[tuple[str, str], SegmentMeasure]] = defaultdict(dict)
    for measure in publication.segment_measures:
        if (measure.journey_id, measure.metric_id) == (
            journey.journey_id,
            CONVERSION,
        ) and measure.stage_id in totals:
            place = (measure.segment_value, measure.stage_id)
            measures[measure.segment_dimension][place] = measure
    gaps: dict[str, dict[tuple[str, str], list[Gap]]] = defaultdict(lambda: defaultdict(list))
    for gap in publication.gaps:
        if (gap.journey_id, gap.metric_id) == (journey.journey_id, CONVERSION):
            gaps[gap.segment_dimension][gap.segment_value, gap.stage_id].append(gap)
    grids = []
    for dimension, cells in sorted(measures.items()):
        segments = _by_size(cells.values())
        kept = set(segments[:MOST_SEGMENTS])
        grids.append(
            Grid(
                dimension=dimension,
                segments=segments[:MOST_SEGMENTS],
                left_out=len(segments[MOST_SEGMENTS:]),
                stages=stages,
                totals=totals,
                measures={place: cell for place, cell in cells.items() if place[0] in kept},
                gaps=gaps[dimension],
            )
        )
    return grids


def _by_size(measures: Iterable[SegmentMeasure]) -> list[str]:
    """Segments, the one with the most cases in any stage first; what is no value comes last."""
    sizes: dict[str, int] = defaultdict(int)
    for measure in measures:
        sizes[measure.segment_value] = max(sizes[measure.segment_value], measure.n)
    return sorted(
        sizes,
        key=lambda value: (value in ("other", UNKNOWN_VALUE), -sizes[value], value),
    )


def _keys(grids: Sequence[Grid], most: float) -> list[Key]:
    places = [(grid, *place) for grid in grids for place in grid.measures]
    verdicts = {_verdict(*place) for place in places}
    points = f"{most * 100:.0f} points"
    return [
        Key("cell_below", f"{points} or more below the stage's total"),
        Key("cell_same", "as the total"),
        Key("cell_above", f"{points} or more above"),
        *(
            [Key("cell_blank", "few: too few data to judge")]
            if any(grid.is_few(segment, stage) for grid, segment, stage in places)
            else []
        ),
        *(
            [Key("cell_blank", "a share without colour: not comparable, see above")]
            if any(grid.unknown(stage) for grid, _, stage in places)
            else []
        ),
        *(
            Key(f"glyph_{verdict}", VERDICTS[verdict].word)
            for verdict in ("lagging", "ahead")
            if verdict in verdicts
        ),
    ]


def _figure(grid: Grid, metric: Metric, called: Names, chart_id: str, most: float) -> Figure:
    name = in_words(grid.dimension)
    journey = grid.stages[0].journey_id
    names = {stage.stage_id: called.stage(journey, stage.stage_id) for stage in grid.stages}
    lagging = [
        f"{segment} in {names[stage]} {percent(measure.value)}"
        for segment in grid.segments
        for stage in names
        if (measure := grid.measures.get((segment, stage))) is not None
        and _verdict(grid, segment, stage) == "lagging"
    ]
    known = n_of(measure.n for measure in grid.measures.values())
    rest = f" {counted(grid.left_out, 'smaller segment')} not shown." if grid.left_out else ""
    return Figure(
        chart_id,
        title=f"By {name.lower()}",
        caption=f"Share of the cases entering a stage that go on to a later one, by {name.lower()}"
        f". {span(list(grid.totals.values()))}; {known} a cell.{rest} "
        "Source: fct_measures, verdicts from gap_ranking.",
        label=f"{metric.label} by {name.lower()} and stage, {called.journey(journey)}. "
        + "; ".join(
            f"{names[stage.stage_id]}: all {percent(grid.totals[stage.stage_id].value)}"
            + _extremes(grid, stage.stage_id)
            for stage in grid.stages
        )
        + f". Lagging: {listed(lagging) if lagging else 'none'}.",
        table=_table(grid, metric, names),
        spec=charts.heatmap(
            [
                *(_total_cell(grid.totals[stage], name, metric) for stage, name in names.items()),
                *(
                    _cell(grid, segment, stage, names[stage], metric)
                    for segment in grid.segments
                    for stage in names
                    if (segment, stage) in grid.measures
                ),
            ],
            [TOTAL, *grid.segments],
            list(names.values()),
            most,
        ),
    )


def _extremes(grid: Grid, stage: str) -> str:
    """The lowest and the highest segment that can be judged, for those who hear the chart."""
    known = sorted(
        (measure.value, segment)
        for segment in grid.segments
        if (measure := grid.measures.get((segment, stage))) is not None
        and measure.value is not None
        and grid.distance(segment, stage) is not None
    )
    if len(known) < 2:
        return ""
    (low, least), (high, most) = known[0], known[-1]
    return f", from {least} {percent(low)} to {most} {percent(high)}"


def _total_cell(total: Measure, stage: str, metric: Metric) -> charts.Cell:
    return charts.Cell(
        segment=TOTAL,
        stage=stage,
        text=quantity(total.value, metric),
        sign="",
        distance=0.0,
        n=count(total.n),
        interval=interval(total.ci_low, total.ci_high, metric),
        verdict="the stage's total",
    )


def _cell(grid: Grid, segment: str, stage: str, name: str, metric: Metric) -> charts.Cell:
    measure = grid.measures[segment, stage]
    is_few = grid.is_few(segment, stage)
    verdict = _verdict(grid, segment, stage)
    return charts.Cell(
        segment=segment,
        stage=name,
        text="few" if is_few else quantity(measure.value, metric),
        sign=VERDICTS[verdict].symbol if verdict in COLOURS and verdict != "at_par" else "",
        distance=grid.distance(segment, stage),
        n=count(measure.n),
        interval=interval(measure.ci_low, measure.ci_high, metric),
        verdict=_verdicts(grid, segment, stage),
    )


def _verdict(grid: Grid, segment: str, stage: str) -> str:
    """The one to show: against the benchmark that somebody set, else the own past."""
    gaps = grid.gaps.get((segment, stage), ())
    given = [gap for gap in gaps if gap.is_given]
    verdicts = {gap.verdict for gap in given or gaps}
    return next((verdict for verdict in COLOURS if verdict in verdicts), "")


def _verdicts(grid: Grid, segment: str, stage: str) -> str:
    return (
        ", ".join(
            f"{verdict_of(gap.verdict).word} "
            f"({BENCHMARK_KINDS.get(gap.benchmark_kind, gap.benchmark_kind)})"
            for gap in grid.gaps.get((segment, stage), ())
        )
        or "no benchmark"
    )


def _table(grid: Grid, metric: Metric, names: Mapping[str, str]) -> Table:
    rows = [
        [
            TOTAL,
            *(
                f"{quantity(grid.totals[stage].value, metric)} of {count(grid.totals[stage].n)}"
                for stage in names
            ),
        ]
    ]
    for segment in grid.segments:
        cells = []
        for stage in names:
            measure = grid.measures.get((segment, stage))
            if measure is None:
                cells.append("no cases")
                continue
            sign = VERDICTS[verdict].symbol if (verdict := _verdict(grid, segment, stage)) else ""
            few = ", few" if grid.is_few(segment, stage) else ""
            text = f"{quantity(measure.value, metric)} of {count(measure.n)}{few}"
            cells.append(f"{sign} {text}".strip())
        rows.append([segment, *cells])
    return Table([in_words(grid.dimension), *names.values()], rows)


def _about_unknown(grids: Sequence[Grid], called: Names) -> list[str]:
    """A value known only of those who came further makes them look good: say so."""
    dimensions: dict[str, list[str]] = defaultdict(list)
    for grid in grids:
        for stage in grid.stages:
            if unknown := grid.unknown(stage.stage_id):
                total = grid.totals[stage.stage_id]
                dimensions[
                    f"of {count(unknown.n)} of {counted(total.n, 'case')} in "
                    f"“{called.stage(stage.journey_id, stage.stage_id)}” "
                    f"({percent(unknown.value)} of them go on)"
                ].append(grid.dimension)
    return [
        f"{in_words(listed(in_words(name).lower() for name in names))} "
        f"{'is' if len(names) == 1 else 'are'} unknown {where}. Where a value becomes known only "
        "later, the segments that have one are those who came further: no colour there."
        for where, names in dimensions.items()
    ]


def _furthest_below(grids: Sequence[Grid], called: Names) -> str:
    """The cells that miss most cases against their stage's total, whole interval below it."""
    short = sorted(
        (
            (distance * measure.n, grid.dimension, segment, stage, measure, total)
            for grid in grids
            for (segment, stage), measure in grid.measures.items()
            if (distance := grid.distance(segment, stage)) is not None
            for total in (grid.totals[stage],)
            if total.value is not None
            and measure.ci_high is not None
            and measure.ci_high < total.value
        ),
        key=lambda cell: cell[:4],
    )[:_MOST_NAMED]
    if not short:
        return "No segment's whole interval lies below its stage's total."
    texts = [
        f"{in_words(dimension).lower()} “{segment}” in "
        f"“{called.stage(measure.journey_id, stage)}”, {shares[0]} of {count(measure.n)} against "
        f"{shares[1]} of all"
        for _, dimension, segment, stage, measure, total in short
        for shares in (percents(measure.value, total.value),)
    ]
    return (
        f"Clearly below their stage's total: {'; '.join(texts)} (the whole interval, not adjusted "
        "for the many cells)."
    )


def _left_out(publication: Publication, journey: Journey, grids: Sequence[Grid]) -> str:
    """What else is measured by segment, and where it is."""
    others = sorted(
        row.segment_dimension
        for row in publication.rows(_Other, _OTHERS)
        if row.journey_id == journey.journey_id
    )
    names = [in_words(other) for other in others]
    names += [in_words(grid.dimension) for grid in grids[MOST_DIMENSIONS:]]
    if not names:
        return ""
    return f"Not shown, but in fct_measures: {listed(names)}."


@dataclass(frozen=True)
class _Other:
    journey_id: str
    segment_dimension: str


_OTHERS = f"""
    from fct_measures
    where metric_id = '{CONVERSION}' and touchpoint_id is null
        and period_grain = '{TRAILING}'
        and segment_dimension <> 'all' and segment_dimension not in {DIMENSIONS}
    group by journey_id, segment_dimension
"""

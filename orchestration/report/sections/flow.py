"""Which way cases move between the stages, back moves too."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.report.charts import flow as charts
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Table
from orchestration.report.reading import Journey, Measure, Publication, Stage
from orchestration.report.sections.stages import span
from orchestration.report.words import (
    MEDIAN_TIME,
    NBSP,
    count,
    counted,
    days,
    in_words,
    listed,
    percent,
)

TITLE = "Which way they move"
# Of those who left the stage: rarer moves are in the table alone.
_LEAST = 0.01
_MOST_NAMED = 3


@dataclass(frozen=True)
class Move:
    """How often visits of a stage, begun in its last mature weeks, were left for another."""

    journey_id: str
    from_stage_id: str
    to_stage_id: str
    transition_kind: str
    moves: int
    median_days: float | None


@dataclass(frozen=True)
class Flow:
    """The moves of a journey, between stages that are in its map, by the stage they leave."""

    stages: Sequence[Stage]
    names: Mapping[str, str]
    visits: Mapping[str, Measure]
    moves: Sequence[Move]

    @property
    def leavers(self) -> dict[str, int]:
        """Moves out of each stage."""
        sums: dict[str, int] = defaultdict(int)
        for move in self.moves:
            sums[move.from_stage_id] += move.moves
        return sums

    def share(self, move: Move) -> float:
        """Of those who left the stage."""
        return move.moves / self.leavers[move.from_stage_id]

    def name(self, move: Move) -> str:
        """From, to."""
        return f"{self.names[move.from_stage_id]} → {self.names[move.to_stage_id]}"


def build(publication: Publication, journey: Journey, called: Names, section: str) -> Block:
    """Arcs between the stages of a journey."""
    flow = _flow(publication, journey, called)
    if not flow.moves:
        return Block(
            TITLE,
            empty="No move between stages is known yet: it takes visits that began in a whole "
            "week whose window is over, and events of a later stage. Land both.",
        )
    shown = [move for move in flow.moves if flow.share(move) >= _LEAST]
    kinds = {_kind(move) for move in shown}
    return Block(
        title=TITLE,
        keys=[
            Key("arc_forward", "forward, downwards on the right; over a stage where it is skipped"),
            *([Key("arc_exit", "out of the journey")] if "exit" in kinds else []),
            *([Key("arc_back", "back, upwards on the left")] if "back" in kinds else []),
        ],
        figures=[_figure(flow, shown, called.journey(journey.journey_id), f"{section}-flow")],
        sentences=[_back_moves(flow)],
    )


def _flow(publication: Publication, journey: Journey, called: Names) -> Flow:
    stages = [stage for stage in publication.stages if stage.journey_id == journey.journey_id]
    names = {stage.stage_id: called.stage(journey.journey_id, stage.stage_id) for stage in stages}
    moves = [
        move
        for move in publication.rows(Move, _MOVES)
        if move.journey_id == journey.journey_id
        and move.from_stage_id in names
        and move.to_stage_id in names
    ]
    places = {stage.stage_id: place for place, stage in enumerate(stages)}
    return Flow(
        stages=stages,
        names=names,
        visits={
            measure.stage_id: measure
            for measure in publication.trailing
            if (measure.journey_id, measure.metric_id) == (journey.journey_id, MEDIAN_TIME)
        },
        moves=sorted(moves, key=lambda move: (places[move.from_stage_id], -move.moves)),
    )


def _kind(move: Move) -> str:
    """As the chart draws it."""
    return move.transition_kind if move.transition_kind in ("exit", "back") else "forward"


def _figure(flow: Flow, shown: Sequence[Move], journey: str, chart_id: str) -> Figure:
    places = {stage.stage_id: place for place, stage in enumerate(flow.stages)}
    rare = [move for move in flow.moves if move not in shown]
    left_out = (
        f" Not drawn: {counted(sum(move.moves for move in rare), 'move')} of "
        f"{counted(len(rare), 'kind')}, each below {_LEAST * 100:.0f}{NBSP}% of those who left "
        "its stage."
        if rare
        else ""
    )
    total = sum(move.moves for move in flow.moves)
    visits = list(flow.visits.values())
    return Figure(
        chart_id,
        title="Moves between the stages",
        caption=f"Moves out of the visits begun in {_lower(span(visits))}, as far as they have "
        f"ended: n = {counted(total, 'move')} of {counted(sum(v.n for v in visits), 'visit')}. "
        f"Width: number of moves; percentages: of those who left the stage.{left_out} "
        "Source: fct_stage_transitions, fct_stage_visits.",
        label=f"Moves between the stages of {journey}: "
        + "; ".join(
            f"{flow.name(move)} {count(move.moves)}, {percent(flow.share(move))}" for move in shown
        )
        + ".",
        table=_table(flow),
        spec=charts.flow(
            [
                charts.Arc(
                    start=places[move.from_stage_id],
                    end=places[move.to_stage_id],
                    kind=_kind(move),
                    moves=move.moves,
                    name=flow.name(move),
                    text=f"{count(move.moves)} · {percent(flow.share(move))}",
                    short=percent(flow.share(move)),
                    share=percent(flow.share(move)),
                    median=days(move.median_days),
                )
                for move in shown
            ],
            [_lines(flow, stage) for stage in flow.stages],
        ),
    )


def _lines(flow: Flow, stage: Stage) -> list[str]:
    """A stage's name with the visits that its moves are of."""
    visits = flow.visits.get(stage.stage_id)
    end = "" if stage.stage_kind == "progress" else f"({in_words(stage.stage_kind).lower()})"
    return [
        flow.names[stage.stage_id],
        counted(visits.n, "visit") if visits and not end else end or "no visits",
    ]


def _table(flow: Flow) -> Table:
    rows = []
    for stage in flow.stages:
        moves = [move for move in flow.moves if move.from_stage_id == stage.stage_id]
        rows += [
            [
                flow.names[move.from_stage_id],
                flow.names[move.to_stage_id],
                move.transition_kind,
                count(move.moves),
                percent(flow.share(move)),
                days(move.median_days),
            ]
            for move in moves
        ]
        visits = flow.visits.get(stage.stage_id)
        if visits is not None:
            waiting = visits.n - sum(move.moves for move in moves)
            rows.append(
                [flow.names[stage.stage_id], "none yet", "still in it", count(waiting), "", ""]
            )
    return Table(
        ["From", "To", "Kind", "Moves", "Of those who left", "After (median)"], rows, texts=3
    )


def _back_moves(flow: Flow) -> str:
    """How many moves go back, and which most."""
    back = sorted(
        (move for move in flow.moves if move.transition_kind == "back"),
        key=lambda move: (-move.moves, flow.name(move)),
    )
    if not back:
        return "No move goes back to an earlier stage."
    number = sum(move.moves for move in back)
    share = percent(number / sum(move.moves for move in flow.moves))
    texts = [
        f"{count(move.moves)} from “{flow.names[move.from_stage_id]}” to "
        f"“{flow.names[move.to_stage_id]}” ({percent(flow.share(move))} of those who left it, "
        f"after {days(move.median_days)} in the median)"
        for move in back[:_MOST_NAMED]
    ]
    verb = "goes" if number == 1 else "go"
    return f"{counted(number, 'move')} ({share}) {verb} back to an earlier stage: {listed(texts)}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# Of the visits that time_in_stage counts: begun in the last mature weeks, seen from the start.
_MOVES = """
    from (
        with periods as (
            select journey_id, stage_id, period_grain, period_start, period_end
            from fct_measures
            where metric_id = 'time_in_stage_p50' and segment_dimension = 'all'
                and segment_value = 'all' and touchpoint_id is null
                and period_grain in ('trailing_13_weeks', 'all')
            qualify period_grain = 'trailing_13_weeks'
                and period_end = max(period_end) over (partition by journey_id, stage_id)
        ),

        visits as (
            select
                fct_stage_visits.visit_id,
                timezone(
                    coalesce(dim_journeys.time_zone, 'UTC'),
                    timezone('UTC', fct_stage_visits.entered_at)
                ) as entered_at_local
            from fct_stage_visits
            inner join dim_journeys using (journey_id)
            where not fct_stage_visits.is_left_truncated
        )

        select
            transitions.journey_id,
            transitions.from_stage_id,
            transitions.to_stage_id,
            transitions.transition_kind,
            count(*) as moves,
            median(transitions.duration_us) / 86.4e9 as median_days
        from fct_stage_transitions as transitions
        inner join visits on transitions.from_visit_id = visits.visit_id
        inner join periods
            on
                transitions.journey_id = periods.journey_id
                and transitions.from_stage_id = periods.stage_id
                and visits.entered_at_local >= periods.period_start
                and visits.entered_at_local < periods.period_end
        group by all
    )
    order by journey_id, from_stage_id, to_stage_id
"""

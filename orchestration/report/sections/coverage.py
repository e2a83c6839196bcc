"""What the rates rest on and leave out, what was restated, and what the map does not know."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from orchestration.report.names import Names
from orchestration.report.parts import Block, Table
from orchestration.report.reading import Publication
from orchestration.report.words import count, counted, in_words, listed, moment, percent

# Findings of one kind that are listed.
FINDINGS = 5
# Kind of finding -> how to close it.
WAYS_OUT = {
    "no_owner": "Set owner_team in touchpoints.csv.",
    "unmapped_event": "Map them in touchpoint_rules.csv or stage_rules.csv, or leave them.",
    "no_events": "Correct its line in touchpoint_rules.csv, or drop it.",
    "overlapping_rules": "Correct touchpoint_rules.csv: an event belongs to one touchpoint.",
}


@dataclass(frozen=True)
class Coverage:
    """What the rates of a stage count, in cases, and what they leave out."""

    journey_id: str
    stage_id: str
    cases: int
    counted_cases: int
    mature_cases: int
    left_truncated_cases: int
    anonymous_cases: int
    lapsed_visits: int
    orphan_events: int
    excluded_entities: int


@dataclass(frozen=True)
class Restated:
    """Mature figures that a cause changed, over all runs."""

    cause: str
    figures: int
    newest: datetime | None


@dataclass(frozen=True)
class Finding:
    """A finding about the map, in the mart's own sentence."""

    finding_kind: str
    sentence: str


def build(publication: Publication, called: Names) -> list[Block]:
    """Coverage by stage, a sentence on restatements, what the map does not know."""
    return [
        _coverage(publication, called),
        Block(title="Figures that changed afterwards", sentences=[_restatements(publication)]),
        _unknown(publication),
    ]


def _coverage(publication: Publication, called: Names) -> Block:
    rows = publication.rows(Coverage, _COVERAGE)
    title = "What the rates rest on"
    if not rows:
        return Block(title=title, empty="No case was seen in any stage.")
    return Block(
        title=title,
        note="Cases by the stage that they entered. Rates count those of mature weeks. Left out: "
        "cases that began before the data do, weeks that have not had their window, and what "
        "exclusions.csv marks. Source: fct_journey_coverage.",
        tables=[
            Table(
                [
                    "Stage",
                    "Journey",
                    "Cases",
                    "In rates",
                    "Share",
                    "Not mature yet",
                    "Began before the data",
                    "Anonymous",
                    "Lapsed visits",
                    "Events after the end",
                    "Excluded",
                ],
                [
                    [
                        called.stage(row.journey_id, row.stage_id),
                        called.journey(row.journey_id),
                        count(row.cases),
                        count(row.mature_cases),
                        percent(row.mature_cases / row.cases) if row.cases else "",
                        count(row.counted_cases - row.mature_cases),
                        count(row.left_truncated_cases),
                        count(row.anonymous_cases),
                        count(row.lapsed_visits),
                        count(row.orphan_events),
                        count(row.excluded_entities),
                    ]
                    for row in rows
                ],
                texts=2,
            )
        ],
    )


def _restatements(publication: Publication) -> str:
    restated = publication.rows(Restated, _RESTATED)
    if not restated:
        return (
            "No mature figure has changed since it was first published. Source: fct_restatements."
        )
    newest = max((row.newest for row in restated if row.newest is not None), default=None)
    causes = listed(
        f"{count(row.figures)} through {in_words(row.cause).lower()}" for row in restated
    )
    total = sum(row.figures for row in restated)
    last = f", the last as of {moment(newest)}" if newest else ""
    return (
        f"{counted(total, 'mature figure')} changed afterwards, {causes}{last}. "
        "Source: fct_restatements."
    )


def _unknown(publication: Publication) -> Block:
    """What nobody owns and no rule maps, with the way out of each kind."""
    title = "What the journey map does not know"
    by_kind = defaultdict(list)
    for row in publication.rows(Finding, _FINDINGS):
        by_kind[row.finding_kind].append(row.sentence)
    if not by_kind:
        return Block(
            title=title,
            empty="Nothing found: every event seen is on a stage or a touchpoint, and every "
            "touchpoint has an owner.",
        )
    rows = []
    for kind, way_out in WAYS_OUT.items():
        rows += [[sentence, way_out] for sentence in by_kind[kind][:FINDINGS]]
        if len(by_kind[kind]) > FINDINGS:
            more = f"{len(by_kind[kind]) - FINDINGS} more of the same kind are in gap_touchpoints."
            rows.append([more, ""])
    return Block(
        title=title,
        note="Source: gap_touchpoints.",
        tables=[Table(["Finding", "Way out"], rows, texts=2)],
    )


_COVERAGE = """
    from fct_journey_coverage
    where stage_kind = 'progress'
    order by journey_id, stage_order, stage_id
"""

_RESTATED = """
    from (
        select
            cause,
            count(*) as figures,
            max(as_of) as newest
        from fct_restatements
        group by cause
    )
    order by figures desc, cause
"""

_FINDINGS = f"""
    from gap_touchpoints
    where finding_kind in ({", ".join(f"'{kind}'" for kind in WAYS_OUT)})
    order by finding_kind, finding_rank is null, finding_rank, n_affected desc, finding_id
"""

"""A publication's sections put together, in the order in which they are read."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from orchestration.report import gap_views
from orchestration.report.names import Names
from orchestration.report.parts import Block, Filters, JourneyChoice, Page, Section, SegmentChoice
from orchestration.report.reading import Journey, Publication
from orchestration.report.sections import (
    actions,
    curves,
    flow,
    glossary,
    handoffs,
    opening,
    quality,
    segments,
    stages,
    trends,
    voice,
)
from orchestration.report.segments import segment_of, segments_of
from orchestration.report.words import (
    UNKNOWN,
    as_time,
    count,
    counted,
    day,
    in_words,
    listed,
    moment,
)

BlockOfJourney = Callable[[Publication, Journey, Names, str], Block | None]
SectionOfAll = Callable[[Publication, Names], Section]

# Of each journey, then of all of them.
JOURNEY_BLOCKS: tuple[BlockOfJourney, ...] = (
    stages.build,
    curves.build,
    trends.build,
    segments.build,
    flow.build,
    handoffs.build,
)
SECTIONS: tuple[SectionOfAll, ...] = (voice.build, actions.build, quality.build)


def build_page(folder: Path) -> Page:
    """Read a publication and say what it holds: the journey with the top gap first."""
    with Publication(folder) as publication:
        return _page(publication)


def _page(publication: Publication) -> Page:
    called = Names(publication)
    ids = {
        journey.journey_id: f"journey-{number}"
        for number, journey in enumerate(publication.journeys, start=1)
    }
    journeys = [
        Section(
            section_id=ids[journey.journey_id],
            title=called.journey(journey.journey_id),
            summary=_summary(publication, journey, called),
            blocks=[
                block
                for build in JOURNEY_BLOCKS
                if (block := build(publication, journey, called, ids[journey.journey_id]))
            ],
        )
        for journey in publication.journeys
    ]
    others = [build(publication, called) for build in SECTIONS]
    filters = _filters(publication, called, ids)
    return Page(
        title=listed(called.journeys.values()) if called.journeys else "No journey",
        facts=_facts(publication, called),
        opening=opening.build(publication, called, ids),
        journeys=journeys,
        others=others,
        glossary=glossary.build(publication.metrics.values()),
        publication_id=str(publication.manifest.get("publication_id", UNKNOWN)),
        filters=filters,
        gap_views=gap_views.build(publication, called, filters),
    )


def _filters(publication: Publication, called: Names, ids: dict[str, str]) -> Filters:
    """All journeys, and the segments by which their cases are divided."""
    having = defaultdict(set)
    for measure in publication.segment_measures:
        if measure.journey_id in ids:
            having[segment_of(measure)].add(ids[measure.journey_id])
    return Filters(
        [
            JourneyChoice(journey, section, called.journey(journey), _note(publication, journey))
            for journey, section in ids.items()
        ],
        [
            SegmentChoice(
                segment.key,
                in_words(segment.dimension),
                segment.value,
                [section for section in ids.values() if section in having[segment]],
            )
            for segment in segments_of(publication.segment_measures)
            if having[segment]
        ],
    )


def _note(publication: Publication, journey_id: str) -> str:
    """Why none of the gaps on top is of a journey."""
    ranked = sum(
        1
        for gap in publication.gaps
        if gap.is_total and gap.priority_rank is not None and gap.journey_id == journey_id
    )
    if not ranked:
        return "No gap of this journey is ranked."
    verb = "is" if ranked == 1 else "are"
    return (
        f"{counted(ranked, 'gap')} of this journey {verb} ranked, none among the first of all "
        "journeys: see the table below."
    )


def _summary(publication: Publication, journey: Journey, called: Names) -> str:
    """How many cases, and how many of them reached which end."""
    if not journey.cases or journey.oldest is None:
        return "No case of this journey has been seen."
    ends = [
        f"{count(stage.cases)} reached “{called.stage(stage.journey_id, stage.stage_id)}”"
        for stage in publication.stages
        if stage.journey_id == journey.journey_id and stage.stage_kind != "progress"
    ]
    entity = f" (each one pass of one {in_words(journey.entity).lower()})" if journey.entity else ""
    text = f"{counted(journey.cases, 'case')}{entity} since {day(journey.oldest)}"
    return f"{text}; so far {listed(ends)}." if ends else f"{text}."


def _facts(publication: Publication, called: Names) -> list[tuple[str, str]]:
    newest = max(
        (table["newest"] for table in publication.source_tables if table.get("newest")),
        key=as_time,
        default=None,
    )
    facts = [("Published", moment(publication.manifest.get("published_at")))]
    if newest is not None:
        facts.append(("Newest data", moment(newest)))
    differ = len({journey.as_of for journey in publication.journeys}) > 1
    facts += [
        (
            f"As of · {called.journey(journey.journey_id)}" if differ else "Data as of",
            moment(journey.as_of),
        )
        for journey in publication.journeys[: None if differ else 1]
    ]
    facts.append(("Publication", str(publication.manifest.get("publication_id", UNKNOWN))))
    return facts

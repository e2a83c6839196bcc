"""What a page is made of: text, charts and tables, without any markup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from orchestration.report.charts.base import Spec
from orchestration.report.words import Verdict


@dataclass(frozen=True)
class Table:
    """A plain table: headings and cells as they are shown; the first `texts` columns are text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    name: str = ""


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a sign that templates/keys.html.j2 draws, and what it means."""

    sign: str
    text: str


@dataclass(frozen=True)
class Figure:
    """One chart with all that it needs on the page; `empty` says why there is none.

    `caption` says what is shown, its n, its period and its source; `label` is the chart for
    those who hear it; `table` has the same numbers. `variants` are the same chart for the cases
    of one segment each, by `Segment.key`; without them a chart stays as it is when the reader
    chooses a segment, and says that it is of all cases.
    """

    chart_id: str
    title: str
    caption: str = ""
    label: str = ""
    table: Table | None = None
    spec: Spec | None = None
    empty: str = ""
    variants: Mapping[str, "Figure"] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One subject of a section: its heading, what to know, a legend, then charts and tables.

    A block without a title stands on its own figures' titles. `is_grid` puts its figures side
    by side as small multiples. `empty` says what is missing and how to feed it.
    """

    title: str = ""
    note: str = ""
    keys: Sequence[Key] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    sentences: Sequence[str] = ()
    empty: str = ""
    is_grid: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page that its navigation names."""

    section_id: str
    title: str
    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Card:
    """One gap to close: its sentence and picture, its worth, what goes with it, whose it is.

    `last_action` is the readout of what was done about it, empty where nothing was.
    """

    rank: int
    place: str
    journey: str
    section: str
    sentence: str
    figure: Figure
    worth: str
    reason: str
    owner: str
    last_action: str
    evidence: str


@dataclass(frozen=True)
class Opening:
    """The answer: what to close first, then every comparison."""

    cards: Sequence[Card]
    nothing_ranked: str
    more_ranked: str
    gap_table: Markup | None
    gap_table_note: str
    verdict_counts: Sequence[tuple[Verdict, int]]


@dataclass(frozen=True)
class JourneyChoice:
    """A journey that the reader can choose; `section` is its place on the page.

    `note` is said where none of the cards on top is of this journey.
    """

    journey_id: str
    section: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class SegmentChoice:
    """A segment that the reader can choose, in the `sections` of the journeys that have it."""

    key: str
    dimension: str
    value: str
    sections: Sequence[str]


@dataclass(frozen=True)
class Filters:
    """What the reader can choose of the page."""

    journeys: Sequence[JourneyChoice] = ()
    segments: Sequence[SegmentChoice] = ()

    @property
    def dimensions(self) -> Sequence[str]:
        """Of the segments, in their order."""
        return list(dict.fromkeys(segment.dimension for segment in self.segments))


@dataclass(frozen=True)
class GapView:
    """What one choice shows of the gaps: titles with numbers of rows, and what to know."""

    groups: Sequence[tuple[str, Sequence[int]]]
    note: str


@dataclass(frozen=True)
class GapViews:
    """All rows that some choice shows, as verdict and texts, and the choices.

    `views` has them by the section of a journey and the key of a segment, empty for all; the
    whole table, which stands on the page, is not among them.
    """

    rows: list[tuple[str, list[str]]] = field(default_factory=list)
    views: dict[tuple[str, str], GapView] = field(default_factory=dict)


@dataclass(frozen=True)
class Glossary:
    """What is defined, with its definition: the terms of the page, and every metric."""

    terms: Sequence[tuple[str, str]]
    metrics: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """Everything on the page, in its order."""

    title: str
    facts: Sequence[tuple[str, str]]
    opening: Opening
    journeys: Sequence[Section]
    others: Sequence[Section]
    glossary: Glossary
    publication_id: str
    filters: Filters = field(default_factory=Filters)
    gap_views: GapViews = field(default_factory=GapViews)

    @property
    def specs(self) -> dict[str, Spec]:
        """The charts that there are, by their id."""
        return {each.chart_id: each.spec for each in self.figures if each.spec is not None}

    @property
    def figures(self) -> Sequence[Figure]:
        """All charts, in their order."""
        return [
            *(card.figure for card in self.opening.cards),
            *(
                figure
                for section in self.sections
                for block in section.blocks
                for figure in block.figures
            ),
        ]

    @property
    def sections(self) -> Sequence[Section]:
        """Of the journeys, then those of all of them."""
        return (*self.journeys, *self.others)

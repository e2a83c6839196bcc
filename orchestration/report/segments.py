"""Segments that the reader can choose: groups of cases, as the journey map divides them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from orchestration.report.words import in_words


class _OfSegment(Protocol):
    """What belongs to a segment: a measure or a gap."""

    @property
    def segment_dimension(self) -> str: ...
    @property
    def segment_value(self) -> str: ...


@dataclass(frozen=True, order=True)
class Segment:
    """The cases that have one value of one dimension."""

    dimension: str
    value: str

    @property
    def key(self) -> str:
        """What the page and its address call it."""
        return f"{self.dimension}={self.value}"

    @property
    def title(self) -> str:
        """What readers call it: `Region: dach`."""
        return f"{in_words(self.dimension)}: {self.value}"


def segment_of(row: _OfSegment) -> Segment:
    """The segment of a measure or a gap."""
    return Segment(row.segment_dimension, row.segment_value)


def segments_of(rows: Iterable[_OfSegment]) -> list[Segment]:
    """The segments of measures, by dimension and value."""
    return sorted({segment_of(row) for row in rows})

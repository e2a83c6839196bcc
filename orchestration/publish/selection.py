"""Which rows of a publication a reader wants: names that exist, or an error that lists them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from orchestration.errors import JourneyGapsError

# Names that an error lists.
NAMED = 20
TOTALS = ("all",)


class SelectionError(JourneyGapsError):
    """A selection of what the publication does not have."""


@dataclass(frozen=True)
class Selection:
    """Rows wanted, by their columns: any of the values named; where none is, all rows.

    `segments` are a dimension (`region`) or one of its values (`region=dach`); the dimension
    `all` is the totals.
    """

    journeys: Sequence[str] = ()
    metrics: Sequence[str] = ()
    stages: Sequence[str] = ()
    segments: Sequence[str] = ()
    verdicts: Sequence[str] = ()
    benchmark_kinds: Sequence[str] = ()

    def variables(self) -> dict[str, Sequence[str]]:
        """The variables of CONDITION, and those of verdicts and benchmark kinds."""
        return {
            "journeys": self.journeys,
            "metrics": self.metrics,
            "stages": self.stages,
            "segments": self.segments,
            "verdicts": self.verdicts,
            "kinds": self.benchmark_kinds,
        }


# Over any mart of measures; it goes on after `where`.
CONDITION = """
    (getvariable('journeys') = [] or list_contains(getvariable('journeys'), journey_id))
    and (getvariable('metrics') = [] or list_contains(getvariable('metrics'), metric_id))
    and (getvariable('stages') = [] or list_contains(getvariable('stages'), stage_id))
    and (
        getvariable('segments') = []
        or list_contains(getvariable('segments'), segment_dimension)
        or list_contains(getvariable('segments'), segment_dimension || '=' || segment_value)
    )
"""


def require_known(kind: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise SelectionError where a name is wanted that there is not, with those there are.

    `kind` is what the names are of, such as `stage`; the closest name is listed first.
    """
    names = sorted(set(known))
    for name in wanted:
        if name not in names:
            raise SelectionError(f"there is no {kind} '{name}': {_listed(name, names)}")


def _listed(name: str, names: Sequence[str]) -> str:
    if not names:
        return "the publication has none"
    closest = sorted(names, key=lambda known: -SequenceMatcher(None, name, known).ratio())
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"there are {', '.join(closest[:NAMED])}{more}"

"""Figures as a line of blocks: the weeks of a measure, the size of a contribution."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

NOT_COMPARED = "dim"


@dataclass(frozen=True)
class Glyphs:
    """The letters to draw with: levels from lowest to highest, and eighths of a bar."""

    levels: str
    no_value: str
    bar: str

    @property
    def all(self) -> str:
        """Each of them, to ask whether a terminal can write them."""
        return self.levels + self.no_value + self.bar


BLOCKS = Glyphs(levels="▁▂▃▄▅▆▇█", no_value="·", bar="▏▎▍▌▋▊▉█")
ASCII = Glyphs(levels="_.-~=+*#", no_value="?", bar="#")


@dataclass(frozen=True)
class Point:
    """A week: `value` is None where there is none, `counts` where it may be compared."""

    value: float | None
    counts: bool


def sparkline(points: Sequence[Point], glyphs: Glyphs, floor: float = 0.0) -> Text:
    """Weeks in their order, from `floor` to the highest of them; a gap where there is no value.

    Weeks that do not count yet stand in parentheses, and dim.
    """
    values = [point.value for point in points if point.value is not None]
    top = max(values, default=floor)
    line = Text(no_wrap=True)
    for counts, run in groupby(points, key=lambda point: point.counts):
        drawn = "".join(_level(point.value, floor, top, glyphs) for point in run)
        line.append(drawn if counts else f"({drawn})", "" if counts else NOT_COMPARED)
    return line


def _level(value: float | None, floor: float, top: float, glyphs: Glyphs) -> str:
    if value is None:
        return glyphs.no_value
    share = (value - floor) / (top - floor) if top > floor else 0.0
    return glyphs.levels[round(max(share, 0.0) * (len(glyphs.levels) - 1))]


def bar(share: float, glyphs: Glyphs, width: int = 10) -> str:
    """A share of 0 to 1 as a bar of at most `width` letters; what is not zero shows something."""
    parts = len(glyphs.bar)
    filled = round(min(max(share, 0.0), 1.0) * width * parts)
    if filled == 0 and share > 0:
        filled = 1
    whole, rest = divmod(filled, parts)
    return glyphs.bar[-1] * whole + (glyphs.bar[rest - 1] if rest else "")

"""What a finding is."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NAMES_SHOWN = 5


class Level(StrEnum):
    """How bad it is. A run works with a warning; of an error somebody must take care."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `area` is installation, home, data, journey map or services; `remedy` is a command, or a
    line of a file and what to write there, and None where nothing is to be done.
    """

    area: str
    level: Level
    message: str
    remedy: str | None = None


def some(names: Iterable[str]) -> str:
    """Names in a sentence: the first few, and how many more."""
    known = list(names)
    more = len(known) - NAMES_SHOWN
    return ", ".join(known[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")

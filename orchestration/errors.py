"""Errors a user can act on: each names file, row, column and the way out."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    `row` is the physical line in the file (the header is line 1), None where the whole
    file is meant; `remedy` says what to do about it.
    """

    file: str
    message: str
    row: int | None = None
    column: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        """Place, message and remedy in one line."""
        place = self.file
        if self.row is not None:
            place += f", line {self.row}"
        if self.column is not None:
            place += f", column {self.column}"
        tail = f" ({self.remedy})" if self.remedy else ""
        return f"{place}: {self.message}{tail}"


class JourneyGapsError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(JourneyGapsError):
    """Input that cannot be used, with every problem found and not only the first."""

    def __init__(self, summary: str, problems: Sequence[Problem]) -> None:
        """`summary` is one sentence; each problem becomes a line below it."""
        self.summary = summary
        self.problems = list(problems)
        super().__init__("\n".join([summary, *(f"  {problem}" for problem in problems)]))

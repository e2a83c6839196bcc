"""What a load did: to each file, to each table, as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestration.errors import Problem
from orchestration.landing.contract import CONTRACT


class Status(StrEnum):
    """What became of a file for one source."""

    LANDED = "landed"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    ADOPTED = "adopted"  # read from a table that the warehouse has
    REPLAYED = "replayed"  # judged again out of quarantine

    @property
    def is_in(self) -> bool:
        """Whether its rows were judged and placed."""
        return self in (Status.LANDED, Status.ADOPTED)


@dataclass(frozen=True)
class FileResult:
    """What became of one file for one source.

    rows_in = rows_kept + rows_quarantined + rows_duplicate. `problems` holds why a file was
    rejected, or the first of its quarantined rows; `schema_change` what is another in its
    columns than in the last file of its source, None where nothing is.
    """

    source: str
    table: str
    file: str
    status: Status
    rows_in: int = 0
    rows_kept: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    message: str = ""
    problems: tuple[Problem, ...] = ()
    schema_change: str | None = None


@dataclass(frozen=True)
class TableCounts:
    """Rows of one raw table: what came in, and where it went.

    `rows_released` left raw or quarantine on purpose (raw.released_rows).
    """

    table: str
    rows_in: int
    rows_kept: int
    rows_quarantined: int
    rows_duplicate: int
    rows_released: int = 0

    @property
    def difference(self) -> int:
        """Rows that are lost (positive) or in two places (negative); 0 unless something broke."""
        placed = self.rows_kept + self.rows_quarantined + self.rows_duplicate
        return self.rows_in - placed - self.rows_released


@dataclass(frozen=True)
class LandingResult:
    """What one call of `land` did.

    `load_id` is None where nothing was new. `unlisted` files are in the landing folder but not
    landed, `unmatched` globs of landing.yml have no file, `waiting` files have not settled,
    `ignored` ones never land, for the reason given. `rows_withdrawn` counts, by table, the
    rows that an earlier load kept and that a conflicting one now sent to quarantine.
    """

    load_id: int | None
    loaded_at: datetime
    files: tuple[FileResult, ...]
    unlisted: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    rows_withdrawn: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema_changes(self) -> tuple[FileResult, ...]:
        """Files whose columns are others than those of the last file of their source."""
        return tuple(file for file in self.files if file.schema_change)

    @property
    def rejected(self) -> tuple[FileResult, ...]:
        """Files that could not be read; the others landed."""
        return tuple(file for file in self.files if file.status is Status.REJECTED)

    @property
    def totals(self) -> tuple[TableCounts, ...]:
        """Counts of this load by table, for the tables that a file landed in."""
        landed = [file for file in self.files if file.status.is_in]
        return tuple(
            TableCounts(
                table,
                sum(file.rows_in for file in landed if file.table == table),
                sum(file.rows_kept for file in landed if file.table == table),
                sum(file.rows_quarantined for file in landed if file.table == table),
                sum(file.rows_duplicate for file in landed if file.table == table),
            )
            for table in CONTRACT
            if any(file.table == table for file in landed)
        )

"""The map as a whole: read and checked from a folder, written as dbt's seeds."""

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from orchestration.errors import InputError, Problem
from orchestration.files import write_whole
from orchestration.journey_map.checks import CHECKS
from orchestration.journey_map.rows import (
    ENTITY_COLUMNS,
    REQUIRED,
    TABLES,
    EntityLink,
    Metric,
    R,
    Row,
    StageRule,
    nearest,
)
from orchestration.journey_map.sheets import Sheet, Sheets, read_sheet
from orchestration.settings import PROJECT_DIR

DEFAULT_METRICS = PROJECT_DIR / "seeds" / "journey_map" / "metrics.csv"


@dataclass(frozen=True)
class JourneyMap:
    """A map without contradictions: the rows of every table, absent tables empty."""

    tables: dict[str, list[Row]]

    def rows(self, model: type[R]) -> list[R]:
        """The rows of one table, typed."""
        return cast(list[R], self.tables[model.table])

    def sources(self) -> tuple[str, ...]:
        """Raw tables without which no case is found: the stage rules' and their links', sorted."""
        used = {(rule.journey_id, rule.source) for rule in self.rows(StageRule)}
        through = {
            table
            for link in self.rows(EntityLink)
            if (link.journey_id, link.source) in used
            for table in ENTITY_COLUMNS[link.source][link.entity_column]
        }
        return tuple(sorted({source for _, source in used} | through))

    @cached_property
    def csvs(self) -> dict[str, str]:
        """Canonical CSV text of every table: comma, LF, true/false, ISO dates."""
        return {table: _csv(TABLES[table], rows) for table, rows in self.tables.items()}

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical CSVs, in hex."""
        content = "".join(f"{table}.csv\n{text}" for table, text in self.csvs.items())
        return hashlib.sha256(content.encode()).hexdigest()


def _csv(model: type[Row], rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(model.model_fields)
    writer.writerows([_cell(getattr(row, name)) for name in model.model_fields] for row in rows)
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def load_journey_map(folder: Path) -> JourneyMap:
    """Read and check the map in a folder of CSV files.

    `journeys`, `stages`, `stage_rules` and `entity_links` must be there; an absent
    `metrics` is the project's own, any other absent table is empty. Files may have a
    byte-order mark, be UTF-16, use semicolons or tabs, CRLF and decimal commas.

    Raises:
        InputError: the map cannot be used; it names every problem found, each with file,
            physical line, column and remedy.
    """
    if not folder.is_dir():
        remedy = "check --map or JOURNEY_GAPS_MAP"
        raise InputError(
            "The journey map cannot be used.",
            [Problem(str(folder), "no such folder", remedy=remedy)],
        )
    problems: list[Problem] = []
    expected = [f"{table}.csv" for table in TABLES]
    present = {
        path.name: path
        for path in sorted(folder.iterdir())
        # A spreadsheet that is open leaves a hidden lock file beside its file.
        if path.suffix.lower() == ".csv" and not path.name.startswith((".", "~"))
    }
    for name in present.keys() - set(expected):
        problems.append(Problem(name, "no table of the map", remedy=nearest(name, expected)))

    sheets = Sheets()
    for table, model in TABLES.items():
        name = f"{table}.csv"
        path = present.get(name, DEFAULT_METRICS if model is Metric else None)
        if path is not None:
            sheets[table] = read_sheet(path, model, problems)
        elif table in REQUIRED:
            sheets[table] = Sheet(name)
            remedy = f"add it, with the columns {','.join(model.model_fields)}"
            problems.append(Problem(name, "the file is missing", remedy=remedy))
        else:
            sheets[table] = Sheet(name, set(model.model_fields))
    for check in CHECKS:
        problems.extend(check(sheets))
    if problems:
        order = {name: index for index, name in enumerate(expected)}
        problems.sort(key=lambda each: (order.get(each.file, -1), each.row or 0, str(each)))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError(f"The journey map in {folder} has {count}.", problems)
    return JourneyMap({table: [row for _, row in sheets[table].rows] for table in TABLES})


def write_seeds(journey_map: JourneyMap, destination: Path) -> None:
    """Write every table as `<destination>/<table>.csv`, with a header even when empty.

    Each file is replaced as a whole, and only if its content changes. Other files in the
    folder are left alone.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for table, text in journey_map.csvs.items():
        path = destination / f"{table}.csv"
        if not path.is_file() or path.read_bytes() != text.encode():
            write_whole(path, text)

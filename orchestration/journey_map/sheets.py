"""Files of the journey map as spreadsheets save them, read into rows; what is wrong is reported."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import cast

from pydantic import (
    ValidationError,
)

from orchestration.errors import Problem
from orchestration.journey_map.rows import R, Row, nearest


@dataclass
class Sheet:
    """One file as read: `cells` of every line, empty ones left out, and its valid `rows`."""

    file: str
    columns: set[str] = field(default_factory=set)
    cells: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    rows: list[tuple[int, Row]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Every line became a row, so that what is absent here is absent indeed."""
        return bool(self.columns) and len(self.rows) == len(self.cells)

    def known(self, columns: Sequence[str]) -> set[tuple[str, ...]] | None:
        """Values of some columns, of broken lines too; None where the file cannot tell."""
        if not self.columns.issuperset(columns):
            return None
        return {tuple(cells.get(column, "") for column in columns) for _, cells in self.cells}


class Sheets(dict[str, Sheet]):
    """The files of a map by table."""

    def of(self, model: type[R]) -> list[tuple[int, R]]:
        """The valid rows of a table, each with its physical line."""
        return cast(list[tuple[int, R]], self[model.table].rows)

    def known(self, model: type[Row], *columns: str) -> set[tuple[str, ...]] | None:
        """Values of some columns of a table; None where its file cannot tell."""
        return self[model.table].known(columns)


def problem(model: type[Row], line: int, column: str, message: str, remedy: str | None) -> Problem:
    """What is wrong in one cell of a table."""
    return Problem(f"{model.table}.csv", message, line, column, remedy)


def _decoded(data: bytes) -> tuple[str, int | None]:
    """Text of a file and the line of its first undecodable byte, None where there is none."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        return "", data.count(b"\n", 0, error.start) + 1
    # UTF-16 without its mark is valid UTF-8 full of NUL.
    return (text, None) if "\0" not in text else ("", text[: text.index("\0")].count("\n") + 1)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, stripped, each with the physical line it begins on.

    Raises:
        csv.Error: with that line and the reason, where quotes do not match.
    """
    header = next((line for line in text.splitlines() if line.strip(" ,;\t")), None)
    if header is None:
        return
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = [cell.replace("\r\n", "\n").strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise csv.Error(line, str(error)) from error
        if any(record):
            yield line, record


def read_sheet(path: Path, model: type[Row], problems: list[Problem]) -> Sheet:
    """Read one file; what is wrong with it is added to `problems`."""
    sheet = Sheet(path.name)
    fields = model.model_fields

    def report(message: str, line: int | None, column: str | None, remedy: str | None) -> None:
        problems.append(Problem(path.name, message, line, column, remedy))

    try:
        text, bad_line = _decoded(path.read_bytes())
    except OSError as error:
        report(f"cannot be read: {error.strerror}", None, None, "check the file")
        return sheet
    if bad_line is not None:
        report("not UTF-8", bad_line, None, "save it as CSV UTF-8")
        return sheet
    try:
        records = list(_records(text))
    except csv.Error as error:
        line, reason = error.args
        report(f"broken quote: {reason}", line, None, 'write a quote inside quotes as ""')
        return sheet
    if not records:
        report("the file is empty", None, None, f"begin with the header {','.join(fields)}")
        return sheet

    (header_line, header), *lines = records
    for column, count in Counter(filter(None, header)).items():
        if column not in fields:
            report("unknown column", header_line, column, nearest(column, fields))
        elif count > 1:
            report("the column is there twice", header_line, column, "delete one")
    for column, info in fields.items():
        if column not in header and info.is_required():
            report("the column is missing", header_line, column, "add it")
    sheet.columns = set(header) & set(fields)

    for line, record in lines:
        if any(cell for name, cell in zip_longest(header, record) if not name):
            report("a cell without a column", line, None, "put a cell with a delimiter in quotes")
            continue
        named = zip(header, record, strict=False)
        cells = {name: cell for name, cell in named if cell and name in fields}
        sheet.cells.append((line, cells))
        try:
            sheet.rows.append((line, model.model_validate(cells)))
        except ValidationError as refused:
            for detail in refused.errors():
                column = str(detail["loc"][0])
                if detail["type"] != "missing":
                    report(detail["msg"], line, column, detail.get("ctx", {}).get("remedy"))
                elif column in header:
                    report("must not be empty", line, column, "fill this cell")
    return sheet

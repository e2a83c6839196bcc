"""How the commands write: to a terminal or a pipe, figures as a person says them."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TextIO

from rich import markup
from rich.console import Console

# A pipe has no width: wide enough to keep one row on one line.
PIPE_WIDTH = 10_000


def console_of(stream: Any) -> Console:
    """A console that writes to a stream."""
    spell_out_unknown_letters(stream)
    return Console(file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def spell_out_unknown_letters(stream: TextIO) -> None:
    """Let a stream write letters that its encoding has not as `\\u2588`, instead of failing."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def can_write(stream: TextIO, glyphs: str) -> bool:
    """Whether a stream's encoding has these letters."""
    try:
        glyphs.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


# What a terminal obeys (C0, DEL, C1) and what turns the order of letters around.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# A spreadsheet takes a text that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """A text from data with what a terminal would obey made visible: `\\x1b[31m`."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def escape(text: str) -> str:
    """A text from data for a console: neither markup nor a terminal's commands."""
    return markup.escape(harmless(text))


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV; a text that a spreadsheet would run as a formula begins with `'`.

    Numbers stay numbers. What CSV readers stumble over is mended: NULs are left out, carriage
    returns become line feeds, which are quoted.
    """
    is_terminal = stream.isatty()

    def written(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
        text = harmless(text) if is_terminal else text
        # Spreadsheets skip blanks before a formula.
        return f"'{text}" if text.lstrip(" \n").startswith(_FORMULA) else text

    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([written(column) for column in columns])
    writer.writerows([written(value) for value in row] for row in rows)


def write_json(stream: TextIO, records: Sequence[Mapping[str, object]]) -> None:
    """Write records as a JSON array: numbers as numbers, dates as ISO 8601, else null."""
    typed = [{name: _typed(value) for name, value in record.items()} for record in records]
    json.dump(typed, stream, indent=2, allow_nan=False)
    stream.write("\n")


def _typed(value: object) -> object:
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date) else value


def listed(counts: dict[str, int]) -> str:
    """Counts in one line: kept 3, quarantined 1,024."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def measured(value: float | None, unit: str | None) -> str:
    """A measure as a person says it: 41.2 %, 7.1 days."""
    if value is None:
        return "unknown"
    return f"{value:.1%}" if unit == "share" else f"{number(value)} {unit or ''}".rstrip()


def interval(low: float | None, high: float | None, unit: str | None) -> str:
    """A 95 % interval as a person says it: 37.2% to 44.1%; empty where there is none."""
    if low is None and high is None:
        return ""
    return f"{measured(low, unit)} to {measured(high, unit)}"


def change(value: float | None, unit: str | None) -> str:
    """A difference with its sign, of shares in points: -1.7 points; empty where there is none."""
    if value is None:
        return ""
    if unit == "share":
        return f"{value * 100:+.1f} points"
    if unit == "points":
        return f"{value:+.2f} points"
    return f"{value:+.3g} {unit or ''}".rstrip()


def between(low: float | None, high: float | None, unit: str | None) -> str:
    """A 95 % interval of a difference, of shares in points: -5.1 to +6.5; empty without one."""
    if low is None or high is None:
        return ""
    if unit == "share":
        return f"{low * 100:+.1f} to {high * 100:+.1f}"
    return f"{low:+.2f} to {high:+.2f}" if unit == "points" else f"{low:+.3g} to {high:+.3g}"


def share(value: float | None) -> str:
    """A share of a whole: 78%; empty where there is none."""
    return "" if value is None else f"{value:.0%}"


def p_value(value: float | None) -> str:
    """A p as it is printed: 0.032, <0.001; empty where there is none."""
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{min(value, 1):.3f}"


def cell(value: object) -> str:
    """A value in a grid; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def in_bytes(size: float) -> str:
    """A size as a person says it: 812 B, 4.2 MB."""
    units = ["GB", "MB", "kB", "B"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop()
    return f"{number(size)} {units[-1]}"


def number(value: float) -> str:
    """Three digits that count, and all of a larger number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

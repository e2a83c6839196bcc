"""What the company's systems wrote down: the rows of the raw tables, as text.

Times are days since the first midnight, local, until they are written.
"""

import csv
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from orchestration.demo.plan import BEGIN, DAYS, TIME_ZONE
from orchestration.landing.contract import CONTRACT

Row: TypeAlias = dict[str, str]

# Most of the day's work is done from half past eight to six; nights are quiet.
_DAY_PARTS, _HOURS = (0.0, 0.05, 0.9, 1.0), (7.0, 8.5, 18.0, 21.0)


@dataclass(frozen=True)
class Records:
    """Rows per raw table, each with the time of its arrival; `dirt` counts what is not clean."""

    rows: dict[str, list[tuple[float, Row]]] = field(
        default_factory=lambda: {table: [] for table in CONTRACT if table != "event_log"}
    )
    dirt: Counter[str] = field(default_factory=Counter)
    _ids: Counter[str] = field(default_factory=Counter)

    def new_id(self, prefix: str) -> str:
        """Return the next id of a kind."""
        self._ids[prefix] += 1
        return f"{prefix}{self._ids[prefix]}"

    def add(self, table: str, arrived: float, row: Row) -> None:
        """Record a row, unless it arrives after the end."""
        if arrived < DAYS:
            self.rows[table].append((float(arrived), row))

    def event(
        self,
        name: str,
        at: float,
        customer_id: str = "",
        device: str = "",
        account_id: str = "",
        channel: str = "web",
        **properties: str,
    ) -> None:
        """Record a product event as it happens."""
        if at < DAYS:
            row = {
                "event_id": self.new_id("e"),
                "anonymous_id": device,
                "customer_id": customer_id,
                "account_id": account_id,
                "event_name": name,
                "occurred_at": text(at),
                "channel": channel,
                "properties": json.dumps(properties, separators=(",", ":")) if properties else "",
            }
            self.add("events", at, row)

    def write(self, folder: Path) -> None:
        """Write `<table>.csv` for each table, rows in the order of their arrival."""
        folder.mkdir(parents=True, exist_ok=True)
        for table, rows in self.rows.items():
            columns = [column.name for column in CONTRACT[table].landed_columns]
            with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(row for _, row in sorted(rows, key=lambda item: item[0]))


def text(at: float) -> str:
    """Return a time as UTC text."""
    day = int(at)
    hours = float(np.interp(at - day, _DAY_PARTS, _HOURS))
    return f"{(_midnight(day) + timedelta(seconds=int(hours * 3600))).isoformat()}Z"


@cache
def _midnight(day: int) -> datetime:
    """A day's local midnight as UTC; clocks change at night, when nobody is there."""
    noon = datetime.combine(BEGIN + timedelta(days=day), time(12), ZoneInfo(TIME_ZONE))
    return noon.astimezone(UTC).replace(tzinfo=None) - timedelta(hours=12)

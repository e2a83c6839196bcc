"""Cohorts counted anew from the published visits: what measures are compared with."""

import itertools
import math
from collections.abc import Iterator
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter

from tests.conftest import Workbench

# The 0.975 quantile of the normal distribution.
Z = 1.959963984540054


def kaplan_meier(units: pd.DataFrame) -> KaplanMeierFitter:
    return KaplanMeierFitter().fit(units["duration_us"], units["is_event"])


def cohort_units(workbench: Workbench) -> dict[str, pd.DataFrame]:
    """Units of each kind of curve, from the published visits alone: one row a visit or case.

    Columns: those of fct_stage_visits, day (local date of entry), duration_us, is_event and, of
    entries, has_exited, advanced_at, left_at (by an exit).
    """
    return _cohort_units(workbench.settings.warehouse)


@cache
def _cohort_units(warehouse: Path) -> dict[str, pd.DataFrame]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        visits = connection.execute(
            """
            select visits.*, stage_kind, key_moment, observed_through, order_mode, time_zone
            from marts.fct_stage_visits as visits
            join marts.dim_stages using (journey_id, stage_id, stage_order)
            join marts.dim_journeys using (journey_id)
            where not is_left_truncated
            order by case_id, visit_number
            """
        ).df()
    days = [
        visits_of_zone["entered_at"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
        for zone, visits_of_zone in visits.groupby("time_zone")
    ]
    visits["day"] = pd.concat(days).dt.normalize()
    visits["duration_us"] = visits["time_in_stage_us"]
    visits["is_event"] = visits["exited_at"].notna()
    visits["has_exited"] = visits["exit_kind"] == "exit"
    entries: list[dict[Any, Any]] = []
    values: list[dict[Any, Any]] = []
    first_orders = visits.groupby("journey_id")["stage_order"].min().to_dict()
    for _, case in itertools.groupby(visits.to_dict("records"), key=itemgetter("case_id")):
        rows = list(case)
        entries.extend(_entries(rows))
        values.extend(_values(rows, first_orders[rows[0]["journey_id"]]))
    valued = {row["journey_id"] for row in values if row["is_event"]}
    return {
        "leaving": visits[visits["duration_us"].notna()],
        "advancing": pd.DataFrame(entries),
        "first_value": pd.DataFrame(
            [row for row in values if row["journey_id"] in valued], columns=list(entries[0])
        ),
    }


def _entries(rows: list[dict[Any, Any]]) -> Iterator[dict[Any, Any]]:
    """A case's first visits, followed until it advances, lapses or is observed no longer."""
    last = rows[-1]
    seen = set()
    for number, row in enumerate(rows):
        if row["stage_kind"] != "progress" or row["stage_id"] in seen:
            continue
        seen.add(row["stage_id"])
        advances = [
            later["entered_at"]
            for later in rows[number + 1 :]
            if later["stage_kind"] != "exit"
            and (
                later["stage_id"] != row["stage_id"]
                if row["order_mode"] == "any"
                else later["stage_order"] > row["stage_order"]
            )
        ]
        yield _followed(row, advances, last)


def _values(rows: list[dict[Any, Any]], first_order: int) -> Iterator[dict[Any, Any]]:
    """The case's entry into the journey, followed until it enters the stage of first value."""
    starts = [number for number, row in enumerate(rows) if row["stage_order"] == first_order]
    if starts and rows[starts[0]]["key_moment"] != "first_value":
        later = rows[starts[0] + 1 :]
        reached = [row["entered_at"] for row in later if row["key_moment"] == "first_value"]
        yield _followed(rows[starts[0]], reached, rows[-1])


def _followed(
    row: dict[Any, Any], reached: list[pd.Timestamp], last: dict[Any, Any]
) -> dict[Any, Any]:
    """An entry until the first of the times awaited, else its lapse, else the end of sight."""
    until = row["observed_through"]
    if reached:
        until = reached[0]
    elif last["exit_kind"] == "lapsed":
        until = last["entered_at"] + pd.Timedelta(microseconds=last["time_in_stage_us"])
    followed = max(until - row["entered_at"], pd.Timedelta(0))
    return {
        **row,
        "duration_us": followed // pd.Timedelta(microseconds=1),
        "is_event": bool(reached),
        "has_exited": not reached and last["stage_kind"] == "exit",
        "advanced_at": reached[0] if reached else pd.NaT,
        "left_at": last["entered_at"] if last["stage_kind"] == "exit" else pd.NaT,
    }


def units_of(units: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """Those of a measure's stage and period."""
    days = units["day"]
    is_within = (days >= row["period_start"]) & (days < row["period_end"])
    same = (units["journey_id"] == row["journey_id"]) & (units["stage_id"] == row["stage_id"])
    return units[same & is_within]


def first_fallen(times: np.ndarray, curve: np.ndarray, level: float) -> int | None:
    """Microseconds until a curve has fallen to 1 - level, to the tolerance of domain.md §6."""
    reached = times[curve <= 1 - level + 1e-9]
    return int(reached[0]) if len(reached) else None


def whole_us(days: float) -> int | None:
    return None if math.isnan(days) else round(days * 86_400e6)


def nps_interval(promoters: int, detractors: int, n: int) -> tuple[float, float, float]:
    """Value and ends: a difference of two shares of a multinomial with half a count a class."""
    total = n + 1.5
    up, down = (promoters + 0.5) / total, (detractors + 0.5) / total
    spread = Z * math.sqrt((up + down - (up - down) ** 2) / total)
    low, high = 100 * (up - down - spread), 100 * (up - down + spread)
    return 100 * (promoters - detractors) / n, max(low, -100), min(high, 100)

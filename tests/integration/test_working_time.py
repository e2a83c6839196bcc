"""The working clock against an oracle that walks local days, where clocks change oddly."""

import random
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest

from tests.conftest import Workbench
from tests.histories import write_map
from tests.maps import write_tables

ORIGIN, END = datetime(1970, 1, 1), datetime(2036, 1, 1)
DAY, SECOND, NOTHING = timedelta(days=1), timedelta(seconds=1), timedelta(0)

# A change of 30 minutes, changes at midnight, a day that was left out (30 December 2011).
ZONES = {
    "berlin": "Europe/Berlin",
    "new_york": "America/New_York",
    "kolkata": "Asia/Kolkata",
    "lord_howe": "Australia/Lord_Howe",
    "sao_paulo": "America/Sao_Paulo",
    "apia": "Pacific/Apia",
}
TABLES = ("calendars", "holidays", "int_working_hours")
Span = tuple[str, str]
Times = tuple[timedelta, timedelta]
# By weekday; nights are two rows, and some hours begin or end in an hour that clocks change.
HOURS: dict[str, dict[int, list[Span]]] = {
    "office": {day: [("09:00", "12:30"), ("13:15", "18:00")] for day in range(1, 6)},
    "night": {
        day: [("00:00", "02:15"), ("02:20", "06:00"), ("22:00", "24:00")] for day in range(1, 8)
    },
    "always": {day: [("00:00", "24:00")] for day in range(1, 8)},
    "rare": {5: [("01:30", "02:30")], 7: [("02:10", "02:40"), ("23:30", "24:00")]},
}
HOLIDAYS = [
    *(date(year, 12, 25) for year in range(1980, 2031)),
    # Days on which clocks change.
    *(date(2024, 3, 31), date(2024, 10, 27), date(2017, 10, 15), date(2011, 12, 31)),
]


def changes(zone: ZoneInfo) -> list[datetime]:
    """When the zone's offset changes (UTC), to the second."""

    def offset(moment: datetime) -> timedelta:
        found = moment.replace(tzinfo=UTC).astimezone(zone).utcoffset()
        assert found is not None
        return found

    found = []
    for day in range((END - ORIGIN).days):
        low, high = ORIGIN + day * DAY, ORIGIN + (day + 1) * DAY
        if offset(low) != offset(high):
            before = offset(low)
            while high - low > SECOND:
                middle = low + ((high - low) // 2 // SECOND) * SECOND
                low, high = (middle, high) if offset(middle) == before else (low, middle)
            found.append(high)
    return found


def stretches(
    start: datetime, end: datetime, zone: ZoneInfo, ends: list[datetime]
) -> Iterator[tuple[datetime, datetime]]:
    """The wall clock's readings from start to end (UTC), cut where clocks change."""
    between = ends[bisect_right(ends, start) : bisect_right(ends, end)]
    for first, last in pairwise([start, *between, end]):
        if first < last:
            local = first.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
            yield local, local + (last - first)


def worked(
    first: datetime, last: datetime, hours: dict[int, list[Times]], holidays: set[date]
) -> timedelta:
    """Working time between two readings of a wall clock that nobody changes meanwhile."""
    total, day = NOTHING, first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < last:
        for opens, closes in hours.get(day.isoweekday(), []):
            if day.date() not in holidays:
                total += max(min(day + closes, last) - max(day + opens, first), NOTHING)
        day += DAY
    return total


def time_of_day(clock: str) -> timedelta:
    return timedelta(hours=int(clock[:2]), minutes=int(clock[3:]))


def calendar_tables() -> dict[str, str]:
    calendars = ["calendar_id,time_zone,weekday,opens_at,closes_at"]
    holidays = ["calendar_id,holiday_date,name"]
    for place, zone in ZONES.items():
        for kind, week in HOURS.items():
            calendars += [
                f"{kind}_{place},{zone},{weekday},{opens},{closes}"
                for weekday, spans in week.items()
                for opens, closes in spans
            ]
            if kind != "always":
                holidays += [f"{kind}_{place},{day},closed" for day in HOLIDAYS]
    return {"calendars": "\n".join(calendars), "holidays": "\n".join(holidays)}


@pytest.fixture(scope="module")
def clock(
    make_workbench: Callable[[str], Workbench], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workbench, str]:
    """A warehouse with the calendars, and the SQL that reads W of `instants` by the macros."""
    workbench = make_workbench("working_time")
    folder = write_map(tmp_path_factory.mktemp("working_time") / "map")
    workbench.use_map(write_tables(folder, calendar_tables()))
    workbench.dbt("build", "--exclude-resource-type", "unit_test", "--select", *TABLES)
    compiled = workbench.dbt(
        "compile",
        "--inline",
        """
        select
            instants.calendar_id,
            instants.moment,
            {{ working_us('instants.moment', 'hours') }} as working_us
        from instants
        left join {{ ref('int_working_hours') }} as hours
            on
                instants.calendar_id = hours.calendar_id
                and {{ is_in_segment('instants.moment', 'hours') }}
        """,
    )
    return workbench, compiled


def read_clock(
    workbench: Workbench, sql: str, instants: pd.DataFrame
) -> dict[tuple[str, datetime], int | None]:
    """W by calendar and moment, one answer each."""
    with duckdb.connect(str(workbench.settings.warehouse), read_only=True) as connection:
        connection.register("instants", instants)
        name = f'"{workbench.settings.warehouse.stem}".'
        rows = connection.execute(re.sub(re.escape(name), "", sql)).fetchall()
    assert len(rows) == len(instants)
    return {(calendar, moment): working_us for calendar, moment, working_us in rows}


def test_the_clock_equals_a_walk_over_local_days(clock: tuple[Workbench, str]) -> None:
    draw = random.Random(11)
    moments: dict[str, list[datetime]] = {}
    ends = {place: changes(ZoneInfo(zone)) for place, zone in ZONES.items()}
    for place in ZONES:
        span = (END - ORIGIN) // timedelta(microseconds=1)
        anywhere = [ORIGIN + timedelta(microseconds=draw.randrange(span)) for number in range(1000)]
        # Whole minutes around changes, so that openings and closings are hit exactly.
        around = [
            min(max(change + timedelta(minutes=draw.randrange(-1800, 1800)), ORIGIN), END - DAY)
            for change in [*ends[place], *draw.sample(anywhere, 50)]
            for number in range(6)
        ]
        moments[place] = sorted({*anywhere, *around})
    calendars = [(kind, place) for place in ZONES for kind in HOURS]
    instants = pd.DataFrame(
        [
            (f"{kind}_{place}", moment)
            for kind, place in calendars
            for moment in [ORIGIN, *moments[place]]
        ],
        columns=["calendar_id", "moment"],
    )
    found = read_clock(*clock, instants)
    assert len(found) > 40_000
    for kind, place in calendars:
        calendar, zone = f"{kind}_{place}", ZoneInfo(ZONES[place])
        holidays = set() if kind == "always" else set(HOLIDAYS)
        hours = {
            weekday: [(time_of_day(opens), time_of_day(closes)) for opens, closes in spans]
            for weekday, spans in HOURS[kind].items()
        }
        for first, last in pairwise([ORIGIN, *moments[place]]):
            expected = sum(
                (
                    worked(*reading, hours, holidays)
                    for reading in stretches(first, last, zone, ends[place])
                ),
                NOTHING,
            )
            before, after = found[calendar, first], found[calendar, last]
            assert before is not None
            assert after is not None
            actual = timedelta(microseconds=after - before)
            assert actual == expected, (calendar, first, last, actual, expected)


@pytest.mark.parametrize(
    ("calendar", "start", "end", "minutes"),
    [
        # A holiday ends at midnight, in the middle of a night's work.
        pytest.param("night_berlin", "2024-03-31 20:00", "2024-04-01 20:00", 355, id="holiday"),
        # 22:00 to 06:00 without 02:00 to 03:00, and the break of five minutes with it.
        pytest.param("night_berlin", "2025-03-29 21:00", "2025-03-30 10:00", 420, id="skipped"),
        # 02:00 to 03:00 comes twice, with its break.
        pytest.param("night_berlin", "2025-10-25 20:00", "2025-10-26 10:00", 530, id="twice"),
        # 02:10 to 02:40 of a night whose 02:00 is 02:30.
        pytest.param("rare_lord_howe", "2024-10-05 00:00", "2024-10-06 12:00", 10, id="half"),
        # 4 November 2018 began at 01:00.
        pytest.param("night_sao_paulo", "2018-11-04 01:00", "2018-11-04 12:00", 415, id="midnight"),
        # From 14:00 of Thursday to the evening of Saturday: there was no Friday.
        pytest.param("office_apia", "2011-12-30 00:00", "2011-12-31 09:00", 240, id="no_friday"),
    ],
)
def test_changes_of_the_clocks_by_hand(
    clock: tuple[Workbench, str], calendar: str, start: str, end: str, minutes: int
) -> None:
    moments = [datetime.fromisoformat(start), datetime.fromisoformat(end)]
    instants = pd.DataFrame({"calendar_id": [calendar] * 2, "moment": moments})
    found = read_clock(*clock, instants)
    before, after = (found[calendar, moment] for moment in moments)
    assert before is not None
    assert after is not None
    assert timedelta(microseconds=after - before) == timedelta(minutes=minutes)


def test_no_calendar_and_no_hours_have_no_working_time(clock: tuple[Workbench, str]) -> None:
    moment, later = datetime(2024, 3, 6, 12), datetime(2100, 1, 1)
    instants = pd.DataFrame(
        [("unknown", moment), (None, moment), ("office_berlin", later)],
        columns=["calendar_id", "moment"],
    )
    assert set(read_clock(*clock, instants).values()) == {None}


def test_overlapping_hours_are_refused_by_a_test_of_the_table(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """A plain dbt build reads a map that nobody validated."""
    workbench = make_workbench("overlapping")
    workbench.use_map(write_map(tmp_path / "map"))
    calendars = """
        calendar_id,time_zone,weekday,opens_at,closes_at
        shop,UTC,1,09:00,13:00
        shop,UTC,1,12:00,18:00
    """
    write_tables(workbench.settings.seed_dir, {"calendars": calendars})
    workbench.dbt("build", "--exclude-resource-type", "test", "unit_test", "--select", *TABLES)
    [(broken,)] = workbench.query(
        "select count(*) from intermediate.int_working_hours where closes_us > ends_us"
    )
    assert broken

"""The log of mature figures that changed: once for each change, and for nothing else."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workbench
from tests.maps import write_tables

MAP = {
    "journeys": """
        journey_id,name,entity,order_mode,time_zone,conversion_window_days
        claim,Claim,claim,ordered,UTC,7
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind
        claim,received,1,purchase,progress
        claim,checked,2,purchase,progress
        claim,paid,3,purchase,success
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name
        claim,received,event_log,Received
        claim,checked,event_log,Checked
        claim,paid,event_log,Paid
    """,
    "entity_links": """
        journey_id,source,entity_column
        claim,event_log,source_case_id
    """,
}
# A Monday; eleven weeks, of which the fifth (3 February) has no case.
START = datetime(2025, 1, 6)
WEEKS = [START + timedelta(weeks=number) for number in range(12)]
BUILT = ("--exclude-resource-type", "test", "unit_test")
Change = tuple[Any, ...]


@dataclass
class Claims:
    """A warehouse to which files of events are added, and its log."""

    workbench: Workbench
    folder: Path
    files: list[Path] = field(default_factory=list)

    def use_map(self, window_days: int) -> None:
        journeys = MAP["journeys"].replace(",UTC,7", f",UTC,{window_days}")
        tables = {**MAP, "journeys": journeys}
        self.workbench.use_map(write_tables(self.folder / f"map_{window_days}", tables))

    def land(self, *events: tuple[str, str, str, datetime]) -> None:
        """Rows of event_id, case, activity and time, as one file of a load of its own."""
        folder = self.folder / f"load_{len(self.files)}"
        self.files.append(folder)
        folder.mkdir()
        with (folder / "event_log.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["event_id", "source_case_id", "activity", "occurred_at"])
            writer.writerows(events)
        self.workbench.land(folder)

    def run(self, last: str = "measure_state", as_of: str = "", full_refresh: bool = False) -> None:
        """The models up to the last one, and what the facts leave behind for their next run."""
        selected = [f"+{last}", "int_build_state"]
        flags = ["--full-refresh"] if full_refresh else []
        env = {"JOURNEY_GAPS_AS_OF": as_of}
        self.workbench.dbt("build", *BUILT, "--select", *selected, *flags, env=env)

    def changes(self, run_number: int) -> list[Change]:
        """Of the rate of the first stage: period, n and numerator before and now, cause."""
        return self.workbench.query(
            f"""
            select
                period_grain, period_start, previous_n, n, previous_numerator, numerator, cause,
                previous_through_load_id, through_load_id
            from marts.fct_restatements
            where metric_id = 'conversion_rate' and stage_id = 'received'
                and run_number = {run_number}
            order by period_grain, period_start
            """
        )

    def log(self) -> list[Change]:
        return self.workbench.query("select * from marts.fct_restatements order by all")

    def newest_run(self) -> object:
        return self.workbench.query("select max(run_number) from marts.measure_state")[0][0]


def case(name: str, received_at: datetime, checked: bool) -> Iterator[tuple[str, str, str, Any]]:
    yield f"{name}_1", name, "Received", received_at
    if checked:
        yield f"{name}_2", name, "Checked", received_at + timedelta(days=2)


@pytest.fixture(scope="module")
def claims(
    make_workbench: Callable[[str], Workbench], tmp_path_factory: pytest.TempPathFactory
) -> Claims:
    """Built once from a base: each week four cases, two of them checked after two days."""
    claims = Claims(make_workbench("restatements"), tmp_path_factory.mktemp("claims"))
    claims.use_map(window_days=7)
    claims.land(
        *(
            event
            for number, week in enumerate(WEEKS)
            for position in range(1 if number == 5 else 4)
            for event in case(f"c{number}_{position}", week + timedelta(days=1), position < 2)
            if number != 4
        )
    )
    claims.run()
    assert claims.log() == []
    assert claims.newest_run() == 1
    return claims


def day(text: str) -> object:
    return datetime.fromisoformat(text).date()


def test_late_rows_corrections_and_broken_runs(claims: Claims) -> None:
    """One history of runs, in which each begins with what the one before left."""
    land = claims.land

    # A late case in the second week, another in the fifth, which had none.
    land(
        *case("late", WEEKS[1] + timedelta(days=3), checked=False),
        *case("first", WEEKS[4] + timedelta(days=3), checked=True),
    )
    claims.run()
    assert claims.changes(2) == [
        ("all", day("2025-01-06"), 33, 35, 17.0, 18.0, "late_data", 1, 2),
        ("month", day("2025-01-01"), 16, 17, 8.0, 8.0, "late_data", 1, 2),
        ("month", day("2025-02-01"), 9, 10, 5.0, 6.0, "late_data", 1, 2),
        ("trailing_13_weeks", day("2024-12-16"), 33, 35, 17.0, 18.0, "late_data", 1, 2),
        ("week", day("2025-01-13"), 4, 5, 2.0, 2.0, "late_data", 1, 2),
        ("week", day("2025-02-03"), 0, 1, None, 1.0, "late_data", 1, 2),
    ]

    # Everything made anew from the same rows.
    after_second = claims.log()
    claims.run(full_refresh=True)
    assert claims.log() == after_second
    assert claims.newest_run() == 3

    # An id that comes with other content takes its row away: one case is no longer checked,
    # another is gone and its week with it.
    land(
        ("c2_0_2", "c2_0", "Checked", WEEKS[2] + timedelta(days=3, hours=1)),
        ("c5_0_1", "c5_0", "Received", WEEKS[5]),
        ("c5_0_2", "c5_0", "Checked", WEEKS[5]),
    )
    claims.run()
    assert claims.changes(4) == [
        ("all", day("2025-01-06"), 35, 34, 18.0, 16.0, "late_data", 2, 3),
        ("month", day("2025-01-01"), 17, 17, 8.0, 7.0, "late_data", 2, 3),
        ("month", day("2025-02-01"), 10, 9, 6.0, 5.0, "late_data", 2, 3),
        ("trailing_13_weeks", day("2024-12-16"), 35, 34, 18.0, 16.0, "late_data", 2, 3),
        ("week", day("2025-01-20"), 4, 4, 2.0, 1.0, "late_data", 2, 3),
        ("week", day("2025-02-10"), 1, 0, 1.0, None, "late_data", 2, 3),
    ]
    assert [row for row in claims.log() if row[0] != 4] == after_second

    # Runs that break off after the log was written and before its state was; then nothing new.
    finished = claims.log()
    for number in range(2):
        land(*case(f"broken_{number}", WEEKS[0] + timedelta(days=4), checked=False))
        claims.run(last="fct_restatements")
    assert len(claims.log()) > len(finished)
    claims.run()
    claims.run()
    assert [row for row in claims.log() if row[0] != 5] == finished
    assert claims.changes(5)[-1] == (
        *("week", day("2025-01-06"), 4, 6, 2.0, 2.0, "late_data", 3, 5),
    )

    # Seen as of an earlier day, then as of the newest one with a row that came meanwhile.
    before = claims.log()
    claims.run(as_of="2025-02-20")
    assert claims.log() == before
    land(*case("meanwhile", WEEKS[8] + timedelta(days=1), checked=False))
    claims.run()
    [change] = [row for row in claims.changes(8) if row[0] == "week"]
    assert change == ("week", day("2025-03-03"), 4, 5, 2.0, 2.0, "late_data", 5, 6)

    # A shorter window, within which nobody is checked. Weeks that are mature only now are new.
    claims.use_map(window_days=1)
    claims.run()
    weeks = [row for row in claims.changes(9) if row[0] == "week"]
    assert {row[4:7] for row in weeks} == {
        (2.0, 0.0, "map_changed"),
        (1.0, 0.0, "map_changed"),
    }
    assert [row[1] for row in weeks] == [week.date() for week in WEEKS[:10] if week != WEEKS[5]]

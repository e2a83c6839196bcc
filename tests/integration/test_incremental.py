"""Incremental facts equal a full rebuild, row for row, after any order of arrival.

Random histories with all that makes it hard: anonymous devices shared by customers, late and
repeated rows, ids with two contents, corrected CRM links, reopened opportunities, exclusions.
"""

import csv
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests import reference
from tests.conftest import Workbench

COLUMNS = {
    "events": [
        "event_id",
        "anonymous_id",
        "customer_id",
        "event_name",
        "occurred_at",
        "properties",
    ],
    "crm_contacts": ["contact_id", "customer_id", "created_at", "source_updated_at"],
    "crm_opportunities": [
        "opportunity_id",
        "account_id",
        "contact_id",
        "created_at",
        "source_updated_at",
    ],
    "crm_stage_changes": ["change_id", "opportunity_id", "stage_name", "changed_at"],
}
START = datetime(2025, 1, 1)
GAP = timedelta(days=20)
Row = dict[str, Any]

MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days
        signup,Sign-up,customer,20,ordered,Europe/Berlin,10
        deal,Deal,opportunity,,ordered,UTC,10
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind,is_optional
        signup,visited,1,awareness,progress,false
        signup,tried,2,consideration,progress,true
        signup,asked,3,consideration,progress,false
        signup,bought,4,purchase,success,false
        signup,left,5,purchase,exit,false
        deal,open,1,purchase,progress,false
        deal,offer,2,purchase,progress,false
        deal,won,3,purchase,success,false
        deal,lost,4,purchase,exit,false
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name,property_name,property_operator,property_value,priority
        signup,visited,events,page,path,equals,/home,1
        signup,tried,events,trial,,,,1
        signup,asked,crm_stage_changes,Asked,,,,1
        signup,bought,events,paid,,,,1
        signup,left,crm_stage_changes,Lost,,,,1
        deal,open,crm_stage_changes,Asked,,,,1
        deal,offer,crm_stage_changes,Offer,,,,1
        deal,won,crm_stage_changes,Won,,,,1
        deal,lost,crm_stage_changes,Lost,,,,1
    """,
    "entity_links": """
        journey_id,source,entity_column
        signup,events,customer_id
        signup,crm_stage_changes,customer_id
        deal,crm_stage_changes,opportunity_id
    """,
    "benchmarks": """
        benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,source
        trial_rate,conversion_rate,1,signup,tried,target,0.5,test
    """,
    "exclusions": """
        exclusion_id,journey_id,source,event_name,property_name,property_operator,property_value,reason
        bots,signup,events,page,path,equals,/robots,bot
    """,
    "touchpoints": """
        touchpoint_id,name,channel,owner_team,owner_column
        home,Home page,web,marketing,
        sales,Sales,call,sales,
    """,
    "touchpoint_rules": """
        touchpoint_id,source,event_name,property_name,property_operator,property_value,priority
        home,events,page,,,,1
        sales,crm_stage_changes,Offer,,,,1
    """,
}
LANDING = """
sources:
  - name: changes
    files: crm_stage_changes.csv
    table: crm_stage_changes
    extract_time: 2025-05-01
  - name: opportunities
    files: crm_opportunities.csv
    table: crm_opportunities
"""
SIGNUP_STAGES = {"visited": "progress", "tried": "progress", "asked": "progress"} | {
    "bought": "success",
    "left": "exit",
}
DEAL_STAGES = {"open": "progress", "offer": "progress", "won": "success", "lost": "exit"}
COMPARED = [
    "intermediate.int_journey_events",
    "intermediate.int_stage_visits",
    "intermediate.int_visit_touchpoints",
    "marts.fct_stage_visits",
    "marts.fct_stage_transitions",
    "marts.fct_measures",
    "marts.gap_ranking",
    "marts.gap_trends",
]


def write_map(folder: Path, changes: dict[str, tuple[str, str]] | None = None) -> Path:
    """The map of these tests, with replacements per table."""
    folder.mkdir()
    for table, text in MAP.items():
        lines = "\n".join(line.strip() for line in text.strip().splitlines())
        if changes and table in changes:
            old, new = changes[table]
            assert old in lines
            lines = lines.replace(old, new)
        (folder / f"{table}.csv").write_text(lines + "\n")
    return folder


def histories(draw: random.Random) -> dict[str, list[Row]]:
    """Random raw rows; times are whole minutes so that ties happen."""

    def moment() -> datetime:
        return START + timedelta(days=draw.randrange(120), minutes=draw.randrange(0, 1440, 240))

    customers = [f"c{number}" for number in range(8)]
    devices = [f"d{number}" for number in range(6)]
    events = []
    for number in range(160):
        name = draw.choice(["page", "page", "trial", "paid", "login"])
        path = draw.choice(["/home"] * 12 + ["/docs"] * 4 + ["/robots"])
        known = name in ("paid", "login") or draw.random() < 0.3
        events.append(
            {
                "event_id": f"e{number:03}",
                "anonymous_id": draw.choice([*devices, None]) if known else draw.choice(devices),
                "customer_id": draw.choice(customers) if known else None,
                "event_name": name,
                "occurred_at": moment(),
                "properties": f'{{"path": "{path}"}}',
            }
        )
    # One id with two contents: neither may stay.
    for row in draw.sample(events, 4):
        events.append({**row, "occurred_at": moment()})
    contacts = [
        {
            "contact_id": f"p{number}",
            "customer_id": draw.choice(customers),
            "created_at": START,
            "source_updated_at": START + timedelta(days=version),
        }
        for number in range(6)
        for version in range(draw.choice([1, 1, 2]))
    ]
    opportunities = [
        {
            "opportunity_id": f"o{number}",
            "account_id": f"a{draw.randrange(4)}",
            "contact_id": f"p{draw.randrange(6)}",
            "created_at": START,
            "source_updated_at": START + timedelta(days=version),
        }
        for number in range(10)
        for version in range(draw.choice([1, 1, 2]))
    ]
    changes = [
        {
            "change_id": f"s{number:03}",
            "opportunity_id": f"o{draw.randrange(10)}",
            "stage_name": draw.choice(["Asked", "Offer", "Offer", "Won", "Lost"]),
            "changed_at": moment(),
        }
        for number in range(60)
    ]
    return {
        "events": events,
        "crm_contacts": contacts,
        "crm_opportunities": opportunities,
        "crm_stage_changes": changes,
    }


def batches(tables: dict[str, list[Row]], draw: random.Random) -> list[dict[str, list[Row]]]:
    """The rows in three loads, any row in any load, some in two."""
    parts: list[dict[str, list[Row]]] = [{name: [] for name in tables} for _ in range(3)]
    for name, rows in tables.items():
        for row in rows:
            for index in {draw.randrange(3), draw.choice([draw.randrange(3), 0])}:
                parts[index][name].append(row)
        # Sources never start or end late: their extent is not what these tests are about.
        ends = sorted(rows, key=lambda row: next(v for v in row.values() if type(v) is datetime))
        parts[0][name] += [ends[0], ends[-1]]
        for part in parts:
            draw.shuffle(part[name])
    return parts


def write_files(folder: Path, tables: dict[str, list[Row]]) -> Path:
    folder.mkdir()
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[name])
            writer.writeheader()
            writer.writerows(rows)
    return folder


def snapshot(workbench: Workbench, relations: Sequence[str] = COMPARED) -> dict[str, list[Any]]:
    return {name: workbench.query(f"select * from {name} order by all") for name in relations}


def frame_of(workbench: Workbench, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(workbench.settings.warehouse), read_only=True) as connection:
        table = connection.execute(sql).df()
    return table.sort_values(sorted(table.columns), ignore_index=True)


def assert_equal(actual: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    for name, rows in expected.items():
        assert rows or name.startswith("marts.gap"), f"{name} is empty: the test shows nothing"
        assert actual[name] == rows, name


def expected_visits(tables: dict[str, list[Row]], workbench: Workbench) -> set[tuple[Any, ...]]:
    """By the reference, from the rows that landed."""
    kept = {row[0] for row in workbench.query("select event_id from raw.events")}
    contents = {tuple(row.items()): row for row in tables["events"]}.values()
    events = [row for row in contents if row["event_id"] in kept]
    newest: dict[str, dict[str, Row]] = {"contact_id": {}, "opportunity_id": {}}
    for key, table in (("contact_id", "crm_contacts"), ("opportunity_id", "crm_opportunities")):
        for row in sorted(tables[table], key=lambda row: row["source_updated_at"]):
            newest[key][row[key]] = row
    rules = {"trial": "tried", "paid": "bought"}
    signup, robots = [], set()
    for row, entity in reference.identify(events, GAP):
        if "/robots" in row["properties"] and row["event_name"] == "page":
            robots.add(entity)
        is_home = row["event_name"] == "page" and "/home" in row["properties"]
        stage = "visited" if is_home else rules.get(str(row["event_name"]))
        if stage:
            at, event_id = row["occurred_at"], str(row["event_id"])
            signup.append(reference.Event(entity, stage, at, "events", event_id))
    deals = []
    for row in tables["crm_stage_changes"]:
        name, opportunity, at = row["stage_name"], row["opportunity_id"], row["changed_at"]
        contact = newest["opportunity_id"][opportunity]["contact_id"]
        where = ("crm_stage_changes", row["change_id"])
        customer = (
            newest["contact_id"][contact]["customer_id"]
            if contact in newest["contact_id"]
            else None
        )
        if customer and name in ("Asked", "Lost"):
            stage = "asked" if name == "Asked" else "left"
            signup.append(reference.Event(customer, stage, at, *where))
        stage = {"Asked": "open", "Offer": "offer", "Won": "won", "Lost": "lost"}[name]
        deals.append(reference.Event(opportunity, stage, at, *where))
    starts = {
        "events": min(row["occurred_at"] for row in events),
        "crm_stage_changes": min(row["changed_at"] for row in tables["crm_stage_changes"]),
    }
    journeys = {
        "signup": (
            [event for event in signup if event.entity not in robots],
            reference.Journey(SIGNUP_STAGES, False, GAP, starts, frozenset({"tried"})),
        ),
        "deal": (deals, reference.Journey(DEAL_STAGES, has_own_id=True)),
    }
    return {
        (
            journey_id,
            visit.entity,
            visit.attempt,
            visit.number,
            visit.stage,
            visit.entered_at,
            visit.exited_at,
            visit.next_stage,
            visit.kind,
            visit.lapsed_at,
            visit.is_left_truncated,
        )
        for journey_id, (rows, journey) in journeys.items()
        for visit in reference.visits(rows, journey)
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_arrival_equals_a_full_rebuild_and_the_reference(
    seed: int, make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    draw = random.Random(seed)
    tables = histories(draw)
    journey_map = write_map(tmp_path / "map")
    incremental = make_workbench(f"incremental_{seed}")
    incremental.use_map(journey_map)
    for number, part in enumerate(batches(tables, draw)):
        incremental.land(write_files(tmp_path / f"part_{number}", part))
        incremental.build()
    arrived = snapshot(incremental)
    incremental.build("--full-refresh")
    assert_equal(arrived, snapshot(incremental))
    visits = incremental.query(
        """
        select journey_id, entity_id, attempt_number, visit_number, stage_id, entered_at,
            exited_at, next_stage_id, transition_kind, lapsed_at, is_left_truncated
        from intermediate.int_stage_visits
        """
    )
    assert set(visits) == expected_visits(tables, incremental)


def test_a_second_run_without_news_touches_nothing(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("idle")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", histories(random.Random(4))))
    workbench.build()
    first = snapshot(workbench)
    workbench.build()
    assert workbench.query("select count(*) from intermediate.int_touched_entities") == [(0,)]
    assert workbench.query(
        "select count(*) from intermediate.int_journey_builds where is_full_rebuild"
    ) == [(0,)]
    assert_equal(snapshot(workbench), first)


def test_a_changed_map_rebuilds_its_journey_and_no_other(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    tables = histories(random.Random(5))
    workbench = make_workbench("changed_map")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", tables))
    workbench.build()
    before = snapshot(workbench)
    changed = write_map(
        tmp_path / "changed", {"stage_rules": ("path,equals,/home", "path,equals,/docs")}
    )
    workbench.use_map(changed)
    workbench.build()
    after = snapshot(workbench)
    rebuilt = workbench.query(
        "select journey_id from intermediate.int_journey_builds where is_full_rebuild"
    )
    assert rebuilt == [("signup",)]
    assert after["intermediate.int_stage_visits"] != before["intermediate.int_stage_visits"]
    workbench.build("--full-refresh")
    assert_equal(after, snapshot(workbench))


def test_a_warehouse_of_an_older_version_is_rebuilt_with_its_new_columns(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("older_version")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", histories(random.Random(8))))
    workbench.build("--vars", "{facts_version: 0}")
    with duckdb.connect(str(workbench.settings.warehouse)) as connection:
        connection.execute("alter table intermediate.int_stage_visits drop column lapsed_at")
        connection.execute("alter table intermediate.int_journey_events add column old_idea int")
    workbench.build()
    columns = {name: f"select * from {name} order by all" for name in COMPARED}
    upgraded = {name: frame_of(workbench, sql) for name, sql in columns.items()}
    workbench.build("--full-refresh")
    for name, sql in columns.items():
        expected = frame_of(workbench, sql)
        pd.testing.assert_frame_equal(upgraded[name][expected.columns], expected, obj=name)
        assert set(upgraded[name].columns) == set(expected.columns)


def test_a_journey_taken_out_of_the_map_leaves_no_rows(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("removed")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", histories(random.Random(6))))
    workbench.build()
    shorter = tmp_path / "shorter"
    write_map(shorter)
    for table in ("journeys", "stages", "stage_rules", "entity_links"):
        path = shorter / f"{table}.csv"
        kept = [line for line in path.read_text().splitlines() if not line.startswith("deal,")]
        path.write_text("\n".join(kept) + "\n")
    workbench.use_map(shorter)
    workbench.build()
    journeys = "select distinct journey_id from"
    assert workbench.query(f"{journeys} intermediate.int_stage_visits") == [("signup",)]
    assert workbench.query(f"{journeys} intermediate.int_journey_events") == [("signup",)]


def test_as_of_hides_what_is_later(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """Facts as of a day equal the facts of the rows up to that day (without identities)."""
    day = datetime(2025, 3, 1)
    changes = histories(random.Random(7))["crm_stage_changes"]
    others = {"crm_opportunities": histories(random.Random(7))["crm_opportunities"]}
    early = [row for row in changes if row["changed_at"] <= day]
    journey_map = write_map(tmp_path / "map")
    facts = {}
    for name, rows, as_of in (("all", changes, str(day)), ("early", early, str(day))):
        workbench = make_workbench(f"as_of_{name}")
        workbench.use_map(journey_map)
        files = write_files(tmp_path / name, {"crm_stage_changes": rows, **others})
        # The same extract time: else the shorter file would seem to be observed less far.
        (files / "landing.yml").write_text(LANDING)
        workbench.land(files)
        workbench.dbt(
            "build",
            "--exclude-resource-type",
            "test",
            "unit_test",
            env={"JOURNEY_GAPS_AS_OF": as_of},
        )
        facts[name] = snapshot(workbench, ["marts.fct_stage_visits", "marts.fct_stage_transitions"])
    assert len(early) < len(changes)
    assert_equal(facts["all"], facts["early"])

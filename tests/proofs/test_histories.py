"""Hundreds of random histories: in any order of arrival as in a full rebuild and the reference.

One set of builds holds all worlds (see tests/histories.py). On a difference the report names the
worlds and prints their rows and loads, after making the smallest of them smaller.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import histories
from tests.conftest import Workbench
from tests.histories import (
    COLUMNS,
    DAY,
    JOURNEYS,
    LOADS,
    NEEDS_MORE_OF_A_MAP,
    START,
    Row,
    World,
    differences,
    report,
    smaller,
    snapshot,
    worlds,
)

COUNT = 400
SEED = 20250101
SHRINKING_ROUNDS = 5
ONE_BY_ONE = [{load} for load in range(LOADS)]
FACTS = "+config.materialized:incremental +int_build_state"
Snapshot = Mapping[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Arrived:
    """Worlds that arrived load by load, and the same warehouse rebuilt."""

    workbench: Workbench
    arrived: Snapshot
    rebuilt: Snapshot
    full_rebuilds: Sequence[int]
    touched: Sequence[int]


def build_all(
    workbench: Workbench,
    some: Sequence[World],
    folder: Path,
    loads: Sequence[Collection[int]] = ONE_BY_ONE,
    is_declared: bool = True,
) -> Arrived:
    """Each load built by itself, all marts after the last one, then everything once more."""
    folder.mkdir()
    workbench.use_map(histories.write_map(folder / "map"))
    full_rebuilds, touched = [], []
    for number, load in enumerate(loads):
        rows = histories.tables(some, load)
        workbench.land(histories.write_files(folder / f"load_{number}", rows, is_declared))
        # The first build loads the map, the last one ends in the marts; between them is no need.
        workbench.build(*(["--select", FACTS] if 0 < number < len(loads) - 1 else []))
        full_rebuilds.append(count(workbench, "int_journey_builds where is_full_rebuild"))
        touched.append(count(workbench, "int_touched_entities") if number else 0)
    names = histories.relations(workbench)
    arrived = snapshot(workbench, names)
    workbench.build("--full-refresh")
    return Arrived(workbench, arrived, snapshot(workbench, names), full_rebuilds, touched)


def count(workbench: Workbench, relation: str) -> int:
    return int(str(workbench.query(f"select count(*) from intermediate.{relation}")[0][0]))


def require_equal(
    result: Arrived, some: Sequence[World], build: Callable[[Sequence[World]], Arrived]
) -> None:
    """Fail with the worlds that show a difference, and the smallest that a few builds find."""
    for name, rows in result.rebuilt.items():
        assert rows or name.startswith(NEEDS_MORE_OF_A_MAP), (
            f"{name} is empty: the test shows nothing"
        )
    found = differences(result.arrived, result.rebuilt)
    if not found:
        return
    messages = ["Incremental facts differ.", report(found, some)]
    for _ in range(SHRINKING_ROUNDS):
        by_name = {world.name: world for world in some}
        differing = [by_name[name] for name in found if name in by_name]
        if not differing:
            break
        some = smaller(min(differing, key=lambda world: len(world.arrivals)))
        again = build(some)
        found = differences(again.arrived, again.rebuilt)
        messages[2:] = [report(found, some)] if found else messages[2:]
    pytest.fail("\n\n".join(messages))


@pytest.fixture(scope="module")
def some_worlds() -> list[World]:
    return worlds(COUNT, SEED)


@pytest.fixture(scope="module")
def result(
    some_worlds: list[World],
    make_workbench: Callable[[str], Workbench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Arrived:
    folder = tmp_path_factory.mktemp("histories") / "files"
    return build_all(make_workbench("histories"), some_worlds, folder)


def test_any_order_of_arrival_equals_a_full_rebuild(
    result: Arrived,
    some_worlds: list[World],
    make_workbench: Callable[[str], Workbench],
    tmp_path: Path,
) -> None:
    # Else the test would compare full rebuilds with one another.
    assert result.full_rebuilds == [len(JOURNEYS), 0, 0, 0]
    assert min(result.touched[1:]) > COUNT
    rounds = iter(range(SHRINKING_ROUNDS))

    def build(some: Sequence[World]) -> Arrived:
        number = next(rounds)
        return build_all(make_workbench(f"smaller_{number}"), some, tmp_path / f"{number}")

    require_equal(result, some_worlds, build)


def test_sources_that_begin_earlier_than_thought_equal_a_full_rebuild(
    make_workbench: Callable[[str], Workbench],
) -> None:
    """Without declared extents the oldest row is a source's start, and a later load has it."""
    loads = [{1, 2}, {0, 3}]

    def build(some: Sequence[World], name: str) -> Arrived:
        workbench = make_workbench(name)
        return build_all(workbench, some, workbench.home.parent / "files", loads, False)

    def arrives_late_enough(arrival: histories.Arrival) -> bool:
        return arrival.known_at > START + 10 * DAY or loads[0].isdisjoint(arrival.loads)

    some = [
        World(world.number, [*filter(arrives_late_enough, world.arrivals)])
        for world in worlds(60, SEED + 1)
    ]
    result = build(some, "moving")
    # What has an id of its own is never cut off by a source's start.
    without_id = sum(not journey.has_own_id for journey in JOURNEYS.values())
    assert result.full_rebuilds == [len(JOURNEYS), without_id]
    rounds = iter(range(SHRINKING_ROUNDS))
    require_equal(result, some, lambda few: build(few, f"moving_{next(rounds)}"))


ACTUAL = {
    "visits": """
        select visits.journey_id, visits.entity_id, visits.attempt_number,
            visits.visit_number, visits.stage_id, visits.entered_at, visits.exited_at,
            visits.next_stage_id, visits.transition_kind, visits.lapsed_at,
            visits.is_left_truncated, visits.orphan_events, seen.is_open, seen.time_in_stage_us,
            seen.entered_via_touchpoint_id, seen.customer_id
        from intermediate.int_stage_visits as visits
        join marts.fct_stage_visits as seen
            using (journey_id, entity_id, attempt_number, visit_number)
    """,
    "transitions": """
        select visits.journey_id, visits.entity_id, visits.attempt_number,
            visits.visit_number, steps.from_stage_id, steps.to_stage_id,
            steps.transition_kind, steps.occurred_at, steps.duration_us,
            steps.from_touchpoint_id, steps.to_touchpoint_id,
            steps.from_owner_team, steps.to_owner_team, steps.is_handoff
        from marts.fct_stage_transitions as steps
        join marts.fct_stage_visits as visits on steps.from_visit_id = visits.visit_id
    """,
    "entries": """
        select journey_id, entity_id, attempt_number, stage_id, entered_at, advanced_at
        from intermediate.int_stage_entries
    """,
    "weeks": """
        select journey_id, stage_id, period_start, n, numerator::bigint
        from marts.fct_measures
        where metric_id = 'conversion_rate' and period_grain = 'week'
            and segment_dimension = 'all'
    """,
}


def test_thousands_of_histories_equal_the_reference(
    result: Arrived, some_worlds: list[World]
) -> None:
    rows = histories.tables(some_worlds)
    expected = histories.expected_facts(rows, result.workbench)._asdict()
    actual = {name: result.workbench.query(ACTUAL[name]) for name in expected}
    found = differences(actual, expected)
    assert not found, report(found, some_worlds)

    visits = expected["visits"]
    assert len({row[:2] for row in visits}) > 3000
    # Each rule has been seen at work.
    assert {row[8] for row in visits} == {"success", "exit", "back", "skip", "forward", None}
    for column in (9, 10, 11, 12):  # lapsed, left truncated, orphans, open
        assert sum(bool(row[column]) for row in visits) > 50
    assert max(row[2] for row in visits) > 3
    for journey_id in JOURNEYS:
        advanced = [row[5] is not None for row in expected["entries"] if row[0] == journey_id]
        assert 0 < sum(advanced) < len(advanced)


ANN, BEN, BYSTANDER = "w00001-ann", "w00001-ben", "w00002-cy"
SHARED, OTHER = "w00001-shared", "w00002-other"
FIRST, SECOND = "w00001-first", "w00001-second"


def product_event(
    number: int, name: str, day: float, device: str | None, customer: str | None = None
) -> Row:
    return {
        "event_id": f"e{number}",
        "anonymous_id": device,
        "customer_id": customer,
        "event_name": name,
        "occurred_at": START + timedelta(days=40 + day),
        "properties": '{"path": "/home"}',
    }


def contact(account: str | None, updated_on: int) -> Row:
    return {
        "contact_id": "w00001-p",
        "account_id": account,
        "customer_id": ANN,
        "created_at": START,
        "source_updated_at": START + updated_on * DAY,
    }


def test_an_identity_learned_late_restates_exactly_the_cases_it_touches(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """Device, login, CRM contact, account: one hop more with each load."""
    loads: list[dict[str, list[Row]]] = [
        {
            "events": [
                product_event(1, "page", 0, SHARED),
                product_event(2, "trial", 1, SHARED),
                # Ben was on the device too, ten days later: so far it seems to be his.
                product_event(3, "login", 11, SHARED, BEN),
                product_event(4, "page", 12, SHARED),
                product_event(5, "paid", 12.5, SHARED, BEN),
                product_event(6, "page", 0, OTHER),
                product_event(7, "trial", 2, OTHER, BYSTANDER),
                product_event(8, "paid", 40, OTHER),
            ],
            "crm_opportunities": [
                {
                    "opportunity_id": "w00001-o",
                    "contact_id": "w00001-p",
                    "created_at": START,
                }
            ],
            "crm_stage_changes": [
                {
                    "change_id": "s1",
                    "opportunity_id": "w00001-o",
                    "stage_name": "Asked",
                    "changed_at": START + timedelta(days=45),
                }
            ],
        },
        {"events": [product_event(9, "docs", 3, SHARED, ANN)]},
        {"crm_contacts": [contact(FIRST, 50)]},
        {"crm_contacts": [contact(SECOND, 60)]},
        # An older version that arrives late says nothing.
        {"crm_contacts": [contact(None, 40)]},
    ]
    # A visit that a CRM row opened carries the account of its contact.
    opportunity = {("deal", "w00001-o"), ("contract", "w00001-o")}
    changes: list[set[tuple[object, ...]]] = [
        {
            *(("signup", BEN), ("adoption", f"customer:{BEN}"), ("usage", BEN)),
            *(("signup", ANN), ("adoption", f"customer:{ANN}"), ("usage", ANN)),
        },
        {("signup", ANN), ("adoption", f"customer:{ANN}"), ("adoption", FIRST), *opportunity},
        {("signup", ANN), ("adoption", FIRST), ("adoption", SECOND), *opportunity},
        set(),
    ]
    workbench = make_workbench("late_identity")
    workbench.use_map(histories.write_map(tmp_path / "map"))
    before: set[tuple[object, ...]] = set()
    for number, load in enumerate(loads):
        rows = {name: load.get(name, []) for name in COLUMNS}
        workbench.land(histories.write_files(tmp_path / f"load_{number}", rows))
        workbench.build()
        visits = set(
            workbench.query(
                """
                select journey_id, entity_id, attempt_number, visit_number, stage_id,
                    customer_id, account_id, entered_at, exited_at, exit_kind
                from marts.fct_stage_visits
                """
            )
        )
        if number:
            assert {row[:2] for row in before ^ visits} == changes[number - 1]
            touched = set(
                workbench.query(
                    "select journey_id, entity_id from intermediate.int_touched_entities"
                )
            )
            assert changes[number - 1] <= touched
            assert not {row for row in touched if "w00002" in str(row)}
        before = visits

    def stages(journey_id: str, entity_id: str) -> list[object]:
        of_entity = [row for row in before if row[:2] == (journey_id, entity_id)]
        return [row[4] for row in sorted(of_entity, key=lambda row: row[2:4])]

    # Two customers on one device are never merged: each event has the one who came next.
    assert stages("signup", ANN) == ["visited", "tried", "asked"]
    assert stages("signup", BEN) == ["visited", "bought"]
    assert stages("adoption", SECOND) == ["seen", "piloted"]
    assert stages("adoption", FIRST) == []
    assert stages("adoption", f"customer:{BEN}") == ["seen", "live"]
    names = histories.relations(workbench)
    arrived = snapshot(workbench, names)
    workbench.build("--full-refresh")
    assert not differences(arrived, snapshot(workbench, names))

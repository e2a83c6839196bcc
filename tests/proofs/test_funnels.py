"""Funnels against `tests/funnel_reference.py`, row by row, over random maps and histories.

Everything at once, since it is together that rules go wrong: all orders, windows, gaps, optional
and repeated steps, exclusions, a held property, ties and exact boundaries.
"""

import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Workbench
from tests.funnel_reference import Event, Funnel, Step, attempts
from tests.maps import write_tables

START = datetime(2025, 3, 3)
HOUR = timedelta(hours=1)
STEP_EVENTS = "abcd"
OTHER_EVENTS = ("x", "y", "seen", "met", "noise")
# What the map calls a stage or a touchpoint.
MAPPED = {"shop": {"seen", "c", "done", "met"}, "case": {"seen", "done", "met"}}
SOURCES = {"shop": "events", "case": "event_log"}
FUNNELS = 60
ENTITIES = 150
Row = dict[str, Any]
Declared = dict[str, tuple[str, Funnel, list[Row]]]
Histories = dict[str, list[Row]]

MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days
        shop,Shop,customer,20,ordered,UTC,10
        case,Case,application,,ordered,UTC,10
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind
        shop,begun,1,awareness,progress
        shop,done,2,purchase,success
        case,begun,1,awareness,progress
        case,done,2,purchase,success
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name
        shop,begun,events,seen
        shop,begun,events,c
        shop,done,events,done
        case,begun,event_log,seen
        case,done,event_log,done
    """,
    "entity_links": """
        journey_id,source,entity_column
        shop,events,customer_id
        case,event_log,source_case_id
    """,
    "exclusions": """
        exclusion_id,journey_id,source,event_name,property_name,property_operator,property_value,reason
        bots,,events,robot,,,,bot
    """,
    "touchpoints": """
        touchpoint_id,name,channel,owner_team
        meeting,Meeting,call,sales
    """,
    "touchpoint_rules": """
        touchpoint_id,source,event_name
        meeting,events,met
        meeting,event_log,met
    """,
}
FUNNEL_COLUMNS = [
    *("funnel_id", "journey_id", "name", "order_mode", "conversion_window_days"),
    *("conversion_window_seconds", "held_property"),
]
STEP_COLUMNS = [
    *("funnel_id", "step_order", "step_name", "source", "event_name", "property_name"),
    *("property_operator", "property_value", "is_optional", "is_exclusion", "step_window_days"),
    *("step_window_seconds", "min_gap_seconds", "from_step", "to_step"),
]
EVENT_COLUMNS = ["event_id", "customer_id", "event_name", "occurred_at", "properties"]
LOG_COLUMNS = ["event_id", "source_case_id", "activity", "occurred_at", "attributes"]


def declare(draw: random.Random) -> Declared:
    """Random funnels of the map: id -> journey, what the reference reads, what the map says."""
    return {f"f{number:02}": _funnel(draw, f"f{number:02}") for number in range(FUNNELS)}


def _funnel(draw: random.Random, funnel_id: str) -> tuple[str, Funnel, list[Row]]:
    journey = draw.choice(list(SOURCES))
    mode = draw.choice(["ordered", "ordered", "strict", "any"])
    count = draw.choice([2, 2, 3, 3, 4, 5])
    names = draw.choices(STEP_EVENTS, k=count)
    if mode == "any":
        count = min(count, 4)
        names = draw.sample(STEP_EVENTS, count)
    window = draw.choice([6, 12, 24, 48])
    steps: list[Step] = []
    rows: list[Row] = []
    # Orders with holes, so that nobody takes them for numbers.
    orders = sorted(draw.sample(range(1, 30), count + 2))
    is_optional = [
        mode != "any" and 0 < place < count - 1 and draw.random() < 0.35 for place in range(count)
    ]
    mandatory = [order for order, skips in zip(orders, is_optional, strict=False) if not skips]
    for place, (order, name) in enumerate(zip(orders, names, strict=False)):
        follows = mode != "any" and place > 0
        limit = draw.choice([3, 6]) if follows and draw.random() < 0.3 else None
        has_gap = follows and not is_optional[place] and draw.random() < 0.3
        gap = draw.choice([1, 2]) if has_gap else 0
        steps.append(
            Step(
                order,
                is_optional=is_optional[place],
                window=None if limit is None else limit * HOUR,
                gap=gap * HOUR,
            )
        )
        rows.append(
            {
                "step_order": order,
                "event_name": name,
                "is_optional": is_optional[place],
                "step_window_seconds": limit and limit * 3600,
                "min_gap_seconds": gap * 3600 or None,
                **(_condition() if draw.random() < 0.15 else {}),
            }
        )
    for order in draw.sample(orders[count:], draw.choice([0, 0, 1, 2])):
        first, last = None, None
        if mode != "any" and draw.random() < 0.6:
            first = draw.choice([None, *mandatory[:-1]])
            last = draw.choice([None, *(each for each in mandatory[1:] if each > (first or 0))])
        steps.append(Step(order, is_exclusion=True, from_step=first, to_step=last))
        name = draw.choice(["x", "x", "y", *STEP_EVENTS])
        rows.append(
            {
                "step_order": order,
                "event_name": name,
                "is_exclusion": True,
                "from_step": first,
                "to_step": last,
            }
        )
    for row in rows:
        row |= {"funnel_id": funnel_id, "step_name": "step", "source": SOURCES[journey]}
    return journey, Funnel(mode, window * HOUR, steps, draw.random() < 0.3), rows


def _condition() -> Row:
    return {"property_name": "item", "property_operator": "equals", "property_value": "p"}


def histories(draw: random.Random) -> Histories:
    """Random rows by journey; whole hours, so that ties and exact boundaries happen."""
    found: Histories = {journey: [] for journey in SOURCES}
    for journey, rows in found.items():
        for entity in range(ENTITIES):
            hours = draw.choice([24, 72, 120])
            for _ in range(draw.randrange(3, 30)):
                is_step = draw.random() < 0.8
                rows.append(
                    {
                        "entity": f"{journey}{entity:03}",
                        "name": draw.choice(STEP_EVENTS if is_step else OTHER_EVENTS),
                        "at": START + draw.randrange(hours) * HOUR,
                        "item": draw.choice(["p", "p", "q", None]),
                        "seq": len(rows) if journey == "case" else None,
                    }
                )
        # Ids in no order of time, so that they decide ties by themselves.
        for row, number in zip(rows, draw.sample(range(10**6), len(rows)), strict=True):
            row["id"] = f"{journey[0]}{number:06}"
        end = {"id": f"{journey[0]}9", "name": "done", "at": START + 130 * HOUR}
        rows.append({**rows[0], **end, "seq": rows[-1]["seq"] and len(rows)})
    for entity in range(3):
        robot = {"entity": f"shop{entity:03}", "name": "robot", "item": None, "seq": None}
        found["shop"].append({**robot, "id": f"robot{entity}", "at": START + 5 * HOUR})
    return found


def expected(declared: Declared, found: Histories, as_of: datetime | None = None) -> set[Any]:
    """The rows of fct_funnel_attempts, each with its rows of fct_funnel_steps."""
    wanted: set[Any] = set()
    robots = {row["entity"] for row in found["shop"] if row["name"] == "robot"}
    for funnel_id, (journey, funnel, rules) in declared.items():
        events = [
            Event(
                row["entity"],
                row["at"],
                SOURCES[journey],
                row["id"],
                matches,
                row["item"] if funnel.is_held else None,
                row["seq"],
            )
            for row in found[journey]
            if row["entity"] not in robots
            # A strict funnel sees its own steps, stages and touchpoints, and no noise.
            if (matches := _matches(row, rules)) or row["name"] in MAPPED[journey]
        ]
        newest = max(row["at"] for row in found[journey])
        seen_until = min(as_of or newest, newest)
        for attempt in attempts(events, funnel, as_of or newest, seen_until):
            wanted.add(
                (
                    *(funnel_id, attempt.entity, attempt.number, attempt.value),
                    *(attempt.started_at, attempt.depth, max(attempt.reached.values())),
                    *(attempt.outcome, attempt.ended_at, frozenset(attempt.reached.items())),
                )
            )
    return wanted


def _matches(row: Row, rules: Iterable[Row]) -> frozenset[int]:
    return frozenset(
        rule["step_order"]
        for rule in rules
        if row["name"] == rule["event_name"]
        and ("property_name" not in rule or row["item"] == rule["property_value"])
    )


def write_map(folder: Path, declared: Declared) -> Path:
    """The map of these tests with its funnels."""
    write_tables(folder, MAP)
    funnels = [
        {
            "funnel_id": funnel_id,
            "journey_id": journey,
            "name": funnel_id,
            "order_mode": funnel.mode,
            **_window(funnel.window),
            "held_property": "item" if funnel.is_held else None,
        }
        for funnel_id, (journey, funnel, _) in declared.items()
    ]
    _write(folder / "funnels.csv", FUNNEL_COLUMNS, funnels)
    steps = [row for _, _, rows in declared.values() for row in rows]
    _write(folder / "funnel_steps.csv", STEP_COLUMNS, steps)
    return folder


def _window(window: timedelta) -> Row:
    """Whole days as days, the rest as seconds."""
    if window % timedelta(days=1):
        return {"conversion_window_seconds": int(window.total_seconds())}
    return {"conversion_window_days": window.days}


def write_landing(folder: Path, found: Mapping[str, Iterable[Row]]) -> Path:
    """The rows as files, in their order."""
    folder.mkdir()
    for journey, columns in (("shop", EVENT_COLUMNS), ("case", LOG_COLUMNS)):
        rows = []
        for row in found[journey]:
            item = {"item": row["item"]} if row["item"] else {}
            cells = (row["id"], row["entity"], row["name"], row["at"].isoformat(), json.dumps(item))
            rows.append(dict(zip(columns, cells, strict=True)))
        _write(folder / f"{SOURCES[journey]}.csv", columns, rows)
    return folder


def _write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def built(warehouse: duckdb.DuckDBPyConnection) -> set[Any]:
    """What the marts say, in the shape of `expected`."""
    steps: dict[str, dict[int, datetime]] = {}
    for attempt_id, number, at in warehouse.execute(
        "select attempt_id, step_number, reached_at from marts.fct_funnel_steps"
    ).fetchall():
        steps.setdefault(attempt_id, {})[number] = at
    rows = warehouse.execute(
        """
        select
            attempt_id, funnel_id, entity_id, attempt_number, held_value, started_at,
            furthest_step, furthest_step_at, outcome,
            coalesce(converted_at, excluded_at, superseded_at)
        from marts.fct_funnel_attempts
        """
    ).fetchall()
    assert len(rows) == len(steps)
    return {(*row[1:], frozenset(steps[row[0]].items())) for row in rows}


@dataclass(frozen=True)
class Case:
    """A random map with random histories, landed and built."""

    workbench: Workbench
    declared: Declared
    found: Histories

    def built(self) -> set[Any]:
        with duckdb.connect(str(self.workbench.settings.warehouse), read_only=True) as warehouse:
            return built(warehouse)


@pytest.fixture(scope="module", params=[20250301])
def case(
    request: pytest.FixtureRequest,
    make_workbench: Callable[[str], Workbench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    draw = random.Random(request.param)
    declared, found = declare(draw), histories(draw)
    workbench = make_workbench("funnels")
    folder = tmp_path_factory.mktemp("funnels")
    workbench.use_map(write_map(folder / "map", declared))
    workbench.land(write_landing(folder / "landing", found))
    workbench.build("--select", "+fct_funnel_attempts", "+fct_funnel_steps", "int_build_state")
    return Case(workbench, declared, found)


def test_attempts_are_those_of_the_reference(case: Case) -> None:
    wanted = expected(case.declared, case.found)
    assert len(wanted) > 10_000
    kinds = Counter((case.declared[row[0]][1].mode, row[7]) for row in wanted)
    outcomes = {"ordered": 5, "strict": 5, "any": 4}
    assert {mode: sum(1 for each, _ in kinds if each == mode) for mode in outcomes} == outcomes
    assert case.built() == wanted


def test_nothing_later_than_as_of_is_seen(case: Case) -> None:
    """As if the rows after as_of did not exist: the reference never looks at them."""
    as_of = START + 55 * HOUR
    case.workbench.dbt(
        *("run", "--select", "int_stage_observations", "int_funnel_observations"),
        env={"JOURNEY_GAPS_AS_OF": as_of.isoformat()},
    )
    assert case.built() == expected(case.declared, case.found, as_of)


def test_late_rows_change_what_a_full_rebuild_would(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    draw = random.Random(7)
    declared, found = declare(draw), histories(draw)
    select = ("--select", "+fct_funnel_attempts", "+fct_funnel_steps", "int_build_state")
    workbench = make_workbench("late_funnels")
    workbench.use_map(write_map(tmp_path / "map", declared))
    early = {
        journey: [row for row in rows if draw.random() < 0.9] for journey, rows in found.items()
    }
    workbench.land(write_landing(tmp_path / "early", early))
    workbench.build(*select)
    before = rows_of(workbench)
    workbench.land(write_landing(tmp_path / "late", found))
    workbench.build(*select)
    assert rows_of(workbench) != before

    changed = {
        funnel_id: (journey, replace(funnel, window=funnel.window + HOUR), rules)
        for funnel_id, (journey, funnel, rules) in declared.items()
    }
    after = rows_of(workbench)
    workbench.build(*select, "--full-refresh")
    assert rows_of(workbench) == after

    workbench.use_map(write_map(tmp_path / "map", changed))
    workbench.build(*select)
    longer = rows_of(workbench)
    assert longer != after
    workbench.build(*select, "--full-refresh")
    assert rows_of(workbench) == longer


def rows_of(workbench: Workbench) -> list[tuple[object, ...]]:
    return [
        row
        for model in ("int_funnel_events", "int_funnel_chains", "int_funnel_rounds")
        for row in workbench.query(f"select * from intermediate.{model} order by all")
    ]


def test_every_way_through_a_funnel_is_found() -> None:
    """Without optional steps an entity gets as far as any choice of its events does."""
    draw = random.Random(1)
    depths = [_depths(draw) for _ in range(2000)]
    assert [found for found, _ in depths] == [furthest for _, furthest in depths]
    assert {furthest for _, furthest in depths} == {0, 1, 2, 3, 4}


def _depths(draw: random.Random) -> tuple[int, int]:
    """How far an entity with a random history gets: by the reference, and by trying all ways."""
    names = draw.choices("ab", k=draw.choice([2, 3, 4]))
    steps = [
        Step(
            number,
            window=draw.choice([None, 3 * HOUR]) if number > 1 else None,
            gap=draw.choice([0, 0, 1]) * HOUR if number > 1 else timedelta(0),
        )
        for number in range(1, len(names) + 1)
    ]
    funnel = Funnel("ordered", 6 * HOUR, [*steps, Step(9, is_exclusion=True)])
    events = [
        Event(
            "ann",
            START + draw.randrange(12) * HOUR,
            "events",
            f"e{number}",
            frozenset(order for order, each in enumerate(names, start=1) if each == name)
            or frozenset({9}),
        )
        for number, name in enumerate(draw.choices("aaabbbx", k=8))
    ]
    history = sorted(events, key=lambda event: (event.at, min(event.matches), event.row_id))
    excluded = [event.at for event in events if 9 in event.matches]
    furthest = 0
    for length in range(1, len(steps) + 1):
        for way in combinations([event for event in history if 9 not in event.matches], length):
            is_way = (
                all(step.order in event.matches for step, event in zip(steps, way, strict=False))
                and way[-1].at - way[0].at <= funnel.window
            )
            for step, before, event in zip(steps[1:], way, way[1:], strict=False):
                passed = event.at - before.at
                is_way &= step.gap <= passed <= (step.window or passed)
                is_way &= not any(before.at < at < event.at for at in excluded)
            furthest = max(furthest, length if is_way else 0)
    found = attempts(events, funnel, datetime.max, None)
    return max((attempt.depth for attempt in found), default=0), furthest

"""Random worlds: small companies whose raw rows arrive late, twice, corrected and in any order.

Hypothesis draws one world after the other; many are built side by side, since a build costs
seconds and a world milliseconds. Ids of a world begin with its name, so that a difference in the
facts names the world that shows it, and no world knows of another.
"""

import csv
import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests import reference
from tests.conftest import Workbench
from tests.maps import write_tables
from tests.reference import Event, Identities, Journey, Touch, Transition, Visit

Row = dict[str, Any]
Rows = dict[str, list[Row]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

# Marts that are empty without benchmarks, actions, surveys, key moments or process logs, of
# which these have none.
NEEDS_MORE_OF_A_MAP = (
    *("marts.gap", "marts.fct_action", "marts.fct_work_items", "marts.fct_key_moments"),
    *("marts.fct_feedback", "marts.fct_survey_responses", "marts.measure_scores"),
)
START = datetime(2025, 1, 1)
EXTRACTED = datetime(2026, 6, 1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
GAPS = {"signup": 20 * DAY, "adoption": 20 * DAY, "usage": 15 * DAY}
LOADS = 4
# What runs remember of one another: a full rebuild has no memory.
MEMORIES = {"int_build_state", "fct_restatements", "measure_state"}

# Ties, the windows and the attempt gaps to the second, and one second more.
STEPS = [
    *[timedelta(0)] * 3,
    *[60 * SECOND, 6 * 3600 * SECOND, DAY, 4 * DAY] * 2,
    *[4 * DAY + SECOND, 10 * DAY, 10 * DAY + SECOND],
    *[15 * DAY, 15 * DAY + SECOND, 20 * DAY, 20 * DAY + SECOND] * 2,
    45 * DAY,
]

MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days
        signup,Sign-up,customer,20,ordered,Europe/Berlin,10
        adoption,Adoption,account,20,strict,UTC,10
        usage,Usage,customer,15,any,UTC,4
        deal,Deal,opportunity,,ordered,UTC,10
        contract,Contract,opportunity,,ordered,UTC,10
        ticket,Ticket,ticket,,ordered,UTC,4
        claim,Claim,claim,,strict,America/New_York,4
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind,is_optional
        signup,visited,1,awareness,progress,false
        signup,tried,2,consideration,progress,true
        signup,asked,3,consideration,progress,false
        signup,bought,4,purchase,success,false
        signup,left,5,purchase,exit,false
        adoption,seen,1,awareness,progress,false
        adoption,piloted,2,consideration,progress,false
        adoption,agreed,3,purchase,progress,false
        adoption,live,4,onboarding,success,false
        adoption,gone,5,onboarding,exit,false
        usage,opened,1,onboarding,progress,false
        usage,helped,2,loyalty,progress,false
        usage,tried,3,loyalty,progress,false
        usage,renewed,4,loyalty,success,false
        usage,gone,5,loyalty,exit,false
        deal,open,1,purchase,progress,false
        deal,offer,2,purchase,progress,false
        deal,won,3,purchase,success,false
        deal,lost,4,purchase,exit,false
        contract,drafted,1,purchase,progress,false
        contract,signed,2,purchase,success,false
        contract,dropped,3,purchase,exit,false
        ticket,raised,1,loyalty,progress,false
        ticket,moved,2,loyalty,progress,false
        ticket,solved,3,loyalty,success,false
        claim,filed,1,purchase,progress,false
        claim,checked,2,purchase,progress,true
        claim,valued,3,purchase,progress,false
        claim,paid,4,purchase,success,false
        claim,refused,5,purchase,exit,false
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name,property_name,property_operator,property_value,priority
        signup,visited,events,page,path,equals,/home,1
        signup,tried,events,trial,,,,1
        signup,asked,crm_stage_changes,Asked,,,,1
        signup,bought,events,paid,,,,1
        signup,left,crm_stage_changes,Lost,,,,1
        adoption,seen,events,page,path,equals,/home,1
        adoption,piloted,events,trial,,,,1
        adoption,agreed,crm_stage_changes,Offer,,,,1
        adoption,live,events,paid,,,,1
        adoption,live,crm_stage_changes,Won,,,,1
        adoption,gone,crm_stage_changes,Lost,,,,1
        usage,opened,events,login,,,,1
        usage,helped,support_events,opened,,,,1
        usage,tried,events,trial,,,,1
        usage,renewed,events,paid,,,,1
        usage,gone,support_events,closed,,,,1
        deal,open,crm_stage_changes,Asked,,,,1
        deal,offer,crm_stage_changes,Offer,,,,1
        deal,won,crm_stage_changes,Won,,,,1
        deal,lost,crm_stage_changes,Lost,,,,1
        contract,drafted,crm_opportunities,created,,,,1
        contract,signed,crm_opportunities,won,,,,1
        contract,dropped,crm_opportunities,lost,,,,1
        ticket,raised,support_events,opened,,,,1
        ticket,moved,support_events,team_changed,,,,1
        ticket,solved,support_events,closed,,,,1
        claim,filed,event_log,file,,,,1
        claim,checked,event_log,check,,,,1
        claim,valued,event_log,value,,,,1
        claim,paid,event_log,pay,,,,1
        claim,refused,event_log,refuse,,,,1
    """,
    "entity_links": """
        journey_id,source,entity_column
        signup,events,customer_id
        signup,crm_stage_changes,customer_id
        adoption,events,account_id
        adoption,crm_stage_changes,account_id
        usage,events,customer_id
        usage,support_events,customer_id
        deal,crm_stage_changes,opportunity_id
        contract,crm_opportunities,opportunity_id
        ticket,support_events,support_contact_id
        claim,event_log,source_case_id
    """,
    "segment_dimensions": """
        journey_id,dimension,source,source_column,as_of_rule,is_immutable,top_n,is_ranked,paired_with
        signup,page,events,path,latest_at_entry,false,1,true,first_page
        signup,first_page,events,path,,true,5,true,
        ticket,team,support_events,resource,entering_event,false,5,true,
    """,
    "benchmarks": """
        benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,source
        trial_rate,conversion_rate,1,signup,tried,target,0.5,test
    """,
    "exclusions": """
        exclusion_id,journey_id,source,event_name,property_name,property_operator,property_value,reason
        bots,signup,events,page,path,equals,/robots,bot
        staff,,events,,traffic,equals,staff,staff
    """,
    "funnels": """
        funnel_id,journey_id,name,order_mode,conversion_window_days
        trial,signup,Trial,ordered,10
        pilot,adoption,Pilot,strict,15
        use,usage,Use,any,4
    """,
    "funnel_steps": """
        funnel_id,step_order,step_name,source,event_name,property_name,property_operator,property_value,is_optional,is_exclusion,step_window_days
        trial,1,Home,events,page,path,equals,/home,false,false,
        trial,2,Trial,events,trial,,,,false,false,4
        trial,3,Paid,events,paid,,,,false,false,
        pilot,1,Home,events,page,path,equals,/home,false,false,
        pilot,2,Offer,crm_stage_changes,Offer,,,,true,false,
        pilot,3,Paid,events,paid,,,,false,false,
        use,1,Log-in,events,login,,,,false,false,
        use,2,Trial,events,trial,,,,false,false,
        use,3,Paid,events,paid,,,,false,false,
    """,
    "touchpoints": """
        touchpoint_id,name,channel,owner_team,owner_column
        site,Site,web,marketing,
        sales,Sales,call,sales,
        desk,Desk,call,support,resource
    """,
    "touchpoint_rules": """
        touchpoint_id,source,event_name,property_name,property_operator,property_value,priority
        site,events,page,,,,1
        sales,crm_stage_changes,Offer,,,,1
        desk,support_events,team_changed,,,,1
    """,
}

# What the map says, once more, for the reference.
JOURNEYS = {
    "signup": Journey(
        {
            "visited": "progress",
            "tried": "progress",
            "asked": "progress",
            "bought": "success",
            "left": "exit",
        },
        has_own_id=False,
        attempt_gap=GAPS["signup"],
        source_start={"events": START, "crm_stage_changes": START},
        optional=frozenset({"tried"}),
    ),
    "adoption": Journey(
        {
            "seen": "progress",
            "piloted": "progress",
            "agreed": "progress",
            "live": "success",
            "gone": "exit",
        },
        has_own_id=False,
        attempt_gap=GAPS["adoption"],
        source_start={"events": START, "crm_stage_changes": START},
        order_mode="strict",
    ),
    "usage": Journey(
        {
            "opened": "progress",
            "helped": "progress",
            "tried": "progress",
            "renewed": "success",
            "gone": "exit",
        },
        has_own_id=False,
        attempt_gap=GAPS["usage"],
        source_start={"events": START, "support_events": START},
        order_mode="any",
    ),
    "deal": Journey(
        {"open": "progress", "offer": "progress", "won": "success", "lost": "exit"},
        has_own_id=True,
    ),
    "contract": Journey(
        {"drafted": "progress", "signed": "success", "dropped": "exit"}, has_own_id=True
    ),
    "ticket": Journey(
        {"raised": "progress", "moved": "progress", "solved": "success"}, has_own_id=True
    ),
    "claim": Journey(
        {
            "filed": "progress",
            "checked": "progress",
            "valued": "progress",
            "paid": "success",
            "refused": "exit",
        },
        has_own_id=True,
        optional=frozenset({"checked"}),
        order_mode="strict",
    ),
}
WINDOWS = {
    **{"signup": 10 * DAY, "adoption": 10 * DAY, "usage": 4 * DAY, "deal": 10 * DAY},
    **{"contract": 10 * DAY, "ticket": 4 * DAY, "claim": 4 * DAY},
}
ZONES = {"signup": "Europe/Berlin", "claim": "America/New_York"}
RULES = {
    ("signup", "events", "home"): "visited",
    ("signup", "events", "trial"): "tried",
    ("signup", "crm_stage_changes", "Asked"): "asked",
    ("signup", "events", "paid"): "bought",
    ("signup", "crm_stage_changes", "Lost"): "left",
    ("adoption", "events", "home"): "seen",
    ("adoption", "events", "trial"): "piloted",
    ("adoption", "crm_stage_changes", "Offer"): "agreed",
    ("adoption", "events", "paid"): "live",
    ("adoption", "crm_stage_changes", "Won"): "live",
    ("adoption", "crm_stage_changes", "Lost"): "gone",
    ("usage", "events", "login"): "opened",
    ("usage", "support_events", "opened"): "helped",
    ("usage", "events", "trial"): "tried",
    ("usage", "events", "paid"): "renewed",
    ("usage", "support_events", "closed"): "gone",
    ("deal", "crm_stage_changes", "Asked"): "open",
    ("deal", "crm_stage_changes", "Offer"): "offer",
    ("deal", "crm_stage_changes", "Won"): "won",
    ("deal", "crm_stage_changes", "Lost"): "lost",
    ("contract", "crm_opportunities", "created"): "drafted",
    ("contract", "crm_opportunities", "won"): "signed",
    ("contract", "crm_opportunities", "lost"): "dropped",
    ("ticket", "support_events", "opened"): "raised",
    ("ticket", "support_events", "team_changed"): "moved",
    ("ticket", "support_events", "closed"): "solved",
    ("claim", "event_log", "file"): "filed",
    ("claim", "event_log", "check"): "checked",
    ("claim", "event_log", "value"): "valued",
    ("claim", "event_log", "pay"): "paid",
    ("claim", "event_log", "refuse"): "refused",
}
LINKS = {
    "signup": {"events": "customer", "crm_stage_changes": "customer"},
    "adoption": {"events": "account", "crm_stage_changes": "account"},
    "usage": {"events": "customer", "support_events": "customer"},
    "deal": {"crm_stage_changes": "opportunity_id"},
    "contract": {"crm_opportunities": "opportunity_id"},
    "ticket": {"support_events": "support_contact_id"},
    "claim": {"event_log": "source_case_id"},
}

COLUMNS = {
    "events": [
        *("event_id", "anonymous_id", "customer_id", "account_id"),
        *("event_name", "occurred_at", "properties"),
    ],
    "crm_contacts": [
        *("contact_id", "account_id", "customer_id", "created_at", "source_updated_at"),
    ],
    "crm_opportunities": [
        *("opportunity_id", "account_id", "contact_id", "created_at", "closed_at"),
        *("is_won", "source_updated_at"),
    ],
    "crm_stage_changes": ["change_id", "opportunity_id", "stage_name", "changed_at"],
    "support_contacts": [
        *("support_contact_id", "customer_id", "opened_at", "source_updated_at"),
    ],
    "support_events": [
        *("support_event_id", "support_contact_id", "kind", "agent_team", "occurred_at"),
    ],
    "event_log": ["event_id", "source_case_id", "activity", "occurred_at"],
}
IDS = {
    *("event_id", "anonymous_id", "customer_id", "account_id", "contact_id", "opportunity_id"),
    *("change_id", "support_contact_id", "support_event_id", "source_case_id"),
}
# One id with two contents contradicts itself; two versions of a record do not.
IMMUTABLE = {
    "events": ("event_id", "occurred_at"),
    "crm_stage_changes": ("change_id", "changed_at"),
    "support_events": ("support_event_id", "occurred_at"),
    "event_log": ("event_id", "occurred_at"),
}
WORLD = re.compile(r"w\d{5}")


@dataclass(frozen=True)
class Arrival:
    """A raw row and the loads in which it arrives."""

    table: str
    row: Row
    loads: tuple[int, ...]

    @property
    def known_at(self) -> datetime:
        """When its source could first have told of it."""
        times = (self.row.get(name) for name in ("occurred_at", "changed_at", "source_updated_at"))
        return next((time for time in times if time), START)


@dataclass(frozen=True)
class World:
    """A company: the rows of one, and how they arrive."""

    number: int
    arrivals: Sequence[Arrival] = field(repr=False)

    @property
    def name(self) -> str:
        return f"w{self.number:05}"

    def rows(self, loads: Collection[int] | None = None) -> Iterator[tuple[str, Row]]:
        """Its rows with ids of its own: of some loads, or all without repetitions."""
        for arrival in self.arrivals:
            row = {
                name: f"{self.name}-{value}" if name in IDS and value else value
                for name, value in arrival.row.items()
            }
            times = 1 if loads is None else sum(load in loads for load in arrival.loads)
            yield from [(arrival.table, row)] * times

    def __str__(self) -> str:
        lines = [
            f"  {arrival.table} in loads {arrival.loads}: "
            + ", ".join(f"{name}={value}" for name, value in arrival.row.items() if value)
            for arrival in sorted(self.arrivals, key=lambda arrival: arrival.known_at)
        ]
        return "\n".join([f"world {self.name}", *lines])


_steps = st.sampled_from(STEPS)
_first_steps = st.sampled_from([0 * DAY, 4 * DAY, 15 * DAY - SECOND, 20 * DAY - SECOND, 20 * DAY])
_CUSTOMERS = ["b", "B", "é"]
_ACCOUNTS = ["a", "Z"]
_PRODUCT = ["home"] * 3 + ["trial"] * 2 + ["paid", "login", "docs"]
# Rarely a bot or an employee: they end a history for good.
_RARE = [*_PRODUCT * 4, "robots", "staff"]


@st.composite
def arrivals(draw: Draw) -> list[Arrival]:
    """The rows of one world. Every choice is hypothesis's."""
    customers = _CUSTOMERS[: draw(st.integers(1, 3))]
    contacts = ["p1", "p2"][: draw(st.integers(0, 2))]
    rows = [
        *_product_rows(draw, customers),
        *_contact_rows(draw, contacts, customers),
        *_opportunity_rows(draw, contacts),
        *_support_rows(draw, customers),
        *_log_rows(draw),
    ]
    rows += list(_contradictions(draw, rows))
    return _arriving(draw, rows)


def _walk(draw: Draw, least: int, most: int) -> Iterator[datetime]:
    """Growing times with the differences that decide cases."""
    at = START + draw(_first_steps)
    for _ in range(draw(st.integers(least, most))):
        yield at
        at += draw(_steps)


def _product_rows(draw: Draw, customers: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """People at devices, some of them shared; who they are is sometimes known."""
    devices = ["d1", "d2"][: draw(st.integers(1, 2))]
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        home = draw(st.sampled_from(devices))
        owner = draw(st.sampled_from(customers))
        knowledge = [(home, None)] * 4 + [(home, owner)] * 3 + [(None, owner), (None, None)]
        knowledge += [(device, customer) for device in devices for customer in customers]
        names = draw(st.sampled_from([_PRODUCT, _PRODUCT, _RARE]))
        for at in _walk(draw, 2, 8):
            name = draw(st.sampled_from(names))
            device, customer = draw(st.sampled_from(knowledge))
            is_page = name in ("home", "docs", "robots")
            traffic = ', "traffic": "staff"' if name == "staff" else ""
            number += 1
            yield (
                "events",
                {
                    "event_id": f"e{draw(st.integers(0, 9))}{number:02}",
                    "anonymous_id": device,
                    "customer_id": customer,
                    "account_id": draw(st.sampled_from([*[None] * 5, *_ACCOUNTS])),
                    "event_name": "page" if is_page else "login" if name == "staff" else name,
                    "occurred_at": at,
                    "properties": f'{{"path": "/{name}"{traffic}}}',
                },
            )


def _versions(draw: Draw) -> Iterator[datetime | None]:
    """When the versions of a record were written: unknown or at one instant, some of them."""
    updates = [None, START, START + 30 * DAY, START + 30 * DAY, START + 60 * DAY]
    for _ in range(draw(st.integers(1, 3))):
        yield draw(st.sampled_from(updates))


def _contact_rows(
    draw: Draw, contacts: Sequence[str], customers: Sequence[str]
) -> Iterator[tuple[str, Row]]:
    for contact in contacts:
        for updated_at in _versions(draw):
            yield (
                "crm_contacts",
                {
                    "contact_id": contact,
                    "account_id": draw(st.sampled_from([None, *_ACCOUNTS])),
                    "customer_id": draw(st.sampled_from([None, *customers])),
                    "created_at": START,
                    "source_updated_at": updated_at,
                },
            )


def _opportunity_rows(draw: Draw, contacts: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for opportunity in ["o1", "o2"][: draw(st.integers(0, 2))]:
        created_at = START + draw(_first_steps)
        for updated_at in _versions(draw):
            is_won = draw(st.sampled_from([None, True, False]))
            yield (
                "crm_opportunities",
                {
                    "opportunity_id": opportunity,
                    "account_id": draw(st.sampled_from([None, None, *_ACCOUNTS])),
                    "contact_id": draw(st.sampled_from([None, "p1", *contacts])),
                    "created_at": created_at,
                    "closed_at": None if is_won is None else created_at + draw(_steps),
                    "is_won": is_won,
                    "source_updated_at": updated_at,
                },
            )
        names = ["Asked", "Asked", "Offer", "Offer", "Won", "Lost"]
        for number, at in enumerate(_walk(draw, 0, 6)):
            yield (
                "crm_stage_changes",
                {
                    "change_id": f"s{draw(st.integers(0, 9))}{opportunity}{number}",
                    "opportunity_id": opportunity,
                    "stage_name": draw(st.sampled_from(names)),
                    "changed_at": at,
                },
            )


def _support_rows(draw: Draw, customers: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for ticket in ["t1", "t2"][: draw(st.integers(0, 2))]:
        for updated_at in _versions(draw):
            yield (
                "support_contacts",
                {
                    "support_contact_id": ticket,
                    "customer_id": draw(st.sampled_from([None, *customers])),
                    "opened_at": START,
                    "source_updated_at": updated_at,
                },
            )
        for number, at in enumerate(_walk(draw, 0, 5)):
            yield (
                "support_events",
                {
                    "support_event_id": f"u{draw(st.integers(0, 9))}{ticket}{number}",
                    "support_contact_id": ticket,
                    "kind": draw(st.sampled_from(["opened", "opened", "team_changed", "closed"])),
                    "agent_team": draw(st.sampled_from([None, "night"])),
                    "occurred_at": at,
                },
            )


def _log_rows(draw: Draw) -> Iterator[tuple[str, Row]]:
    activities = ["file", "file", "check", "value", "value", "pay", "refuse"]
    for number, at in enumerate(_walk(draw, 0, 6)):
        yield (
            "event_log",
            {
                "event_id": f"l{draw(st.integers(0, 9))}{number}",
                "source_case_id": "k1",
                "activity": draw(st.sampled_from(activities)),
                "occurred_at": at,
            },
        )


def _contradictions(draw: Draw, rows: Sequence[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """A second content for some ids: neither may stay."""
    candidates = [(table, row) for table, row in rows if table in IMMUTABLE]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        table, row = draw(st.sampled_from(candidates))
        time = IMMUTABLE[table][1]
        other = {**row, time: row[time] + DAY}
        if table == "events" and draw(st.booleans()):
            other = {**row, "customer_id": None if row["customer_id"] else "b"}
        yield table, other


def _arriving(draw: Draw, rows: Sequence[tuple[str, Row]]) -> list[Arrival]:
    """Split into 2 to 4 loads: at random, as time goes by or backwards; some rows twice."""
    count = draw(st.integers(2, LOADS))
    once = [(load,) for load in range(count)] * 3
    twice = [(first, second) for first in range(count) for second in range(count)]
    manner = draw(st.sampled_from(["random", "random", "forward", "backward"]))
    chosen = [Arrival(table, row, draw(st.sampled_from(once + twice))) for table, row in rows]
    if manner == "random":
        return chosen
    chosen.sort(key=lambda arrival: arrival.known_at, reverse=manner == "backward")
    return [
        Arrival(arrival.table, arrival.row, (index * count // len(chosen), *arrival.loads[1:]))
        for index, arrival in enumerate(chosen)
    ]


def worlds(count: int, random_seed: int) -> list[World]:
    """That many worlds, the same for the same seed.

    Nothing is shrunk here, since no world is judged here; see `smaller`.
    """
    drawn: list[World] = []

    @seed(random_seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(arrivals())
    def draw_world(rows: list[Arrival]) -> None:
        drawn.append(World(len(drawn), rows))

    draw_world()
    return drawn


def tables(some: Iterable[World], loads: Collection[int] | None = None) -> Rows:
    """The rows of the worlds, of some loads or all, in an order that says nothing."""
    found: Rows = {name: [] for name in COLUMNS}
    for world in some:
        for table, row in world.rows(loads):
            found[table].append(row)
    for rows in found.values():
        random.Random(len(rows)).shuffle(rows)
    return found


def write_map(folder: Path, changes: Mapping[str, tuple[str, str]] | None = None) -> Path:
    """The map of the worlds, with a replacement per table."""
    changed = dict(MAP)
    for table, (old, new) in (changes or {}).items():
        assert old in MAP[table]
        changed[table] = MAP[table].replace(old, new)
    return write_tables(folder, changed)


def write_files(folder: Path, rows: Rows, is_declared: bool = True) -> Path:
    """A landing folder. Where a source declares its extent, no row moves it."""
    folder.mkdir()
    for name, some in rows.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[name])
            writer.writeheader()
            writer.writerows(some)
    if is_declared:
        lines = [
            f"  - {{name: {name}, files: {name}.csv, table: {name}, "
            f"source_start: {START:%Y-%m-%d}, extract_time: {EXTRACTED:%Y-%m-%d}}}"
            for name in rows
        ]
        (folder / "landing.yml").write_text("\n".join(["sources:", *lines]) + "\n")
    return folder


def relations(workbench: Workbench) -> list[str]:
    """The incremental models and the marts, by their names in the warehouse."""
    names = workbench.dbt(
        *("ls", "--resource-type", "model", "--output", "name"),
        *("--select", "config.materialized:incremental", "marts"),
    ).split()
    existing = workbench.query("select table_schema, table_name from information_schema.tables")
    return sorted(
        f"{schema}.{name}" for schema, name in existing if name in names and name not in MEMORIES
    )


def snapshot(workbench: Workbench, names: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows. Numbers to ten digits: a sum depends on the order in which threads add."""
    return {
        name: [
            tuple(float(f"{cell:.10g}") if isinstance(cell, float) else cell for cell in row)
            for row in workbench.query(f"select * from {name}")
        ]
        for name in names
    }


class Facts(NamedTuple):
    """What the warehouse must hold by the reference: rows, each with its journey in front."""

    visits: set[tuple[Any, ...]]
    transitions: set[tuple[Any, ...]]
    entries: set[tuple[Any, ...]]
    weeks: set[tuple[Any, ...]]


def expected_facts(rows: Rows, workbench: Workbench) -> Facts:
    """By the reference, from the rows that were sent.

    Two things only landing can say: the content hash of a version, and the place of a row of a
    log in its file.
    """
    hashes = {
        table: {
            row[:-1]: row[-1]
            for row in workbench.query(
                f"select {', '.join(COLUMNS[table])}, content_hash from raw.{table}"
            )
        }
        for table in ("crm_contacts", "crm_opportunities", "support_contacts")
    }
    places = dict(workbench.query("select event_id, event_seq from raw.event_log"))
    versions = {
        table: [
            {**row, "content_hash": known[tuple(row[name] for name in COLUMNS[table])]}
            for row in rows[table]
        ]
        for table, known in hashes.items()
    }
    events = [
        event for table, (key, _) in IMMUTABLE.items() for event in _kept(rows[table], table, key)
    ]
    identities = Identities(
        [event for event in events if event["source"] == "events"],
        versions["crm_contacts"],
        versions["crm_opportunities"],
        versions["support_contacts"],
    )
    events += _opportunity_moments(identities.opportunities.values())
    facts = Facts(*(set() for _ in Facts._fields))
    for journey_id, journey in JOURNEYS.items():
        entities = _entities(journey_id, events, identities)
        _add_facts(facts, journey_id, journey, entities, places)
    return facts


def _kept(rows: Iterable[Row], table: str, key: str) -> Iterator[Row]:
    """Immutable rows as source events: each content once, no id that contradicts itself."""
    contents: dict[str, dict[tuple[Any, ...], Row]] = defaultdict(dict)
    for row in rows:
        contents[row[key]][tuple(row.values())] = row
    names = {"events": "event_name", "crm_stage_changes": "stage_name"}
    names |= {"support_events": "kind", "event_log": "activity"}
    for row_id, found in contents.items():
        if len(found) > 1:
            continue
        [row] = found.values()
        name, properties = row[names[table]], row.get("properties", "")
        if name == "page":
            name = next(path for path in ("home", "docs", "robots") if f'"/{path}"' in properties)
        yield {
            **row,
            "source": table,
            "row_id": row_id,
            "at": row[IMMUTABLE[table][1]],
            "name": name,
            "is_staff": "staff" in properties,
        }


def _opportunity_moments(opportunities: Iterable[reference.Row]) -> Iterator[Row]:
    """When an opportunity opened and closed, by its newest version."""
    for row in opportunities:
        moments = [("created", row["created_at"])]
        if row["is_won"] is not None:
            moments.append(("won" if row["is_won"] else "lost", row["closed_at"]))
        for name, at in moments:
            row_id = f"{row['opportunity_id']}:{name}"
            source = {"source": "crm_opportunities", "row_id": row_id}
            yield {**row, **source, "at": at, "name": name, "is_staff": False}


def _entities(
    journey_id: str, events: Iterable[Row], identities: Identities
) -> Iterator[tuple[str, Row]]:
    """The events that concern a journey, with their entities."""
    gap = GAPS.get(journey_id, timedelta(0))
    finders: dict[str, Callable[[Row, timedelta], str | None]] = {
        "customer": identities.customer_entity,
        "account": identities.account_entity,
    }
    for event in events:
        link = LINKS[journey_id].get(event["source"])
        if link is None:
            continue
        entity = finders[link](event, gap) if link in finders else event[link]
        if entity:
            yield entity, {**event, "known_customer": identities.customer(event, gap)}


def _add_facts(
    facts: Facts,
    journey_id: str,
    journey: Journey,
    entities: Iterable[tuple[str, Row]],
    places: Mapping[Any, Any],
) -> None:
    found = list(entities)
    excluded = {
        entity
        for entity, event in found
        if event["is_staff"] or (event["name"] == "robots" and journey_id == "signup")
    }
    events, touches = [], []
    for entity, event in found:
        if entity in excluded:
            continue
        place = places[event["row_id"]] if event["source"] == "event_log" else None
        where = (event["at"], event["source"], event["row_id"], place)
        stage = RULES.get((journey_id, event["source"], event["name"]))
        if stage:
            events.append(Event(entity, stage, *where, event["known_customer"]))
        touchpoint = _touchpoint(event)
        if touchpoint:
            touches.append(Touch(entity, *touchpoint, *where))
    # Every source is complete beyond its newest row, so that row is how far one can see.
    as_of = max(event["at"] for _, event in found)
    visits = reference.visits(events, journey)
    entries = reference.entries(visits, journey)
    via = reference.entered_via(visits, touches)
    facts.visits.update((journey_id, *_cells(visit, journey, as_of, via)) for visit in visits)
    facts.transitions.update(
        (journey_id, *_step_cells(step, via)) for step in reference.transitions(visits)
    )
    facts.entries.update((journey_id, *_entry_cells(entry)) for entry in entries)
    facts.weeks.update((journey_id, *week) for week in _weeks(entries, journey_id))


def _weeks(
    entries: Iterable[reference.Entry], journey_id: str
) -> Iterator[tuple[str, date, int, int]]:
    """Stage and Monday of the journey's time zone, with entries and conversions."""
    zone = ZoneInfo(ZONES.get(journey_id, "UTC"))
    counts: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        if entry.visit.is_left_truncated:
            continue
        day = entry.visit.entered_at.replace(tzinfo=UTC).astimezone(zone).date()
        count = counts[entry.visit.stage, day - day.weekday() * DAY]
        count[0] += 1
        count[1] += entry.is_converted(WINDOWS[journey_id])
    for (stage, monday), (entered, converted) in counts.items():
        yield stage, monday, entered, converted


def _touchpoint(event: Row) -> tuple[str, str | None] | None:
    if event["source"] == "events" and event["event_name"] == "page":
        return "site", "marketing"
    if event["source"] == "crm_stage_changes" and event["name"] == "Offer":
        return "sales", "sales"
    if event["source"] == "support_events" and event["name"] == "team_changed":
        return "desk", event["agent_team"] or "support"
    return None


_Via = Mapping[tuple[Any, ...], Touch]


def _cells(visit: Visit, journey: Journey, as_of: datetime, via: _Via) -> tuple[Any, ...]:
    left_at = visit.exited_at or visit.lapsed_at
    is_progress = journey.stages[visit.stage] == "progress"
    spent = (left_at or as_of) - visit.entered_at if is_progress else None
    touch = via.get((*visit.case, visit.number))
    return (
        *(*visit.case, visit.number, visit.stage, visit.entered_at, visit.exited_at),
        *(visit.next_stage, visit.kind, visit.lapsed_at, visit.is_left_truncated, visit.orphans),
        *(is_progress and left_at is None, None if spent is None else _us(spent)),
        touch.touchpoint if touch else None,
        visit.entered_by.customer if visit.entered_by else None,
    )


def _entry_cells(entry: reference.Entry) -> tuple[Any, ...]:
    return (*entry.visit.case, entry.visit.stage, entry.visit.entered_at, entry.advanced_at)


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _step_cells(step: Transition, via: _Via) -> tuple[Any, ...]:
    touches = [via.get((step.entity, step.attempt, step.from_number + ahead)) for ahead in (0, 1)]
    owners = [touch.owner if touch else None for touch in touches]
    return (
        *(step.entity, step.attempt, step.from_number, step.from_stage, step.to_stage),
        *(step.kind, step.at, _us(step.duration)),
        *(touch.touchpoint if touch else None for touch in touches),
        *(*owners, None not in owners and owners[0] != owners[1]),
    )


def differences(
    actual: Mapping[str, Iterable[tuple[Any, ...]]],
    expected: Mapping[str, Iterable[tuple[Any, ...]]],
) -> dict[str, dict[str, list[str]]]:
    """By world and relation, the rows that only one side has (`+` actual, `-` expected).

    Rows that name no world are under "all worlds".
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for relation, rows in expected.items():
        has, should = _counted(actual[relation]), _counted(rows)
        for sign, left, right in (("+", has, should), ("-", should, has)):
            for row in left.keys() - right.keys():
                named = WORLD.search(str(row))
                found[named[0] if named else "all worlds"][relation].append(f"{sign} {row}")
    return found


def _counted(rows: Iterable[tuple[Any, ...]]) -> Mapping[tuple[Any, ...], int]:
    """Rows made unique by their number of repetition: a bag that can be compared as a set."""
    seen: dict[tuple[Any, ...], int] = defaultdict(int)
    unique = {}
    for row in rows:
        seen[row] += 1
        unique[(*row, seen[row])] = 1
    return unique


def report(found: Mapping[str, Mapping[str, list[str]]], some: Collection[World]) -> str:
    """The differences of the smallest few worlds that differ, with all their rows."""
    by_name = {world.name: world for world in some}
    differing = sorted(
        found, key=lambda name: len(by_name[name].arrivals) if name in by_name else 10**6
    )
    lines = [f"{len(found)} of {len(some)} worlds differ: {', '.join(sorted(found)[:20])}"]
    for name in differing[:3]:
        lines.append(str(by_name.get(name, name)))
        for relation, rows in found[name].items():
            lines += [f"  {relation}", *(f"    {row}" for row in sorted(rows)[:20])]
    return "\n".join(lines)


def smaller(world: World) -> list[World]:
    """The world without each half, quarter and so on of its rows: to be built side by side."""
    rows = world.arrivals
    size, parts = len(rows), []
    while size > 1:
        size = (size + 1) // 2
        parts += [(start, start + size) for start in range(0, len(rows), size)]
    kept = [[*rows[:start], *rows[end:]] for start, end in parts]
    return [World(number, arrivals) for number, arrivals in enumerate(kept) if arrivals]

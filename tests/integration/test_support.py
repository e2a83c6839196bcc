"""Support on the demo: repeats, reopenings and times counted by loops over the raw rows.

Once as it is, and once as of a moment at which many contacts still waited for their answer.
"""

import csv
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lifelines import KaplanMeierFitter

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench
from tests.integration.test_working_time import Times, changes, stretches, time_of_day, worked
from tests.reference import newest

DEMO_MAP = PROJECT_DIR / "seeds" / "journey_map"
TRUTH = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
WINDOWS = {"call": timedelta(hours=24), "chat": timedelta(hours=24), "email": timedelta(hours=12)}
WEEK, MICROSECOND = timedelta(days=7), timedelta(microseconds=1)
DEPENDENT = (
    *("int_stage_observations", "int_moments", "fct_moment_stages", "fct_support_contacts"),
    *("int_support_rate_units", "int_support_time_units"),
)
COLUMNS = (
    *("support_contact_id", "customer_id", "channel", "topic", "opened_at", "first_response_at"),
    *("resolved_at", "agent_team", "source_updated_at", "content_hash"),
)
Contact = Mapping[str, Any]
# Journey and support contact.
Unit = tuple[str, str]


@dataclass(frozen=True)
class Desk:
    """The raw rows of the support desk, and until when they are seen."""

    workbench: Workbench
    contacts: Mapping[str, Contact]
    events: Mapping[tuple[str, str], Sequence[datetime]]
    as_of: datetime
    observed_through: datetime
    events_through: datetime

    def follows(self, contact: Contact) -> list[Contact]:
        """What this customer asks on this topic within W of the contact."""
        return [
            other
            for other in self.contacts.values()
            if (other["customer_id"], other["topic"]) == (contact["customer_id"], contact["topic"])
            and _place(other) > _place(contact)
            and other["opened_at"] - contact["opened_at"] <= WINDOWS[contact["channel"]]
        ]

    def is_follow_up(self, contact: Contact) -> bool:
        """The latest contact before it, of this customer on this topic, is within its own W."""
        before = [
            other
            for other in self.contacts.values()
            if (other["customer_id"], other["topic"]) == (contact["customer_id"], contact["topic"])
            and _place(other) < _place(contact)
        ]
        if not before:
            return False
        latest = max(before, key=_place)
        return contact["opened_at"] - latest["opened_at"] <= WINDOWS[latest["channel"]]

    def is_judged(self, contact: Contact) -> bool:
        is_over = contact["opened_at"] + WINDOWS[contact["channel"]] <= self.observed_through
        return is_over and _has_keys(contact)


def _place(contact: Contact) -> tuple[datetime, str]:
    return (contact["opened_at"], contact["support_contact_id"])


def _has_keys(contact: Contact) -> bool:
    return contact["customer_id"] is not None and contact["topic"] is not None


def read_desk(workbench: Workbench, as_of: datetime) -> Desk:
    rows = workbench.query(f"select {', '.join(COLUMNS)} from raw.support_contacts")
    contacts = newest((dict(zip(COLUMNS, row, strict=True)) for row in rows), COLUMNS[0])
    events: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for contact_id, kind, at in workbench.query(
        "select support_contact_id, kind, occurred_at from raw.support_events"
    ):
        assert isinstance(at, datetime)
        events[str(contact_id), str(kind)].append(at)
    newest_event = max(at for times in events.values() for at in times)
    newest_contact = max(contact["opened_at"] for contact in contacts.values())
    return Desk(
        workbench,
        contacts,
        events,
        as_of,
        observed_through=min(as_of, newest_contact),
        events_through=min(as_of, newest_contact, newest_event),
    )


def newest_as_of(demo: Workbench) -> datetime:
    """Of the demo's journeys, which end with the same event."""
    [(as_of,)] = demo.query("select distinct as_of from marts.fct_journey_coverage")
    assert isinstance(as_of, datetime)
    return as_of


@pytest.fixture(scope="module", params=["as it is", "while many wait"])
def desk(
    request: pytest.FixtureRequest, demo: Workbench, make_workbench: Callable[[str], Workbench]
) -> Desk:
    latest = read_desk(demo, newest_as_of(demo))
    if request.param == "as it is":
        return latest
    contacts = latest.contacts.values()

    def waiting(moment: datetime) -> int:
        return sum(row["opened_at"] <= moment < row["first_response_at"] for row in contacts)

    as_of = max((row["opened_at"] for row in contacts), key=lambda at: (waiting(at), at))
    assert waiting(as_of) > 2
    workbench = make_workbench("while_many_wait")
    workbench.home.mkdir(parents=True)
    shutil.copy(demo.settings.warehouse, workbench.settings.warehouse)
    workbench.use_map(DEMO_MAP)
    variables = {"JOURNEY_GAPS_AS_OF": str(as_of)}
    workbench.dbt("run", "--select", *DEPENDENT, env=variables)
    return read_desk(workbench, as_of)


@pytest.fixture(scope="module")
def placed(desk: Desk) -> dict[Unit, str]:
    """The stage that each contact's customer was in, from the published visits."""
    visits: list[tuple[Any, ...]] = desk.workbench.query(
        """
        select
            journey_id, entity_id, stage_id, entered_at,
            case
                when exit_kind = 'lapsed'
                    then entered_at + to_microseconds(time_in_stage_us)
                when stage_kind = 'success'
                    then entered_at + to_days(dim_journeys.conversion_window_days)
                else coalesce(exited_at, timestamp '9999-01-01 00:00:00')
            end as left_at
        from marts.fct_stage_visits
        join marts.dim_stages using (journey_id, stage_id)
        join marts.dim_journeys using (journey_id)
        where stage_kind <> 'exit'
        order by entered_at
        """
    )
    of_customer = defaultdict(list)
    for journey_id, customer_id, *visit in visits:
        of_customer[customer_id].append((str(journey_id), visit))
    stages: dict[Unit, str] = {}
    for contact_id, contact in desk.contacts.items():
        for journey_id, (stage_id, entered_at, left_at) in of_customer[contact["customer_id"]]:
            if entered_at <= contact["opened_at"] < left_at and contact["opened_at"] <= desk.as_of:
                # The next attempt may begin within the window after a success.
                stages[journey_id, contact_id] = stage_id
    assert len(stages) > 300
    return stages


def test_a_moment_is_in_the_stage_that_its_customer_was_in(
    desk: Desk, placed: dict[Unit, str]
) -> None:
    found = desk.workbench.query(
        """
        select moments.journey_id, moments.moment_id, moments.stage_id, visits.entity_id
        from marts.fct_moment_stages as moments
        join marts.fct_stage_visits as visits using (visit_id, case_id, journey_id, stage_id)
        where moment_kind = 'support_contact'
        """
    )
    assert {(row[0], row[1]): row[2] for row in found} == placed
    assert len(found) == len(placed)
    assert all(desk.contacts[str(row[1])]["customer_id"] == row[3] for row in found)


def expected_rates(desk: Desk, placed: Mapping[Unit, str]) -> dict[str, dict[Unit, bool]]:
    """By metric: the contacts that it judges, and whether each counts."""
    rates: dict[str, dict[Unit, bool]] = defaultdict(dict)
    for unit in placed:
        contact = desk.contacts[unit[1]]
        channel, opened_at = contact["channel"], contact["opened_at"]
        follows = desk.follows(contact)
        if desk.is_judged(contact):
            if not desk.is_follow_up(contact):
                rates["first_contact_resolution_rate"][unit] = not follows
            if channel in ("call", "email"):
                again = [other for other in follows if other["channel"] == channel]
                rates[f"repeat_{channel}_rate"][unit] = bool(again)
            elsewhere = [other for other in follows if other["channel"] != channel]
            rates["cross_channel_repeat_rate"][unit] = bool(elsewhere)
        resolved_at = contact["resolved_at"]
        if resolved_at is not None and resolved_at + WEEK <= desk.events_through:
            reopened = desk.events.get((unit[1], "reopened"), [])
            rates["reopen_rate"][unit] = any(at - resolved_at <= WEEK for at in reopened)
        if opened_at + WEEK <= desk.events_through:
            handed_on = desk.events.get((unit[1], "team_changed"), [])
            rates["team_change_rate"][unit] = any(at - opened_at <= WEEK for at in handed_on)
    return rates


def test_rates_judge_and_count_the_contacts_that_loops_do(
    desk: Desk, placed: dict[Unit, str]
) -> None:
    expected = expected_rates(desk, placed)
    rows = desk.workbench.query(
        """
        select metric_id, journey_id, unit_id, stage_id, is_reached, measured_at, observed_through
        from intermediate.int_support_rate_units
        """
    )
    found: dict[str, dict[Unit, bool]] = defaultdict(dict)
    for metric_id, journey_id, unit_id, stage_id, is_reached, measured_at, observed in rows:
        kind, _, contact_id = str(unit_id).partition(":")
        unit = (str(journey_id), contact_id)
        by_events = metric_id in ("reopen_rate", "team_change_rate")
        time = "resolved_at" if metric_id == "reopen_rate" else "opened_at"
        assert kind == "support_contact"
        assert stage_id == placed[unit]
        assert measured_at == desk.contacts[contact_id][time]
        assert observed == (desk.events_through if by_events else desk.observed_through)
        found[str(metric_id)][unit] = bool(is_reached)
    assert found == expected
    assert sum(len(units) for units in found.values()) == len(rows)
    # The demo's customers come back on the channel they came on, and only callers do.
    never = {"repeat_email_rate", "cross_channel_repeat_rate"}
    for metric_id, units in expected.items():
        assert set(units.values()) == ({False} if metric_id in never else {True, False}), metric_id
    assert len(expected) == 6


def working_clock() -> Callable[[datetime, datetime], timedelta]:
    """Working time from one moment to another by the calendar of the demo's first journey."""
    with (
        (DEMO_MAP / "calendars.csv").open() as calendars,
        (DEMO_MAP / "holidays.csv").open() as off,
    ):
        rows = [row for row in csv.DictReader(calendars) if row["calendar_id"] == "berlin"]
        holidays = {
            date.fromisoformat(row["holiday_date"])
            for row in csv.DictReader(off)
            if row["calendar_id"] == "berlin"
        }
    hours: dict[int, list[Times]] = defaultdict(list)
    for row in rows:
        span = (time_of_day(row["opens_at"]), time_of_day(row["closes_at"]))
        hours[int(row["weekday"])].append(span)
    zone = ZoneInfo("Europe/Berlin")
    ends = changes(zone)

    def between(start: datetime, end: datetime) -> timedelta:
        readings = stretches(start, end, zone, ends)
        return sum((worked(*reading, hours, holidays) for reading in readings), timedelta())

    return between


def expected_times(desk: Desk, placed: Mapping[Unit, str]) -> Iterator[tuple[str, Unit, int, bool]]:
    """Family, unit, microseconds and whether something had happened by then."""
    between = working_clock()
    for unit in placed:
        contact = desk.contacts[unit[1]]
        opened_at = contact["opened_at"]
        for family, at in (
            ("first_response", contact["first_response_at"]),
            ("resolution", contact["resolved_at"]),
        ):
            is_event = at is not None and at <= desk.as_of
            until = max(at if is_event else desk.observed_through, opened_at)
            yield f"{family}_time", unit, (until - opened_at) // MICROSECOND, is_event
            if unit[0] == "lead_to_customer":
                time = between(opened_at, until) // MICROSECOND
                yield f"{family}_working_time", unit, time, is_event


def median(durations: Sequence[tuple[int, bool]]) -> float:
    """Kaplan-Meier's, by lifelines."""
    times, events = zip(*durations, strict=True)
    return float(KaplanMeierFitter().fit(times, events).median_survival_time_)


def test_times_and_their_medians_are_those_of_the_raw_rows(
    desk: Desk, placed: dict[Unit, str]
) -> None:
    expected: dict[tuple[str, str], dict[str, tuple[int, bool]]] = defaultdict(dict)
    for family, (journey_id, contact_id), duration, is_event in expected_times(desk, placed):
        expected[family, journey_id][contact_id] = (duration, is_event)
    rows = desk.workbench.query(
        """
        select metric_family, journey_id, unit_id, duration_us, is_event
        from intermediate.int_support_time_units
        """
    )
    found: dict[tuple[str, str], dict[str, tuple[int, bool]]] = defaultdict(dict)
    for family, journey_id, unit_id, duration, is_event in rows:
        assert isinstance(duration, int)
        contact_id = str(unit_id).removeprefix("support_contact:")
        found[str(family), str(journey_id)][contact_id] = (duration, bool(is_event))
    assert found == expected
    assert len(found) == 10
    waiting = sum(not is_event for *_, is_event in rows)
    assert (waiting > 0) == (desk.as_of < newest_as_of(desk.workbench))
    for cell, units in found.items():
        assert median(list(units.values())) == median(list(expected[cell].values())) > 0
        # Half had an answer by then: the definition, without a product of shares.
        if all(is_event for _, is_event in units.values()):
            ordered = sorted(duration for duration, _ in units.values())
            assert median(list(units.values())) == ordered[(len(ordered) + 1) // 2 - 1]


def test_the_mart_says_of_each_contact_what_loops_do(desk: Desk) -> None:
    rows = {
        row["support_contact_id"]: row
        for row in desk.workbench.frame("select * from marts.fct_support_contacts")
        .astype(object)
        .to_dict("records")
    }
    seen = {key for key, row in desk.contacts.items() if row["opened_at"] <= desk.as_of}
    assert set(rows) == seen
    for key, row in rows.items():
        contact = desk.contacts[key]
        follows = desk.follows(contact)
        is_judged, is_first = desk.is_judged(contact), not desk.is_follow_up(contact)
        assert row["is_first_of_episode"] == is_first
        assert (row["episode_id"] == key) == is_first
        again = [other["channel"] == contact["channel"] for other in follows]
        for column, value in (
            ("is_repeated", bool(follows)),
            ("is_repeated_on_channel", True in again),
            ("is_repeated_on_other_channel", False in again),
        ):
            assert (row[column] is None) if not is_judged else (row[column] == value)
        is_answer_known = is_judged and is_first
        assert (row["is_resolved_at_first_contact"] is None) == (not is_answer_known)
        for kind, column in (("reopened", "reopenings"), ("team_changed", "team_changes")):
            events = desk.events.get((key, kind), [])
            assert row[column] == sum(at <= desk.as_of for at in events)


def test_nothing_later_than_as_of_is_in_the_mart(desk: Desk) -> None:
    columns = ("opened_at", "first_response_at", "resolved_at", "next_contact_at")
    latest = ", ".join(f"max({column})" for column in columns)
    [times] = desk.workbench.query(f"select {latest} from marts.fct_support_contacts")
    assert all(isinstance(time, datetime) and time <= desk.as_of for time in times)
    # A time that is not known yet has no duration.
    [(early,)] = desk.workbench.query(
        """
        select count(*) from marts.fct_support_contacts
        where (first_response_at is null) <> (first_response_us is null)
            or (resolved_at is null) <> (resolution_us is null)
        """
    )
    assert early == 0


def test_episodes_come_back_as_often_as_was_planted(demo: Workbench) -> None:
    """The plan draws a second call for a share of all episodes, and leaves the others alone."""
    [(resolved, repeated, calls)] = demo.query(
        """
        select
            avg(is_resolved_at_first_contact::integer),
            sum((not is_resolved_at_first_contact)::integer),
            sum((channel = 'call' and is_repeated_on_channel)::integer)
        from marts.fct_support_contacts
        """
    )
    assert resolved == pytest.approx(1 - TRUTH["repeat_share"], abs=0.01)
    assert repeated == calls


def test_a_contact_has_one_value_of_each_dimension(demo: Workbench) -> None:
    rows = demo.query(
        """
        select unit_id, segment_dimension, segment_value
        from intermediate.int_support_unit_dimensions
        order by unit_id, segment_dimension
        """
    )
    desk = read_desk(demo, newest_as_of(demo))
    assert all((one[0], one[1]) != (other[0], other[1]) for one, other in pairwise(rows))
    assert len(rows) == 3 * len(desk.contacts)
    for unit_id, dimension, value in rows:
        contact = desk.contacts[str(unit_id).removeprefix("support_contact:")]
        if dimension == "support_team":
            # The demo writes a contact down when it is over: who had it before is lost.
            handed_on = desk.events.get((contact["support_contact_id"], "team_changed"))
            assert value == ("(unknown)" if handed_on else contact["agent_team"])
        else:
            assert value == contact[str(dimension).removeprefix("support_")]

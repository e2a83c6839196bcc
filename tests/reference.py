"""The facts once more, in plain Python from domain.md §5 and not from the SQL: a test oracle.

Slow and literal on purpose: one history at a time, one event after the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """One source event that a rule maps to a stage. `at` is UTC."""

    entity: str
    stage: str
    at: datetime
    source: str
    row_id: str
    seq: int | None = None
    customer: str | None = None


@dataclass(frozen=True)
class Touch:
    """One source event that a rule maps to a touchpoint."""

    entity: str
    touchpoint: str
    owner: str | None
    at: datetime
    source: str
    row_id: str
    seq: int | None = None


@dataclass(frozen=True)
class Journey:
    """What of a journey decides its visits. `stages` in order: id -> kind."""

    stages: Mapping[str, str]
    has_own_id: bool
    attempt_gap: timedelta | None = None
    source_start: Mapping[str, datetime] | None = None
    optional: frozenset[str] = frozenset()
    order_mode: str = "ordered"

    def order(self, stage: str) -> int:
        return list(self.stages).index(stage)


@dataclass(frozen=True)
class Visit:
    """A row of the facts before as_of is applied."""

    entity: str
    attempt: int
    number: int
    stage: str
    entered_at: datetime
    exited_at: datetime | None = None
    next_stage: str | None = None
    kind: str | None = None
    lapsed_at: datetime | None = None
    is_left_truncated: bool = False
    orphans: int = 0
    entered_by: Event | None = field(default=None, compare=False)

    @property
    def case(self) -> tuple[str, int]:
        return (self.entity, self.attempt)


@dataclass(frozen=True)
class Transition:
    """A step from one visit to the next."""

    entity: str
    attempt: int
    from_number: int
    from_stage: str
    to_stage: str
    kind: str
    at: datetime
    duration: timedelta


def newest(versions: Iterable[Row], key: str) -> dict[str, Row]:
    """Records by id: the highest source_updated_at, then the greatest content hash."""

    def recency(row: Row) -> tuple[datetime, str]:
        return (row["source_updated_at"] or datetime.min, row["content_hash"])

    return {row[key]: row for row in sorted(versions, key=recency)}


class Identities:
    """Who an event belongs to, over all hops: device, login, CRM contact, account.

    `events` are those that identify devices; the others are versions of records, of which the
    newest count. An event is a row with some of the columns anonymous_id, customer_id,
    account_id, opportunity_id, support_contact_id and its time in `at`.
    """

    def __init__(
        self,
        events: Iterable[Row],
        contacts: Iterable[Row] = (),
        opportunities: Iterable[Row] = (),
        support_contacts: Iterable[Row] = (),
    ) -> None:
        self.devices: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for row in events:
            if row["anonymous_id"] and row["customer_id"]:
                self.devices[row["anonymous_id"]].append((row["at"], row["customer_id"]))
        self.contacts = newest(contacts, "contact_id")
        self.opportunities = newest(opportunities, "opportunity_id")
        self.support_contacts = newest(support_contacts, "support_contact_id")
        self.accounts: dict[str, set[str]] = defaultdict(set)
        for contact in self.contacts.values():
            if contact["customer_id"] and contact["account_id"]:
                self.accounts[contact["customer_id"]].add(contact["account_id"])

    def customer(self, event: Row, gap: timedelta) -> str | None:
        """The event's own customer, the next on its device, or the one its record names."""
        if event.get("customer_id"):
            return str(event["customer_id"])
        at = event["at"]
        later = [known for known in self.devices[event.get("anonymous_id") or ""] if known[0] >= at]
        if later:
            # At one instant the smaller id: pairs of time and id sort so.
            identified_at, customer = min(later)
            return customer if identified_at - at <= gap else None
        record = self.support_contacts.get(event.get("support_contact_id") or "")
        record = record or self._contact(event)
        return record["customer_id"] if record else None

    def customer_entity(self, event: Row, gap: timedelta) -> str | None:
        """The entity of a customer journey."""
        return self.customer(event, gap) or _anonymous(event)

    def account_entity(self, event: Row, gap: timedelta) -> str | None:
        """The entity of an account journey."""
        opportunity = self.opportunities.get(event.get("opportunity_id") or "", {})
        contact = self._contact(event) or {}
        own = event.get("account_id") or opportunity.get("account_id") or contact.get("account_id")
        if own:
            return str(own)
        customer = self.customer(event, gap)
        if customer is None:
            return _anonymous(event)
        return min(self.accounts[customer], default=f"customer:{customer}")

    def _contact(self, event: Row) -> Row | None:
        opportunity = self.opportunities.get(event.get("opportunity_id") or "", {})
        return self.contacts.get(opportunity.get("contact_id") or "")


def _anonymous(event: Row) -> str | None:
    device = event.get("anonymous_id")
    return f"anonymous:{device}" if device else None


def visits(events: Iterable[Event], journey: Journey) -> list[Visit]:
    """All visits of all entities, by entity, attempt and number."""
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        histories[event.entity].append(event)
    return [visit for entity in sorted(histories) for visit in _history(histories[entity], journey)]


def _history(events: Sequence[Event], journey: Journey) -> list[Visit]:
    entry_stage = next(iter(journey.stages))
    attempts: list[list[Event]] = []
    orphans: list[int] = []
    ended = False
    previous: Event | None = None
    for event in sorted(events, key=lambda e: _order(e, journey)):
        is_entry = event.stage == entry_stage
        is_progress = journey.stages[event.stage] == "progress"
        quiet = (
            previous is not None
            and not journey.has_own_id
            and journey.attempt_gap is not None
            and event.at - previous.at > journey.attempt_gap
        )
        reopened = ended and journey.has_own_id and is_progress
        if not attempts or (is_entry and (ended or quiet)) or reopened:
            attempts.append([])
            orphans.append(0)
            ended = False
        previous = event
        if ended:
            orphans[-1] += 1
            continue
        attempts[-1].append(event)
        ended = not is_progress
    rows: list[Visit] = []
    for number, attempt in enumerate(attempts, start=1):
        case = _case(attempt, number, journey)
        if number < len(attempts) and journey.stages[case[-1].stage] == "progress":
            case[-1] = replace(case[-1], lapsed_at=attempts[number][0].at)
        case[-1] = replace(case[-1], orphans=orphans[number - 1])
        rows += case
    return rows


def _order(event: Event, journey: Journey) -> tuple[object, ...]:
    seq = (1, 0) if event.seq is None else (0, event.seq)
    return (event.at, journey.order(event.stage), seq, event.row_id, event.source)


def _case(attempt: Sequence[Event], number: int, journey: Journey) -> list[Visit]:
    first = attempt[0]
    # A journey in any order has no entry stage that could have been missed.
    truncated = first.stage != next(iter(journey.stages)) and journey.order_mode != "any"
    if not journey.has_own_id and journey.source_start and journey.attempt_gap:
        truncated |= first.at - journey.source_start[first.source] < journey.attempt_gap
    rows: list[Visit] = []
    for event in attempt:
        if rows and rows[-1].stage == event.stage:
            continue
        if rows:
            rows[-1] = replace(
                rows[-1],
                exited_at=event.at,
                next_stage=event.stage,
                kind=_kind(rows[-1].stage, event.stage, journey),
            )
        rows.append(
            Visit(
                entity=event.entity,
                attempt=number,
                number=len(rows) + 1,
                stage=event.stage,
                entered_at=event.at,
                is_left_truncated=truncated,
                entered_by=event,
            )
        )
    return rows


def _kind(left: str, entered: str, journey: Journey) -> str:
    if journey.stages[entered] != "progress":
        return journey.stages[entered]
    if journey.order(entered) < journey.order(left):
        return "back"
    return "skip" if _passed_over(left, entered, journey) else "forward"


def _passed_over(left: str, entered: str, journey: Journey) -> list[str]:
    """The mandatory progress stages between two stages."""
    between = list(journey.stages)[journey.order(left) + 1 : journey.order(entered)]
    return [
        stage
        for stage in between
        if journey.stages[stage] == "progress" and stage not in journey.optional
    ]


def transitions(rows: Iterable[Visit]) -> list[Transition]:
    """All steps of `visits`."""
    return [
        Transition(
            *before.case,
            before.number,
            before.stage,
            after.stage,
            str(before.kind),
            after.entered_at,
            after.entered_at - before.entered_at,
        )
        for before, after in pairwise(rows)
        if before.case == after.case
    ]


@dataclass(frozen=True)
class Entry:
    """A case's first visit to a progress stage, and when that converted, if ever."""

    visit: Visit
    advanced_at: datetime | None

    def is_converted(self, window: timedelta) -> bool:
        """Within the window, inclusive."""
        return self.advanced_at is not None and self.advanced_at - self.visit.entered_at <= window


def entries(rows: Iterable[Visit], journey: Journey) -> list[Entry]:
    """The anchors of all conversion rates. Rates leave out those that are left-truncated."""
    found = []
    for _, visited in groupby(rows, key=lambda visit: visit.case):
        case = list(visited)
        entered = set()
        for index, visit in enumerate(case):
            if visit.stage in entered or journey.stages[visit.stage] != "progress":
                continue
            entered.add(visit.stage)
            reached = next(_reached(index, case, journey), None)
            found.append(Entry(visit, reached.entered_at if reached else None))
    return found


def _reached(index: int, case: Sequence[Visit], journey: Journey) -> Iterator[Visit]:
    """The later visits of a case that convert one."""
    here = case[index]
    for later in case[index + 1 :]:
        is_ahead = journey.order(later.stage) > journey.order(here.stage)
        if journey.stages[later.stage] == "exit":
            continue
        if journey.order_mode == "strict":
            is_next = later.number == here.number + 1
            counts = is_next and is_ahead and not _passed_over(here.stage, later.stage, journey)
        elif journey.order_mode == "any":
            counts = later.stage != here.stage
        else:
            counts = is_ahead
        if counts:
            yield later


def entered_via(rows: Iterable[Visit], touches: Iterable[Touch]) -> dict[tuple[Any, ...], Touch]:
    """Per visit (entity, attempt, number) the touchpoint it was entered by, if any.

    The entering event's own, else the entity's latest since the entry before it.
    """
    moments: dict[str, list[tuple[tuple[object, ...], Visit | Touch]]] = defaultdict(list)
    for visit in rows:
        assert visit.entered_by is not None
        moments[visit.entity].append(((*_moment(visit.entered_by), 1), visit))
    for touch in touches:
        moments[touch.entity].append(((*_moment(touch), 0), touch))
    found = {}
    for history in moments.values():
        latest: Touch | None = None
        for _, item in sorted(history, key=lambda moment: moment[0]):
            if isinstance(item, Touch):
                latest = item
                continue
            if latest is not None:
                found[*item.case, item.number] = latest
            latest = None
    return found


def _moment(event: Event | Touch) -> tuple[object, ...]:
    seq = (1, 0) if event.seq is None else (0, event.seq)
    return (event.at, seq, event.row_id, event.source)

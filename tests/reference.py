"""The facts once more, in plain Python from domain.md §5 and not from the SQL: a test oracle.

Slow and literal on purpose: one history at a time, one event after the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Event:
    """One source event that a rule maps to a stage. `at` is UTC."""

    entity: str
    stage: str
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


def identify(
    events: Iterable[Mapping[str, object]], gap: timedelta
) -> list[tuple[Mapping[str, object], str]]:
    """Product events with their entity: anonymous ones join the next identification."""
    devices: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    rows = list(events)
    for row in rows:
        if row["anonymous_id"] and row["customer_id"]:
            devices[str(row["anonymous_id"])].append((row["occurred_at"], str(row["customer_id"])))
    identified = []
    for row in rows:
        entity = row["customer_id"]
        if not entity:
            at = row["occurred_at"]
            later = sorted(x for x in devices[str(row["anonymous_id"])] if x[0] >= at)
            if later and later[0][0] - at <= gap:
                entity = later[0][1]
            else:
                entity = f"anonymous:{row['anonymous_id']}"
        identified.append((row, str(entity)))
    return identified


def visits(events: Iterable[Event], journey: Journey) -> list[Visit]:
    """All visits of all entities, by entity, attempt and number."""
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        histories[event.entity].append(event)
    return [visit for entity in sorted(histories) for visit in _history(histories[entity], journey)]


def _history(events: Sequence[Event], journey: Journey) -> list[Visit]:
    entry_stage = next(iter(journey.stages))
    attempts: list[list[Event]] = []
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
            ended = False
        previous = event
        if ended:
            continue  # an orphan
        attempts[-1].append(event)
        ended = not is_progress
    rows: list[Visit] = []
    for number, attempt in enumerate(attempts, start=1):
        case = _case(attempt, number, journey)
        if number < len(attempts) and journey.stages[case[-1].stage] == "progress":
            case[-1] = replace(case[-1], lapsed_at=attempts[number][0].at)
        rows += case
    return rows


def _order(event: Event, journey: Journey) -> tuple[object, ...]:
    seq = (1, 0) if event.seq is None else (0, event.seq)
    return (event.at, journey.order(event.stage), seq, event.row_id, event.source)


def _case(attempt: Sequence[Event], number: int, journey: Journey) -> list[Visit]:
    first = attempt[0]
    truncated = first.stage != next(iter(journey.stages))
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
            )
        )
    return rows


def _kind(left: str, entered: str, journey: Journey) -> str:
    if journey.stages[entered] != "progress":
        return journey.stages[entered]
    if journey.order(entered) < journey.order(left):
        return "back"
    between = list(journey.stages)[journey.order(left) + 1 : journey.order(entered)]
    passed_over = [
        stage
        for stage in between
        if journey.stages[stage] == "progress" and stage not in journey.optional
    ]
    return "skip" if passed_over else "forward"

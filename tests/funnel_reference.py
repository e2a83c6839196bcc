"""Funnels once more, in plain Python from docs/funnels.md and not from the SQL: a test oracle.

Slow and literal on purpose: one entity at a time, one event after the other, and nothing of
the time after `as_of` is ever looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Step:
    """A step, or with `is_exclusion` an event that excludes between two of them."""

    order: int
    is_optional: bool = False
    is_exclusion: bool = False
    window: timedelta | None = None
    gap: timedelta = timedelta(0)
    from_step: int | None = None
    to_step: int | None = None


@dataclass(frozen=True)
class Funnel:
    """What the map says of a funnel. Steps and bounds are named by their order in the map."""

    mode: str
    window: timedelta
    steps: Sequence[Step]
    is_held: bool = False

    @property
    def passed(self) -> list[Step]:
        """The steps, without the exclusions."""
        ordered = sorted(self.steps, key=lambda step: step.order)
        return [step for step in ordered if not step.is_exclusion]


@dataclass(frozen=True)
class Event:
    """An event of one entity. `matches`: the orders of the steps that it is, maybe none."""

    entity: str
    at: datetime
    source: str
    row_id: str
    matches: frozenset[int]
    value: str | None = None
    seq: int | None = None


@dataclass
class Attempt:
    """One attempt of an entity; `reached` is step number -> time, `place` where it began."""

    entity: str
    value: str | None
    place: int
    started_at: datetime
    reached: dict[int, datetime] = field(default_factory=dict)
    number: int = 0
    depth: int = 0
    outcome: str = ""
    ended_at: datetime | None = None


def attempts(
    events: Iterable[Event], funnel: Funnel, as_of: datetime, observed_through: datetime | None
) -> list[Attempt]:
    """All attempts of all entities as seen at `as_of`, in their order."""
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.at <= as_of:
            histories[event.entity].append(event)
    found = []
    for entity in sorted(histories):
        history = sorted(histories[entity], key=lambda event: _order(event, funnel))
        of_entity: list[Attempt] = []
        for value in _values(history, funnel):
            walk = _in_any_order if funnel.mode == "any" else _in_order
            of_entity += walk(history, funnel, value)
        of_entity.sort(key=lambda attempt: attempt.place)
        for number, attempt in enumerate(of_entity, start=1):
            attempt.number = number
            if attempt.outcome == "":
                ends_at = attempt.started_at + funnel.window
                is_mature = observed_through is not None and ends_at <= observed_through
                attempt.outcome = "expired" if is_mature else "open"
        found += of_entity
    return found


def _order(event: Event, funnel: Funnel) -> tuple[object, ...]:
    """Time, the earliest step that the event is, its number in its file, its id."""
    places = [n for n, step in enumerate(funnel.passed, start=1) if _is(event, step, funnel)]
    first = (0, min(places)) if places else (1, 0)
    seq = (1, 0) if event.seq is None else (0, event.seq)
    return (event.at, first, seq, event.row_id, event.source)


def _is(event: Event, step: Step, funnel: Funnel) -> bool:
    has_value = not funnel.is_held or event.value is not None or step.is_exclusion
    return step.order in event.matches and has_value


def _values(history: Sequence[Event], funnel: Funnel) -> list[str | None]:
    if not funnel.is_held:
        return [None]
    return [*sorted({event.value for event in history if event.value is not None})]


def _exclusions(
    history: Sequence[Event], funnel: Funnel, value: str | None
) -> list[tuple[datetime, int, int]]:
    """Time of each exclusion of this value, and the orders of the steps that bound it."""
    mandatory = [step.order for step in funnel.passed if not step.is_optional]
    return [
        (event.at, step.from_step or mandatory[0], step.to_step or mandatory[-1])
        for event in history
        for step in funnel.steps
        if step.is_exclusion
        and step.order in event.matches
        and (not funnel.is_held or event.value in (None, value))
    ]


@dataclass(frozen=True)
class _Reach:
    """An event that reached a step, for the attempt that began at the place `start`."""

    place: int
    at: datetime
    start: int
    started_at: datetime


def _in_order(history: Sequence[Event], funnel: Funnel, value: str | None) -> list[Attempt]:
    steps = funnel.passed
    exclusions = _exclusions(history, funnel, value)
    reaches: dict[int, list[_Reach]] = defaultdict(list)
    begun: dict[int, Attempt] = {}
    first_reaches: dict[int, dict[int, _Reach]] = defaultdict(dict)
    for place, event in enumerate(history):
        if funnel.is_held and event.value != value:
            continue
        # Only what an earlier event reached can be continued.
        new: list[tuple[int, _Reach]] = []
        for number, step in enumerate(steps, start=1):
            if not _is(event, step, funnel):
                continue
            if number == 1:
                begun[place] = Attempt(event.entity, value, place, event.at)
                new.append((1, _Reach(place, event.at, place, event.at)))
                continue
            before = _continued(reaches, steps, number, event.at)
            if before is not None and _goes_on(before, place, event.at, number, funnel, exclusions):
                new.append((number, _Reach(place, event.at, before.start, before.started_at)))
        for number, reach in new:
            reaches[number].append(reach)
            first_reaches[reach.start].setdefault(number, reach)
    for start, attempt in begun.items():
        own = first_reaches[start]
        # An optional step after the next one is none of the way.
        attempt.reached = {
            number: reach.at
            for number, reach in own.items()
            if all(own[other].place > reach.place for other in own if other > number)
        }
    everyone = [begun[start] for start in sorted(begun)]
    for attempt in everyone:
        attempt.depth = max(attempt.reached)
        _end(attempt, everyone, funnel, exclusions)
    return everyone


def _continued(
    reaches: dict[int, list[_Reach]], steps: Sequence[Step], number: int, at: datetime
) -> _Reach | None:
    """The latest event that reached the step before, or one before that over optional steps."""
    candidates = list(reaches[number - 1])
    before = number - 1
    while steps[before - 1].is_optional:
        before -= 1
        candidates += reaches[before]
    candidates = [each for each in candidates if at - each.at >= steps[number - 1].gap]
    return max(candidates, key=lambda each: (each.place, each.start), default=None)


def _goes_on(
    before: _Reach,
    place: int,
    at: datetime,
    number: int,
    funnel: Funnel,
    exclusions: Sequence[tuple[datetime, int, int]],
) -> bool:
    step = funnel.passed[number - 1]
    if at - before.started_at > funnel.window:
        return False
    if step.window is not None and at - before.at > step.window:
        return False
    if funnel.mode == "strict" and place != before.place + 1:
        return False
    mandatory = [each.order for each in funnel.passed if not each.is_optional]
    since = max(order for order in mandatory if order < step.order)
    return not any(
        before.at < excluded_at < at and first <= since and step.order <= last
        for excluded_at, first, last in exclusions
    )


def _end(
    attempt: Attempt,
    everyone: Sequence[Attempt],
    funnel: Funnel,
    exclusions: Sequence[tuple[datetime, int, int]],
) -> None:
    """How it ended: converted, else excluded or superseded, whichever was first."""
    if attempt.depth == len(funnel.passed):
        attempt.outcome, attempt.ended_at = "converted", attempt.reached[attempt.depth]
        return
    deadline = attempt.started_at + funnel.window
    mandatory = [n for n, step in enumerate(funnel.passed, start=1) if not step.is_optional]
    so_far = max(number for number in mandatory if number <= attempt.depth)
    since = funnel.passed[so_far - 1].order
    got_as_far = [
        other.reached[so_far]
        for other in everyone
        if other.place > attempt.place and so_far in other.reached
    ]
    excluded = [
        at
        for at, first, last in exclusions
        if first <= since < last and at > attempt.reached[attempt.depth]
    ]
    ends = [(at, "superseded") for at in got_as_far] + [(at, "excluded") for at in excluded]
    ends = [end for end in ends if end[0] <= deadline]
    # At one time the exclusion counts.
    if ends:
        attempt.ended_at, attempt.outcome = min(ends)


def _in_any_order(history: Sequence[Event], funnel: Funnel, value: str | None) -> list[Attempt]:
    steps = funnel.passed
    exclusions = sorted(at for at, _, _ in _exclusions(history, funnel, value))
    found: list[Attempt] = []
    running: Attempt | None = None
    for place, event in enumerate(history):
        numbers = [n for n, step in enumerate(steps, start=1) if _is(event, step, funnel)]
        if not numbers or (funnel.is_held and event.value != value):
            continue
        if running is not None:
            _exclude(running, funnel, exclusions, event.at)
            if running.outcome or event.at > running.started_at + funnel.window:
                running = None
        if running is None:
            running = Attempt(event.entity, value, place, event.at)
            found.append(running)
        running.reached.setdefault(numbers[0], event.at)
        running.depth = len(running.reached)
        if running.depth == len(steps):
            running.outcome, running.ended_at = "converted", event.at
            running = None
    for attempt in found:
        if not attempt.outcome:
            _exclude(attempt, funnel, exclusions, datetime.max)
    return found


def _exclude(
    attempt: Attempt, funnel: Funnel, exclusions: Sequence[datetime], before: datetime
) -> None:
    """End a running attempt by the first exclusion after its beginning and before `before`."""
    for at in exclusions:
        if attempt.started_at < at < before and at <= attempt.started_at + funnel.window:
            attempt.outcome, attempt.ended_at = "excluded", at
            return

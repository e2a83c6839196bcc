"""What was said already, so that nothing is said every minute.

`HOME/alerts.json` has what is open or still to be delivered, by key. `HOME/alerts.jsonl` has a
line for everything that was ever said. Both are safe for several processes.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from orchestration.alerts.alert import Alert, Kind
from orchestration.alerts.message import TITLE as TITLE_LENGTH
from orchestration.alerts.message import Message, body, bounded, bounded_all
from orchestration.alerts.webhook import DeliveryError, post
from orchestration.environments import declared
from orchestration.files import write_whole
from orchestration.settings import Settings

BOOK, LOG = "alerts.json", "alerts.jsonl"
# Longer than the delivery of what another process says at the same time.
PATIENCE_SECONDS = 120
# What a webhook did not take is not tried again within this time.
RETRY = timedelta(minutes=5)
# What a clock may be set back by without anything being said again.
CLOCK_STEP = timedelta(hours=1)
_log = logging.getLogger(__name__)

OPEN, REPEATED, RECOVERED = "open", "repeated", "recovered"
PLURALS = {
    Kind.RUN_FAILURE: "failures of runs",
    Kind.FAILED_CHECK: "critical checks failed",
    Kind.STALE_SOURCE: "sources are stale",
    Kind.WORSENED_GAP: "gaps worsened",
    Kind.INVALID_MAP: "journey maps cannot be used",
    Kind.WEEKLY_REPORT: "weekly reports",
}


class Entry(BaseModel):
    """An alert in the book. `status` is open or recovered; times are UTC.

    `last_sent` is null until it was said; `is_pending` where the webhook is still to be told.
    """

    kind: Kind
    subject: str
    title: str
    sentences: tuple[str, ...]
    run_id: str | None
    status: str = OPEN
    first_seen: datetime
    first_sent: datetime | None = None
    last_sent: datetime | None = None
    last_tried: datetime | None = None
    is_pending: bool = False

    @property
    def key(self) -> str:
        """As of the alert."""
        return f"{self.kind.value}:{self.subject}"


class _Book(BaseModel):
    alerts: dict[str, Entry] = {}


@dataclass(frozen=True)
class Scope:
    """Which open alerts were looked at again: what is not found of these has recovered."""

    covers: Callable[[Entry], bool]

    @classmethod
    def of_kinds(cls, *kinds: Kind) -> "Scope":
        """All alerts of some kinds."""
        return cls(lambda entry: entry.kind in kinds)

    @classmethod
    def nothing(cls) -> "Scope":
        """Nothing recovers by what was found."""
        return cls(lambda _: False)


def settle(
    settings: Settings,
    found: Iterable[Alert],
    scope: Scope | None = None,
    *,
    now: datetime | None = None,
    send: Callable[..., None] = post,
) -> None:
    """Say what is new in `found`, repeat what is due, and say what of `scope` has recovered.

    Never raises for what goes wrong with the webhook or the files: an alert must not turn a
    good run into a failed one. What a webhook does not take stays pending and is tried again
    by a later call.
    """
    try:
        with _opened(settings.home) as book:
            # Not before: another process may have said it while this one waited.
            moment = (now or datetime.now(UTC)).astimezone(UTC)
            alerts = {alert.key: alert for alert in found}
            for alert in alerts.values():
                _note(settings, book, alert, moment)
            for entry in book.alerts.values():
                if (
                    entry.status == OPEN
                    and entry.key not in alerts
                    and (scope or Scope.nothing()).covers(entry)
                ):
                    entry.status, entry.is_pending = RECOVERED, True
                    entry.last_tried = None
            _say(settings, book, moment, send)
    except Exception as error:
        _log.warning("alerts could not be settled: %s: %s", type(error).__name__, error)


def open_alerts(home: Path) -> list[Entry]:
    """Alerts that are open, the oldest first."""
    entries = _read(home / BOOK).alerts.values()
    return sorted(
        (entry for entry in entries if entry.status == OPEN), key=lambda entry: entry.first_seen
    )


def _note(settings: Settings, book: _Book, alert: Alert, now: datetime) -> None:
    """Enter an alert, or see whether one that is open must be said again."""
    known = book.alerts.get(alert.key)
    if known is None or known.status == RECOVERED:
        book.alerts[alert.key] = Entry(
            kind=alert.kind,
            subject=alert.subject,
            title=bounded(alert.title, TITLE_LENGTH),
            sentences=bounded_all(alert.sentences),
            run_id=alert.run_id,
            first_seen=now,
            is_pending=True,
        )
        return
    known.title = bounded(alert.title, TITLE_LENGTH)
    known.sentences = bounded_all(alert.sentences)
    known.run_id = alert.run_id
    repeat = timedelta(hours=settings.alert_repeat_hours)
    if known.last_sent is not None and not _is_within(repeat, known.last_sent, now):
        known.is_pending = True


def _say(settings: Settings, book: _Book, now: datetime, send: Callable[..., None]) -> None:
    """Deliver what is pending, several of a kind in one message, and log each alert."""
    pending = [
        entry
        for entry in book.alerts.values()
        if entry.is_pending
        and not (entry.last_tried is not None and _is_within(RETRY, entry.last_tried, now))
    ]
    pending.sort(key=lambda entry: (entry.kind, _status(entry), entry.first_seen))
    for (_, status), group in groupby(pending, key=lambda entry: (entry.kind, _status(entry))):
        entries = list(group)
        try:
            delivery = _deliver(settings, _message(settings, entries, status, now), send)
        except DeliveryError as error:
            _log.warning("%s: %s", ", ".join(entry.key for entry in entries), error)
            delivery = f"pending: {error}"
        for entry in entries:
            # A failure of the same delivery is one line, however often it is tried.
            if not delivery.startswith("pending") or entry.last_tried is None:
                _write_line(settings, entry, status, delivery, now)
            entry.last_tried = now
            if not delivery.startswith("pending"):
                entry.is_pending, entry.last_sent, entry.last_tried = False, now, None
                entry.first_sent = entry.first_sent or now
                if entry.status == RECOVERED or entry.kind is Kind.WEEKLY_REPORT:
                    del book.alerts[entry.key]


def _is_within(duration: timedelta, since: datetime, now: datetime) -> bool:
    """Whether so long has not passed yet. A clock that was moved back far silences nothing."""
    return -CLOCK_STEP <= now - since < duration


def _status(entry: Entry) -> str:
    if entry.status == RECOVERED:
        return RECOVERED
    return OPEN if entry.last_sent is None else REPEATED


def _message(settings: Settings, entries: Sequence[Entry], status: str, now: datetime) -> Message:
    first = entries[0]
    if len(entries) == 1:
        title, sentences, key = first.title, first.sentences, first.key
        if status == RECOVERED:
            sentences = (f"Open since {first.first_seen:%Y-%m-%d %H:%M} UTC.",)
    else:
        title = f"{len(entries):,} {PLURALS[first.kind]}"
        sentences = bounded_all([_in_short(entry) for entry in entries])
        key = first.kind.value
    run_ids = {entry.run_id for entry in entries}
    return Message(
        kind=first.kind.value,
        status=status,
        environment=settings.env.value,
        key=key,
        title=title,
        sentences=sentences,
        run_id=run_ids.pop() if len(run_ids) == 1 else None,
        time=now,
    )


def _in_short(entry: Entry) -> str:
    """Of several: title and first sentence, or the one that says what the other says too."""
    first = entry.sentences[0] if entry.sentences else ""
    if entry.title in first:
        return first
    return entry.title if first in entry.title else f"{entry.title}: {first}"


def _deliver(settings: Settings, message: Message, send: Callable[..., None]) -> str:
    """How it was delivered: sent, or `log only`. Raises DeliveryError where it was not."""
    is_on = settings.alerts
    if is_on is None:
        is_on = declared(settings.env).alerts
    if settings.alert_webhook is None or not is_on:
        return "log only"
    send(settings.alert_webhook, body(message, settings.alert_format))
    return "sent"


def _write_line(
    settings: Settings, entry: Entry, status: str, delivery: str, now: datetime
) -> None:
    line = {
        "time": now.isoformat(timespec="seconds"),
        "status": status,
        "kind": entry.kind.value,
        "environment": settings.env.value,
        "key": entry.key,
        "title": entry.title,
        "sentences": entry.sentences,
        "run_id": entry.run_id,
        "first_seen": entry.first_seen.isoformat(timespec="seconds"),
        "delivery": delivery,
    }
    try:
        with (settings.home / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        # A full disk is no reason to keep it from the webhook.
        _log.warning("%s cannot be written: %s", LOG, error.strerror)


@contextmanager
def _opened(home: Path) -> Iterator[_Book]:
    """The book, kept from other processes; written in whole where it changed."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / BOOK
    with FileLock(file.with_suffix(".lock"), timeout=PATIENCE_SECONDS):
        book = _read(file)
        before = book.model_dump()
        try:
            yield book
        finally:
            if book.model_dump() != before:
                write_whole(file, _text(book))


def _read(file: Path) -> _Book:
    """The book; an empty one where there is none that can be read, so that all is said again."""
    try:
        return _Book.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _Book()
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        _log.warning("%s cannot be read and begins anew: %s", file, type(error).__name__)
        return _Book()


def _text(book: _Book) -> str:
    content: dict[str, Any] = book.model_dump(mode="json")
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

"""What an alert is, and when two are the same."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

# Run ids, process ids, times and durations differ from one failure to the next like it.
_PASSING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")


class Kind(StrEnum):
    """What somebody is told of."""

    RUN_FAILURE = "run_failure"
    FAILED_CHECK = "failed_check"
    STALE_SOURCE = "stale_source"
    WORSENED_GAP = "worsened_gap"
    INVALID_MAP = "invalid_map"
    WEEKLY_REPORT = "weekly_report"


@dataclass(frozen=True)
class Alert:
    """One thing to tell.

    Alerts of one `key` are the same alert, whatever their words; a key begins with its kind.
    `sentences` say what happened and what to do.
    """

    kind: Kind
    subject: str
    title: str
    sentences: tuple[str, ...] = ()
    run_id: str | None = None

    @property
    def key(self) -> str:
        """What it is about: `stale_source:crm`."""
        return f"{self.kind.value}:{self.subject}"


def fingerprint(message: str) -> str:
    """Twelve hex digits that stay when only numbers, times and run ids of a message change."""
    return hashlib.sha256(_PASSING.sub("#", message).encode()).hexdigest()[:12]

"""The structured log of a run: HOME/logs/run-<UTC time>-<pid>.jsonl, one JSON object an event.

Whatever the package logs in the run's process is in it; `log_event` gives an event its name
and its fields.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from orchestration.redaction import redactor
from orchestration.settings import Settings

PACKAGE = __name__.partition(".")[0]
OF_A_LIBRARY = "message"


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; `cleaned` takes out what no log may hold."""

    def __init__(self, run_id: str, cleaned: Callable[[Any], Any]) -> None:
        """All records are of the run `run_id`."""
        super().__init__()
        self._run_id = run_id
        self._cleaned = cleaned

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object: time (UTC), level, run_id, event, message, and the event's fields."""
        row = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run_id": self._run_id,
            "event": getattr(record, "event", OF_A_LIBRARY),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        plain = to_jsonable_python(row, fallback=str)
        return json.dumps(self._cleaned(plain), ensure_ascii=False)


def log_event(
    logger: logging.Logger,
    event: str,
    message: str,
    level: int = logging.INFO,
    /,
    **fields: object,
) -> None:
    """Log something under the name `event`, with fields that a program can read."""
    logger.log(level, "%s", message, extra={"event": event, "fields": fields})


@contextmanager
def run_log(settings: Settings, run_id: str) -> Iterator[Path]:
    """Write what the package logs until the block ends to a file of its own; yield the file."""
    logs = settings.home / "logs"
    file = logs / f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.jsonl"
    handler: logging.Handler = logging.NullHandler()
    try:
        logs.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    except OSError:
        # A run that cannot be logged is still a run.
        logging.getLogger(__name__).exception("%s cannot be written", file)
    handler.setFormatter(JsonFormatter(run_id, redactor(settings)))
    logger = logging.getLogger(PACKAGE)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield file
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()

"""The book of runs: HOME/runs.jsonl, one JSON object a run, appended and never changed.

docs/monitoring.md says what each field means. What is written holds no customer's value and
no path of this machine, so that rows of several machines can be laid beside each other.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic_core import to_jsonable_python

from orchestration.code_version import code_version
from orchestration.landing.result import Status
from orchestration.locking import Holder
from orchestration.publish.inputs import landed_files
from orchestration.publish.publication import MANIFEST
from orchestration.redaction import redactor, without_examples, without_values
from orchestration.run_log import log_event
from orchestration.settings import PROJECT_DIR, Settings
from orchestration.warehouse import warehouse_of

if TYPE_CHECKING:
    from orchestration.outcome import Report

BOOK = "runs.jsonl"
ROW_VERSION = 1
SLOWEST = 10
RECENT = 20
MOST_NAMES = 100
INTERRUPTED = "interrupted"
INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt", "GeneratorExit")
# As dagster names them in a run's tags.
TRIGGERS = ("dagster/schedule_name", "dagster/sensor_name", "dagster/backfill")
PARTITION = "dagster/partition"

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a run. Of COMPLETED ones nothing was to be published."""

    PUBLISHED = "published"
    PUBLISHED_WITH_REJECTS = "published_with_rejects"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    NOT_STARTED = "not_started"

    @property
    def is_good(self) -> bool:
        """Whether the run did all that it was to do with what it could read."""
        return self in (self.PUBLISHED, self.PUBLISHED_WITH_REJECTS, self.COMPLETED)


@dataclass(frozen=True)
class Run:
    """What is known of a run before it begins; `tags` are Dagster's."""

    run_id: str
    job: str
    started_at: datetime
    tags: Mapping[str, str]

    def row(self, settings: Settings, outcome: Outcome, now: datetime) -> dict[str, Any]:
        """The fields that every row has."""
        return {
            "row_version": ROW_VERSION,
            "run_id": self.run_id,
            "job": self.job,
            "trigger": next((self.tags[tag] for tag in TRIGGERS if tag in self.tags), "manual"),
            "partition": self.tags.get(PARTITION),
            "started_at": self.started_at,
            "ended_at": now,
            "seconds": round((now - self.started_at).total_seconds(), 3),
            "outcome": outcome.value,
            "env": settings.env.value,
            "target": settings.target.value,
            "code": asdict(code_version()),
        }


@dataclass(frozen=True)
class Book:
    """Rows of the book, oldest first, and the lines that are no row (a power cut's half one)."""

    rows: list[dict[str, Any]]
    damaged_lines: list[int]


def read_runs(home: Path, newest: int | None = None) -> Book:
    """Return the runs of a HOME, all or the newest ones; damaged lines are named, not read."""
    try:
        lines = (home / BOOK).read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    rows: list[dict[str, Any]] = []
    damaged = []
    for number in range(len(lines), 0, -1):
        if newest is not None and len(rows) >= newest:
            break
        try:
            row = json.loads(lines[number - 1])
        except ValueError:
            row = None
        if isinstance(row, dict) and {"run_id", "outcome", "started_at"} <= row.keys():
            rows.append(row)
        elif lines[number - 1].strip():
            damaged.append(number)
    return Book(rows[::-1], damaged[::-1])


def append_run(home: Path, row: Mapping[str, Any]) -> None:
    """Append a row and wait until it is on disk; one write, so that readers see all or nothing."""
    home.mkdir(parents=True, exist_ok=True)
    text = json.dumps(to_jsonable_python(row, fallback=str), ensure_ascii=False) + "\n"
    descriptor = os.open(home / BOOK, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # What a power cut left of a row must not spoil this one.
            text = "\n" + text
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def record_run(
    settings: Settings, run: Run, report: "Report", failure: BaseException | None
) -> None:
    """Write the row of a run that had the warehouse; `failure` is what ended it early.

    A run that cannot be recorded is logged, and goes on.
    """

    def row() -> dict[str, Any]:
        now = datetime.now(UTC)
        outcome = _outcome(report, failure)
        load = report.metadata.get("raw/loads", {})
        publication_id = report.metadata.get("publication", {}).get("publication_id")
        manifest = _manifest(settings, publication_id)
        return {
            **run.row(settings, outcome, now),
            "error": _error(report, failure),
            "failed_steps": [
                name for name, step in report.steps.items() if step.outcome == "failed"
            ],
            "as_of": manifest.get("as_of"),
            "facts_version": _facts_version(),
            "journey_map_sha256": report.metadata.get("journey_map", {}).get("sha256"),
            "load_id": load.get("load_id"),
            "inputs": _inputs(settings, load),
            "unlisted_files": load.get("unlisted_files", [])[:MOST_NAMES],
            "unmatched_globs": load.get("unmatched_globs", [])[:MOST_NAMES],
            "quarantined": _quarantined(report),
            "rows": _rows(report),
            "steps": _steps(report),
            "slowest_models": _slowest_models(report),
            "checks": _checks(report),
            "publication_id": publication_id,
        }

    _record(settings, row)


def record_not_started(settings: Settings, run: Run, failure: BaseException) -> None:
    """Write the row of a run that never had the warehouse."""
    _record(
        settings,
        lambda: {
            **run.row(settings, Outcome.NOT_STARTED, datetime.now(UTC)),
            "error": _said(failure),
        },
    )


def record_killed(
    settings: Settings, holder: Holder, job: str, tags: Mapping[str, str], steps: list[str]
) -> None:
    """Write the row of a run that was killed while it held the warehouse, during `steps`.

    Unless it was recorded: a run may die between its row and the end of its process.
    """

    def row() -> dict[str, Any] | None:
        if any(row["run_id"] == holder.run_id for row in read_runs(settings.home, RECENT).rows):
            return None
        started_at = datetime.fromisoformat(holder.since)
        run = Run(holder.run_id, job, started_at, tags)
        return {
            **run.row(settings, Outcome.KILLED, started_at),
            # When it died, and of which code, nobody wrote down.
            **dict.fromkeys(("ended_at", "seconds", "code")),
            "error": f"{holder} was killed while it held the warehouse",
            "failed_steps": steps,
        }

    _record(settings, row)


def _record(settings: Settings, make_row: Callable[[], dict[str, Any] | None]) -> None:
    try:
        row = make_row()
        if row is None:
            return
        append_run(settings.home, redactor(settings)(to_jsonable_python(row, fallback=str)))
    except Exception:
        # The run has done what it did, whether or not it can be written down.
        logger.exception("this run could not be written to %s", BOOK)
    else:
        log_event(
            logger,
            "run_recorded",
            f"{row['outcome']}: {row['error'] or row.get('publication_id') or row['run_id']}",
            logging.INFO if Outcome(row["outcome"]).is_good else logging.ERROR,
            recorded_run_id=row["run_id"],
            outcome=row["outcome"],
            seconds=row["seconds"],
        )


def _error(report: "Report", failure: BaseException | None) -> str | None:
    if report.error:
        return without_examples(report.error)
    return None if failure is None else _said(failure)


def _said(failure: BaseException) -> str:
    name = type(failure).__name__
    return INTERRUPTED if name in INTERRUPTIONS else str(failure) or name


def _outcome(report: "Report", failure: BaseException | None) -> Outcome:
    if report.error == INTERRUPTED or type(failure).__name__ in INTERRUPTIONS:
        return Outcome.INTERRUPTED
    if failure is not None or report.errors:
        return Outcome.FAILED
    if "publication" not in report.metadata:
        return Outcome.COMPLETED
    return Outcome.PUBLISHED_WITH_REJECTS if report.has_rejected_files else Outcome.PUBLISHED


def _manifest(settings: Settings, publication_id: str | None) -> dict[str, Any]:
    """What the run published, {} where it did not."""
    if publication_id is None:
        return {}
    file = settings.published_dir / "runs" / publication_id / MANIFEST
    manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return manifest


def _facts_version() -> Any:
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    return project["vars"]["facts_version"]


def _inputs(settings: Settings, load: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The files that this run landed or rejected; None where the warehouse cannot say."""
    if not load:
        return None
    files = []
    if load.get("load_id"):
        try:
            with warehouse_of(settings).connect() as connection:
                files = landed_files(connection, load["load_id"])
        except Exception:
            logger.exception("the files of load %s cannot be read", load["load_id"])
            return None
    known = {(file["source_file"], file["table_name"]) for file in files}
    files += [
        {
            "source_file": file["file"],
            "table_name": file["table"],
            "status": Status.REJECTED.value,
            "message": file["message"],
        }
        for file in load.get("rejected_files", [])
        if (file["file"], file["table"]) not in known
    ]
    for file in files:
        if file["status"] != Status.REJECTED:
            said = f"{file['source_file']}: {file['rows_kept']:,} of {file['rows_in']:,} rows kept"
            log_event(logger, "file_landed", said, **file)
    return files


def _quarantined(report: "Report") -> dict[str, dict[str, int]]:
    """Raw table -> reason, without the values in it -> rows that this run set aside."""
    tables: dict[str, dict[str, int]] = {}
    for asset, metadata in report.metadata.items():
        for reason, rows in (metadata.get("quarantined_by_reason") or {}).items():
            reasons = tables.setdefault(asset, {})
            reasons[without_values(reason)] = reasons.get(without_values(reason), 0) + rows
    return tables


def _rows(report: "Report") -> dict[str, int]:
    """Table -> its rows after this run."""
    return {
        asset: metadata["dagster/row_count"]
        for asset, metadata in sorted(report.metadata.items())
        if metadata.get("dagster/row_count") is not None
    }


def _steps(report: "Report") -> list[dict[str, Any]]:
    return [
        {
            "step": name,
            "outcome": step.outcome,
            "seconds": None if step.seconds is None else round(step.seconds, 3),
        }
        for name, step in report.steps.items()
    ]


def _slowest_models(report: "Report") -> list[dict[str, Any]]:
    timed = [
        (metadata["seconds"], asset)
        for asset, metadata in report.metadata.items()
        if metadata.get("seconds") is not None
    ]
    return [
        {"model": asset, "seconds": round(seconds, 3)}
        for seconds, asset in sorted(timed, reverse=True)[:SLOWEST]
    ]


def _checks(report: "Report") -> dict[str, Any]:
    failed = [check for check in report.failed_checks if check.stops]
    return {
        "passed": len(report.passed_checks),
        "warned": len(report.failed_checks) - len(failed),
        "failed": len(failed),
        "not_passed": [
            {
                "check": f"{check.asset}:{check.name}",
                "severity": "error" if check.stops else "warning",
                "message": without_examples(check.message),
            }
            for check in report.failed_checks
        ],
    }

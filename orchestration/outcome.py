"""What became of a run, gathered from its events.

Importing this module imports Dagster (seconds): import it late.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from orchestration.defs.landing.assets import FILES_READABLE
from orchestration.warehouse.damage import advised


@dataclass(frozen=True)
class FailedCheck:
    """An asset check that did not pass; `stops` where nothing behind it may run."""

    asset: str
    name: str
    message: str
    stops: bool

    def __str__(self) -> str:
        """For a message: what the check found, and which one it is."""
        return f"{self.message} (check {self.asset}:{self.name})"


@dataclass
class StepTime:
    """How long a step took, its process's start included; None while it runs."""

    started: float
    seconds: float | None = None
    succeeded: bool = False

    def end(self, *, succeeded: bool) -> None:
        """The step is over."""
        self.seconds = time.monotonic() - self.started
        self.succeeded = succeeded

    @property
    def outcome(self) -> str:
        """In a word: succeeded, failed, unfinished."""
        if self.seconds is None:
            return "unfinished"
        return "succeeded" if self.succeeded else "failed"


@dataclass
class Report:
    """A run so far. `done` and `planned` count assets and checks.

    `passed_checks` are asset and name of each.
    """

    run_id: str
    planned: int = 0
    done: int = 0
    succeeded: bool = False
    failed_checks: list[FailedCheck] = field(default_factory=list)
    passed_checks: set[tuple[str, str]] = field(default_factory=set)
    steps: dict[str, StepTime] = field(default_factory=dict)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    errors: list[SerializableErrorInfo] = field(default_factory=list)

    def add(self, event: dg.DagsterEvent) -> None:
        """Take in the next event of the run."""
        match event.event_type:
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                materialization = event.step_materialization_data.materialization
                self.metadata[materialization.asset_key.to_user_string()] = {
                    label: entry.value for label, entry in materialization.metadata.items()
                }
                self.done += 1
            case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                self._add_check(event.asset_check_evaluation_data)
                self.done += 1
            case dg.DagsterEventType.STEP_WORKER_STARTING | dg.DagsterEventType.STEP_START:
                self._step(event)
            case dg.DagsterEventType.STEP_SUCCESS:
                self._step(event).end(succeeded=True)
            case dg.DagsterEventType.STEP_FAILURE:
                self._step(event).end(succeeded=False)
                self._add_error(event.step_failure_data.error)
            case dg.DagsterEventType.RUN_FAILURE:
                self._add_error(event.job_failure_data.error)
            case dg.DagsterEventType.RUN_SUCCESS:
                self.succeeded = True

    @property
    def exit_code(self) -> int:
        """0: published; 3: published, with rejected files; 1: failed."""
        if not self.succeeded:
            return 1
        return 3 if self.has_rejected_files else 0

    @property
    def has_rejected_files(self) -> bool:
        """Whether files could not be read; the others are landed."""
        return any(check.name == FILES_READABLE for check in self.failed_checks)

    @property
    def error(self) -> str | None:
        """The first thing that went wrong, in its own words; None where nothing did."""
        if not self.errors:
            return None
        first = self.errors[0]
        while first.cause and (first.cls_name or "").startswith("Dagster"):
            first = first.cause
        if first.cls_name == "DagsterExecutionInterruptedError":
            return "interrupted"
        stopping = [check for check in self.failed_checks if check.stops]
        if first.cls_name == "DagsterAssetCheckFailedError" and stopping:
            others = f" ({len(stopping) - 1} more failed)" if len(stopping) > 1 else ""
            return f"{stopping[0]}{others}"
        message = advised(first.message.strip())
        if message.startswith("orchestration."):
            # Our own errors are written for people, without the class's name.
            return message.partition(": ")[2]
        return message

    def _add_check(self, evaluation: dg.AssetCheckEvaluation) -> None:
        if evaluation.passed:
            asset = evaluation.asset_key.to_user_string()
            self.passed_checks.add((asset, evaluation.check_name))
            return
        of_dbt = evaluation.metadata.get("dagster_dbt/failed_row_count")
        self.failed_checks.append(
            FailedCheck(
                asset=evaluation.asset_key.to_user_string(),
                name=evaluation.check_name,
                message=evaluation.description
                or (f"{of_dbt.value:,} rows break it" if of_dbt else "failed"),
                stops=evaluation.severity == dg.AssetCheckSeverity.ERROR,
            )
        )

    def _step(self, event: dg.DagsterEvent) -> StepTime:
        return self.steps.setdefault(event.step_key or "", StepTime(time.monotonic()))

    def _add_error(self, error: SerializableErrorInfo | None) -> None:
        if error is not None:
            self.errors.append(error)

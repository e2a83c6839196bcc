"""Execute the job in this process and keep what a person wants to know of it.

Importing this module imports Dagster (seconds): import it late.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.execution.api import execute_run_iterator
from dagster_shared.error import SerializableErrorInfo

from orchestration.definitions import refresh_gap_marts
from orchestration.defs.landing.assets import FILES_READABLE
from orchestration.defs.models.assets import DBT_STEP
from orchestration.resources import dbt_manifest, open_instance
from orchestration.settings import Settings


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
class Report:
    """A run so far. `done` and `planned` count assets and checks."""

    run_id: str
    planned: int
    done: int = 0
    succeeded: bool = False
    failed_checks: list[FailedCheck] = field(default_factory=list)
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
            case dg.DagsterEventType.STEP_FAILURE:
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
        return 3 if any(check.name == FILES_READABLE for check in self.failed_checks) else 0

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
        message = first.message.strip()
        if message.startswith("orchestration."):
            # Our own errors are written for people, without the class's name.
            return message.partition(": ")[2]
        return message

    def _add_check(self, evaluation: dg.AssetCheckEvaluation) -> None:
        if evaluation.passed:
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

    def _add_error(self, error: SerializableErrorInfo | None) -> None:
        if error is not None:
            self.errors.append(error)


def refresh(
    settings: Settings,
    *,
    full_refresh: bool,
    observe: Callable[[Report, dg.DagsterEvent], None],
) -> Report:
    """Run `refresh_gap_marts` on the instance of this HOME, calling `observe` at each event.

    The environment must already say what the settings say: step processes read it. Raises
    JourneyGapsError where the run cannot even be planned; what goes wrong later is in the
    report.
    """
    instance = open_instance(settings)
    dbt_manifest(settings)
    job = dg.reconstructable(refresh_gap_marts)
    run = instance.create_run_for_job(
        job.get_definition(),
        run_config={"ops": {DBT_STEP: {"config": {"full_refresh": full_refresh}}}},
        job_code_origin=job.get_python_origin(),
    )
    planned = instance.all_logs(
        run.run_id,
        of_type={
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        },
    )
    report = Report(run_id=run.run_id, planned=len(planned))
    for event in execute_run_iterator(job, run, instance):
        report.add(event)
        observe(report, event)
    return report

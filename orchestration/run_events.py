"""What a run's structured log says, from Dagster's events and what they carry."""

import logging
from typing import TYPE_CHECKING

from orchestration.redaction import without_examples, without_values
from orchestration.run_log import log_event

if TYPE_CHECKING:
    import dagster as dg

    from orchestration.outcome import Report

logger = logging.getLogger(__name__)


def log_progress(event: "dg.DagsterEvent", report: "Report") -> None:
    """Log one event of a run, which `report` has taken in; raises nothing."""
    try:
        _log(event, report)
    except Exception:
        logger.exception("an event could not be logged: %s", event.event_type_value)


def _log(event: "dg.DagsterEvent", report: "Report") -> None:
    step = event.step_key
    match event.event_type_value:
        case "STEP_START":
            log_event(logger, "step_started", f"{step} started", step=step)
        case "STEP_SUCCESS":
            seconds = _seconds(report, step)
            log_event(logger, "step_succeeded", f"{step} succeeded", step=step, seconds=seconds)
        case "STEP_FAILURE":
            log_event(
                logger,
                "step_failed",
                f"{step} failed: {without_examples(report.error or 'for no known reason')}",
                logging.ERROR,
                step=step,
                seconds=_seconds(report, step),
            )
        case "STEP_SKIPPED":
            log_event(logger, "step_skipped", f"{step} skipped", logging.WARNING, step=step)
        case "ASSET_CHECK_EVALUATION":
            _log_check(event, report)
        case "ASSET_MATERIALIZATION":
            _log_asset(event, report)


def _seconds(report: "Report", step: str | None) -> float | None:
    taken = report.steps[step or ""].seconds
    return None if taken is None else round(taken, 3)


def _log_check(event: "dg.DagsterEvent", report: "Report") -> None:
    if event.asset_check_evaluation_data.passed:
        return
    check = report.failed_checks[-1]
    log_event(
        logger,
        "check_failed" if check.stops else "check_warned",
        without_examples(check.message),
        logging.ERROR if check.stops else logging.WARNING,
        step=event.step_key,
        check=f"{check.asset}:{check.name}",
    )


def _log_asset(event: "dg.DagsterEvent", report: "Report") -> None:
    """What landed, what was set aside and what was published; a table built is no event."""
    asset = event.step_materialization_data.materialization.asset_key.to_user_string()
    metadata = report.metadata[asset]
    step = event.step_key
    if metadata.get("rows_in"):
        counts = {
            kind: metadata[f"rows_{kind}"]
            for kind in ("in", "kept", "quarantined", "duplicate", "withdrawn")
        }
        said = ", ".join(f"{kind} {rows:,}" for kind, rows in counts.items())
        log_event(logger, "rows_landed", f"{asset}: rows {said}", step=step, table=asset, **counts)
    for reason, rows in metadata.get("quarantined_by_reason", {}).items():
        log_event(
            logger,
            "rows_quarantined",
            f"{asset}: {rows:,} rows: {without_values(reason)}",
            logging.WARNING,
            step=step,
            table=asset,
            reason=without_values(reason),
            rows=rows,
        )
    for file in metadata.get("rejected_files", []):
        log_event(
            logger, "file_rejected", file["message"], logging.WARNING, step=step, file=file["file"]
        )
    for name in metadata.get("unlisted_files", []):
        log_event(logger, "file_unlisted", f"no source reads {name}", step=step, file=name)
    if "publication_id" in metadata:
        rows = sum(metadata["rows"].values())
        log_event(
            logger,
            "published",
            f"published {metadata['publication_id']}: {rows:,} rows",
            step=step,
            publication_id=metadata["publication_id"],
            rows=rows,
            marts=len(metadata["rows"]),
        )

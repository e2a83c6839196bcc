"""The alerts of a run: what failed, which sources are stale, which gaps worsened.

Importing this module imports Dagster (seconds): import it late.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from orchestration.alerts.alert import Alert, Kind, fingerprint
from orchestration.alerts.book import Entry, Scope, settle
from orchestration.defs.landing.assets import LOADS
from orchestration.freshness import source_freshness
from orchestration.landing.inputs import sources_of
from orchestration.locking import Holder
from orchestration.outcome import Report
from orchestration.settings import Settings
from orchestration.warehouse import Connection, warehouse_of

PUBLICATION = "publication"
INTERRUPTED = "interrupted"
_log = logging.getLogger(__name__)


def alert_of_run(settings: Settings, report: Report) -> None:
    """Tell what a run that ends has found, and what has recovered by it; never raises.

    The warehouse must be the caller's. A whole run that published takes back every failure; any
    run takes back the checks that it evaluated and that passed.
    """
    found = list(failure_alerts(report))
    is_published = PUBLICATION in report.metadata and not report.errors
    kinds = [Kind.RUN_FAILURE, Kind.FAILED_CHECK] if is_published else []
    try:
        with warehouse_of(settings).connect() as connection:
            if LOADS.to_user_string() in report.metadata:
                found += stale_sources(settings, connection)
                kinds.append(Kind.STALE_SOURCE)
            if is_published:
                found += worsened_gaps(connection, report.run_id)
                kinds.append(Kind.WORSENED_GAP)
    except Exception as error:
        _log.warning("what to alert of cannot be read: %s: %s", type(error).__name__, error)
    passed = {_check_subject(asset, name) for asset, name in report.passed_checks}

    def covers(entry: Entry) -> bool:
        of_check = entry.kind is Kind.FAILED_CHECK and entry.subject in passed
        return entry.kind in kinds or of_check

    settle(settings, found, Scope(covers))


def alert_of_failure(settings: Settings, message: str, run_id: str | None = None) -> None:
    """Tell of a run that failed outside of its steps: no lock, no plan; never raises."""
    settle(settings, [run_failure(message, run_id)])


def alert_of_killed(settings: Settings, killed: Holder) -> None:
    """Tell of a run that was killed, which the next holder of the lock finds; never raises."""
    alert_of_failure(settings, f"{killed} was killed while it held the warehouse", killed.run_id)


def run_failure(message: str, run_id: str | None) -> Alert:
    """A failed run in its own words; the same failure of two runs is the same alert."""
    first, *more = message.strip().splitlines() or ["no reason was given"]
    return Alert(
        Kind.RUN_FAILURE,
        fingerprint(first),
        f"A run failed: {first}",
        (first, *more, "What was published last still stands."),
        run_id,
    )


def failure_alerts(report: Report) -> Iterator[Alert]:
    """What went wrong in a run: critical checks that failed, else the failure itself.

    A run that was interrupted on purpose did not fail.
    """
    error = report.error
    if error == INTERRUPTED:
        return
    stopping = [check for check in report.failed_checks if check.stops]
    for check in stopping:
        yield Alert(
            Kind.FAILED_CHECK,
            _check_subject(check.asset, check.name),
            f"Critical check failed: {check.asset}:{check.name}",
            (str(check), "Nothing was published; what was published last still stands."),
            report.run_id,
        )
    # A check that stops a run is what the run fails with: one of them is enough to say.
    if error is not None and not any(check.name in error for check in stopping):
        yield run_failure(error, report.run_id)


def stale_sources(settings: Settings, connection: Connection) -> list[Alert]:
    """An alert for each source that is stale now."""
    now = datetime.now(UTC).replace(tzinfo=None)
    measured = source_freshness(connection, sources_of(settings), settings.freshness_hours, now)
    return [freshness.alert for freshness in measured if freshness.is_stale]


def worsened_gaps(connection: Connection, run_id: str | None) -> list[Alert]:
    """An alert for each measure whose newest mature period is an alert in `marts.gap_trends`.

    Totals come before segments, then what is surest.
    """
    rows = connection.execute(
        """
        select
            journey_id,
            metric_id,
            stage_id,
            touchpoint_id,
            segment_dimension,
            segment_value,
            period_grain,
            sentence
        from marts.gap_trends
        where is_alert
        order by
            case when segment_dimension = 'all' then 0 else 1 end,
            adjusted_p_value,
            sentence
        """
    ).fetchall()
    alerts: dict[str, Alert] = {}
    for *place, sentence in rows:
        journey, metric, stage, _, _, segment, grain = place
        subject = "/".join("" if part is None else str(part) for part in place)
        where = "" if segment == "all" else f", {segment}"
        alerts.setdefault(
            subject,
            Alert(
                Kind.WORSENED_GAP,
                subject,
                f"{journey} {stage or ''} {metric} worsened{where} ({grain})".replace("  ", " "),
                (sentence or "",),
                run_id,
            ),
        )
    return list(alerts.values())


def _check_subject(asset: str, name: str) -> str:
    return f"{asset}:{name}"

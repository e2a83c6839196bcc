"""Which alerts a run gives, and which it takes back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from dagster_shared.error import SerializableErrorInfo

from orchestration.alerts.book import open_alerts
from orchestration.alerts.of_run import alert_of_run, failure_alerts, worsened_gaps
from orchestration.landing.load import land
from orchestration.outcome import FailedCheck, Report
from orchestration.settings import Settings
from tests.small_runs import write_log, write_map

IS_NOT_LANDED = FailedCheck("raw/events", "is_landed", "no file has ever landed", stops=True)
ODD = FailedCheck("raw/events", "rows_are_many", "few rows", stops=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_map(tmp_path / "map")
    write_log(tmp_path / "files", cases=6)
    return Settings(
        home=tmp_path / "home", map=tmp_path / "map", landing=tmp_path / "files", freshness_hours=24
    )


def error(message: str, cls_name: str = "JourneyGapsError") -> SerializableErrorInfo:
    return SerializableErrorInfo(message, [], cls_name)


def failed(message: str, *checks: FailedCheck, cls_name: str = "JourneyGapsError") -> Report:
    return Report("run-1", failed_checks=list(checks), errors=[error(message, cls_name)])


def add_trends(settings: Settings, *rows: tuple[str, str, str, bool, float]) -> None:
    """Trends of stage, benchmark, segment value, is_alert and adjusted p."""
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("create schema if not exists marts")
        connection.execute(
            "create or replace table marts.gap_trends (journey_id varchar, metric_id varchar, "
            "stage_id varchar, touchpoint_id varchar, segment_dimension varchar, "
            "segment_value varchar, period_grain varchar, benchmark_id varchar, "
            "is_alert boolean, adjusted_p_value double, sentence varchar)"
        )
        for stage, benchmark, segment, is_alert, p_value in rows:
            connection.execute(
                "insert into marts.gap_trends values "
                "('leads', 'conversion_rate', ?, null, ?, ?, 'week', ?, ?, ?, ?)",
                [
                    *(stage, "all" if segment == "all" else "region", segment, benchmark),
                    *(is_alert, p_value, f"{stage} fell in {segment}."),
                ],
            )


def keys(settings: Settings) -> list[str]:
    return [entry.key for entry in open_alerts(settings.home)]


def test_a_failure_is_told_in_its_own_words() -> None:
    [alert] = failure_alerts(failed("orchestration.errors.InputError: the map is wrong\n  line 3"))
    assert alert.title == "A run failed: the map is wrong"
    assert alert.sentences == (
        "the map is wrong",
        "  line 3",
        "What was published last still stands.",
    )
    assert alert.run_id == "run-1"


def test_a_critical_check_is_told_instead_of_the_failure_that_it_is() -> None:
    report = failed("check failed", IS_NOT_LANDED, ODD, cls_name="DagsterAssetCheckFailedError")
    [alert] = failure_alerts(report)
    assert alert.key == "failed_check:raw/events:is_landed"
    assert "no file has ever landed" in alert.sentences[0]
    # What else went wrong is said too.
    both = list(failure_alerts(failed("the disk is full", IS_NOT_LANDED)))
    assert [alert.kind.value for alert in both] == ["failed_check", "run_failure"]


def test_a_warning_and_an_interruption_are_no_failures() -> None:
    assert list(failure_alerts(Report("run-1", failed_checks=[ODD]))) == []
    interrupted = failed("stop", cls_name="DagsterExecutionInterruptedError")
    assert list(failure_alerts(interrupted)) == []


def test_gaps_that_worsened_are_told_each_once(settings: Settings) -> None:
    settings.home.mkdir()
    add_trends(
        settings,
        ("won", "industry", "north", True, 0.001),
        ("won", "industry", "all", True, 0.04),
        ("won", "target", "all", True, 0.04),
        ("lost", "industry", "all", True, 0.01),
        ("lost", "industry", "south", False, 0.0001),
    )
    with duckdb.connect(settings.warehouse) as connection:
        alerts = worsened_gaps(connection, "run-1")
    assert [alert.sentences for alert in alerts] == [
        ("lost fell in all.",),
        ("won fell in all.",),
        ("won fell in north.",),
    ]
    assert [alert.title for alert in alerts][1:] == [
        "leads won conversion_rate worsened (week)",
        "leads won conversion_rate worsened, north (week)",
    ]


def test_a_run_that_publishes_takes_back_what_it_repaired(settings: Settings) -> None:
    land(settings.warehouse, settings.landing_dir, settings.map)
    two_days = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=2)
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("update raw.loads set loaded_at = ?", [two_days])
    add_trends(settings, ("won", "target", "all", True, 0.01))

    first = failed("x", IS_NOT_LANDED, cls_name="DagsterAssetCheckFailedError")
    first.metadata["raw/loads"] = {}
    alert_of_run(settings, first)
    assert keys(settings) == [
        "failed_check:raw/events:is_landed",
        "stale_source:event_log:event_log",
    ]

    # One asset from the UI: nothing landed, nothing published.
    alert_of_run(settings, failed("the disk is full"))
    assert len(keys(settings)) == 3
    alert_of_run(settings, Report("run-3", passed_checks={("raw/events", "is_landed")}))
    assert sorted(key.partition(":")[0] for key in keys(settings)) == [
        "run_failure",
        "stale_source",
    ]

    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("update raw.loads set loaded_at = now()::timestamp")
    whole = Report("run-4", metadata={"raw/loads": {}, "publication": {}})
    alert_of_run(settings, whole)
    assert keys(settings) == ["worsened_gap:leads/conversion_rate/won//all/all/week"]
    add_trends(settings, ("won", "target", "all", False, 0.01))
    alert_of_run(settings, whole)
    assert keys(settings) == []


def test_alerts_never_fail_a_run(settings: Settings) -> None:
    """Neither a warehouse that cannot be read nor a landing.yml that is wrong."""
    whole = Report("run-1", metadata={"raw/loads": {}, "publication": {}})
    alert_of_run(settings, whole)
    land(settings.warehouse, settings.landing_dir, settings.map)
    (settings.map / "landing.yml").write_text("sources: [")
    alert_of_run(settings, whole)
    assert keys(settings) == []

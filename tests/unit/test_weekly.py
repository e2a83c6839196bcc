"""The weekly report of two publications: what changed between them, on a page and in short."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.alerts import Alert, Kind, settle
from orchestration.defs.schedules import weekly_report_job
from orchestration.errors import JourneyGapsError
from orchestration.settings import Settings
from orchestration.weekly import build_digest, render, send_weekly_report
from tests.receiver import Receiver, receiver

NOW = datetime(2026, 3, 9, 6, tzinfo=UTC)
Gap = tuple[str, str, str, int | None, str]
HOSTILE = "</li><script>alert(1)</script>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as kept:
        yield kept


@pytest.fixture
def settings(tmp_path: Path, server: Receiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("JOURNEY_GAPS_ALERT_WEBHOOK", server.webhook)
    return Settings(home=tmp_path, env="prod", alert_format="json")  # type: ignore[arg-type]


def publish(settings: Settings, published_at: datetime, *gaps: Gap, readout: date) -> None:
    """A publication with gaps of id, benchmark, verdict, priority and segment; now current."""
    folder = settings.published_dir / "runs" / f"{published_at:%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"published_at": published_at.isoformat()}))
    with duckdb.connect(folder / "journey_gaps.duckdb") as connection:
        connection.execute(
            "create table gap_ranking (gap_id varchar, benchmark_kind varchar, verdict varchar, "
            "priority_rank bigint, segment_dimension varchar, lag_factor double, sentence varchar)"
        )
        for gap in gaps:
            values = [*gap, 1.0, f"{gap[0]} is {gap[2]}."]
            connection.execute("insert into gap_ranking values (?, ?, ?, ?, ?, ?, ?)", values)
        connection.execute(
            "create table gap_trends as select 'leads' as journey_id, 'rate' as metric_id, "
            "'won' as stage_id, 'week' as period_grain, 'all' as segment_dimension, "
            "true as is_alert, 'Won fell.' as sentence from range(2)"
        )
        connection.execute(
            "create table fct_action_readouts as select 'r1' as readout_id, "
            f"date '{readout}' as readout_on, '{HOSTILE}' as title, 'it helped.' as sentence"
        )
    link = settings.published_dir / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.relative_to(settings.published_dir))


def two_weeks(settings: Settings) -> None:
    """Publications three, two and one weeks old, one of yesterday and the current one."""
    old: tuple[Gap, ...] = (
        ("better", "target", "lagging", 1, "all"),
        ("worse", "target", "at_par", None, "all"),
        ("same", "target", "lagging", 2, "all"),
    )
    for days in (21, 14):
        publish(settings, NOW - timedelta(days=days), readout=date(2026, 1, 1))
    publish(settings, NOW - timedelta(days=7, hours=-1), *old, readout=date(2026, 1, 1))
    publish(settings, NOW - timedelta(days=1), readout=date(2026, 1, 1))
    publish(
        settings,
        NOW - timedelta(hours=1),
        ("better", "target", "ahead", None, "all"),
        ("worse", "target", "lagging", 1, "all"),
        ("same", "target", "lagging", 2, "all"),
        ("new", "target", "lagging", 3, "all"),
        ("own", "own_past", "lagging", None, "all"),
        ("part", "target", "lagging", 1, "region"),
        readout=date(2026, 3, 9),
    )


def test_what_changed_since_a_week_ago(settings: Settings) -> None:
    two_weeks(settings)
    settle(settings, [Alert(Kind.STALE_SOURCE, "crm", "Source crm is stale")], now=NOW)
    digest = build_digest(settings, NOW)
    assert digest.since == NOW - timedelta(days=7, hours=-1)
    assert digest.top == ("worse is lagging.", "same is lagging.", "new is lagging.")
    assert digest.newly_lagging == ("worse is lagging.",)
    assert digest.no_longer_lagging == ("better is ahead.",)
    assert digest.worsening == ("Won fell.",)
    assert digest.readouts == (f"{HOSTILE}: it helped.",)
    assert digest.open_alerts == ("Source crm is stale (since 2026-03-09 06:00 UTC)",)
    # Each readout is news in one week.
    assert build_digest(settings, NOW + timedelta(days=7)).readouts == ()
    assert build_digest(settings, NOW - timedelta(days=1)).readouts == ()


def test_the_page_escapes_what_comes_from_data(settings: Settings) -> None:
    two_weeks(settings)
    page = render(build_digest(settings, NOW))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http" not in page


def test_it_is_written_and_told_once(settings: Settings, server: Receiver) -> None:
    two_weeks(settings)
    page = send_weekly_report(settings, NOW)
    assert page == settings.home / "reports" / "weekly-2026-03-09.html"
    assert "worse is lagging." in page.read_text()
    [message] = server.bodies
    assert (message["kind"], message["key"]) == ("weekly_report", "weekly_report:2026-03-09")
    assert message["sentences"][0] == (
        "1 newly lagging, 1 no longer lagging, 1 worsening, 1 readouts that came due, "
        "0 alerts open."
    )
    assert message["sentences"][1] == "1. worse is lagging."
    assert str(page) in message["sentences"][-1]


def test_the_first_week_has_nothing_to_compare_with(settings: Settings) -> None:
    with pytest.raises(JourneyGapsError, match="nothing is published"):
        build_digest(settings, NOW)
    publish(settings, NOW, ("one", "target", "lagging", 1, "all"), readout=date(2026, 1, 1))
    digest = build_digest(settings, NOW)
    assert (digest.since, digest.newly_lagging) == (None, ())
    assert "there is no older publication" in render(digest)


def test_the_job_runs_it(settings: Settings, server: Receiver) -> None:
    publish(settings, NOW, ("one", "target", "lagging", 1, "all"), readout=date(2026, 1, 1))
    result = weekly_report_job.execute_in_process(resources={"settings": settings})
    assert result.success
    assert len(list((settings.home / "reports").glob("weekly-*.html"))) == 1
    assert len(server.bodies) == 1
    # Nothing is published: the run fails, and says why.
    (settings.published_dir / "current").unlink()
    failed = weekly_report_job.execute_in_process(
        resources={"settings": settings}, raise_on_error=False
    )
    assert not failed.success

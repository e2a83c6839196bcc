"""The book of runs and the structured log: what is in them, and what must never be."""

import json
import logging
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster_shared.error import SerializableErrorInfo

from orchestration.audit import (
    BOOK,
    Run,
    append_run,
    read_runs,
    record_killed,
    record_not_started,
    record_run,
)
from orchestration.code_version import code_version
from orchestration.landing import land
from orchestration.locking import Holder, LockTimeoutError
from orchestration.outcome import FailedCheck, Report, StepTime
from orchestration.redaction import redactor, without_examples, without_values
from orchestration.run_log import log_event, run_log
from orchestration.settings import Settings

RUN = Run("run-7", "refresh_gap_marts", datetime.now(UTC), {"dagster/schedule_name": "daily"})
EVENTS = "event_id,event_name,occurred_at,customer_id\n"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "landing").mkdir()
    (tmp_path / "map").mkdir()
    return Settings(home=tmp_path / "home", map=tmp_path / "map", landing=tmp_path / "landing")


def published(settings: Settings, **metadata: dict[str, Any]) -> Report:
    """A run that landed, built and published."""
    folder = settings.published_dir / "runs" / "p1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"as_of": {"loans": "2026-01-05T00:00:00"}}))
    report = Report("run-7", passed_checks={("raw/events", f"check_{n}") for n in range(5)})
    report.steps = {"landing": StepTime(0.0, 1.25, succeeded=True)}
    report.metadata = {
        "journey_map": {"sha256": "ab12"},
        "marts/slow": {"dagster/row_count": 3, "seconds": 9.0},
        "marts/fast": {"dagster/row_count": 1, "seconds": 0.5},
        "publication": {"publication_id": "p1", "rows": {"slow": 3}},
        **{asset.replace("__", "/"): entry for asset, entry in metadata.items()},
    }
    return report


def only_row(settings: Settings) -> dict[str, Any]:
    (row,) = read_runs(settings.home).rows
    return row


def test_a_published_run_with_its_inputs_its_rows_and_its_slowest_models(
    settings: Settings,
) -> None:
    (settings.landing_dir / "events.csv").write_text(
        EVENTS + "1,opened,2026-01-05,a\n2,opened,ada@example.com,b\n"
    )
    load = land(settings.warehouse, settings.landing_dir, settings.map)
    rejected = {"file": "survey.csv", "table": "survey_responses", "message": "survey.csv: torn"}
    report = published(
        settings,
        raw__loads={"load_id": load.load_id, "rejected_files": [rejected]},
        raw__events={
            "dagster/row_count": 1,
            "quarantined_by_reason": {"occurred_at 'ada' is not": 1, "occurred_at 'bob' is not": 2},
        },
    )
    report.failed_checks = [FailedCheck("raw/survey_responses", "files_readable", "torn", False)]
    record_run(settings, RUN, report, None)
    row = only_row(settings)
    assert row["outcome"] == "published_with_rejects"
    assert (row["trigger"], row["publication_id"]) == ("daily", "p1")
    assert row["as_of"] == {"loans": "2026-01-05T00:00:00"}
    assert row["journey_map_sha256"] == "ab12"
    landed, torn = row["inputs"]
    assert landed["source_file"] == "events.csv"
    assert len(landed["file_sha256"]) == 64
    assert (landed["rows_in"], landed["rows_kept"], landed["rows_quarantined"]) == (2, 1, 1)
    assert (torn["source_file"], torn["status"]) == ("survey.csv", "rejected")
    assert row["quarantined"] == {"raw/events": {"occurred_at '…' is not": 3}}
    assert row["rows"] == {"marts/fast": 1, "marts/slow": 3, "raw/events": 1}
    assert row["slowest_models"][0] == {"model": "marts/slow", "seconds": 9.0}
    assert row["steps"] == [{"step": "landing", "outcome": "succeeded", "seconds": 1.25}]
    assert (row["checks"]["passed"], row["checks"]["warned"], row["checks"]["failed"]) == (5, 1, 0)
    assert row["checks"]["not_passed"][0]["check"] == "raw/survey_responses:files_readable"


def test_a_failed_run_says_why_and_where_without_the_rows_that_a_check_shows(
    settings: Settings,
) -> None:
    report = Report("run-7")
    report.steps = {"raw_gate": StepTime(0.0, 2.0)}
    report.failed_checks = [
        FailedCheck("raw/events", "known", "broken by 1 rows, such as customer_id ada", True)
    ]
    report.errors = [
        SerializableErrorInfo("stopped", [], cls_name="DagsterAssetCheckFailedError", cause=None)
    ]
    record_run(settings, RUN, report, None)
    row = only_row(settings)
    assert (row["outcome"], row["failed_steps"]) == ("failed", ["raw_gate"])
    assert row["error"] == "broken by 1 rows (check raw/events:known)"
    assert "ada" not in (settings.home / BOOK).read_text()


def test_interrupted_completed_and_failed_before_a_step(settings: Settings) -> None:
    record_run(settings, RUN, Report("a"), KeyboardInterrupt())
    record_run(settings, RUN, Report("b"), None)
    record_run(settings, RUN, Report("c"), OSError(28, "No space left on device"))
    rows = read_runs(settings.home).rows
    assert [row["outcome"] for row in rows] == ["interrupted", "completed", "failed"]
    assert rows[0]["error"] == "interrupted"
    assert "No space left" in rows[2]["error"]


def test_runs_without_the_warehouse_and_killed_ones_are_recorded_once(settings: Settings) -> None:
    holder = Holder("run-6", 4711, "2026-01-05T05:00:00+00:00")
    record_not_started(settings, RUN, LockTimeoutError(settings.warehouse, str(holder), 600))
    for _ in range(2):
        record_killed(settings, holder, "refresh_gap_marts", {}, ["dbt_models"])
    waited, killed = read_runs(settings.home).rows
    assert waited["outcome"] == "not_started"
    assert "HOME/warehouse.duckdb is in use by run run-6" in waited["error"]
    assert (killed["run_id"], killed["outcome"]) == ("run-6", "killed")
    assert (killed["failed_steps"], killed["ended_at"]) == (["dbt_models"], None)


def test_half_a_line_is_named_and_spoils_neither_what_was_nor_what_comes(tmp_path: Path) -> None:
    row = {"run_id": "1", "outcome": "published", "started_at": "2026-01-05T05:00:00+00:00"}
    append_run(tmp_path, row)
    with (tmp_path / BOOK).open("a") as book:
        book.write('{"run_id": "2", "outc')
    assert read_runs(tmp_path).damaged_lines == [2]
    append_run(tmp_path, row | {"run_id": "3"})
    book_read = read_runs(tmp_path)
    assert [row["run_id"] for row in book_read.rows] == ["1", "3"]
    assert book_read.damaged_lines == [2]
    assert [row["run_id"] for row in read_runs(tmp_path, newest=1).rows] == ["3"]
    assert read_runs(tmp_path / "nowhere").rows == []


def test_a_run_that_cannot_be_recorded_goes_on(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.home / BOOK).mkdir(parents=True)
    with caplog.at_level(logging.ERROR):
        record_run(settings, RUN, Report("run-7"), None)
        record_killed(settings, Holder("run-6", 1, "2026-01-05T05:00:00"), "job", {}, [])
    assert [record.message for record in caplog.records] == [
        "this run could not be written to runs.jsonl"
    ] * 2


def test_the_log_of_a_run_is_json_without_secrets_addresses_and_paths(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hush-hush")
    monkeypatch.setenv("JOURNEY_GAPS_ALERT_WEBHOOK", "https://hooks.invalid/T0/secret")
    logger = logging.getLogger("orchestration.somewhere")
    with run_log(settings, "run-7") as file:
        log_event(logger, "step_started", "began", step="landing", file=settings.landing_dir / "a")
        logger.error("hush-hush https://hooks.invalid/T0/secret ada@example.com %s", settings.home)
        try:
            raise ValueError("Could not convert string 'ada' to INT32")
        except ValueError:
            logger.exception("broken")
    logger.error("not of this run")
    first, second, third = [json.loads(line) for line in file.read_text().splitlines()]
    assert file.parent == settings.home / "logs"
    assert (first["event"], first["step"], first["run_id"]) == ("step_started", "landing", "run-7")
    assert first["file"] == "LANDING/a"
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert (second["level"], second["message"]) == ("error", "*** *** … HOME")
    assert "string '…'" in third["traceback"]
    assert "ada" not in file.read_text()


def test_a_log_that_cannot_be_written_does_not_stop_the_run(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "logs").write_text("a file where the folder should be")
    with run_log(settings, "run-7"):
        log_event(logging.getLogger("orchestration.x"), "step_started", "began")


def test_postgres_passwords_of_the_url_are_secret(settings: Settings) -> None:
    url = "postgresql://me:open-sesame@127.0.0.1/db"
    cleaned = redactor(Settings(home=settings.home, postgres_url=url))
    assert cleaned({"a": ["open-sesame", url]}) == {"a": ["***", "***"]}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('duplicate key "id: ada" violates', 'duplicate key "…" violates'),
        (
            'invalid input syntax for type integer: "ada"',
            'invalid input syntax for type integer: "…"',
        ),
        (
            "requires (its columns are ada, 5; add it, or map)",
            "requires (its columns are …; add it, or map)",
        ),
        ("no column (its columns are ada, 5)", "no column (its columns are …)"),
        ("Key (customer_id)=(ada) already exists", "Key (customer_id)=(…) already exists"),
    ],
)
def test_what_engines_quote_is_not_kept(settings: Settings, message: str, expected: str) -> None:
    assert redactor(settings)(message) == expected


def test_reasons_and_messages_without_values() -> None:
    assert without_values("amount 'it's 5' is not; x 'y' is") == "amount '…' is"
    assert without_examples(
        "broken by 2 rows, such as a 1 (check raw/events:x) (3 more failed)"
    ) == ("broken by 2 rows (check raw/events:x) (3 more failed)")


def test_the_commit_is_read_from_files_of_checkouts_and_worktrees(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here to make a repository with")

    def run(*arguments: str, cwd: Path) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        return subprocess.run(
            [git, *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
        ).stdout.strip()

    checkout, worktree = tmp_path / "checkout", tmp_path / "worktree"
    checkout.mkdir()
    assert (code_version(checkout).commit, code_version(checkout).is_dirty) == (None, None)
    run("init", "-q", cwd=checkout)
    run("commit", "-q", "--allow-empty", "-m", "x", cwd=checkout)
    run("worktree", "add", "-q", str(worktree), cwd=checkout)
    commit = run("rev-parse", "HEAD", cwd=checkout)
    for folder in (checkout, worktree):
        assert (code_version(folder).commit, code_version(folder).is_dirty) == (commit, False)
    run("pack-refs", "--all", cwd=checkout)
    (checkout / "new").write_text("")
    assert (code_version(checkout).commit, code_version(checkout).is_dirty) == (commit, True)
    run("checkout", "-q", "--detach", cwd=worktree)
    assert code_version(worktree).commit == commit

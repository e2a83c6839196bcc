"""`journey-gaps doctor`: each finding on something that has what it is about, and only that."""

import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.audit import append_run
from orchestration.cli import app
from orchestration.doctor import Finding, Level, examine
from orchestration.doctor.installation import LOCK, installation, locked_versions
from orchestration.doctor.map_rows import map_rows
from orchestration.doctor.map_use import map_use
from orchestration.doctor.operation import operation
from orchestration.doctor.services import services
from orchestration.journey_map import load_journey_map
from orchestration.landing.contract import create_tables_sql
from orchestration.resources import open_instance
from orchestration.settings import PROJECT_DIR, Environment, Settings, Target
from orchestration.status import status_of
from tests.built_models import BUILT

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def worse(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Level and message of what is not well."""
    return [
        (finding.level.value, finding.message) for finding in findings if finding.level != Level.OK
    ]


def use(changes: str = "") -> list[tuple[str, str]]:
    with duckdb.connect() as connection:
        connection.execute(BUILT + changes)
        return worse(map_use(connection, TODAY))


def of_map(tmp_path: Path, **tables: str) -> list[tuple[str, str]]:
    """Findings on the demo's map with lines added to its tables, or its tables replaced."""
    folder = tmp_path / "map"
    shutil.copytree(PROJECT_DIR / "seeds" / "journey_map", folder)
    for table, line in tables.items():
        with (folder / f"{table}.csv").open("a") as file:
            file.write(line + "\n")
    return worse(map_rows(load_journey_map(folder), TODAY))


def run_row(outcome: str, started_at: datetime = NOW, **fields: Any) -> dict[str, Any]:
    return {"run_id": "1", "job": "j", "outcome": outcome, "started_at": started_at, **fields}


def home_findings(settings: Settings, now: datetime = NOW) -> list[tuple[str, str]]:
    return worse(operation(settings, status_of(settings), now))


def test_a_map_that_the_data_meet_gives_no_finding() -> None:
    assert use() == []


def test_names_that_no_rule_reads_weigh_by_their_share() -> None:
    rare = "insert into intermediate.int_unmapped_events values ('events', 'ping', 40, 10000)"
    assert use(rare) == [
        ("info", "events: 0.4% of the rows have names that no rule reads: ping (40)")
    ]
    often = rare.replace("10000", "100")
    assert use(often)[0][0] == "warning"
    few = rare.replace("40, 10000", "1, 1")
    assert use(few)[0][0] == "info"


def test_a_dead_rule_names_the_name_that_was_meant_and_its_stage_is_told_once() -> None:
    [(level, message)] = use(
        "update intermediate.int_journey_rules set event_name = 'chekked'"
        " where stage_id = 'checked';"
        "delete from intermediate.int_mapped_events where stage_id = 'checked';"
        "update marts.fct_journey_coverage set cases = 0 where stage_id = 'checked';"
    )
    assert level == "warning"
    assert message == (
        "1 rule that no event meets: loans/checked (events has no 'chekked', "
        "did you mean 'checked'?)"
    )


def test_a_condition_that_no_event_meets() -> None:
    [(_, message)] = use(
        "update intermediate.int_journey_rules set property_name = 'plan',"
        " property_operator = 'equals', property_value = 'gold' where stage_id = 'checked';"
        "delete from intermediate.int_mapped_events where stage_id = 'checked';"
    )
    assert "loans/checked (plan equals gold is never met)" in message


def test_a_touchpoint_rule_counts_in_any_journey() -> None:
    rule = (
        "insert into intermediate.int_journey_rules by name select 'claims' as journey_id,"
        " 'touchpoint' as meaning, 'call' as touchpoint_id, 'events' as source,"
        " 'checked' as event_name;"
    )
    met = (
        rule.replace("'claims'", "'loans'")
        + "insert into intermediate.int_mapped_events by name select 'loans' as journey_id,"
        " 'touchpoint' as meaning, 'call' as touchpoint_id, 'events' as source,"
        " '3' as source_row_id"
    )
    assert use(rule) == [("info", "1 rule that no event meets: call (other rules take its events)")]
    assert use(rule + met) == []


def test_stages_never_reached_and_journeys_without_cases() -> None:
    unreached = "update marts.fct_journey_coverage set cases = 0"
    assert use(f"{unreached} where stage_id = 'won'") == [
        ("warning", "stages that no case reached: loans/won")
    ]
    assert use(unreached) == [("error", "journeys without a single case: loans")]


def test_links_by_an_empty_column() -> None:
    unlinked = "delete from intermediate.int_journey_events where source = 'crm_stage_changes'"
    assert use(unlinked) == [
        ("error", "loans: 0 of 1 events of crm_stage_changes lead to a case by customer_id")
    ]


def test_dimensions_metrics_and_actions_without_a_result() -> None:
    assert use("update intermediate.int_segment_values set segment_value = '(unknown)'") == [
        ("warning", "dimensions without a known value: loans/region (of crm_accounts)")
    ]
    assert use("insert into journey_map.metrics values ('nps')") == [
        ("info", "1 of 2 metrics have no value: nps")
    ]
    late = "insert into marts.fct_action_readouts values ('call', '{}', 'too_early', 'no data')"
    assert use(late.format(TODAY - timedelta(days=1))) == [
        ("warning", "action call was to be read on 2026-06-30: no data")
    ]
    assert use(late.format(TODAY)) == []


def test_nothing_is_built_yet() -> None:
    with duckdb.connect() as connection:
        assert worse(map_use(connection, TODAY)) == [
            ("info", "nothing is built yet to hold it against")
        ]


def test_benchmarks_expire_unless_another_takes_over(tmp_path: Path) -> None:
    def benchmark(name: str, valid_from: str, valid_to: date | str) -> str:
        return (
            f"{name},drop_off_rate,1,lead_to_customer,visited,all,all,target,0.4,30,,,"
            f"{valid_from},{valid_to},invented,,"
        )

    usual = [("info", message) for _, message in of_map(tmp_path / "usual")]
    assert usual == of_map(tmp_path / "same")
    soon = benchmark("soon", "", TODAY + timedelta(days=30))
    assert ("warning", "benchmarks that expire within 30 days: soon (2026-07-31)") in of_map(
        tmp_path / "soon", benchmarks=soon
    )
    later = benchmark("later", "", TODAY + timedelta(days=31))
    assert of_map(tmp_path / "later", benchmarks=later) == usual
    past = benchmark("past", "", TODAY - timedelta(days=1))
    [expired] = set(of_map(tmp_path / "past", benchmarks=past)) - set(usual)
    assert expired == (
        "warning",
        "benchmarks that have expired, so that later weeks have none: past (2026-06-30)",
    )
    older = benchmark("older", "", TODAY - timedelta(days=9))
    newer = benchmark("past", str(TODAY - timedelta(days=8)), TODAY - timedelta(days=1))
    both = of_map(tmp_path / "both", benchmarks=f"{older}\n{newer}")
    assert set(both) - set(usual) == {expired}
    followed = past + "\n" + benchmark("next", str(TODAY), "")
    assert of_map(tmp_path / "followed", benchmarks=followed) == usual


def test_the_demo_says_what_nobody_owns_and_what_has_no_benchmark(tmp_path: Path) -> None:
    messages = [message for _, message in of_map(tmp_path)]
    assert "touchpoints that nobody owns: lead_routing" in messages
    assert any("without a benchmark" in message for message in messages)


def test_packages_of_this_environment_are_those_of_the_lock(tmp_path: Path) -> None:
    pins = locked_versions(LOCK)
    assert pins["duckdb"].startswith("1.")
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made\nduckdb==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1 \\\n    --hash=x\n"
        "rich==0.0.1 ; python_version < '3'\nfilelock[extra]==0.0.2\n"
    )
    [(level, message)] = worse(installation(lock))
    assert level == "warning"
    assert "duckdb" in message
    assert "0.0.1" in message
    assert "filelock" in message
    assert "rich" not in message
    [(level, message)] = worse(installation(tmp_path / "none", str(tmp_path / "python")))
    assert (level, message) == ("error", f"there is no dbt beside {tmp_path / 'python'}")


def test_a_new_home_is_not_published_and_leaves_nothing_behind(settings: Settings) -> None:
    assert home_findings(settings) == [("warning", "nothing is published")]
    assert not settings.home.exists()


def test_runs_that_fail_in_a_row_are_an_error(settings: Settings) -> None:
    append_run(settings.home, run_row("published"))
    append_run(settings.home, run_row("failed", error="the disk is full\nand more"))
    once = ("warning", "runs failed once, last with failed: the disk is full")
    assert once in home_findings(settings)
    append_run(settings.home, run_row("killed"))
    assert ("error", "runs failed 2 times in a row, last with killed") in home_findings(settings)


def test_what_landing_left_over(settings: Settings) -> None:
    inputs = [{"source_file": "a.csv", "status": "rejected", "message": "a.csv: torn"}]
    loose = {"inputs": inputs, "unlisted_files": ["b.txt"], "unmatched_globs": ["c-*.csv"]}
    append_run(settings.home, run_row("published_with_rejects", **loose))
    found = home_findings(settings)
    assert ("warning", "rejected: a.csv: torn") in found
    assert ("warning", "1 files in the landing place that no source reads: b.txt") in found
    assert ("warning", "no file matches c-*.csv") in found


def test_a_clock_behind_what_was_recorded(settings: Settings) -> None:
    append_run(settings.home, run_row("published"))
    [(level, message)] = [
        found for found in home_findings(settings, NOW - timedelta(hours=1)) if "clock" in found[1]
    ]
    assert level == "error"
    assert "2026-07-01 11:00 UTC, but a run began at 2026-07-01 12:00" in message


def test_too_little_room(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 10**8))  # type: ignore[attr-defined]
    [(level, message)] = [found for found in home_findings(settings) if "room" in found[1]]
    assert level == "error"
    assert "0.1 GB free, 1.0 GB wanted" in message


def test_only_production_needs_a_daemon_and_a_fresh_publication(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = home / "published" / "runs" / "p1"
    folder.mkdir(parents=True)
    (home / "published" / "current").symlink_to("runs/p1")
    published_at = (NOW - timedelta(hours=48)).isoformat()
    manifest = {"publication_id": "p1", "published_at": published_at, "marts": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    dev = Settings(home=home)
    prod = Settings(home=home, env=Environment.PROD)
    assert home_findings(dev) == []
    assert home_findings(prod) == [("error", "what is published is 48 hours old")]
    assert list(services(dev, NOW)) == []
    assert worse(services(prod, NOW)) == [("error", "no Dagster instance here yet")]
    with open_instance(prod) as instance:
        assert isinstance(instance, dg.DagsterInstance)
    assert worse(services(prod, NOW)) == [
        ("error", "Dagster's daemon is not at work and never was: no schedule runs")
    ]


def test_a_server_that_does_not_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Settings(home=settings.home, target=Target.POSTGRES)
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", "1")
    [finding] = services(elsewhere, NOW)
    assert finding.level is Level.ERROR
    assert "cannot be opened" in finding.message


def test_all_of_it_on_a_landed_warehouse_and_on_a_broken_one(settings: Settings) -> None:
    settings.home.mkdir()
    with duckdb.connect(settings.warehouse) as connection:
        for statement in create_tables_sql():
            connection.execute(statement)
        connection.execute(BUILT)
    findings = examine(settings, NOW)
    assert [finding.level for finding in findings].count(Level.ERROR) == 0
    assert {finding.area for finding in findings} == {"installation", "home", "journey map"}
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("alter table marts.fct_journey_coverage rename cases to visits")
    assert any("another version" in message for _, message in worse(examine(settings, NOW)))
    settings.warehouse.write_bytes(b"not a database" * 1000)
    assert any(level == "error" for level, _ in worse(examine(settings, NOW)))


def test_the_command_says_what_to_do_and_ends_by_the_errors(tmp_path: Path) -> None:
    def doctor(*arguments: str) -> tuple[int, str]:
        given = ["doctor", "--home", str(tmp_path / "home"), *arguments]
        result = CliRunner().invoke(app, given)
        return result.exit_code, result.output

    exit_code, output = doctor()
    assert exit_code == 0
    assert "-> journey-gaps run" in output
    assert "0 errors" in output
    exit_code, output = doctor("--format", "json", "--map", str(tmp_path))
    assert exit_code == 1
    findings = json.loads(output)
    assert {"area", "level", "message", "remedy"} == set(findings[0])
    assert any(finding["level"] == "error" for finding in findings)

"""Whole runs by the command line, in processes of their own, on real Dagster instances.

Steps and gates are what is tested here, not the figures.
"""

import gzip
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import yaml

from orchestration.audit import read_runs
from orchestration.locking import WarehouseLock
from orchestration.publish.contracts import committed
from orchestration.settings import PROJECT_DIR
from tests.books import require_books_of_two_runs
from tests.small_runs import Finished, Home, write_log, write_map

pytestmark = pytest.mark.slow


def write_expectations(folder: Path, suite: str, severity: str) -> Path:
    """The project's suites, with one more expectation in `suite`, which no data meet."""
    shutil.copytree(PROJECT_DIR / "expectations", folder)
    file = folder / f"{suite}.json"
    content = json.loads(file.read_text())
    content["expectations"].append(
        {
            "type": "expect_table_row_count_to_equal",
            "kwargs": {"value": 987654321},
            "severity": severity,
            "meta": {"name": "never_met", "why": "To see what happens then."},
        }
    )
    file.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def two_at_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Home, list[Finished]]]:
    """A HOME in which the first two runs were started at once. Copy it, do not run in it."""
    folder = tmp_path_factory.mktemp("two_at_once") / "all"
    folder.mkdir()
    home = Home(folder / "home", write_map(folder / "map"), write_log(folder / "landing"))
    processes = [home.start(), home.start()]
    yield home, [Finished.wait(process) for process in processes]
    shutil.rmtree(home.settings.seed_dir, ignore_errors=True)


@pytest.fixture
def new_home(two_at_once: tuple[Home, list[Finished]], tmp_path: Path) -> Iterator[Home]:
    """Nothing has run here yet; only dbt's parsed project is taken over, to save the time."""
    home = Home(tmp_path / "home", write_map(tmp_path / "map"), write_log(tmp_path / "landing"))
    shutil.copytree(two_at_once[0].settings.dbt_target_dir, home.settings.dbt_target_dir)
    yield home
    shutil.rmtree(home.settings.seed_dir, ignore_errors=True)


@pytest.fixture
def published(two_at_once: tuple[Home, list[Finished]], tmp_path: Path) -> Iterator[Home]:
    """A HOME of the test's own in which a run has published."""
    home = two_at_once[0].copy(tmp_path / "all")
    yield home
    shutil.rmtree(home.settings.seed_dir, ignore_errors=True)


def test_two_runs_at_once_publish_one_after_the_other(
    two_at_once: tuple[Home, list[Finished]],
) -> None:
    home, runs = two_at_once
    assert [(run.exit_code, run.errors) for run in runs] == [(0, ""), (0, "")]
    waited = [run for run in runs if "Waiting up to 600 s for run " in run.output]
    assert len(waited) == 1

    later, earlier = home.steps()
    assert set(later) == set(earlier)
    assert all(end is not None for _, end in [*later.values(), *earlier.values()])
    last_end = max(end or 0 for _, end in earlier.values())
    assert last_end < min(start for start, _ in later.values())

    # The second found nothing new, and says so.
    [first_run] = [run for run in runs if run not in waited]
    assert "load 1: rows in 600, kept 600, quarantined 0, duplicate 0" in first_run.output
    assert "load: nothing new" in waited[0].output
    publications = sorted((home.home / "published" / "runs").iterdir())
    assert [publication.name for publication in publications][-1] == home.publication().name
    marts = [json.loads((run / "manifest.json").read_text())["marts"] for run in publications]
    assert [mart["rows"] for mart in marts[0].values()] == [
        mart["rows"] for mart in marts[1].values()
    ]
    assert {name: mart["content_hash"] for name, mart in marts[0].items()} == {
        name: mart["content_hash"] for name, mart in marts[1].items()
    }


def test_what_a_run_publishes(two_at_once: tuple[Home, list[Finished]]) -> None:
    home, runs = two_at_once
    manifest = home.manifest()
    with home.instance() as instance:
        newest = home.runs(instance)[0]
    assert manifest["run_id"] == newest.run_id
    assert (manifest["env"], manifest["target"], manifest["load_id"]) == ("dev", "duckdb", 1)
    assert manifest["rejected_files"] == []
    assert len(manifest["journey_map_sha256"]) == 64
    facts_version = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())["vars"]
    assert manifest["facts_version"] == facts_version["facts_version"]
    promised = {mart: contract.version for mart, contract in committed().items()}
    assert manifest["contracts"] == promised
    assert set(promised) == set(manifest["marts"])

    for mart in manifest["marts"]:
        assert (home.publication() / f"{mart}.parquet").exists()
    with duckdb.connect(home.publication() / "journey_gaps.duckdb", read_only=True) as connection:
        [(value, verdict)] = connection.execute(
            "select value, verdict from gap_ranking where segment_dimension = 'all'"
        ).fetchall()
        visits = connection.execute(
            "select journey_id, entered_at, visit_id from fct_stage_visits"
        ).fetchall()
    # As its YAML says, which by all columns they would not.
    assert visits == sorted(visits)
    assert visits != sorted(visits, key=lambda visit: visit[2])
    # Half of the claims are checked; the benchmark is nine tenths.
    assert abs(value - 0.5) < 0.02
    assert verdict == "lagging"
    assert all("lagging" in run.output and "published " in run.output for run in runs)
    assert all(str(home.home / "published") in run.output for run in runs)
    report = home.home / "published" / "current" / "report.html"
    assert all(f"report: {report.as_uri()}" in run.output for run in runs)
    quality = manifest["data_quality"]
    [log] = quality["tables"]
    assert (log["table"], log["rows_in"], log["rows_kept"]) == ("event_log", 600, 600)
    assert (log["newest"], log["quarantine_reasons"]) == ("2026-04-18T08:00:00", {})
    assert quality["checks"]["passed"] > 100
    assert quality["checks"]["warned"] == 0
    assert "600" in report.read_text(encoding="utf-8")


def test_the_book_of_runs_and_the_structured_logs(
    two_at_once: tuple[Home, list[Finished]],
) -> None:
    home, _ = two_at_once
    require_books_of_two_runs(home.home)


def test_dbt_tests_and_expectations_are_checks_of_the_run(
    two_at_once: tuple[Home, list[Finished]],
) -> None:
    home, _ = two_at_once
    with home.instance() as instance:
        run = home.runs(instance)[0]
        evaluated = {
            entry.get_dagster_event().asset_check_evaluation_data.asset_check_key.to_user_string()
            for entry in instance.all_logs(
                run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
            )
        }
        planned = instance.all_logs(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        )
    assert len(evaluated) == len(planned)
    assert "marts/fct_stage_visits:unique_fct_stage_visits_visit_id" in evaluated
    assert "raw/event_log:event_id_is_known" in evaluated
    assert "raw/event_log:rows_reconcile" in evaluated
    assert "marts/gap_ranking:figures_are_finite" in evaluated


def test_output_of_dagster_and_dbt_goes_to_the_logs(
    two_at_once: tuple[Home, list[Finished]],
) -> None:
    home, runs = two_at_once
    assert not any("dagster" in run.output for run in runs)
    logs = home.home / "logs"
    assert len(list(logs.glob("run-*.log"))) == 2
    assert "RUN_SUCCESS" in next(logs.glob("run-*.log")).read_text()
    assert (logs / "dbt.log").exists()


def test_a_critical_raw_expectation_stops_before_dbt(published: Home, tmp_path: Path) -> None:
    before = published.publication()
    suites = write_expectations(tmp_path / "suites", "raw__event_log", "critical")
    published.variables["JOURNEY_GAPS_EXPECTATIONS"] = str(suites)
    run = published.run()
    assert run.exit_code == 1
    assert "(check raw/event_log:never_met)" in run.errors
    assert run.errors.startswith("Error: raw.event_log: ")
    assert len(run.errors.splitlines()) == 1
    assert set(published.steps()[0]) == {"journey_map", "landing", "raw_gate"}
    assert published.publication() == before
    row = published.last_row()
    assert (row["outcome"], row["failed_steps"]) == ("failed", ["raw_gate"])
    assert row["error"].endswith("(check raw/event_log:never_met)")
    assert (row["publication_id"], row["checks"]["failed"]) == (None, 1)


def test_a_critical_expectation_of_the_marts_keeps_the_last_publication(
    published: Home, tmp_path: Path
) -> None:
    before = published.publication()
    suites = write_expectations(tmp_path / "suites", "marts__gap_ranking", "critical")
    published.variables["JOURNEY_GAPS_EXPECTATIONS"] = str(suites)
    write_log(published.landing, "event_log.csv", first=0, cases=330)
    run = published.run()
    assert run.exit_code == 1
    assert "(check marts/gap_ranking:never_met)" in run.errors
    assert "load 2: rows in " in run.output
    assert "marts_gate" in published.steps()[0]
    assert "publication" not in published.steps()[0]
    assert published.publication() == before
    assert published.manifest()["load_id"] == 1


def test_a_killed_run_blocks_nobody_and_a_rejected_file_exits_3(
    published: Home, tmp_path: Path
) -> None:
    """And a warning is no more than a warning."""
    suites = write_expectations(tmp_path / "suites", "raw__event_log", "warning")
    published.variables["JOURNEY_GAPS_EXPECTATIONS"] = str(suites)
    whole = gzip.compress(b"account_id,source_updated_at\n" + b"a,2026-01-01T00:00:00Z\n" * 999)
    (published.landing / "crm_accounts.csv.gz").write_bytes(whole[: len(whole) // 2])

    killed = published.start()
    assert killed.stdout is not None
    # Its next step has the warehouse's slot in Dagster's pool.
    assert any(line.startswith("landing") for line in killed.stdout)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    run = published.run()
    assert run.exit_code == 3, run.errors
    assert run.errors == ""
    assert any("rejected crm_accounts.csv.gz: " in line for line in run.lines)
    assert any(line.startswith("warning ") and "never_met" in line for line in run.lines)
    [rejected] = published.manifest()["rejected_files"]
    assert (rejected["file"], rejected["table"]) == ("crm_accounts.csv.gz", "crm_accounts")
    with published.instance() as instance:
        newest, older, *_ = published.runs(instance)
        assert newest.status is dg.DagsterRunStatus.SUCCESS
        assert older.status is dg.DagsterRunStatus.FAILURE
        pool = instance.event_log_storage.get_concurrency_info("warehouse_writer")
        assert pool.active_slot_count == 0
    killed_row, row = read_runs(published.home, newest=2).rows
    assert (killed_row["run_id"], killed_row["outcome"]) == (older.run_id, "killed")
    assert (row["run_id"], row["outcome"]) == (newest.run_id, "published_with_rejects")
    assert [file["status"] for file in row["inputs"]] == ["rejected"]


def test_a_required_table_that_never_landed(new_home: Home) -> None:
    (new_home.landing / "event_log.csv").unlink()
    run = new_home.run()
    assert run.exit_code == 1
    assert "the journey map reads raw.event_log, but no file of it has ever landed" in run.errors
    assert str(new_home.landing) in run.errors
    assert set(new_home.steps()[0]) == {"journey_map", "landing", "raw_gate"}
    assert not (new_home.home / "published").exists()


def test_a_map_that_contradicts_itself(new_home: Home) -> None:
    stages = new_home.map / "stages.csv"
    stages.write_text(stages.read_text().replace("checked,2", "checked,1"))
    run = new_home.run()
    assert run.exit_code == 1
    assert "stages.csv, line 3, column stage_order: " in run.errors
    assert set(new_home.steps()[0]) == {"journey_map"}


def test_a_run_that_may_not_wait_says_for_whom(new_home: Home) -> None:
    other = WarehouseLock(new_home.settings.warehouse, "somebody-elses")
    other.acquire(0)
    try:
        run = new_home.run("--lock-timeout", "0")
    finally:
        other.release()
    assert run.exit_code == 1
    assert f"in use by run somebody-elses (pid {os.getpid()}, since " in run.errors
    assert "gave up after 0 s" in run.errors
    assert new_home.steps() == [{}]
    assert new_home.last_row()["outcome"] == "not_started"
    assert "somebody-elses" in new_home.last_row()["error"]


def test_a_waiting_run_can_be_interrupted(new_home: Home) -> None:
    other = WarehouseLock(new_home.settings.warehouse, "somebody-elses")
    other.acquire(0)
    try:
        process = new_home.start()
        assert process.stdout is not None
        assert any(line.startswith("Waiting up to 600 s for run") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        run = Finished.wait(process)
    finally:
        other.release()
    assert (run.exit_code, run.errors) == (1, "Error: interrupted\n")
    row = new_home.last_row()
    assert (row["outcome"], row["error"]) == ("not_started", "interrupted")

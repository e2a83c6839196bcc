"""Whole runs by the command line, in processes of their own, on real Dagster instances.

The journey is a small one: a case is opened on each of some hundred days, and what becomes of
it by then is known. Steps and gates are what is tested here, not the figures.
"""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from orchestration.locking import WarehouseLock
from orchestration.settings import PROJECT_DIR, Settings
from tests.maps import write_tables

pytestmark = pytest.mark.slow

# A run that waits for what never comes fails its test instead of hanging it.
PATIENCE_SECONDS = 900

MAP = {
    "journeys": """
        journey_id,name,entity,order_mode,time_zone,conversion_window_days
        claims,Claims,application,ordered,UTC,14
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind,is_optional
        claims,opened,1,consideration,progress,false
        claims,checked,2,purchase,progress,false
        claims,paid,3,purchase,success,false
        claims,refused,4,purchase,exit,false
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name
        claims,opened,event_log,open
        claims,checked,event_log,check
        claims,paid,event_log,pay
        claims,refused,event_log,refuse
    """,
    "benchmarks": """
        benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,window_days,source
        checked_share,conversion_rate,1,claims,opened,target,0.9,14,invented
    """,
}


def write_map(folder: Path) -> Path:
    links = (PROJECT_DIR / "examples" / "loan_application" / "entity_links.csv").read_text()
    tables = {**MAP, "entity_links": links.replace("loan_application", "claims")}
    return write_tables(folder, tables)


def write_log(folder: Path, name: str = "event_log.csv", first: int = 0, cases: int = 300) -> Path:
    """Three claims a day, opened, then perhaps checked, then paid or refused."""
    folder.mkdir(exist_ok=True)
    rows = ["source_case_id,activity,occurred_at"]
    for case in range(first, first + cases):
        opened = datetime(2026, 1, 5) + timedelta(hours=8 * case)
        path = ["open", "check", "pay" if case % 3 else "refuse"][: 1 if case % 2 else 3]
        rows += [
            f"claim-{case},{activity},{opened + timedelta(days=2 * step):%Y-%m-%dT%H:%M:%SZ}"
            for step, activity in enumerate(path)
        ]
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder


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


@dataclass
class Home:
    """A HOME with its inputs, and the processes that are run on it."""

    home: Path
    map: Path
    landing: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("JOURNEY_GAPS_")}
        command = [sys.executable, "-m", "orchestration", "run", "--home", str(self.home)]
        command += ["--map", str(self.map), "--landing", str(self.landing), *arguments]
        return subprocess.Popen(
            command,
            cwd=PROJECT_DIR,
            env=ours | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> "Finished":
        return Finished.wait(self.start(*arguments))

    def copy(self, folder: Path) -> "Home":
        """The same warehouse, publications and inputs again, elsewhere."""
        shutil.copytree(self.home.parent, folder, symlinks=True)
        return Home(folder / self.home.name, folder / self.map.name, folder / self.landing.name)

    def publication(self) -> Path:
        return (self.home / "published" / "current").resolve()

    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.publication() / "manifest.json").read_text())
        return content

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home / "dagster"))

    def steps(self) -> list[dict[str, tuple[float, float | None]]]:
        """Start and end of the steps of each run, the run that ended last first."""
        with self.instance() as instance:
            return [
                {
                    step.step_key: (step.start_time or 0, step.end_time)
                    for step in instance.get_run_step_stats(run.run_id)
                }
                for run in self.runs(instance)
            ]

    def runs(self, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
        """The runs, the one that ended last first."""
        records = instance.get_run_records()
        return [
            record.dagster_run
            for record in sorted(records, key=lambda record: record.end_time or 0, reverse=True)
        ]


@dataclass(frozen=True)
class Finished:
    exit_code: int
    output: str
    errors: str

    @classmethod
    def wait(cls, process: subprocess.Popen[str]) -> "Finished":
        try:
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
        assert "Traceback" not in output + errors
        return cls(process.returncode, output, errors)

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


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

    for mart in manifest["marts"]:
        assert (home.publication() / f"{mart}.parquet").exists()
    with duckdb.connect(home.publication() / "journey_gaps.duckdb", read_only=True) as connection:
        [(value, verdict)] = connection.execute(
            "select value, verdict from gap_ranking where segment_dimension = 'all'"
        ).fetchall()
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

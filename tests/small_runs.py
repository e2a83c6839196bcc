"""Whole runs on a small journey, by the command line, in processes of their own.

A case is opened on each of some hundred days, and what becomes of it by then is known.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.audit import read_runs
from orchestration.settings import PROJECT_DIR, Settings
from tests.maps import write_tables

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

    def start(self, *arguments: str, is_group: bool = False) -> subprocess.Popen[str]:
        """A run begun; as a process group it can be killed with all that it started."""
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
            start_new_session=is_group,
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

    def last_row(self) -> dict[str, Any]:
        """The newest row of the book of runs."""
        return read_runs(self.home, newest=1).rows[0]

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

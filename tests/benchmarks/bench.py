"""Time and peak memory of the chain, side by side with an alternative on the same log.

`make bench [COPIES=8]` takes the shared loan log (or, without it, a made-up one of the same
shape) COPIES times over with other case ids, and runs each contender in a process of its own.
"""

import csv
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.landing.load import land
from orchestration.settings import PROJECT_DIR, Settings
from tests.benchmarks.measuring import measured

LOG = PROJECT_DIR.parent / "shared" / "data" / "bpic2012"
LOAN_MAP = PROJECT_DIR / "examples" / "loan_application"
COLUMNS = "source_case_id, activity, lifecycle, resource, occurred_at"
STAGES = ["A_SUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "O_SENT", "O_SENT_BACK", "A_APPROVED"]


def made_up_log(path: Path, cases: int = 13_000) -> None:
    """A log of the loan's activities, for machines without the shared data."""
    draw = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(", "))
        for case in range(cases):
            at = datetime(2011, 10, 1, tzinfo=UTC) + timedelta(minutes=draw.randrange(230_000))
            for activity in STAGES[: draw.randint(1, len(STAGES))]:
                for _ in range(draw.randint(1, 6)):
                    writer.writerow([case, f"{activity}", "COMPLETE", "1", at.isoformat()])
                    at += timedelta(minutes=draw.randrange(3_000))


def write_events(path: Path, rows: int = 1_000_000) -> None:
    """Product events of 50,000 customers, each with two properties, as CSV."""
    path.parent.mkdir()
    with path.open("w") as file:
        file.write("event_id,customer_id,event_name,occurred_at,properties\n")
        for number in range(rows):
            moment = f"2024-01-{number % 28 + 1:02}T{number % 24:02}:00:00+01:00"
            properties = f'"{{""page"":""/{number % 9}"",""plan"":""pro""}}"'
            file.write(f"e{number},c{number % 50_000},page_view,{moment},{properties}\n")


def land_csv(home: Path) -> None:
    land(home / "csv.duckdb", home / "csv", home / "csv")


def read_csv_with_pandas(home: Path) -> None:
    import pandas as pd

    events = pd.read_csv(home / "csv" / "events.csv", dtype=str)
    events["occurred_at"] = pd.to_datetime(events["occurred_at"], utc=True, errors="coerce")
    events = events.drop_duplicates()


def land_xes(home: Path) -> None:
    land(home / "warehouse.duckdb", LOG, LOAN_MAP)


def read_xes_with_pm4py(_: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # its progress bar
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import pm4py

    pm4py.read_xes(str(LOG / "bpic2012.xes.gz"))


def land_parquet(home: Path) -> None:
    land(home / "warehouse.duckdb", home / "files", home / "files")


def facts_with_dbt(home: Path, *arguments: str) -> None:
    settings = Settings(home=home)
    subprocess.run(
        [
            *(Path(sys.executable).parent / "dbt", "build", "--quiet", "--profiles-dir", "."),
            *("--exclude-resource-type", "test", "unit_test", "--select", "+fct_stage_visits"),
            *arguments,
        ],
        cwd=PROJECT_DIR,
        env={**os.environ, **settings.environ()},
        check=True,
    )


def facts_with_pandas(home: Path) -> None:
    """Visits and their times as one would write them by hand: sort, collapse, shift."""
    import pandas as pd

    log = pd.read_parquet(home / "files" / "event_log.parquet")
    log = log[(log["lifecycle"] == "COMPLETE") & log["activity"].isin(STAGES)]
    log["occurred_at"] = pd.to_datetime(log["occurred_at"], utc=True, format="ISO8601")
    log = log.sort_values(["source_case_id", "occurred_at"], kind="stable")
    new = log["activity"] != log.groupby("source_case_id")["activity"].shift()
    visits = log[new].copy()
    visits["exited_at"] = visits.groupby("source_case_id")["occurred_at"].shift(-1)
    visits.to_parquet(home / "visits.parquet")


def run(what: str, work: Callable[[], None]) -> None:
    """Run a contender; print its wall seconds and peak memory."""
    cost = measured(work)
    print(f"{what:<52}{cost.wall_seconds:>8.1f} s{cost.peak_mb:>8.0f} MB", flush=True)


def main() -> None:
    copies = int(os.environ.get("COPIES", "8"))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        files = home / "files"
        files.mkdir(parents=True)
        write_events(home / "csv" / "events.csv")
        print("1,000,000 events:")
        run("land CSV, journey-gaps (typed, quarantined, stored)", lambda: land_csv(home))
        run("read CSV, pandas (typed, nothing stored)", lambda: read_csv_with_pandas(home))
        if LOG.is_dir():
            print("262,200 events:")
            run("land XES, journey-gaps (typed, quarantined, stored)", lambda: land_xes(home))
            run("read XES, pm4py (a data frame, nothing stored)", lambda: read_xes_with_pm4py(home))
            with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
                ordered = f"select {COLUMNS} from raw.event_log order by event_seq"
                connection.execute(f"copy ({ordered}) to '{home / 'log.parquet'}'")
            (home / "warehouse.duckdb").unlink()
            origin = f"'{home / 'log.parquet'}'"
        else:
            print("skipped: no shared data; a made-up log instead")
            made_up_log(home / "log.csv")
            origin = f"'{home / 'log.csv'}'"
        duckdb.execute(
            f"""copy (
                select copy || '-' || source_case_id as source_case_id, activity, lifecycle,
                    resource, occurred_at
                from {origin}, range({copies}) as copies (copy)
            ) to '{files / "event_log.parquet"}'"""
        )
        counted = duckdb.sql(f"select count(*) from '{files / 'event_log.parquet'}'").fetchall()
        print(f"{counted[0][0]:,} events:")
        settings = Settings(home=home)
        write_seeds(load_journey_map(LOAN_MAP), settings.seed_dir)
        run("land Parquet, journey-gaps", lambda: land_parquet(home))
        run("facts, full build, journey-gaps", lambda: facts_with_dbt(home))
        run("facts, nothing new, journey-gaps", lambda: facts_with_dbt(home))
        run("facts, pandas by hand (no attempts, no as_of)", lambda: facts_with_pandas(home))
        for file in settings.seed_dir.iterdir():
            file.unlink()
        settings.seed_dir.rmdir()


if __name__ == "__main__":
    main()

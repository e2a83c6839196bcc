"""What grows with every day: real runs on a small log that gains a day each, and what they leave.

    python -m tests.benchmarks.growth --days 30

prints, per run, the bytes of each folder of HOME and of the warehouse file.
"""

import argparse
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import duckdb

from orchestration.settings import PROJECT_DIR, Settings
from tests.small_runs import write_log, write_map

FIRST_DAY = datetime(2026, 1, 5)
# The log of the first run; a claim is opened every eight hours.
CASES_BEFORE, CASES_A_DAY = 300, 3
FOLDERS = ("dagster", "dbt", "logs", "published")


def main() -> None:
    """Run as many days as asked for, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--home", type=Path, help="kept afterwards (default: a temporary one)")
    arguments = parser.parse_args()
    folder = arguments.home or Path(mkdtemp(prefix="journey-gaps-growth-"))
    try:
        grow(folder.resolve(), arguments.days)
    finally:
        shutil.rmtree(Settings(home=folder / "home").seed_dir, ignore_errors=True)
        if arguments.home is None:
            shutil.rmtree(folder)


def grow(folder: Path, days: int) -> None:
    """Run once a day; every day a file with the day's cases and a row that breaks the contract."""
    folder.mkdir(parents=True, exist_ok=True)
    map_dir, landing = write_map(folder / "map"), folder / "landing"
    (landing / "event_log").mkdir(parents=True)
    columns = ["warehouse", *FOLDERS, "rest", "quarantine rows", "raw rows"]
    print("day " + " ".join(f"{column:>15}" for column in columns))
    for day in range(days):
        cases = CASES_BEFORE if day == 0 else CASES_A_DAY
        first = 0 if day == 0 else CASES_BEFORE + CASES_A_DAY * (day - 1)
        name = f"{day:03}.csv"
        write_log(landing / "event_log", name, first=first, cases=cases)
        with (landing / "event_log" / name).open("a") as log:
            log.write(f"claim-{first},open,day {day}\n")
        as_of = FIRST_DAY + timedelta(hours=8 * (first + cases), days=5)
        seconds = run(folder / "home", map_dir, landing, as_of)
        figures = " ".join(f"{figure:15,}" for figure in measured(folder / "home"))
        print(f"{day + 1:3} {figures}  {seconds:.0f} s", flush=True)


def run(home: Path, map_dir: Path, landing: Path, as_of: datetime) -> float:
    """One run in a process of its own; stop where it fails. Returns seconds."""
    began = datetime.now()
    flags = ["--home", home, "--map", map_dir, "--landing", landing, "--as-of", as_of.isoformat()]
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "run", *map(str, flags)],
        cwd=PROJECT_DIR,
        env={k: v for k, v in os.environ.items() if not k.startswith("JOURNEY_GAPS_HOME")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return (datetime.now() - began).total_seconds()


def measured(home: Path) -> list[int]:
    """Bytes of the warehouse, of each folder and of all the rest; rows in quarantine and raw."""
    folders = [size(home / name) for name in FOLDERS]
    warehouse = (home / "warehouse.duckdb").stat().st_size
    with duckdb.connect(home / "warehouse.duckdb", read_only=True) as connection:
        [rows] = connection.execute(
            "select (select count(*) from quarantine.event_log),"
            " (select count(*) from raw.event_log)"
        ).fetchall()
    return [warehouse, *folders, size(home) - warehouse - sum(folders), *rows]


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()

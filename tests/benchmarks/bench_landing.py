"""Time the landing of one million events from CSV, and of the bpic2012 log as XES.

Run `.venv/bin/python tests/benchmarks/bench_landing.py`. It prints seconds and rows a second; it
asserts nothing, since a clock on a shared machine proves nothing.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestration.landing import land
from orchestration.settings import PROJECT_DIR

ROWS = 1_000_000
LOG = PROJECT_DIR.parent / "shared" / "data" / "bpic2012"


def write_events(path: Path) -> None:
    """`ROWS` events of 50,000 customers, each with two properties."""
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        file.write("event_id,customer_id,event_name,occurred_at,properties\n")
        for number in range(ROWS):
            moment = f"2024-01-{number % 28 + 1:02}T{number % 24:02}:00:00+01:00"
            properties = f'"{{""page"":""/{number % 9}"",""plan"":""pro""}}"'
            file.write(f"e{number},c{number % 50_000},page_view,{moment},{properties}\n")


def report(label: str, landing_dir: Path, map_dir: Path) -> None:
    """Land a folder in a new warehouse and print how long it took."""
    begun = time.perf_counter()
    result = land(map_dir / "warehouse.duckdb", landing_dir, map_dir)
    seconds = time.perf_counter() - begun
    rows = sum(counts.rows_kept for counts in result.totals)
    print(f"{label}: {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} a second")


def main() -> None:
    """Run both."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_events(root / "landing" / "events.csv")
        report("events.csv", root / "landing", root)
    if LOG.is_dir():
        with TemporaryDirectory() as folder:
            text = "sources: [{name: log, files: bpic2012.xes.gz, table: event_log}]\n"
            (Path(folder) / "landing.yml").write_text(text)
            report("bpic2012.xes.gz", LOG, Path(folder))


if __name__ == "__main__":
    main()

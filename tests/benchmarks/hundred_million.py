"""Full build, increments, publication and gates at 10 and 100 million events, about 20 a case.

`make bench-scale [SIZES=10,100]`. The raw tables are written as they land, without the landing's
work, so the build's figures are those of dbt's models. BENCH_DIR names a folder for the files (at
100 million events they take about 40 GB, temporary ones among them), BENCH_MEMORY DuckDB's limit.
Each step runs in a process of its own; without dbt's start-up where models are counted.
"""

import json
import os
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.defs.models.assets import published_marts
from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.publish.contracts import sort_orders
from orchestration.publish.publication import DATABASE, publish
from orchestration.settings import Settings
from orchestration.validation.suites import run_suites
from orchestration.warehouse import warehouse_of
from tests.benchmarks.measuring import Cost, measured
from tests.benchmarks.scale import (
    INCREMENT,
    MAP,
    MILLION,
    STAGES,
    THREADS,
    add_load,
    build,
    line,
    scattered,
    seed,
    show_build,
    write_parquet,
    write_warehouse,
)
from tests.cookbook import recipes
from tests.maps import write_tables

EVENTS_A_CASE = 20
MEMORY = "8GiB"
# Of each query of the cookbook, of which the median counts.
TURNS = 5
# The cookbook has the demo's names: those of the benchmark's map in their place, or a query about
# a journey that is not there would read nothing.
NAMES = {
    "lead_to_customer": "buying",
    "onboarding": "buying",
    "signed_up": "stage_1",
    "workspace_created": "stage_1",
    "activated": f"stage_{STAGES}",
    "2026-05-01": "2024-05-01",
    "2026-06-01": "2024-06-01",
    "2026-06-02": "2024-06-02",
}


class Growth(NamedTuple):
    """What is compared between sizes, in CPU seconds."""

    full: float
    next_events: float
    any_customers: float


@contextmanager
def spilled(folder: Path) -> Iterator[list[int]]:
    """The most bytes that files in `folder` took meanwhile, seen every second."""
    most, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(1):
            most[0] = max(most[0], size_of(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        is_over.set()
        watcher.join()


def size_of(folder: Path) -> int:
    """Bytes of all files below; one that goes meanwhile counts nothing."""
    sizes = 0
    for file in folder.rglob("*"):
        try:
            sizes += file.lstat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return sizes


def run_build(settings: Settings, what: str, *arguments: str) -> Cost:
    """A build, its groups of models printed; how much was spilled goes to a line below."""
    spills = settings.warehouse.with_name(f"{settings.warehouse.name}.tmp")

    def work() -> tuple[dict[str, tuple[float, float]], int]:
        with spilled(spills) as most:
            nodes = build(settings, *arguments)
        return nodes, most[0]

    cost = measured(work)
    nodes, most = cost.result
    shown = cost._replace(result=nodes)
    show_build(what, shown)
    gigabytes("spilled at most", most)
    gigabytes("warehouse", settings.warehouse.stat().st_size)
    return shown


def gigabytes(what: str, size: int) -> None:
    print(f"| {what} | | | {size / 1e9:,.2f} GB |", flush=True)


def models(cost: Cost) -> float:
    """CPU seconds of all models of a build."""
    return float(sum(cpu for cpu, _ in cost.result.values()))


def show_cost(what: str, cost: Cost) -> None:
    line(what, cost.cpu_seconds, cost.wall_seconds, cost.peak_mb)


def publication(settings: Settings) -> Path:
    """Publish every mart, without report and manifest's inputs. Returns the folder."""
    manifest = json.loads((settings.dbt_target_dir / "manifest.json").read_text())
    marts = [mart.path[-1] for mart in published_marts(manifest)]
    return publish(
        warehouse_of(settings),
        settings.home / "published",
        marts,
        {},
        "scale",
        sorted_by=sort_orders(manifest),
    ).folder


def gate(settings: Settings, schema: str) -> int:
    """Evaluate every suite of a schema. Returns how many expectations there were."""
    tables = sorted(
        file.stem.removeprefix(f"{schema}__")
        for file in settings.expectations.glob(f"{schema}__*.json")
    )
    return len(run_suites(warehouse_of(settings), schema, tables, settings.expectations))


def ask_cookbook(database: Path) -> dict[int, float]:
    """Median milliseconds of each query on an open publication, by its number.

    Until all rows are there as columns, as a tool takes them: to make Python's objects of the
    58,000 open visits at 100 million events takes longer than to find them.
    """
    with duckdb.connect(str(database), read_only=True, config={"threads": THREADS}) as connection:
        found = {}
        for recipe in recipes():
            sql = re.sub(r"'([\w-]+)'", lambda name: f"'{NAMES.get(name[1], name[1])}'", recipe.sql)
            turns = []
            for _ in range(TURNS):
                began = time.perf_counter()
                connection.execute(sql).to_arrow_table()
                turns.append((time.perf_counter() - began) * 1000)
            found[recipe.number] = statistics.median(turns)
    return found


def show_reading(settings: Settings, full: Cost) -> None:
    """Gates, publication and the cookbook's queries on what stands in the warehouse."""
    raw = measured(lambda: gate(settings, "raw"))
    show_cost(f"gate after landing: {raw.result} expectations", raw)
    marts = measured(lambda: gate(settings, "marts"))
    show_cost(f"gate before publishing: {marts.result} expectations", marts)
    published = measured(lambda: publication(settings))
    show_cost("publication", published)
    folder: Path = published.result
    gigabytes("publication: DuckDB file", (folder / DATABASE).stat().st_size)
    gigabytes("publication: Parquet", sum(file.stat().st_size for file in folder.glob("*.parquet")))
    asked: dict[int, float] = measured(lambda: ask_cookbook(folder / DATABASE)).result
    slowest = sorted(asked.items(), key=lambda item: -item[1])
    print(f"\ncookbook, ms: {', '.join(f'{number}: {ms:.0f}' for number, ms in slowest)}")
    gates = (raw.cpu_seconds + marts.cpu_seconds) / models(full)
    wall = sum(seconds for _, seconds in full.result.values())
    print(f"gates / models: {gates:.2f} CPU, ", end="")
    print(f"{(raw.wall_seconds + marts.wall_seconds) / wall:.2f} wall", flush=True)


def run_size(folder: Path, size: float, memory: str) -> Growth:
    """Everything at one size, in a folder that is there; it is left to the caller."""
    path, increment = folder / "events.parquet", folder / "increment.parquet"
    write_parquet(path, increment, int(size * MILLION), events_a_case=EVENTS_A_CASE)
    [(events, cases)] = duckdb.sql(
        f"select count(*), count(distinct entity_id) from '{path}'"
    ).fetchall()
    print(f"\n### {events:,} events of {cases:,} customers, {memory}\n")
    print("| what | CPU s | wall s | peak MB |\n|---|---|---|---|")
    settings = Settings(home=folder / "home", threads=1, memory_limit=memory)
    write_seeds(load_journey_map(write_tables(folder / "map", MAP)), settings.seed_dir)
    try:
        write_warehouse(settings, path)
        gigabytes("raw tables", settings.warehouse.stat().st_size)
        measured(lambda: seed(settings))
        full = run_build(settings, "full build")
        show_reading(settings, full)
        shutil.rmtree(settings.home / "published")
        print("\n| what | CPU s | wall s | peak MB |\n|---|---|---|---|")
        add_load(settings, f"'{increment}'", 2)
        following = run_build(settings, f"{INCREMENT:,} more")
        add_load(settings, scattered(path), 3)
        scattering = run_build(settings, f"{INCREMENT:,} of any customers")
    finally:
        shutil.rmtree(settings.seed_dir)
    return Growth(models(full), models(following), models(scattering))


def main() -> None:
    """Run the sizes and compare the last with the first."""
    sizes = [float(size) for size in os.environ.get("SIZES", "10,100").split(",")]
    memory = os.environ.get("BENCH_MEMORY", MEMORY)
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            found.append(run_size(Path(name), size, memory))
    if len(sizes) > 1:
        print(f"\nat {sizes[-1]:g} M / at {sizes[0]:g} M, CPU seconds:")
        for what, last, first in zip(Growth._fields, found[-1], found[0], strict=True):
            print(f"{what}: {last / first:.2f}")


if __name__ == "__main__":
    main()

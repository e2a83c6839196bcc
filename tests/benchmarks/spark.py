"""A full build and two increments on a Spark cluster of two workers: shuffle, spilling and skew.

`make bench-spark [SIZE=1]`, in million events. The figures are of the cluster's event log, model
by model: beside the build's, those of 50,000 newest events and of a few late events of few
customers, and how many partitions of each incremental table were written anew.
"""

import math
import os
import tempfile
import time
from pathlib import Path

import pandas as pd

from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.settings import Settings, Target
from orchestration.warehouse.spark import spark_warehouse
from tests.benchmarks.hundred_million import EVENTS_A_CASE
from tests.benchmarks.measuring import Cost, measured
from tests.benchmarks.scale import (
    INCREMENT,
    MAP,
    MILLION,
    add_load,
    build,
    seed,
    write_parquet,
    write_warehouse,
)
from tests.engines.spark_cluster import running_cluster
from tests.engines.spark_log import by_model
from tests.maps import write_tables

FEW = 10
# Those that shuffle most; the sum is of all.
SHOWN = 25


def partitions(warehouse: Path, since: float) -> pd.DataFrame:
    """Partitions of each table, and how many of them were written from `since` (Unix time) on."""
    found = [
        {"model": table.name, "partitions": len(folders), "written": sum(newer)}
        for table in sorted(warehouse.glob("intermediate.db/*"))
        if (folders := [folder for folder in table.glob("*=*") if folder.is_dir()])
        for newer in [[folder.stat().st_mtime >= since for folder in folders]]
    ]
    return pd.DataFrame(found, columns=["model", "partitions", "written"])


def show(what: str, cost: Cost, log: pd.DataFrame, written: pd.DataFrame) -> None:
    """Print a build's table: the sum, then the models that shuffle most."""
    print(f"\n### {what}: {cost.wall_seconds:,.0f} s, dbt itself {cost.cpu_seconds:,.0f} CPU s\n")
    print("| model | tasks | CPU s | shuffled, MB | spilled, MB | skew | partitions written |")
    print("|---|---|---|---|---|---|---|")
    sums = log[["tasks", "cpu_seconds", "shuffle_mb", "spilled_mb"]].sum()
    worst = log["skew"].max()
    print(
        f"| all | {sums.tasks:,.0f} | {sums.cpu_seconds:,.1f} | {sums.shuffle_mb:,.1f} "
        f"| {sums.spilled_mb:,.1f} | {worst:,.1f} | |"
    )
    for row in log.merge(written, how="left", on="model").head(SHOWN).to_dict("records"):
        skew = "" if math.isnan(row["skew"]) else f"{row['skew']:,.1f}"
        places = (
            ""
            if math.isnan(row["written"])
            else f"{row['written']:,.0f} of {row['partitions']:,.0f}"
        )
        print(
            f"| `{row['model']}` | {row['tasks']:,.0f} | {row['cpu_seconds']:,.1f} "
            f"| {row['shuffle_mb']:,.1f} | {row['spilled_mb']:,.1f} | {skew} | {places} |",
            flush=True,
        )


def few(path: Path) -> str:
    """A late event of each of the first customers."""
    return f"""(
        select
            any_value(event_id) as event_id,
            entity_id,
            any_value(stage) as stage,
            any_value(segment) as segment,
            min(event_ts) + interval 1 minute as event_ts
        from '{path}'
        group by entity_id
        order by entity_id
        limit {FEW}
    )"""


def main() -> None:
    """Build three times, then read the event log of the stopped cluster."""
    size = float(os.environ.get("SIZE", "1"))
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        path, increment = folder / "events.parquet", folder / "increment.parquet"
        write_parquet(path, increment, int(size * MILLION), events_a_case=EVENTS_A_CASE)
        loads = {
            f"{INCREMENT:,} newest events": f"'{increment}'",
            f"{FEW} late events of {FEW} customers": few(path),
        }
        cluster_folder = folder / "cluster"
        cluster_folder.mkdir()
        builds = []
        with running_cluster(cluster_folder) as cluster:
            settings = Settings(
                home=folder / "home",
                target=Target.SPARK,
                spark_port=cluster.port,
                spark_staging=folder / "staging",
            )
            write_seeds(load_journey_map(write_tables(folder / "map", MAP)), settings.seed_dir)
            write_warehouse(settings, path)
            steps = [(f"full build of {size:g} million events", None), *loads.items()]
            for load, (what, relation) in enumerate(steps, start=1):
                if relation is not None:
                    add_load(settings, relation, load)
                measured(lambda: spark_warehouse(settings).receive(settings.warehouse))
                if relation is None:
                    measured(lambda: seed(settings))
                began = time.time()
                cost = measured(lambda: build(settings))
                written = partitions(cluster_folder / "warehouse", began)
                builds.append((what, cost, began, time.time(), written))
        for what, cost, began, ended, written in builds:
            show(what, cost, by_model(cluster.event_log, began, ended), written)


if __name__ == "__main__":
    main()

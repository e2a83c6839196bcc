"""What Spark's event log says of a build: shuffle volume, spilling and skew, model by model.

Also a program that prints the table of a log: `python -m tests.engines.spark_log FILE`.
"""

import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

# dbt names the model in a comment before each statement, which describes the job.
NODE = re.compile(r'"node_id": "model\.journey_gaps\.(\w+)"')
MEGABYTE = 1_000_000
# Of a stage with fewer rows no task is long enough to be waited for.
ROWS_OF_A_SKEWED_STAGE = 10_000


def by_model(event_log: Path, since: float = 0, until: float = math.inf) -> pd.DataFrame:
    """Sum up the finished tasks of each model's statements; one row per model, by shuffle.

    Of jobs submitted from `since` on and before `until`, in seconds of Unix time. Columns: model;
    tasks; cpu_seconds (of executors); shuffle_mb (written to be read by other tasks); spilled_mb
    (to disk); skew: of its stages of 10,000 rows and more from a shuffle the largest ratio of a
    task's rows to the median task's, NaN without such a stage.
    """
    model_of: dict[int, str] = {}
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    rows: dict[tuple[str, int], list[int]] = defaultdict(list)
    with event_log.open(encoding="utf-8") as lines:
        for line in lines:
            # Most lines are of other events, and long.
            if line.startswith('{"Event":"SparkListenerJobStart"'):
                _take_job(json.loads(line), model_of, since, until)
            elif line.startswith('{"Event":"SparkListenerTaskEnd"'):
                _take_task(json.loads(line), model_of, sums, rows)
    skew: dict[str, float] = {}
    for (model, _), counts in rows.items():
        if sum(counts) >= ROWS_OF_A_SKEWED_STAGE:
            skew[model] = max(skew.get(model, 1), max(counts) / max(median(counts), 1))
    found = pd.DataFrame(
        [{"model": model, **values, "skew": skew.get(model)} for model, values in sums.items()],
        columns=["model", "tasks", "cpu_seconds", "shuffle_mb", "spilled_mb", "skew"],
    )
    return found.sort_values("shuffle_mb", ascending=False, ignore_index=True)


def _take_job(event: dict[str, Any], model_of: dict[int, str], since: float, until: float) -> None:
    if not since <= event["Submission Time"] / 1000 < until:
        return
    node = NODE.search(event["Properties"].get("spark.job.description", ""))
    if node:
        model_of.update(dict.fromkeys(event["Stage IDs"], node[1]))


def _take_task(
    event: dict[str, Any],
    model_of: dict[int, str],
    sums: dict[str, dict[str, float]],
    rows: dict[tuple[str, int], list[int]],
) -> None:
    model, metrics = model_of.get(event["Stage ID"]), event.get("Task Metrics")
    if model is None or metrics is None or event["Task End Reason"]["Reason"] != "Success":
        return
    read = metrics["Shuffle Read Metrics"]["Total Records Read"]
    if read:
        rows[model, event["Stage ID"]].append(read)
    written = metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
    values = sums[model]
    values["tasks"] += 1
    values["cpu_seconds"] += metrics["Executor CPU Time"] / 1e9
    values["shuffle_mb"] += written / MEGABYTE
    values["spilled_mb"] += metrics["Disk Bytes Spilled"] / MEGABYTE


if __name__ == "__main__":
    print(by_model(Path(sys.argv[1])).round(2).to_string(index=False))

"""What two runs on one HOME leave in its books, where the second found nothing new."""

import json
from pathlib import Path
from typing import Any

from orchestration.audit import BOOK, read_runs
from orchestration.publish.publication import read_manifest
from orchestration.settings import PROJECT_DIR


def require_books_of_two_runs(home: Path) -> None:
    """Raise AssertionError unless the book of runs and the structured logs tell of both runs.

    The first landed `event_log.csv` with 600 rows; both published.
    """
    first, second = read_runs(home).rows
    _require_rows(home, first, second)
    logs = [
        [json.loads(line) for line in file.read_text().splitlines()]
        for file in (home / "logs").glob("run-*.jsonl")
    ]
    assert {log[0]["run_id"] for log in logs} == {first["run_id"], second["run_id"]}
    events = [[entry["event"] for entry in log] for log in logs]
    assert all(names[0] == "run_started" and names[-1] == "run_recorded" for names in events)
    assert all({"step_started", "step_succeeded", "published"} <= set(names) for names in events)
    assert sum("waiting_for_lock" in names for names in events) == 1
    assert sum("file_landed" in names for names in events) == 1


def _require_rows(home: Path, first: dict[str, Any], second: dict[str, Any]) -> None:
    assert (first["outcome"], second["outcome"]) == ("published", "published")
    [landed] = first["inputs"]
    assert (landed["source_file"], landed["rows_kept"]) == ("event_log.csv", 600)
    assert (second["inputs"], second["load_id"]) == ([], None)
    manifest = read_manifest(home / "published")
    [of_manifest] = manifest["inputs"]
    assert of_manifest["file_sha256"] == landed["file_sha256"]
    assert second["publication_id"] == manifest["publication_id"]
    assert second["as_of"] == manifest["as_of"]
    assert second["rows"]["raw/event_log"] == 600
    assert second["rows"]["marts/gap_ranking"] > 0
    assert [step["step"] for step in first["steps"]][-1] == "publication"
    assert len(first["slowest_models"]) == 10
    assert first["checks"]["passed"] > 100
    book = (home / BOOK).read_text()
    assert str(home) not in book
    assert str(PROJECT_DIR) not in book

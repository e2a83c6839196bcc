"""Alerts of whole runs, received by a real server; the webhook's secret is nowhere in HOME."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.locking import WarehouseLock
from tests.receiver import TOKEN, Receiver, receiver
from tests.small_runs import Home, write_log, write_map

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as kept:
        yield kept


@pytest.fixture
def home(tmp_path: Path, server: Receiver) -> Iterator[Home]:
    variables = {
        "JOURNEY_GAPS_ENV": "prod",
        "JOURNEY_GAPS_ALERT_WEBHOOK": server.webhook,
        "JOURNEY_GAPS_ALERT_FORMAT": "json",
        "NO_PROXY": "127.0.0.1",
    }
    home = Home(
        tmp_path / "home", write_map(tmp_path / "map"), write_log(tmp_path / "landing"), variables
    )
    (home.landing / "event_log.csv").rename(home.landing / "of_no_table.csv")
    yield home
    shutil.rmtree(home.settings.seed_dir, ignore_errors=True)


def test_what_fails_is_told_once_and_the_secret_is_nowhere(home: Home, server: Receiver) -> None:
    # A critical check, of a run that has the warehouse.
    assert home.run().exit_code == 1
    [check] = server.bodies
    assert (check["kind"], check["key"]) == ("failed_check", "failed_check:raw/event_log:is_landed")
    assert check["environment"] == "prod"
    assert "no file of it has ever landed" in check["sentences"][0]
    with home.instance() as instance:
        assert check["run_id"] == home.runs(instance)[0].run_id

    # A run that never gets it; the webhook has trouble, and is asked three times.
    server.answers = [500] * 3
    other = WarehouseLock(home.settings.warehouse, "somebody-elses")
    other.acquire(0)
    try:
        run = home.run("--lock-timeout", "0")
    finally:
        other.release()
    assert run.exit_code == 1
    assert [body["kind"] for body in server.bodies[1:]] == ["run_failure"] * 3
    assert f"in use by run somebody-elses (pid {os.getpid()}" in server.bodies[-1]["sentences"][0]

    # The same failure as the first.
    assert home.run().exit_code == 1
    assert len(server.bodies) == 4

    log = (home.home / "alerts.jsonl").read_text()
    assert "pending: the webhook answered 500 (3 tries)" in log
    assert TOKEN not in run.output + run.errors
    files = [file for file in home.home.rglob("*") if file.is_file()]
    assert len(files) > 20
    assert [file for file in files if TOKEN.encode() in file.read_bytes()] == []
    with home.instance() as instance:
        assert all(TOKEN not in str(run) for run in instance.get_runs())
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}

"""Dagster's UI as a user finds it after `journey-gaps dev`, in a real Chromium.

One landing folder with a file that cannot be read, everything materialized by a click, then
what the pages say.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import IO

import dagster as dg
import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

from orchestration.settings import PROJECT_DIR, Settings

pytestmark = pytest.mark.slow

CHAIN = (
    *("journey_map", "landing", "staging", "intermediate", "facts", "measures", "actions"),
    *("gaps", "published"),
)
SECONDS = 1000
START_SECONDS, PAGE_SECONDS, RUN_SECONDS, END_SECONDS = 180, 180, 900, 90
# The shell of a script starts it like this with `&`: interrupts are ignored.
IN_BACKGROUND = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")


class Output(Thread):
    """Reads what the UI and its children print, until the last of them has ended."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self.serving = Event()
        self._stream = stream

    def run(self) -> None:
        for line in self._stream:
            self.lines.append(line)
            if "Serving dagster-webserver" in line:
                self.serving.set()
        self.serving.set()


@dataclass(frozen=True)
class Ui:
    """The UI of one HOME, its process and an open page."""

    address: str
    settings: Settings
    process: subprocess.Popen[str]
    output: Output
    page: Page

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def navigate(self, name: str) -> Page:
        self.page.get_by_role("navigation").get_by_text(name, exact=True).click()
        return self.page

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.settings.dagster_dir))

    def run_to_success(self, button: str) -> str:
        """Click what launches a run, follow it to its page and wait there; its id."""
        # An icon's name is part of a button's.
        self.page.get_by_role("button", name=re.compile(f"(^| ){button}$")).first.click()
        launched = self.page.get_by_role("listitem").filter(has_text="Launched run")
        launched.get_by_role("link", name="View").click()
        expect(self.page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
        ended = self.page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first
        expect(ended).to_have_text("Success", timeout=RUN_SECONDS * SECONDS)
        return self.page.url.rpartition("/")[2].partition("?")[0]


def wait_for_listener(port: int, process: subprocess.Popen[str]) -> bool:
    """Whether the server listens before it ends: it says that it serves a moment too early."""
    for _ in range(START_SECONDS * 10):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            return False
    return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def ui(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The UI on the demo's files and one more, which is UTF-16."""
    folder = tmp_path_factory.mktemp("ui")
    settings = Settings(home=folder / "home", landing=folder / "landing")
    shutil.copytree(PROJECT_DIR / "seeds" / "demo", settings.landing_dir)
    (settings.landing_dir / "event_log.csv").write_text("source_case_id,activity", "utf-16")
    port = free_port()
    command = [*IN_BACKGROUND, sys.executable, "-m", "orchestration", "dev", "--port", str(port)]
    command += ["--home", str(settings.home), "--landing", str(settings.landing_dir)]
    process = subprocess.Popen(
        command,
        cwd=PROJECT_DIR,
        env={k: v for k, v in os.environ.items() if not k.startswith("JOURNEY_GAPS_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = Output(process.stdout)
    output.start()
    try:
        served = output.serving.wait(START_SECONDS) and wait_for_listener(port, process)
        assert served, "".join(output.lines)
        address = f"http://127.0.0.1:{port}"
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PAGE_SECONDS * SECONDS)
        expect.set_options(timeout=PAGE_SECONDS * SECONDS)
        yield Ui(address, settings, process, output, page)
        page.close()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(settings.seed_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def everything(ui: Ui) -> str:
    """The run that `Materialize all` launched, a success; its id."""
    ui.open("/")
    ui.navigate("Lineage")
    return ui.run_to_success("Materialize all")


def test_the_groups_stand_in_the_order_of_the_chain(ui: Ui) -> None:
    ui.open("/")
    page = ui.navigate("Lineage")
    places = []
    for group in CHAIN:
        node = page.locator("foreignObject").get_by_text(group, exact=True)
        expect(node).to_be_visible()
        box = node.bounding_box()
        assert box is not None
        places.append(box["x"])
    assert places == sorted(set(places))


def test_materialize_all_publishes(ui: Ui, everything: str) -> None:
    [publication] = (ui.settings.published_dir / "runs").iterdir()
    assert publication.name.endswith(everything[:8])
    assert (ui.settings.published_dir / "current").resolve() == publication


def test_every_table_has_its_number_of_rows(ui: Ui, everything: str) -> None:
    with ui.instance() as instance:
        logs = instance.all_logs(everything, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    rows = {}
    for log in logs:
        assert log.asset_materialization is not None
        key, metadata = log.asset_materialization.asset_key, log.asset_materialization.metadata
        if len(key.path) == 2 and key.path[0] != "staging":
            rows[".".join(key.path)] = metadata["dagster/row_count"].value
        if key.path[0] in ("staging", "intermediate", "marts"):
            assert metadata["dagster/column_lineage"].value, key
    with duckdb.connect(ui.settings.warehouse, read_only=True) as connection:
        for table, count in rows.items():
            assert connection.execute(f"select count(*) from {table}").fetchone() == (count,), table
    assert {"raw.loads", "journey_map.stages", "marts.gap_ranking", "marts.fct_stage_visits"} <= (
        set(rows)
    )


def test_a_failed_check_names_the_file_and_the_way_out(ui: Ui, everything: str) -> None:
    assert everything
    page = ui.open("/assets/raw/event_log")
    expect(page.get_by_text("One row per event of a process-mining log.")).to_be_visible()
    page.get_by_role("tab", name="Checks").click()
    page.get_by_text("files_readable").first.click()
    expect(page.get_by_text("Every file of the table could be read")).to_be_visible()
    expect(page.get_by_text("event_log.csv: is UTF-16 (save it as UTF-8)")).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).last).to_be_visible()


def test_a_mart_shows_what_it_is(ui: Ui, everything: str) -> None:
    assert everything
    page = ui.open("/assets/marts/gap_ranking")
    expect(page.get_by_text("One row per measure and benchmark")).to_be_visible()
    expect(page.get_by_text("analytics", exact=True)).to_be_visible()
    with duckdb.connect(ui.settings.warehouse, read_only=True) as connection:
        [(rows,)] = connection.execute("select count(*) from marts.gap_ranking").fetchall()
    status = page.get_by_text("Row count", exact=True).locator("xpath=../..")
    expect(status).to_contain_text(re.compile(rf"Row count\s*{rows:,}"))
    benchmark = page.get_by_role("row").filter(has_text="benchmark_value").first
    expect(benchmark).to_contain_text("double")
    expect(benchmark).to_contain_text("From int_gap_verdicts: benchmark_value")
    benchmark.get_by_role("link", name="int_gap_verdicts").click()
    expect(page).to_have_url(re.compile("/assets/intermediate/int_gap_verdicts"))
    expect(page.get_by_text("From int_benchmarks: ").first).to_be_visible()


def test_the_ranked_gaps_are_two_clicks_away(ui: Ui, everything: str) -> None:
    assert everything
    ui.open("/")
    page = ui.navigate("Catalog")
    page.locator("a[href='/assets/gap_report']").click()
    page.get_by_role("cell", name="top_gaps").wait_for()
    with duckdb.connect(ui.settings.published_dir / "current" / "journey_gaps.duckdb") as published:
        sentences = published.execute(
            "select sentence from gap_ranking where priority_rank is not null"
            " and segment_dimension = 'all' order by priority_rank"
        ).fetchall()
    assert sentences
    for (sentence,) in sentences:
        expect(page.get_by_role("cell", name=sentence, exact=True)).to_be_visible()
    picture = page.get_by_role("img", name="Actual against the benchmark, the line")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


def test_one_mart_can_be_materialized_alone(ui: Ui, everything: str) -> None:
    assert everything
    ui.open("/assets/marts/gap_trends")
    run_id = ui.run_to_success("Materialize")
    with ui.instance() as instance:
        steps = {stats.step_key for stats in instance.get_run_step_stats(run_id)}
    assert steps == {"dbt_models", "marts_gate"}
    [publication] = (ui.settings.published_dir / "runs").iterdir()
    assert publication.name.endswith(everything[:8])


def test_it_ends_when_it_is_told_to(ui: Ui) -> None:
    """Last: there is no UI behind it."""
    ui.process.terminate()
    assert ui.process.wait(END_SECONDS) is not None
    # The pipe ends with the last process that has it.
    ui.output.join(END_SECONDS)
    assert not ui.output.is_alive(), "some of its processes are still there"

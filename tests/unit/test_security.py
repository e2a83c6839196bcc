"""Texts from files are data: no SQL, no path, no markup, no formula, no terminal command."""

import csv
import gzip
import io
import json
import runpy
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from orchestration.cli.console import escape, harmless, write_csv
from orchestration.errors import InputError
from orchestration.landing import FileResult, Status, land, readers, reconcile
from orchestration.landing.contract import CONTRACT
from orchestration.markdown import plain
from orchestration.settings import PROJECT_DIR

HOSTILE_NAMES = [
    'x"; drop table raw.loads; --',
    "'); attach '/tmp/stolen.duckdb' as stolen; --",
    "{{ env_var('HOME') }}",
    "{% do run_query('drop schema raw') %}",
    'a"}, "b": {"$ref',
    "$.*",
    "line\nbreak",
    "back\\slash'quote\"",
    "c0",
]
ROW = {
    "event_id": "e1",
    "event_name": "'; drop table raw.events; --",
    "occurred_at": "2026-01-01T08:00:00Z",
}


def run(root: Path, declaration: str | None = None) -> dict[str, FileResult]:
    (root / "map").mkdir(exist_ok=True)
    if declaration is not None:
        (root / "map" / "landing.yml").write_text(declaration)
    result = land(root / "home" / "warehouse.duckdb", root / "landing", root / "map")
    return {file.file: file for file in result.files}


def write_table(folder: Path, kind: str) -> None:
    """One event whose columns beyond the contract have hostile names, and values like them."""
    folder.mkdir(parents=True)
    row = ROW | dict.fromkeys(HOSTILE_NAMES, "value '; --")
    match kind:
        case "csv":
            with (folder / "events.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
                writer.writerow(row)
        case "jsonl":
            (folder / "events.jsonl").write_text(json.dumps(row) + "\n")
        case "parquet":
            columns = {name: [value] for name, value in row.items()}
            pq.write_table(pa.table(columns), folder / "events.parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_column_names_are_no_sql(tmp_path: Path, kind: str) -> None:
    write_table(tmp_path / "landing", kind)
    [result] = run(tmp_path).values()
    assert (result.status, result.rows_kept) == (Status.LANDED, 1), result.message
    with closing(duckdb.connect(tmp_path / "home" / "warehouse.duckdb")) as connection:
        [(name, properties)] = connection.execute(
            "select event_name, properties from raw.events"
        ).fetchall()
        assert name == ROW["event_name"]
        assert json.loads(properties) == dict.fromkeys(HOSTILE_NAMES, "value '; --")
        assert [each.difference for each in reconcile(connection)] == [0] * len(CONTRACT)
        databases = connection.execute("select database_name from duckdb_databases()").fetchall()
    assert ("stolen",) not in databases


def test_attributes_of_a_log_are_no_sql(tmp_path: Path) -> None:
    key = "x&quot;; drop table raw.loads; --"
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "event_log.xes").write_text(
        f'<log><trace><string key="concept:name" value="c1"/><event><string key="concept:name"'
        f' value="\'); drop table raw.event_log; --"/><date key="time:timestamp"'
        f' value="2026-01-01T08:00:00Z"/><string key="{key}" value="v"/></event></trace></log>'
    )
    [result] = run(tmp_path).values()
    assert result.rows_kept == 1, result.message
    with closing(duckdb.connect(tmp_path / "home" / "warehouse.duckdb")) as connection:
        [(attributes,)] = connection.execute("select attributes from raw.event_log").fetchall()
    assert json.loads(attributes) == {'x"; drop table raw.loads; --': "v"}


def test_a_mapping_is_no_sql(tmp_path: Path) -> None:
    hostile = "'); drop table raw.loads; --"
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "it's.csv").write_text(
        f'id,when,"{hostile}"\n1,2026-01-01T08:00:00Z,{hostile}\n'
    )
    declaration = {
        "sources": [
            {
                "name": hostile,
                "files": "it's.csv",
                "table": "events",
                "columns": {
                    "event_id": {
                        "composite": ["id", {"constant": hostile}],
                        "separator": "' || (select 1) || '",
                    },
                    "event_name": {"constant": hostile},
                    "occurred_at": "when",
                    "channel": hostile,
                    "properties": {"json": [hostile]},
                },
                "present": [hostile],
                "where": {hostile: [hostile]},
            }
        ]
    }
    [result] = run(tmp_path, json.dumps(declaration)).values()
    assert result.rows_kept == 1, result.message
    with closing(duckdb.connect(tmp_path / "home" / "warehouse.duckdb")) as connection:
        rows = connection.execute("select event_id, event_name, channel from raw.events").fetchall()
    assert rows == [(f"1' || (select 1) || '{hostile}", hostile, hostile)]


@pytest.mark.parametrize("files", ["../secret.csv", "/etc/passwd", "a/../../secret.csv"])
def test_landing_globs_stay_in_their_folder(tmp_path: Path, files: str) -> None:
    (tmp_path / "landing").mkdir()
    declaration = {"sources": [{"name": "s", "files": files, "table": "events"}]}
    with pytest.raises(InputError, match="must lie in the landing folder"):
        run(tmp_path, json.dumps(declaration))


@pytest.mark.parametrize("is_folder", [False, True])
def test_links_that_lead_out_of_the_landing_folder_are_rejected(
    tmp_path: Path, is_folder: bool
) -> None:
    write_table(tmp_path / "elsewhere", "csv")
    (tmp_path / "landing").mkdir()
    declaration = None
    if is_folder:
        (tmp_path / "landing" / "link").symlink_to(tmp_path / "elsewhere")
        source = {"name": "s", "files": "link/events.csv", "table": "events"}
        declaration = json.dumps({"sources": [source]})
    else:
        (tmp_path / "landing" / "events.csv").symlink_to(tmp_path / "elsewhere" / "events.csv")
    [result] = run(tmp_path, declaration).values()
    assert result.status is Status.REJECTED
    assert "leads out of the landing folder" in result.message


def test_links_inside_the_landing_folder_are_read(tmp_path: Path) -> None:
    write_table(tmp_path / "landing" / "2026", "csv")
    (tmp_path / "landing" / "events.csv").symlink_to("2026/events.csv")
    assert run(tmp_path)["events.csv"].rows_kept == 1


def test_what_unpacks_without_end_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_UNPACKED_UNSUSPECTED", 1 << 20)
    (tmp_path / "landing").mkdir()
    bomb = b"event_id,event_name,occurred_at\n" + b"0" * (1 << 24)
    (tmp_path / "landing" / "events.csv.gz").write_bytes(gzip.compress(bomb))
    [result] = run(tmp_path).values()
    assert result.status is Status.REJECTED
    assert "unpacks to more than 200 times its size" in result.message
    assert not list((tmp_path / "home").glob(".landing-*"))


def test_formulas_in_csv_are_texts() -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "plain", "a=b", "\0=1"]
    stream = io.StringIO()
    write_csv(stream, ["name", "=heading"], [[text, number] for number, text in enumerate(texts)])
    [header, *rows] = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    assert header == ["name", "'=heading"]
    expected = [f"'{text}".replace("\r", "\n") for text in texts[:7]] + ["plain", "a=b", "'=1"]
    assert [row[0] for row in rows] == expected


def test_numbers_in_csv_stay_numbers() -> None:
    stream = io.StringIO()
    write_csv(stream, ["value"], [[-1.5], [-2], [None], [True]])
    assert stream.getvalue() == 'value\n-1.5\n-2\n""\nTrue\n'


def test_a_terminal_obeys_no_text_from_data() -> None:
    text = "\x1b]0;owned\x07\x1b[31m[bold]red[/bold]\x9b2J \u202etxt.exe\r"
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, width=200, highlight=False).print(escape(text))
    shown = stream.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\r", "\u202e"} & set(shown)
    assert "[bold]red[/bold]" in shown
    assert harmless("two\nlines\tand ümlauts €") == "two\nlines\tand ümlauts €"


def test_markdown_shows_texts_as_they_stand() -> None:
    text = plain("<img src=x onerror=alert(1)> | [a](javascript:1) ![b](http://c)\n# d `e`")
    assert "<" not in text.replace("\\<", "")
    assert "|" not in text.replace("\\|", "")
    assert "[" not in text.replace("\\[", "")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 of 1 packages audited"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}],
            1,
            "a 1: PYSEC-1 (fixed in 2)",
        ),
        ([{"name": "a", "skip_reason": "not found"}], 2, "NOT audited"),
        ([], 2, "0 of 0"),
    ],
)
def test_what_could_not_be_audited_is_not_clean(
    dependencies: list[dict[str, Any]], code: int, said: str
) -> None:
    verdict = runpy.run_path(str(PROJECT_DIR / ".ci" / "audit.py"))["verdict"]
    found, text = verdict(dependencies)
    assert (found, said in text) == (code, True)

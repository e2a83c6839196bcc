"""`gaps`, `drivers`, `trend` and `compare`: rows, filters, exit codes, forms and hostile names."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.settings import PROJECT_DIR
from tests.terminal_home import EARLIER, HOSTILE, NOW, TABLES, make_current, make_home, publish

SEEN = HOSTILE.replace("\x1b", r"\x1b").replace("\n", r"\n").replace("\u202e", r"\u202e")
COMMANDS = (
    ["gaps"],
    ["drivers", "1"],
    ["trend", "--all"],
    ["compare", "--dimension", "region"],
    ["compare", "--with", EARLIER],
)
JSON_GAPS = ("gaps", "--format", "json")
Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell says is no part of a test."""
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("terminal"))


@pytest.fixture(scope="module")
def invoke(home: Path) -> Invoke:
    def invoke_on(*arguments: str, home: Path = home, charset: str = "utf-8") -> Result:
        result = CliRunner(charset=charset).invoke(app, [*arguments, "--home", str(home)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke_on


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    records: list[dict[str, Any]] = json.loads(result.stdout)
    return records


def published(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(
        home / "published" / "current" / "journey_gaps.duckdb", read_only=True
    ) as connection:
        return connection.execute(sql).fetchall()


def typed(record: dict[str, Any], columns: list[str]) -> tuple[Any, ...]:
    return tuple(record[column] for column in columns)


@pytest.mark.parametrize(
    ("command", "mart", "where"),
    [
        (["gaps"], "gap_ranking", "true"),
        (["drivers", "1"], "gap_drivers", "gap_id = 'contact:all:all'"),
        (["trend", "--all"], "gap_trends", "segment_dimension = 'all'"),
        (["trend", "--segment", "region=dach"], "gap_trends", "segment_value = 'dach'"),
    ],
)
def test_json_has_the_rows_of_the_mart_with_their_types(
    invoke: Invoke, home: Path, command: list[str], mart: str, where: str
) -> None:
    records = rows(invoke(*command, "--format", "json"))
    described = published(home, f"describe {mart}")
    columns = [name for name, *_ in described]
    values = [
        f"{name}::double" if kind.startswith("DECIMAL") else f"{name}::varchar"
        if kind == "DATE" else name
        for name, kind, *_ in described
    ]  # fmt: skip
    expected = published(home, f"select {', '.join(values)} from {mart} where {where}")
    assert expected
    assert sorted(map(repr, (typed(record, columns) for record in records))) == sorted(
        map(repr, expected)
    )


def test_compare_shows_what_the_marts_have(invoke: Invoke, home: Path) -> None:
    records = rows(invoke("compare", "--dimension", "region", "--format", "json"))
    columns = ["stage_id", "segment_value", "n", "value", "ci_low", "ci_high"]
    assert [typed(record, columns) for record in records] == published(
        home,
        """
        select stage_id, segment_value, n, value, ci_low, ci_high
        from fct_measures
        where period_start = '2026-02-23' and stage_id <> 'visited'
        order by stage_id <> 'signed_up', segment_dimension <> 'all', value
        """,
    )
    judged = {
        record["segment_value"]: (record["verdict"], record["others_value"])
        for record in records[:3]
    }
    assert judged == {"all": ("lagging", None), "dach": ("lagging", 0.54), "uk": ("unclear", 0.54)}


def test_compare_with_an_earlier_publication(invoke: Invoke) -> None:
    for earlier in (EARLIER, "previous"):
        records = rows(invoke("compare", "--with", earlier, "--format", "json"))
        assert [(record["gap_id"], record["changed"]) for record in records] == [
            ("contact:all:all", "verdict"),
            ("dropped:all:all", "gone"),
            ("visits:all:all", "new"),
            ("hostile|gap", "benchmark"),
        ]
    first = records[0]
    assert (first["value_before"], first["value_now"]) == (0.55, 0.4)
    assert (first["verdict_before"], first["verdict_now"]) == ("unclear", "lagging")
    output = invoke("compare", "--with", "previous").output
    assert "lagging, was unclear  1, was none" in output
    assert "60.0% (target), was 50.0%" in output
    assert "gone, was lagging" in output


def test_own_past_is_compared_where_it_is_asked_for(invoke: Invoke) -> None:
    arguments = ("--benchmark-kind", "own_past", "--format", "json")
    [record] = rows(invoke("compare", "--with", "previous", *arguments))
    assert (record["verdict_before"], record["verdict_now"]) == ("at_par", "unclear")
    records = rows(invoke("compare", "--dimension", "region", *arguments))
    assert [record["gap_id"] for record in records] == ["own_past:signed_up"]


@pytest.mark.parametrize(
    ("arguments", "gap_ids"),
    [
        (["--stage", "visited"], ["visits:all:all"]),
        (["--stage", "visited", "--journey", "trials"], []),
        (["--verdict", "ahead", "--verdict", "unclear", "--segment", "all"],
         ["visits:all:all", "own_past:signed_up"]),
        (["--segment", "region"], ["contact:region:dach", "contact:region:uk"]),
        (["--segment", "region=uk"], ["contact:region:uk"]),
        (["--benchmark-kind", "target"], ["hostile|gap", "visits:all:all"]),
        (["--metric", "nps"], []),
        (["--stage", HOSTILE], ["hostile|gap"]),
        (["--top", "1"], ["contact:all:all"]),
    ],
)  # fmt: skip
def test_filters(invoke: Invoke, arguments: list[str], gap_ids: list[str]) -> None:
    records = rows(invoke("gaps", "--format", "json", *arguments))
    assert [record["gap_id"] for record in records] == gap_ids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gaps", "--stage", "signedup"], "there is no stage 'signedup': there are signed_up, "),
        (["gaps", "--journey", "lead"], "there is no journey 'lead': there are leads, trials"),
        (["trend", "--metric", "np"], "there is no metric 'np': there are nps, conversion_rate"),
        (["gaps", "--verdict", "laging"], "'laging' is not one of"),
        (["trend", "--fail-on", "lagging"], "'lagging' is not one of"),
        (["gaps", "--segment", "regoin"], "there is no segment dimension 'regoin': there are reg"),
        (["gaps", "--segment", "region=dahc"], "no value of region 'dahc': there are dach, uk"),
        (["gaps", "--stage", "'; drop table gap_ranking; --"], "there is no stage"),
        (["drivers", "7"], "there is no rank '7': there are 1, 2"),
        (["drivers", "contact"], "there is no gap 'contact': there are contact:all:all"),
        (["drivers", "1", "--stage", "visited"], "leave out"),
        (["compare"], "either --dimension or --with"),
        (["compare", "--dimension", "region", "--with", "previous"], "either"),
        (["compare", "--with", "previous", "--value", "uk"], "--value"),
        (["compare", "--dimension", "region", "--value", "ku"], "no value of region 'ku'"),
        (["compare", "--with", "../../.."], "there is no publication"),
        (["compare", "--with", NOW], "is the current publication"),
        (["trend", "--weeks", "27"], "less than or equal to 26"),
    ],
)
def test_wrong_usage_names_what_there_is(
    invoke: Invoke, arguments: list[str], message: str
) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "\x1b[2J" not in result.stderr
    assert (NOW in result.stderr) == (NOW in arguments)
    assert not result.stdout


def test_no_rows_are_said_on_stderr_and_are_no_error(invoke: Invoke) -> None:
    for command in (["gaps"], ["trend"], ["compare", "--with", "previous"], ["drivers"]):
        result = invoke(*command, "--journey", "trials", "--format", "csv")
        assert result.exit_code == 0
        assert result.stderr.endswith(" is as selected.\n")
        assert [line[:30] for line in result.stdout.splitlines()] == [result.stdout[:30]]
        assert rows(invoke(*command, "--journey", "trials", "--format", "json")) == []


def test_a_gap_without_reasons_says_why(invoke: Invoke) -> None:
    result = invoke("drivers", "contact:region:dach")
    assert (result.exit_code, "rates of all cases" in result.stderr) == (0, True)


@pytest.mark.parametrize("format_", ["table", "json", "csv", "md"])
def test_fail_on_exits_4_and_writes_all_the_same(invoke: Invoke, format_: str) -> None:
    plain = invoke("gaps", "--format", format_)
    result = invoke("gaps", "--format", format_, "--fail-on", "unclear", "--fail-on", "lagging")
    assert (plain.exit_code, result.exit_code) == (0, 4)
    assert result.stdout == plain.stdout
    assert result.stderr == "--fail-on found 2 unclear, 3 lagging\n"
    assert invoke("gaps", "--fail-on", "immature", "--format", format_).exit_code == 0


def test_fail_on_heeds_filters_and_not_the_screen(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("gaps", "--stage", "visited", "--fail-on", "lagging").exit_code == 0
    assert invoke("gaps", "--top", "3", "--fail-on", "ahead").exit_code == 0
    ahead = TABLES["gap_ranking"][2]
    many = [{**ahead, "gap_id": f"g{number:02}", "lag_factor": 50 - number} for number in range(30)]
    last = {**ahead, "gap_id": "last", "verdict": "too_few_data", "lag_factor": None}
    publish(tmp_path, NOW, {**TABLES, "gap_ranking": [*many, last]})
    make_current(tmp_path, NOW)
    result = invoke("gaps", "--fail-on", "too_few_data", home=tmp_path)
    assert result.exit_code == 4
    assert "too_few_data" not in result.stdout
    assert "11 more rows: --top" in result.stdout


def test_fail_on_of_trends(invoke: Invoke) -> None:
    assert invoke("trend", "--fail-on", "worsening").exit_code == 4
    result = invoke("trend", "--stage", "visited", "--fail-on", "alert", "--weeks", "1")
    # The newest week that can be compared is older than the one week drawn.
    assert (result.exit_code, result.stderr) == (4, "--fail-on found 1 alert\n")
    assert "  ·    " in result.stdout
    assert invoke("trend", "--stage", "visited", "--fail-on", "worsening").exit_code == 0
    assert len(rows(invoke("trend", "--verdict", "alert", "--format", "json"))) == 2


def test_weeks_without_cases_are_gaps_and_immature_ones_in_parentheses(invoke: Invoke) -> None:
    arguments = ("trend", "--stage", "signed_up")
    output = invoke(*arguments).stdout
    assert "(▃)▁▅··█(▅▂)" in output
    assert "40.0%   50.0%  -10.0 points  -15.0 to -5.0  761  worsening" in output
    assert "70.0% (target), 60.0% (industry)" in output
    assert "(-)_=??#(=.)" in invoke(*arguments, charset="ascii").stdout
    assert "  █(▅▂)" in invoke(*arguments, "--weeks", "3").stdout
    assert "steady, alert of 2026-05-04" in invoke("trend").stdout
    # A score's line begins at its lowest.
    assert "▁█·" in invoke("trend", "--metric", "nps").stdout


def test_drivers_by_rank_by_id_and_by_default_are_the_same(invoke: Invoke) -> None:
    by_rank = invoke("drivers", "1").stdout
    assert by_rank == invoke("drivers").stdout == invoke("drivers", "contact:all:all").stdout
    assert "rate of region dach  -15.0 points  ██████████  761" in by_rank
    assert "rate of region uk     -5.0 points  ███▍        761" in by_rank
    assert "20.0%   54.0%  <0.001    -40.0 points  -45.0 to -36.0" in by_rank
    assert "odds x 0.601  0.283 to 1.27  0.825" in by_rank
    assert "too few to be tested: region uk" in by_rank
    assert "associations" in by_rank
    assert ("a to b5" in by_rank, "a to b6" in by_rank) == (True, False)
    every = rows(invoke("drivers", "1", "--kind", "hand_off", "--format", "json"))
    assert [reason["driver"] for reason in every] == [f"a to b{number}" for number in range(1, 8)]
    assert len(rows(invoke("drivers", "1", "--top", "1", "--format", "json"))) == 5
    assert "##########  761" in invoke("drivers", charset="ascii").stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("format_", ["table", "md"])
def test_hostile_names_are_shown_as_they_stand(
    invoke: Invoke, command: list[str], format_: str
) -> None:
    result = invoke(*command, "--format", format_)
    assert result.exit_code == 0
    assert not {"\x1b", "\u202e", "\r"} & set(result.stdout)
    assert not [line for line in result.stdout.splitlines() if line.startswith("1 forged")]
    if format_ == "table":
        assert SEEN in result.stdout
        return
    html = MarkdownIt("commonmark").enable("table").render(result.stdout)
    assert SEEN in unescape(html)
    assert not {"<img", "<a ", "<code", "<em"} & set(html.replace(">", " ").split())
    # A table has as many cells in each row as it has headings.
    for table in html.split("<table>")[1:]:
        assert table.count("<td") % (table.count("<th") - table.count("<thead")) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_csv_has_the_same_rows_as_json_and_no_formula(invoke: Invoke, command: list[str]) -> None:
    lines = list(csv.reader(io.StringIO(invoke(*command, "--format", "csv").stdout)))
    records = rows(invoke(*command, "--format", "json"))
    assert lines[0] == list(records[0])
    assert len(lines) == len(records) + 1
    assert f"'{HOSTILE}" in {cell for line in lines for cell in line}
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "@"))]


def test_many_owners_are_named_in_part_but_for_machines(invoke: Invoke, tmp_path: Path) -> None:
    teams = ", ".join(f"team-{number}" for number in range(9))
    suggestion = {**TABLES["gap_suggestions"][0], "owner_teams": teams}
    publish(tmp_path, NOW, {**TABLES, "gap_suggestions": [suggestion]})
    make_current(tmp_path, NOW)
    shown = invoke("gaps", home=tmp_path).stdout
    assert "team-0, team-1, team-2, team-3 and 5 more" in shown
    assert "team-4" not in shown
    assert teams in {row["owner_teams"] for row in rows(invoke(*JSON_GAPS, home=tmp_path))}


def test_an_empty_publication_has_nothing_to_show(invoke: Invoke, tmp_path: Path) -> None:
    publish(tmp_path, EARLIER, {})
    publish(tmp_path, NOW, {})
    make_current(tmp_path, NOW)
    for command in (["gaps"], ["drivers"], ["trend"], ["compare", "--with", "previous"]):
        for format_ in ("table", "json", "csv", "md"):
            result = invoke(*command, "--format", format_, home=tmp_path)
            assert (result.exit_code, result.stderr[:3]) == (0, "No ")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME whose current publication lacks marts that the commands read."""
    home = make_home(tmp_path_factory.mktemp("older"))
    with duckdb.connect(home / "published" / "current" / "journey_gaps.duckdb") as connection:
        for mart in ("gap_suggestions", "gap_trends", "gap_drivers", "dim_metrics"):
            connection.execute(f"drop table {mart}")
    return home


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_publication_or_with_one_of_an_older_version(
    invoke: Invoke, tmp_path: Path, older: Path, command: list[str]
) -> None:
    result = invoke(*command, home=tmp_path)
    assert (result.exit_code, "nothing is published in" in result.stderr) == (1, True)
    result = invoke(*command, home=older)
    assert (result.exit_code, "by an older version" in result.stderr) == (1, True)


def test_a_run_at_work_disturbs_no_reader_and_dagster_is_not_loaded(home: Path) -> None:
    (home / "warehouse.duckdb").write_bytes(b"locked, half written, private")
    program = [sys.executable, "-X", "importtime", "-m", "orchestration"]
    result = subprocess.run(
        [*program, "trend", "--stage", "signed_up", "--home", str(home)],
        capture_output=True,
        check=False,
        cwd=PROJECT_DIR,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
    )
    assert result.returncode == 0
    assert b"(-)_=??#(=.)" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.decode().splitlines()}
    assert "orchestration.publish.comparing" in imported
    assert not imported & {"dagster", "dbt", "great_expectations", "pandas"}

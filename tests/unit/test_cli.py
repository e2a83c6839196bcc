"""The command line without a run: settings, the ranking, the map, exit codes."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app, load_settings
from orchestration.settings import PROJECT_DIR, Environment, Target

GAP_RANKING = """
create table gap_ranking as
select
    *,
    'loans' as journey_id,
    'conversion_rate' as metric_id,
    'submitted' as stage_id,
    0.4::double as value,
    0.6::double as benchmark_value,
    1.5::double as lag_factor,
    1310 as n,
    47800.0::double as value_at_stake,
    'EUR' as currency,
    null::varchar as top_reason,
    null::varchar as last_action_id
from (
    values
        ('a_past', 'all', 'all', 'unclear', null, 'own_past'),
        ('at_par', 'all', 'all', 'at_par', null, 'target'),
        ('of a segment', 'region', 'south', 'unclear', null, 'target'),
        ('second', 'all', 'all', 'lagging', 2, 'own_past'),
        ('third', 'region', 'north', 'lagging', 1, 'target'),
        ('slow', 'region', 'north', 'lagging', null, 'own_past'),
        ('first', 'all', 'all', 'lagging', 1, 'target')
) as ranking(
    gap_id, segment_dimension, segment_value, verdict, priority_rank, benchmark_kind
)
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell says is no part of a test."""
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    publication = tmp_path / "published" / "7"
    publication.mkdir(parents=True)
    (tmp_path / "published" / "current").symlink_to("7")
    with duckdb.connect(publication / "journey_gaps.duckdb") as connection:
        connection.execute(GAP_RANKING)
        connection.execute(
            "create table dim_metrics as select 'conversion_rate' as metric_id, 'share' as unit"
        )
        connection.execute("create table gap_suggestions (gap_id varchar, owner_teams varchar)")
        connection.execute("create table fct_action_readouts (action_id varchar, owner varchar)")
    return tmp_path


def invoke(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_gaps_come_totals_before_segments_unranked_later_and_own_past_last(home: Path) -> None:
    exit_code, output = invoke("gaps", "--home", home, "--format", "json")
    assert exit_code == 0
    assert [gap["gap_id"] for gap in json.loads(output)] == [
        "first",
        "second",
        "third",
        "slow",
        "at_par",
        "of a segment",
        "a_past",
    ]


def test_gaps_as_csv_keep_every_column(home: Path) -> None:
    _, output = invoke("gaps", "--home", home, "--format", "csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(output)))
    assert [row["gap_id"] for row in rows] == ["first", "second"]
    assert rows[0]["value"] == "0.4"
    assert rows[0]["priority_rank"] == "1"


def test_gaps_as_a_table(home: Path) -> None:
    exit_code, output = invoke("gaps", "--home", home)
    assert exit_code == 0
    assert "submitted" in output
    assert "40.0%" in output
    assert "60.0% (target)" in output
    assert "1.5" in output
    assert "1,310" in output


def test_gaps_without_a_publication(tmp_path: Path) -> None:
    exit_code, output = invoke("gaps", "--home", tmp_path)
    assert exit_code == 1
    assert f"nothing is published in {tmp_path / 'published'}" in output
    assert "journey-gaps run" in output


def test_the_demo_and_each_example_have_a_home_of_their_own() -> None:
    default = PROJECT_DIR / ".journey-gaps"
    loans = PROJECT_DIR / "examples" / "loan_application"
    assert load_settings().home == default
    assert load_settings(demo=True).home == default / "demo"
    assert load_settings(demo=True).landing_dir == PROJECT_DIR / "seeds" / "demo"
    assert load_settings(map=loans).home == default / "loan_application"
    assert load_settings(map=PROJECT_DIR / "seeds" / "journey_map").home == default


def test_a_flag_goes_before_a_variable_and_a_given_home_before_the_examples_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_ENV", "prod")
    monkeypatch.setenv("JOURNEY_GAPS_HOME", str(tmp_path))
    loans = PROJECT_DIR / "examples" / "loan_application"
    assert load_settings(map=loans).home == tmp_path
    assert load_settings().env is Environment.PROD
    assert load_settings(env=Environment.CI).env is Environment.CI
    assert load_settings(demo=True).home == PROJECT_DIR / ".journey-gaps" / "demo"
    assert load_settings(demo=True, home=tmp_path / "x").home == tmp_path / "x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--env", "prd"], "prd"),
        (["run", "--threads", "0"], "threads: Input should be greater than or equal to 1"),
        (["run", "--memory-limit", "3 gigs"], "memory_limit: Value error, not understood: a size"),
        (["run", "--as-of", "yesterday"], "as_of"),
        (["run", "--demo", "--map", "x"], "--demo brings its own map"),
        (["gaps", "--top", "0"], "--top"),
        (["run", "--postgres-url", "mysql://me:secret@x/y"], "postgres_url: Value error, not"),
        (["sing"], "No such command"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], message: str) -> None:
    exit_code, output = invoke(*arguments)
    assert exit_code == 2
    assert message in output


def test_a_postgres_url_becomes_the_variables_that_every_tool_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGPORT", "6000")
    url = "postgresql://me:p%24s@db.example:5433/gaps?sslmode=require"
    given = load_settings(target=Target.POSTGRES, postgres_url=url)
    assert "p$s" not in repr(given)
    assert {name: value for name, value in given.environ().items() if name.startswith("PG")} == {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "p$s",
        "PGDATABASE": "gaps",
        "PGSSLMODE": "require",
        "PGTZ": "UTC",
        "PGOPTIONS": "-c jit=off",
    }
    without = load_settings(target=Target.POSTGRES).environ()
    assert (without["PGHOST"], without["PGPORT"]) == ("127.0.0.1", "6000")
    assert "PGHOST" not in load_settings().environ()


def test_settings_of_spark_are_the_variables_that_dbt_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_SPARK_AUTH", "LDAP")
    monkeypatch.setenv("JOURNEY_GAPS_SPARK_PASSWORD", "p$s word")
    given = load_settings(target=Target.SPARK, spark_host="thrift.example", home=tmp_path)
    assert "p$s" not in repr(given)
    found = {name: value for name, value in given.environ().items() if "_SPARK_" in name}
    assert found == {
        "JOURNEY_GAPS_SPARK_HOST": "thrift.example",
        "JOURNEY_GAPS_SPARK_PORT": "10000",
        "JOURNEY_GAPS_SPARK_AUTH": "LDAP",
        "JOURNEY_GAPS_SPARK_PASSWORD": "p$s word",
        "JOURNEY_GAPS_SPARK_STAGING": str(tmp_path / "spark-staging"),
        "JOURNEY_GAPS_SPARK_BUCKETS": "32",
    }
    # Step processes read them again.
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    assert load_settings(target=Target.SPARK, home=tmp_path).environ() == given.environ()
    assert not [name for name in load_settings().environ() if "_SPARK_" in name]


def test_an_unknown_environment_in_a_variable_exits_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_ENV", "staging")
    exit_code, output = invoke("gaps")
    assert exit_code == 2
    assert "env: Input should be 'dev', 'ci' or 'prod'" in output


def test_check_map_names_file_line_and_column(tmp_path: Path) -> None:
    for table in (PROJECT_DIR / "seeds" / "journey_map").glob("*.csv"):
        (tmp_path / table.name).write_text(table.read_text())
    assert invoke("check-map", tmp_path)[0] == 0

    journeys = tmp_path / "journeys.csv"
    lines = journeys.read_text().splitlines()
    journeys.write_text("\n".join([lines[0], lines[1].replace("ordered", "sorted")]) + "\n")
    exit_code, output = invoke("check-map", tmp_path)
    assert exit_code == 1
    assert "journeys.csv, line 2, column order_mode: unknown order mode 'sorted'" in output
    assert "Traceback" not in output


def test_both_programs_are_one_and_start_without_dagster(tmp_path: Path) -> None:
    arguments = ["-X", "importtime", "-m", "orchestration", "gaps", "--home", str(tmp_path)]
    gaps = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=PROJECT_DIR
    )
    assert gaps.returncode == 1
    assert "Error: nothing is published" in gaps.stderr
    imported = {line.rpartition("|")[2].strip() for line in gaps.stderr.splitlines()}
    assert "orchestration.cli" in imported
    assert not imported & {"dagster", "dbt", "great_expectations", "pandas"}

    script = Path(sys.executable).with_name("journey-gaps")
    same = subprocess.run(
        [script, "gaps", "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert same.returncode == 1
    assert same.stderr.startswith("Error: nothing is published")

"""The semantic layer gives the figures of fct_measures, by its own SQL and by MetricFlow's."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

RATES = ["conversion_rate", "drop_off_rate", "open_rate"]
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def measures(demo: Workbench) -> pd.DataFrame:
    """The rates of totals: one column each, with n."""
    rows = demo.frame(
        "select * from marts.fct_measures where segment_dimension = 'all' and is_mature"
    )
    rows = rows[rows["metric_id"].isin(RATES)]
    place = ["journey_id", "stage_id", "period_grain", "period_start", "period_end"]
    wide = rows.pivot(index=place, columns="metric_id", values="value")
    counts = rows[rows["metric_id"] == "conversion_rate"].set_index(place)["n"]
    return wide.assign(n=counts).reset_index()


@pytest.fixture(scope="module")
def metricflow(demo: Workbench, tmp_path_factory: pytest.TempPathFactory) -> "MetricFlow":
    """MetricFlow on the demo's warehouse; where it is not installed the test is skipped."""
    program = shutil.which("mf")
    if program is None:
        pytest.skip("skipped: no MetricFlow (docs/semantic_layer.md)")
    project = tmp_path_factory.mktemp("semantic_layer")
    for name in ("dbt_project.yml", "profiles.yml", "macros", "models", "tests"):
        (project / name).symlink_to(PROJECT_DIR / name)
    # It reads the manifest there and nowhere else.
    (project / "target").mkdir()
    manifest = demo.settings.dbt_target_dir / "semantic_manifest.json"
    shutil.copy(manifest, project / "target" / manifest.name)
    return MetricFlow(program, project, demo.home)


class MetricFlow:
    def __init__(self, program: str, project: Path, home: Path) -> None:
        self.program = program
        self.project = project
        self.environ = {
            **os.environ,
            "JOURNEY_GAPS_HOME": str(home),
            "DBT_PROFILES_DIR": str(project),
            # It asks the package index for a newer version of itself.
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }

    def query(self, metrics: list[str], by: list[str], where: str | None = None) -> pd.DataFrame:
        answer = self.project / "answer.csv"
        command = [self.program, "query", "--quiet", "--csv", str(answer)]
        command += ["--metrics", ",".join(metrics), "--group-by", ",".join(by)]
        done = subprocess.run(
            [*command, *(["--where", where] if where else [])],
            cwd=self.project,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return pd.read_csv(answer).rename(columns=lambda name: name.removeprefix("stage__"))


def same(found: pd.DataFrame, expected: pd.DataFrame, by: list[str]) -> None:
    """Every cell of the one is in the other, with its rates and its n."""
    both = found.merge(expected, on=by, how="outer", suffixes=("", "_of_measures"), indicator=True)
    assert set(both["_merge"]) == {"both"}
    assert len(both) == len(expected) > 0
    assert list(both["stage_entries"]) == list(both["n"])
    for rate in RATES:
        assert both[rate].tolist() == pytest.approx(both[f"{rate}_of_measures"].tolist()), rate


def test_what_its_filter_lets_through_is_what_measures_count(
    demo: Workbench, measures: pd.DataFrame
) -> None:
    """The YAML's expressions, without MetricFlow."""
    manifest = json.loads((demo.settings.dbt_target_dir / "semantic_manifest.json").read_text())
    models = {model["name"]: model for model in manifest["semantic_models"]}
    sums = ", ".join(
        f"sum({measure['expr']}) as {measure['name']}"
        for measure in models["stage_entries"]["measures"]
    )
    [mature_until] = [
        dimension["expr"]
        for dimension in models["stages"]["dimensions"]
        if dimension["name"] == "mature_until"
    ]
    filters = {
        metric["filter"]["where_filters"][0]["where_sql_template"]
        for metric in manifest["metrics"]
        if metric["name"].startswith("stage_")
    }
    assert filters == {
        "{{ TimeDimension('entry__entered_date', 'day') }} < {{ Dimension('stage__mature_until') }}"
    }
    found = demo.frame(
        f"""
        select
            journey_id, stage_id,
            date_trunc('week', entered_date)::date as period_start,
            {sums}
        from intermediate.int_cohort_entries
        join (
            select journey_id, stage_id, {mature_until} as mature_until
            from marts.fct_journey_coverage
        ) as stages using (journey_id, stage_id)
        where entered_date < mature_until
        group by all
        """
    )
    found["stage_entries"] = found["entries"]
    for rate, counted in zip(RATES, ["conversions", "drop_offs", "still_open"], strict=True):
        found[rate] = found[counted] / found["entries"]
    weeks = measures[(measures["period_grain"] == "week") & (measures["n"] > 0)]
    same(found, weeks, ["journey_id", "stage_id", "period_start"])


def test_metricflow_gives_the_figures_of_measures(
    metricflow: MetricFlow, measures: pd.DataFrame
) -> None:
    stage = ["stage__journey_id", "stage__stage_id"]
    asked = [*RATES, "stage_entries"]
    whole = metricflow.query(asked, stage)
    same(whole, measures[measures["period_grain"] == "all"], ["journey_id", "stage_id"])

    weeks = metricflow.query(asked, [*stage, "metric_time__week"])
    weeks["period_start"] = pd.to_datetime(weeks["metric_time__week"])
    of_weeks = measures[(measures["period_grain"] == "week") & (measures["n"] > 0)]
    same(weeks, of_weeks, ["journey_id", "stage_id", "period_start"])

    latest = measures[measures["period_grain"] == "trailing_13_weeks"]
    latest = latest[
        (latest["journey_id"] == "lead_to_customer") & (latest["stage_id"] == "signed_up")
    ].nlargest(1, "period_end")
    [first], [end] = latest["period_start"], latest["period_end"]
    quarter = metricflow.query(
        asked,
        stage,
        where=f"{{{{ TimeDimension('metric_time', 'day') }}}} >= '{first:%Y-%m-%d}' and "
        f"{{{{ TimeDimension('metric_time', 'day') }}}} < '{end:%Y-%m-%d}' and "
        "{{ Dimension('stage__stage_id') }} = 'signed_up'",
    )
    same(quarter, latest, ["journey_id", "stage_id"])


def test_metricflow_counts_every_move_once(demo: Workbench, metricflow: MetricFlow) -> None:
    found = metricflow.query(["moves", "hand_offs"], ["stage__journey_id"])
    expected = demo.frame(
        "select journey_id, count(*) as moves, count(*) filter (is_handoff) as hand_offs"
        " from marts.fct_stage_transitions group by journey_id"
    )
    columns = ["journey_id", "moves", "hand_offs"]
    assert set(found[columns].itertuples(index=False, name=None)) == set(
        expected[columns].itertuples(index=False, name=None)
    )

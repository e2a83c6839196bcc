"""Every interval, quantile, p and rank against statsmodels, lifelines, scipy or plain Python."""

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from orchestration.settings import PROJECT_DIR
from tests.conftest import LOAN_MAP, Workbench

CELL = ["stage_id", "period_grain", "period_start"]
BENCHMARKS = """
benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,window_days,valid_from,valid_to,source
rate_submitted,conversion_rate,1,loan_application,submitted,target,0.56,30,,,test
rate_preaccepted,conversion_rate,1,loan_application,preaccepted,target,0.70,30,,,test
rate_accepted,conversion_rate,1,loan_application,accepted,target,0.96,30,,,test
rate_offer_sent,conversion_rate,1,loan_application,offer_sent,target,0.64,30,,,test
rate_returned,conversion_rate,1,loan_application,offer_returned,target,0.72,30,,,test
full_rate,conversion_rate,1,loan_application,offer_sent,industry,1,30,,,test
other_window,conversion_rate,1,loan_application,submitted,industry,0.5,90,,,test
no_longer_valid,conversion_rate,1,loan_application,accepted,industry,0.5,30,,2011-12-31,test
days_preaccepted,time_in_stage_p50,1,loan_application,preaccepted,target,0.33,,,,test
days_offer_sent,time_in_stage_p50,1,loan_application,offer_sent,target,7,,,,test
days_returned,time_in_stage_p50,1,loan_application,offer_returned,target,4,,,,test
days_accepted,time_in_stage_p50,1,loan_application,accepted,target,0.0000001,,,,test
days_submitted,time_in_stage_p50,1,loan_application,submitted,target,200,,,,test
"""


def frame(workbench: Workbench, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(workbench.settings.warehouse), read_only=True) as connection:
        return connection.execute(sql).df()


@pytest.fixture(scope="module")
def judged(
    loan: Workbench,
    make_workbench: Callable[[str], Workbench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Workbench:
    """The loan log with a benchmark on every stage."""
    folder = tmp_path_factory.mktemp("judged_map")
    shutil.copytree(LOAN_MAP, folder, dirs_exist_ok=True)
    (folder / "benchmarks.csv").write_text(BENCHMARKS.lstrip())
    workbench = make_workbench("judged")
    workbench.home.mkdir(parents=True)
    shutil.copy(loan.settings.warehouse, workbench.settings.warehouse)
    workbench.use_map(folder)
    workbench.build()
    return workbench


def test_wilson_intervals_and_design_effects(loan: Workbench, demo: Workbench) -> None:
    clustered = 0
    for workbench in (loan, demo):
        rates = frame(
            workbench, "select * from marts.fct_measures where metric_id = 'conversion_rate'"
        )
        entries = frame(
            workbench,
            """
            select days.period_grain, days.period_start, entries.*
            from intermediate.int_stage_entries as entries
            join intermediate.int_period_days as days
                using (journey_id, stage_id, entered_date)
            """,
        )
        groups = dict(list(entries.groupby(CELL)))
        assert len(rates) == len(groups) > 50
        for _, row in rates.iterrows():
            cases = groups[tuple(row[CELL])]
            n, p = len(cases), cases["is_converted"].mean()
            per_cluster = cases.groupby("cluster_id")["is_converted"].agg(["sum", "count"])
            clusters = len(per_cluster)
            effect = 1.0
            if clusters > 1 and 0 < p < 1:
                residuals = per_cluster["sum"] - p * per_cluster["count"]
                variance = clusters / (clusters - 1) * (residuals**2).sum() / n**2
                effect = max(1.0, variance * n / (p * (1 - p)))
            clustered += effect > 1.01
            low, high = proportion_confint(p * n / effect, n / effect, method="wilson")
            assert (row["n"], row["n_clusters"]) == (n, clusters)
            assert row["value"] == pytest.approx(p)
            assert row["effective_n"] == pytest.approx(n / effect)
            assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
    assert clustered > 0, "no cell is clustered: the design effect is not tested"


def kaplan_meier(visits: pd.DataFrame) -> KaplanMeierFitter:
    return KaplanMeierFitter().fit(visits["time_in_stage_us"], visits["has_exited"])


def timed_visits(workbench: Workbench) -> dict[Any, pd.DataFrame]:
    visits = frame(
        workbench,
        """
        select days.stage_id, days.period_grain, days.period_start,
            visits.time_in_stage_us, visits.has_exited, visits.cluster_id
        from intermediate.int_cohort_visits as visits
        join intermediate.int_period_days as days using (journey_id, stage_id, entered_date)
        where visits.time_in_stage_us is not null
        """,
    )
    return dict(list(visits.groupby(CELL)))


def first_below_half(times: np.ndarray, curve: np.ndarray) -> float | None:
    """Days until a curve is at most 0.5, to the tolerance of domain.md §6."""
    reached = times[curve <= 0.5 + 1e-9]
    return float(reached[0]) / 86_400e6 if len(reached) else None


def finite(value: float) -> float | None:
    return None if math.isinf(value) or math.isnan(value) else value


def test_medians_and_their_intervals_are_kaplan_meier(loan: Workbench) -> None:
    times = frame(loan, "select * from marts.fct_measures where metric_id = 'time_in_stage_p50'")
    groups = timed_visits(loan)
    assert len(times) == len(groups) > 100
    censored = without_median = 0
    for _, row in times.iterrows():
        visits = groups[tuple(row[CELL])]
        censored += not visits["has_exited"].all()
        fit = kaplan_meier(visits)
        survival, (low, high) = fit.survival_function_.iloc[:, 0], fit.confidence_interval_.T.values
        # Where S is 0 the log-log band has no upper end (as in R; lifelines says 0).
        curves = [survival, low, np.where(survival > 0, high, np.nan)]
        expected = [first_below_half(fit.timeline, np.asarray(curve)) for curve in curves]
        actual = [finite(row[column]) for column in ("value", "ci_low", "ci_high")]
        without_median += expected[0] is None
        assert actual == pytest.approx(expected), tuple(row[CELL])
        assert (row["n"], row["numerator"]) == (len(visits), visits["has_exited"].sum())
        assert row["n_clusters"] == visits["cluster_id"].nunique()
    assert censored > 0
    assert without_median > 0


def test_a_time_is_judged_by_the_survival_at_the_benchmark(judged: Workbench) -> None:
    rows = frame(
        judged,
        """
        select survivals.*, benchmarks.stage_id, benchmarks.value
        from intermediate.int_benchmark_survival as survivals
        join journey_map.benchmarks as benchmarks using (benchmark_id)
        """,
    )
    groups = timed_visits(judged)
    assert len(rows) == 5
    for _, row in rows.iterrows():
        visits = groups[tuple(row[CELL])]
        at = row["value"] * 86_400e6
        if row["benchmark_id"] == "days_accepted":  # nobody has left: n of n still there
            n = (visits["time_in_stage_us"] >= at).sum()
            expected = (1.0, *proportion_confint(n, n, method="wilson"))
            z = 0.5 / math.sqrt(0.25 / n)
        elif row["benchmark_id"] == "days_submitted":  # all have left: the step before counts
            before = visits[visits["time_in_stage_us"] < visits["time_in_stage_us"].max()]
            last = before["time_in_stage_us"].max()
            expected, z = survival_at(kaplan_meier(visits), last)
        else:
            expected, z = survival_at(kaplan_meier(visits), at)
        actual = (row["survival"], row["survival_low"], row["survival_high"])
        assert actual == pytest.approx(expected), row["benchmark_id"]
        assert row["z"] == pytest.approx(z)


def survival_at(fit: KaplanMeierFitter, at: float) -> tuple[tuple[float, float, float], float]:
    survival = float(fit.predict(at))
    bands = fit.confidence_interval_
    low, high = bands[bands.index <= at].iloc[-1]
    # The band is S^exp(±1.96 se) on the log-log scale, which gives its standard error.
    se = math.log(math.log(low) / math.log(survival)) / stats.norm.ppf(0.975)
    z = (math.log(-math.log(0.5)) - math.log(-math.log(survival))) / se
    return (survival, low, high), z


def test_two_sided_p_is_that_of_the_normal_distribution(loan: Workbench) -> None:
    grid = [*np.linspace(-9, 9, 361), 0.0, 1e-9, 7.07, 7.08, 20.0, 37.0, 38.0, -38.0]
    values = ", ".join(f"({z!r}::double)".replace("np.float64", "") for z in grid)
    output = loan.dbt(
        "show",
        "--limit",
        "-1",
        "--output",
        "json",
        "--inline",
        "select z, {{ normal_two_sided_p('z') }} as p from (values " + values + ") as t (z)",
    )
    rows = json.loads(output[output.index("{") :])["show"]
    assert len(rows) == len(grid)
    for row in rows:
        assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(row["z"])), rel=1e-6, abs=1e-300)


def test_p_is_where_the_interval_begins_to_exclude_the_benchmark(judged: Workbench) -> None:
    ranking = frame(judged, "select * from marts.gap_ranking where p_value is not null")
    effective = frame(judged, "select * from marts.fct_measures")
    checked = 0
    for _, row in ranking[ranking["metric_id"] == "conversion_rate"].iterrows():
        if not 1e-8 < row["p_value"] < 0.999:
            continue
        same = (effective[["metric_id", *CELL]] == row[["metric_id", *CELL]]).all(axis=1)
        n = effective[same]["effective_n"].item()
        count = row["value"] * n
        inside = proportion_confint(count, n, alpha=row["p_value"] * 0.99, method="wilson")
        outside = proportion_confint(count, n, alpha=min(1, row["p_value"] * 1.01), method="wilson")
        assert inside[0] < row["benchmark_value"] < inside[1]
        assert not outside[0] < row["benchmark_value"] < outside[1]
        checked += 1
    assert checked >= 2


def test_verdicts_severity_and_ranks(judged: Workbench) -> None:
    ranking = frame(judged, "select * from marts.gap_ranking").set_index("benchmark_id")
    measured = frame(judged, "select * from marts.fct_measures")
    # It was valid until 2011 and the last period ends in 2012.
    assert "no_longer_valid" not in ranking.index
    assert ranking.loc["other_window", "verdict"] == "definition_mismatch"
    eligible = ranking[ranking["p_value"].notna()]
    assert len(eligible) == len(ranking) - 1
    for _, family in eligible.groupby(["metric_id", "benchmark_kind"]):
        _, adjusted, _, _ = multipletests(family["p_value"], method="fdr_bh")
        assert list(family["adjusted_p_value"]) == pytest.approx(list(adjusted))
    for _, row in eligible.iterrows():
        higher = row["metric_id"] == "conversion_rate"
        assert row["gap"] == pytest.approx(
            (row["value"] - row["benchmark_value"]) * (1 if higher else -1)
        )
        factor = row["benchmark_value"] / row["value"]
        assert row["lag_factor"] == pytest.approx(factor if higher else 1 / factor)
        if row["verdict"] == "lagging" and higher:
            smallest = 0.5 / (row["n"] + 1)
            logits = [
                math.log(p / (1 - p))
                for p in np.clip([row["benchmark_value"], row["ci_high"]], smallest, 1 - smallest)
            ]
            assert row["severity"] == pytest.approx(abs(logits[0] - logits[1]))
            assert row["recoverable_cases"] == pytest.approx(-row["gap"] * row["n"])
        elif row["verdict"] == "lagging":
            expected = abs(math.log(row["ci_low"] / row["benchmark_value"]))
            assert row["severity"] == pytest.approx(expected)
            assert row["excess_customer_days"] == pytest.approx(-row["gap"] * row["n"])
        else:
            assert math.isnan(row["severity"])
    assert set(eligible["verdict"]) >= {"lagging", "ahead", "unclear"}
    assert measured["is_mature"].any()
    # One metric a loss family and stage; times in a stage are shown and never ranked.
    ranked = ranking[ranking["priority_rank"].notna()]
    assert (ranked["metric_id"] == "conversion_rate").all()
    assert ranked["stage_id"].is_unique
    order = ranked.assign(weight=ranked["severity"] * ranked["reach"]).sort_values("priority_rank")
    assert list(order["weight"]) == sorted(order["weight"], reverse=True)
    assert sorted(ranked["priority_rank"]) == list(range(1, len(ranked) + 1))
    assert list(ranked.sort_values("lag_rank")["lag_factor"]) == sorted(
        ranked["lag_factor"], reverse=True
    )


def test_reach_counts_the_cases_of_the_period(judged: Workbench) -> None:
    ranking = frame(judged, "select * from marts.gap_ranking where reach is not null")
    visits = frame(judged, "select case_id, stage_id, entered_at from marts.fct_stage_visits")
    local = visits["entered_at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Amsterdam")
    days = local.dt.tz_localize(None).dt.normalize()
    assert len(ranking) > 5
    for _, row in ranking.iterrows():
        within = visits[(days >= row["period_start"]) & (days < row["period_end"])]
        entered = within[within["stage_id"] == row["stage_id"]]["case_id"].nunique()
        assert row["reach"] == pytest.approx(entered / within["case_id"].nunique())


def test_trends_are_mover_differences_of_mature_whole_weeks(judged: Workbench) -> None:
    trends = frame(judged, "select * from marts.gap_trends order by benchmark_id, period_start")
    weeks: dict[Any, pd.Series] = {
        (row["benchmark_id"], row["period_start"]): row for _, row in trends.iterrows()
    }
    verdicts: dict[str, int] = defaultdict(int)
    for (benchmark_id, start), row in weeks.items():
        before = weeks.get((benchmark_id, start - pd.Timedelta(days=7)))
        comparable = before is not None and all(
            week["is_mature"] and not week["is_partial"] and week["n"] >= 30
            for week in (row, before)
        )
        if not comparable:
            assert math.isnan(row["change"])
            assert row["trend"] is None or pd.isna(row["trend"])
            continue
        assert before is not None
        difference = row["value"] - before["value"]
        low = difference - math.hypot(
            row["value"] - row["ci_low"], before["ci_high"] - before["value"]
        )
        high = difference + math.hypot(
            row["ci_high"] - row["value"], before["value"] - before["ci_low"]
        )
        assert (row["change"], row["change_ci_low"], row["change_ci_high"]) == pytest.approx(
            (difference, low, high)
        )
        rate = row["metric_id"] == "conversion_rate"
        margin = 0.02 if rate else 0.1 * before["value"]
        better = low > 0 if rate else high < 0
        worse = high < 0 if rate else low > 0
        steady = low >= -margin and high <= margin
        expected = (
            "improving" if better else "worsening" if worse else "steady" if steady else "unclear"
        )
        assert row["trend"] == expected
        verdicts[expected] += 1
    assert set(verdicts) == {"improving", "worsening", "steady", "unclear"}


def test_the_demo_shows_what_was_planted(demo: Workbench) -> None:
    truth = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
    ranking = frame(demo, "select * from marts.gap_ranking").set_index("benchmark_id")
    lagging = ranking[ranking["verdict"] == "lagging"]
    ranked = lagging["lag_rank"].dropna().sort_values()

    assert sorted(lagging.index) == truth["expected_ranking"]["lagging"]
    assert list(ranked.index) == truth["expected_ranking"]["lag_rank"]
    assert set(ranking["verdict"]) == {"lagging", "unclear", "at_par", "ahead"}
    contact, close = ranking.loc["contact_rate"], ranking.loc["close_rate"]
    assert contact["ci_low"] < 0.40 < contact["ci_high"]
    assert contact["lag_factor"] == pytest.approx(1.5, abs=0.1)
    assert close["ci_low"] < 0.10 < close["ci_high"]
    assert 2.6 < close["lag_factor"] < 3.5
    days = ranking.loc["days_to_first_conversation"]
    assert days["value"] == pytest.approx(5, abs=0.5)
    assert days["ci_low"] < 5 < days["ci_high"]

"""Every interval, quantile, p and rank against statsmodels, lifelines, scipy or plain Python."""

import csv
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from orchestration.settings import PROJECT_DIR
from tests.cohorts import cohort_units, first_fallen, kaplan_meier, units_of, whole_us
from tests.conftest import LOAN_MAP, Workbench
from tests.integration.test_differences import expected_p
from tests.maps import write_tables

CELL = ["stage_id", "period_grain", "period_start"]
LEVELS = {"p50": 0.5, "p75": 0.75, "p90": 0.9}
STAGES = ["waiting", "served"]
TOTAL_TIMES = """
    select * from marts.fct_measures where metric_id like 'time_%' and segment_dimension = 'all'
"""
METRICS = {
    "leaving": "time_in_stage",
    "advancing": "time_to_advance",
    "first_value": "time_to_value",
}
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
days_advance_preaccepted,time_to_advance_p50,1,loan_application,preaccepted,target,0.4,,,,test
days_advance_offer_sent,time_to_advance_p50,1,loan_application,offer_sent,target,7,,,,test
days_advance_accepted,time_to_advance_p75,1,loan_application,accepted,target,0.01,,,,test
window_submitted,time_to_advance_p50,1,loan_application,submitted,industry,30,,,,test
window_preaccepted,time_to_advance_p50,1,loan_application,preaccepted,industry,30,,,,test
window_accepted,time_to_advance_p50,1,loan_application,accepted,industry,30,,,,test
window_offer_sent,time_to_advance_p50,1,loan_application,offer_sent,industry,30,,,,test
window_returned,time_to_advance_p50,1,loan_application,offer_returned,industry,30,,,,test
"""


@pytest.fixture(scope="module")
def judged(
    loan: Workbench,
    make_workbench: Callable[[str], Workbench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Workbench:
    """The loan log with a benchmark on every stage."""
    folder = tmp_path_factory.mktemp("judged_map")
    shutil.copytree(LOAN_MAP, folder, dirs_exist_ok=True)
    write_tables(folder, {"benchmarks": BENCHMARKS})
    workbench = make_workbench("judged")
    workbench.home.mkdir(parents=True)
    shutil.copy(loan.settings.warehouse, workbench.settings.warehouse)
    workbench.use_map(folder)
    workbench.build()
    return workbench


def test_wilson_intervals_and_design_effects(loan: Workbench, demo: Workbench) -> None:
    clustered = 0
    for workbench in (loan, demo):
        rates = workbench.frame(
            "select * from marts.fct_measures "
            "where metric_id = 'conversion_rate' and segment_dimension = 'all'"
        )
        entries = workbench.frame(
            """
            select periods.period_grain, periods.period_start, entries.*
            from intermediate.int_cohort_entries as entries
            join intermediate.int_periods as periods
                using (journey_id, stage_id)
            where metric_id is null
                and entered_date >= period_start and entered_date < period_end
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


@pytest.mark.parametrize("name", ["loan", "demo"])
def test_quantiles_and_their_intervals_are_kaplan_meier(
    name: str, request: pytest.FixtureRequest
) -> None:
    """To the microsecond, in every cell; beside them the completers' own quantiles."""
    workbench = request.getfixturevalue(name)
    measured = workbench.frame(TOTAL_TIMES)
    seen: dict[str, int] = defaultdict(int)
    for kind, units in cohort_units(workbench).items():
        of_kind = measured[measured["metric_id"].str.startswith(METRICS[kind])]
        for _, rows in of_kind.groupby(["journey_id", *CELL]):
            cell = units_of(units, rows.iloc[0])
            fit = kaplan_meier(cell)
            survival = fit.survival_function_.iloc[:, 0].to_numpy()
            low, high = fit.confidence_interval_.T.to_numpy()
            # Where S is 0 the log-log band has no upper end (as in R; lifelines says 0).
            high = np.where(survival > 0, high, np.nan)
            completed = cell[cell["is_event"]]["duration_us"].value_counts(normalize=True)
            completers = 1 - completed.sort_index().cumsum()
            assert len(rows) == (1 if kind == "first_value" else 3)
            for _, row in rows.iterrows():
                level = LEVELS[row["metric_id"][-3:]]
                expected = [
                    first_fallen(fit.timeline, curve, level) for curve in (survival, low, high)
                ]
                expected.append(
                    first_fallen(completers.index.to_numpy(), completers.to_numpy(), level)
                )
                actual = [
                    whole_us(row[column])
                    for column in ("value", "ci_low", "ci_high", "naive_value")
                ]
                assert actual == expected, (row["metric_id"], *row[CELL])
                assert (row["n"], row["numerator"]) == (len(cell), cell["is_event"].sum())
                seen["cells"] += 1
                seen["without quantile"] += expected[0] is None
                seen["without upper end"] += expected[0] is not None and expected[2] is None
                seen["biased"] += expected[0] is not None and expected[3] < expected[0]
            seen["censored"] += not cell["is_event"].all()
        counted = of_kind.groupby(["journey_id", *CELL]).ngroups
        assert counted == sum(1 for _ in _cells_with_units(workbench, units))
    assert all(seen[case] > 10 for case in ("without quantile", "without upper end", "censored"))
    assert seen["biased"] > 10
    assert seen["cells"] > 500


def _cells_with_units(workbench: Workbench, units: pd.DataFrame) -> Iterator[pd.Series]:
    periods = workbench.frame("select * from intermediate.int_periods where metric_id is null")
    for _, period in periods.iterrows():
        if len(units_of(units, period)):
            yield period


@pytest.mark.parametrize("name", ["loan", "demo"])
def test_times_count_their_clusters(name: str, request: pytest.FixtureRequest) -> None:
    workbench = request.getfixturevalue(name)
    measured = workbench.frame(TOTAL_TIMES)
    views = {
        ("time_in_stage", "p90"): "visits",
        ("time_to_advance", "p90"): "entries",
        ("time_to_value", "p50"): "entries",
    }
    for (time, level), view in views.items():
        units = workbench.frame(
            f"""
            select units.journey_id, units.stage_id, period_grain, period_start, cluster_id
            from intermediate.int_cohort_{view} as units
            join intermediate.int_periods as periods
                on units.journey_id = periods.journey_id and units.stage_id = periods.stage_id
                and periods.metric_id is null
            where entered_date >= period_start and entered_date < period_end
                and {time}_us is not null
            """,
        )
        expected = units.groupby(["journey_id", *CELL])["cluster_id"].nunique()
        rows = measured[measured["metric_id"] == f"{time}_{level}"].set_index(["journey_id", *CELL])
        assert len(expected) == len(rows)
        assert (rows["n_clusters"] == expected.loc[rows.index]).all()


@pytest.mark.parametrize("name", ["loan", "demo"])
def test_curves_are_exact_at_their_points(name: str, request: pytest.FixtureRequest) -> None:
    workbench = request.getfixturevalue(name)
    curves = workbench.frame(
        """
        select curves.*, periods.period_end
        from marts.fct_survival_curves as curves
        join intermediate.int_periods as periods
            using (journey_id, stage_id, period_grain, period_start)
        where metric_id is null
        order by duration_us
        """,
    )
    measured = workbench.frame(TOTAL_TIMES)
    units_by_kind = cohort_units(workbench)
    # The medians of contacts and of waits between owners are in test_units.py.
    curves = curves[curves["curve_kind"].isin(units_by_kind)]
    keys = ["journey_id", *CELL, "curve_kind"]
    assert set(curves["period_grain"]) == {"trailing_13_weeks", "all"}
    assert curves.groupby(keys).ngroups > 10
    for key, curve in curves.groupby(keys):
        kind = curve["curve_kind"].iloc[0]
        cell = units_of(units_by_kind[kind], curve.iloc[0])
        events = cell[cell["is_event"]]["duration_us"]
        fit = kaplan_meier(cell)
        bands = fit.confidence_interval_
        times = curve["duration_us"].to_numpy()
        assert len(curve) <= 200
        assert times[-1] == events.max()
        assert list(curve["survival"]) == pytest.approx(list(fit.predict(times)), abs=1e-12)
        expected = bands.loc[times].to_numpy().T
        assert list(curve["survival_low"]) == pytest.approx(list(expected[0]), abs=1e-9)
        is_positive = (curve["survival"] > 0).to_numpy()
        highs = curve["survival_high"].to_numpy()
        assert list(highs[is_positive]) == pytest.approx(list(expected[1][is_positive]), abs=1e-9)
        assert np.isnan(highs[~is_positive]).all()
        through = [int((events <= at).sum()) for at in times]
        assert list(curve["events"].cumsum()) == through
        assert list(curve["at_risk"]) == [int((cell["duration_us"] > at).sum()) for at in times]
        assert list(curve["naive_survival"]) == pytest.approx(
            [1 - number / len(events) for number in through]
        )
        rows = measured[measured["metric_id"].str.startswith(METRICS[kind])]
        rows = rows[(rows[["journey_id", *CELL]] == list(key[:4])).all(axis=1)]
        quantiles = rows[["value", "ci_low", "ci_high", "naive_value"]].to_numpy().ravel()
        assert len(rows) == (1 if kind == "first_value" else 3)
        assert {whole_us(days) for days in quantiles} - {None} <= set(times)


def test_advancing_is_the_cumulative_incidence_beside_exits(loan: Workbench) -> None:
    """While nobody is censored, 1 - S is Aalen-Johansen's incidence with exits competing."""
    units = cohort_units(loan)["advancing"]
    points = loan.frame(
        """
        select * from marts.fct_survival_curves
        where curve_kind = 'advancing' and period_grain = 'all' and stage_id = 'offer_sent'
        """,
    )
    period = loan.frame(
        "select * from intermediate.int_periods where period_grain = 'all' "
        "and stage_id = 'offer_sent' and metric_id is null",
    ).iloc[0]
    cell = units_of(units, period)
    visits = loan.frame(
        "select case_id, max(entered_at) as at from marts.fct_stage_visits group by 1"
    )
    ended_at = cell["case_id"].map(visits.set_index("case_id")["at"])
    left_after = (ended_at - cell["entered_at"]) // pd.Timedelta(microseconds=1)
    kinds = np.select([cell["is_event"], cell["has_exited"]], [1, 2], 0)
    durations = np.where(kinds == 2, left_after, cell["duration_us"])
    first_censored = durations[kinds == 0].min()
    fit = AalenJohansenFitter(calculate_variance=False, seed=1)
    fit.fit(durations / 86_400e6, kinds, event_of_interest=1)
    checked = points[points["duration_us"] < first_censored]
    assert len(checked) > 30
    assert (kinds == 2).sum() > 100
    # lifelines parts ties by a jitter: a moment later they are all in.
    later = fit.cumulative_density_.iloc[:, 0]
    for _, point in checked.iterrows():
        at = point["duration_us"] / 86_400e6 + 1e-3
        if (abs(durations / 86_400e6 - at) < 2e-3).sum() > 1:
            continue
        incidence = later[later.index <= at].iloc[-1]
        assert 1 - point["survival"] == pytest.approx(incidence, abs=1e-9)


def test_a_mature_conversion_rate_is_the_incidence_at_its_window(judged: Workbench) -> None:
    rows = judged.frame(
        """
        select survivals.survival, measures.value, measures.stage_id
        from intermediate.int_benchmark_survival as survivals
        join journey_map.benchmarks as benchmarks using (benchmark_id)
        join marts.fct_measures as measures
            on measures.stage_id = benchmarks.stage_id
            and measures.period_start = survivals.period_start
            and measures.period_grain = survivals.period_grain
        where benchmark_id like 'window_%' and measures.metric_id = 'conversion_rate'
        """,
    )
    assert len(rows) == 5
    assert list(1 - rows["survival"]) == pytest.approx(list(rows["value"]), abs=1e-12)
    assert rows["value"].between(0.3, 0.999).sum() > 2


def test_a_time_is_judged_by_the_survival_at_the_benchmark(judged: Workbench) -> None:
    rows = judged.frame(
        """
        select survivals.*, periods.period_end, benchmarks.journey_id, benchmarks.stage_id,
            benchmarks.metric_id, benchmarks.value
        from intermediate.int_benchmark_survival as survivals
        join journey_map.benchmarks as benchmarks using (benchmark_id)
        join intermediate.int_periods as periods
            using (journey_id, stage_id, period_grain, period_start)
        where periods.metric_id is null
        """,
    )
    units = cohort_units(judged)
    assert len(rows) == 13
    for _, row in rows.iterrows():
        kind = "leaving" if row["metric_id"].startswith("time_in_stage") else "advancing"
        desired = 1 - LEVELS[row["metric_id"][-3:]]
        cell = units_of(units[kind], row)
        at = row["value"] * 86_400e6
        if row["benchmark_id"] == "days_accepted":  # nobody has left: n of n still there
            n = (cell["duration_us"] >= at).sum()
            expected = (1.0, *proportion_confint(n, n, method="wilson"))
            z = 0.5 / math.sqrt(0.25 / n)
        elif row["benchmark_id"] == "days_submitted":  # all have left: the step before counts
            before = cell[cell["duration_us"] < cell["duration_us"].max()]
            expected, z = survival_at(kaplan_meier(cell), before["duration_us"].max(), desired)
        else:
            expected, z = survival_at(kaplan_meier(cell), at, desired)
        actual = (row["survival"], row["survival_low"], row["survival_high"])
        assert actual == pytest.approx(expected), row["benchmark_id"]
        assert row["z"] == pytest.approx(z)


def survival_at(
    fit: KaplanMeierFitter, at: float, desired: float
) -> tuple[tuple[float, float, float], float]:
    survival = float(fit.predict(at))
    bands = fit.confidence_interval_
    low, high = bands[bands.index <= at].iloc[-1]
    # The band is S^exp(±1.96 se) on the log-log scale, which gives its standard error.
    se = math.log(math.log(low) / math.log(survival)) / stats.norm.ppf(0.975)
    z = (math.log(-math.log(desired)) - math.log(-math.log(survival))) / se
    return (survival, low, high), z


def test_intervals_of_quantiles_cover_them(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """Log-normal times, four in ten censored by a new attempt: each week is a draw of its own."""
    journeys = ["first", "second", "third"]
    spread, median_days, gap = 0.8, 4.0, timedelta(days=1)
    draw = np.random.default_rng(20)
    headers = {
        "journeys": "journey_id,name,entity,attempt_gap_days,order_mode,time_zone,"
        "conversion_window_days",
        "stages": "journey_id,stage_id,stage_order,phase,stage_kind,is_optional",
        "stage_rules": "journey_id,stage_id,source,event_name",
        "entity_links": "journey_id,source,entity_column",
    }
    lines: dict[str, list[str]] = {name: [header] for name, header in headers.items()}
    events: list[tuple[str, str, datetime]] = []
    for journey in journeys:
        lines["journeys"].append(f"{journey},{journey},customer,1,ordered,UTC,1")
        lines["stages"].append(f"{journey},waiting,1,purchase,progress,false")
        lines["stages"].append(f"{journey},served,2,purchase,success,false")
        lines["stage_rules"] += [f"{journey},{at},events,{journey} {at}" for at in STAGES]
        lines["entity_links"].append(f"{journey},events,customer_id")
        for number in range(80):
            at = datetime(2023, 1, 2) + timedelta(days=draw.uniform(0, 7))
            while at < datetime(2025, 1, 1):
                events.append((f"c{number}", f"{journey} waiting", at))
                time = timedelta(days=median_days * draw.lognormal(0, spread))
                censored = gap + timedelta(seconds=1, days=draw.exponential(6))
                if time < censored:
                    events.append((f"c{number}", f"{journey} served", at + time))
                    at += time + timedelta(days=draw.exponential(3))
                else:
                    at += censored
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "customer_id", "event_name", "occurred_at", "properties"])
        writer.writerows([f"e{number}", *row, "{}"] for number, row in enumerate(events))
    workbench = make_workbench("coverage")
    tables = {name: "\n".join(rows) for name, rows in lines.items()}
    workbench.use_map(write_tables(tmp_path / "map", tables))
    workbench.land(tmp_path / "files")
    workbench.build()
    weeks = workbench.frame(
        """
        select * from marts.fct_measures
        where metric_id like 'time_%' and period_grain = 'week' and is_mature and not is_partial
        """,
    )
    assert weeks["n"].min() > 30
    assert 0.5 < (weeks["numerator"] / weeks["n"]).mean() < 0.7
    assert weeks["metric_id"].nunique() == 6
    for metric_id, rows in weeks.groupby("metric_id"):
        truth = median_days * math.exp(spread * stats.norm.ppf(LEVELS[str(metric_id)[-3:]]))
        covered = (rows["ci_low"] <= truth) & ~(rows["ci_high"] < truth)
        # 95 % of some 300 weeks, give or take what chance does once in a thousand times.
        least, most = stats.binom.interval(0.999, len(rows), 0.95)
        assert len(rows) > 290
        assert least <= covered.sum() <= most, (metric_id, covered.mean())
        # What completers only would have said is too short, and clearly so.
        assert (rows["naive_value"] < truth).mean() > 0.8


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
    ranking = judged.frame(
        "select * from marts.gap_ranking where p_value is not null and benchmark_kind <> 'own_past'"
    )
    effective = judged.frame("select * from marts.fct_measures")
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
    ranking = judged.frame(
        "select * from marts.gap_ranking where benchmark_kind <> 'own_past'"
    ).set_index("benchmark_id")
    measured = judged.frame("select * from marts.fct_measures")
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
            (row["value"] - row["benchmark_value"]) * (1 if higher else -1), nan_ok=True
        )
        factor = row["benchmark_value"] / row["value"]
        assert row["lag_factor"] == pytest.approx(factor if higher else 1 / factor, nan_ok=True)
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
    families = ranked["metric_id"].str.startswith("time_to_advance")
    assert (families | (ranked["metric_id"] == "conversion_rate")).all()
    assert families.any()
    assert not ranked.assign(family=families).duplicated(["stage_id", "family"]).any()
    order = ranked.assign(weight=ranked["severity"] * ranked["reach"]).sort_values("priority_rank")
    assert list(order["weight"]) == sorted(order["weight"], reverse=True)
    assert sorted(ranked["priority_rank"]) == list(range(1, len(ranked) + 1))
    assert list(ranked.sort_values("lag_rank")["lag_factor"]) == sorted(
        ranked["lag_factor"], reverse=True
    )


def test_reach_counts_the_cases_of_the_period(judged: Workbench) -> None:
    ranking = judged.frame(
        "select * from marts.gap_ranking where reach is not null and segment_dimension = 'all'"
    )
    visits = judged.frame("select case_id, stage_id, entered_at from marts.fct_stage_visits")
    local = visits["entered_at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Amsterdam")
    days = local.dt.tz_localize(None).dt.normalize()
    assert len(ranking) > 5
    for _, row in ranking.iterrows():
        within = visits[(days >= row["period_start"]) & (days < row["period_end"])]
        entered = within[within["stage_id"] == row["stage_id"]]["case_id"].nunique()
        assert row["reach"] == pytest.approx(entered / within["case_id"].nunique())


MEASURE = ["journey_id", "metric_id", "stage_id", "segment_dimension", "segment_value"]
GIVEN = "('industry', 'target')"


def mover(now: pd.Series, before: pd.Series) -> tuple[float, float, float]:
    """The difference of two rows with value, ci_low and ci_high, and its interval."""
    difference = now["value"] - before["value"]
    low = math.hypot(now["value"] - now["ci_low"], before["ci_high"] - before["value"])
    high = math.hypot(now["ci_high"] - now["value"], before["value"] - before["ci_low"])
    return difference, difference - low, difference + high


def mover_p(now: pd.Series, before: pd.Series) -> float:
    """Of rates by statsmodels' Wilson intervals, of times with the larger half-width."""
    if now["scale"] == "proportion":
        rates = [(row["value"], row["effective_n"]) for row in (now, before)]
        return expected_p(rates[0], rates[1])
    difference, low, high = mover(now, before)
    facing, other = difference - low, high - difference
    if difference < 0:
        facing, other = other, facing
    reach = facing if math.isnan(other) else max(facing, other)
    reach = math.nan if math.isnan(facing) else reach
    z = 0 if difference == 0 else stats.norm.ppf(0.975) * abs(difference) / reach
    return float(2 * stats.norm.sf(z))


def measured(workbench: Workbench) -> pd.DataFrame:
    """fct_measures of weeks and 13 weeks with what the metric says of comparing."""
    return workbench.frame(
        """
        select measures.*, metrics.scale, metrics.direction, metrics.equivalence_margin
        from marts.fct_measures as measures
        join marts.dim_metrics as metrics using (metric_id)
        where period_grain in ('week', 'trailing_13_weeks')
        """,
    )


def test_trends_are_mover_differences_of_mature_whole_periods(demo: Workbench) -> None:
    trends = demo.frame("select * from marts.gap_trends")
    place = [*MEASURE, "period_grain", "period_start"]
    cells = {tuple(row[place]): row for _, row in measured(demo).iterrows()}
    trends = trends.drop_duplicates(place)
    expected: dict[str, list[Any]] = defaultdict(list)
    for _, row in trends.iterrows():
        days = 7 if row["period_grain"] == "week" else 91
        *key, start = row[place]
        now, before = cells[tuple(row[place])], cells.get((*key, start - pd.Timedelta(days=days)))
        comparable = before is not None and all(
            cell["is_mature"]
            and not cell["is_partial"]
            and min(cell["n"], cell["n_clusters"]) >= 30
            for cell in (now, before)
        )
        if not comparable:
            assert math.isnan(row["change"])
            assert math.isnan(row["p_value"])
        assert pd.isna(row["trend"]) != comparable
        difference = mover(now, before) if comparable else (math.nan,) * 3
        changes = ("change", "change_ci_low", "change_ci_high")
        for name, value in zip(changes, difference, strict=True):
            assert row[name] == pytest.approx(value, nan_ok=True)
            expected[name].append(value)
        expected["p"].append(mover_p(now, before) if comparable else math.nan)
        margin = now["equivalence_margin"]
        margin *= before["value"] if before is not None and now["scale"] == "duration" else 1
        expected["margin"].append(margin)
        expected["sign"].append(1 if now["direction"] == "higher_is_better" else -1)
        expected["news"].append(start if row["period_grain"] == "week" else pd.Timestamp.max)
    trends = trends.assign(**{f"expected_{name}": values for name, values in expected.items()})
    known = trends[trends["expected_p"].notna()]
    p_values = list(known["expected_p"])
    assert list(known["p_value"]) == pytest.approx(p_values, rel=1e-6, abs=1e-300)
    verdicts: dict[str, int] = defaultdict(int)
    known = known.assign(is_total=known["segment_dimension"] == "all")
    for _, family in known.groupby(["expected_news", "is_total"]):
        _, adjusted, _, _ = multipletests(family["expected_p"], method="fdr_bh")
        assert list(family["adjusted_p_value"]) == pytest.approx(list(adjusted), rel=1e-6)
        for (_, row), p in zip(family.iterrows(), adjusted, strict=True):
            ends = [row["expected_sign"] * row[f"change_ci_{end}"] for end in ("low", "high")]
            steady = all(abs(end) <= row["expected_margin"] for end in ends)
            better, worse = min(ends) > 0 and p <= 0.05, max(ends) < 0 and p <= 0.05
            verdict = (
                "improving" if better else "worsening" if worse else "steady" if steady else ""
            )
            assert row["trend"] == (verdict or "unclear")
            verdicts[verdict] += 1
    assert verdicts[""] > 100


def test_own_past_is_judged_by_the_interval_of_the_difference(demo: Workbench) -> None:
    ranking = demo.frame("select * from marts.gap_ranking where benchmark_kind = 'own_past'")
    measures = measured(demo)
    trailing = measures[measures["period_grain"] == "trailing_13_weeks"]
    cells = {(*row[MEASURE], row["period_start"]): row for _, row in trailing.iterrows()}
    judged: dict[str, list[Any]] = defaultdict(list)
    for _, row in ranking.iterrows():
        now = cells[(*row[MEASURE], row["period_start"])]
        pasts = [
            cells.get((*row[MEASURE], row["period_start"] - pd.Timedelta(weeks=weeks)))
            for weeks in (52, 13)
        ]
        past = next(
            cell
            for cell in pasts
            if cell is not None and not cell["is_partial"] and not math.isnan(cell["value"])
        )
        assert row["benchmark_value"] == past["value"]
        few = min(now["n"], now["n_clusters"], past["n"], past["n_clusters"]) < 30
        assert (row["verdict"] == "too_few_data") == few
        if not few and not math.isnan(now["value"]):
            _, low, high = mover(now, past)
            sign = 1 if now["direction"] == "higher_is_better" else -1
            judged["row"].append(row)
            judged["p"].append(mover_p(now, past))
            judged["ends"].append(sorted((sign * low, sign * high)))
            judged["family"].append((row["journey_id"], row["metric_id"]))
    assert [row["p_value"] for row in judged["row"]] == pytest.approx(
        judged["p"], rel=1e-6, abs=1e-300, nan_ok=True
    )
    checked = 0
    for family in set(judged["family"]):
        # A p that is not known, for want of an end, belongs to no family.
        members = [
            number
            for number, name in enumerate(judged["family"])
            if name == family and not math.isnan(judged["p"][number])
        ]
        if not members:
            continue
        _, adjusted, _, _ = multipletests([judged["p"][each] for each in members], method="fdr_bh")
        for number, p in zip(members, adjusted, strict=True):
            row, (low, high) = judged["row"][number], judged["ends"][number]
            assert row["adjusted_p_value"] == pytest.approx(p, rel=1e-6)
            assert (row["verdict"] == "ahead") == (low > 0 and p <= 0.05)
            assert (row["verdict"] == "lagging") == (high < 0 and p <= 0.05)
            checked += 1
    assert checked > 50


def test_value_at_stake_follows_from_the_converters(demo: Workbench) -> None:
    ranking = demo.frame(
        f"""
        select * from marts.gap_ranking
        where metric_id = 'conversion_rate' and segment_dimension = 'all'
            and benchmark_kind in {GIVEN}
        """,
    )
    converters = demo.frame(
        """
        select entries.journey_id, entries.stage_id, entries.entered_date,
            successes.succeeded_at is not null as is_success, successes.value
        from intermediate.int_cohort_entries as entries
        left join intermediate.int_success_values as successes
            using (journey_id, entity_id, attempt_number)
        where is_converted
        """,
    )
    valued = 0
    for _, row in ranking.iterrows():
        within = converters[
            (converters["journey_id"] == row["journey_id"])
            & (converters["stage_id"] == row["stage_id"])
            & (converters["entered_date"] >= row["period_start"])
            & (converters["entered_date"] < row["period_end"])
        ]
        missing = max(0, (row["benchmark_value"] - row["value"]) * row["n"])
        worth = missing * within["is_success"].mean() * within["value"].mean()
        assert row["value_at_stake"] == pytest.approx(worth, nan_ok=True)
        valued += row["value_at_stake"] > 0
    assert valued >= 2


def test_every_sentence_is_said(demo: Workbench) -> None:
    """Values of segments are said as the data have them."""
    for mart in ("gap_ranking", "gap_trends"):
        rows = demo.query(f"select sentence, segment_value from marts.{mart}")
        assert len(rows) > 100
        for sentence, segment_value in ((str(said), str(value)) for said, value in rows):
            assert sentence.endswith(".")
            assert not set(sentence.replace(f" {segment_value} ", " ")) & set("{}_"), sentence
            assert "None" not in sentence


def test_the_demo_shows_what_was_planted(demo: Workbench) -> None:
    truth = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
    ranking = demo.frame(
        """
        select * from marts.gap_ranking
        where benchmark_kind <> 'own_past' and segment_dimension = 'all'
            and metric_id in ('conversion_rate', 'time_in_stage_p50')
        """
    ).set_index("benchmark_id")
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

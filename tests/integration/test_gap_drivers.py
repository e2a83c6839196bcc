"""What goes with a gap: against statsmodels, exact fractions, what is planted, and chance."""

import json
import math
import shutil
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

KEY = ["journey_id", "metric_id", "stage_id"]
UNITS = """
    select measure_number, units.unit_number, base, driver_kind, driver, stratum_number,
        cluster_id, is_outcome, journey_id, metric_id, stage_id
    from intermediate.int_driver_exposures as exposures
    join intermediate.int_driver_units as units using (unit_number)
"""
LOWEST_N, LEVEL, SHUFFLES = 30, 0.05, 60


@pytest.fixture(scope="module")
def units(demo: Workbench) -> pd.DataFrame:
    """Unit x base or driver, with outcome, stratum and cluster."""
    return demo.frame(UNITS)


def members(units: pd.DataFrame, row: "pd.Series[Any]") -> pd.DataFrame:
    """The base of a tested driver, with `exposed`."""
    own = units[(units[KEY] == row[KEY]).all(axis=1) & (units["base"] == row["compared_with"])]
    has_driver = own[(own["driver_kind"] == row["driver_kind"]) & (own["driver"] == row["driver"])]
    base = own[own["driver"].isna()].copy()
    base["exposed"] = base["unit_number"].isin(has_driver["unit_number"])
    assert base["unit_number"].is_unique
    assert set(has_driver["unit_number"]) <= set(base["unit_number"])
    return base


def strata(base: pd.DataFrame) -> list[pd.DataFrame]:
    """Those of which statsmodels knows what to do: with exposed and others."""
    return [
        stratum
        for _, stratum in base.groupby("stratum_number")
        if len(stratum) > 1 and stratum["exposed"].nunique() == 2
    ]


def fourfold(stratum: pd.DataFrame) -> np.ndarray[Any, Any]:
    return np.array(
        [
            [
                ((stratum["exposed"] == exposed) & (stratum["is_outcome"] == outcome)).sum()
                for outcome in (True, False)
            ]
            for exposed in (True, False)
        ]
    )


def design_effect(base: pd.DataFrame) -> float:
    """Of the sum over units of exposure x outcome, both less their stratum's means."""
    own = base.groupby("stratum_number")
    exposure = base["exposed"] - own["exposed"].transform("mean")
    outcome = base["is_outcome"] - own["is_outcome"].transform("mean")
    product = exposure * outcome
    clusters = product.groupby([base["stratum_number"], base["cluster_id"]]).sum()
    return max(1.0, (clusters**2).sum() / (product**2).sum())


def risk_difference(tables: list[np.ndarray[Any, Any]]) -> tuple[float, float]:
    """Mantel-Haenszel difference and its standard error by Greenland and Robins."""
    weight = difference = variance = 0.0
    for (a, b), (c, d) in tables:
        exposed, others = a + b, c + d
        weight += exposed * others / (exposed + others)
        difference += (a * others - c * exposed) / (exposed + others)
        variance += (a * b * others**3 + c * d * exposed**3) / (
            exposed * others * (exposed + others) ** 2
        )
    return difference / weight, math.sqrt(variance) / weight


def room(base: pd.DataFrame) -> float:
    """Mantel-Fleiss: how far the exposed outcomes can be from what is expected, either way."""
    below = above = 0.0
    for _, stratum in base.groupby("stratum_number"):
        n, exposed = len(stratum), stratum["exposed"].sum()
        outcomes = stratum["is_outcome"].sum()
        expected = exposed * outcomes / n
        below += expected - max(0, exposed + outcomes - n)
        above += min(exposed, outcomes) - expected
    return min(below, above)


def test_odds_and_differences_are_those_of_statsmodels(
    demo: Workbench, units: pd.DataFrame
) -> None:
    tests = demo.frame(
        "select * from intermediate.int_driver_tests where effect_kind <> 'wait_days'"
    )
    clustered = 0
    for _, row in tests.iterrows():
        base = members(units, row)
        tables = [fourfold(stratum) for stratum in strata(base)]
        pooled = StratifiedTable(tables)
        effect = design_effect(base)
        clustered += effect > 1.001
        assert row["design_effect"] == pytest.approx(effect)
        assert (row["n"], row["exposed_n"]) == (len(base), base["exposed"].sum())
        by_exposure = base.groupby("exposed")["is_outcome"].mean()
        assert (row["other_value"], row["exposed_value"]) == pytest.approx(tuple(by_exposure))
        statistic = pooled.test_null_odds(correction=False).statistic / effect
        assert row["z"] ** 2 == pytest.approx(statistic)
        assert row["p_value"] == pytest.approx(stats.chi2.sf(statistic, 1))
        difference, error = risk_difference(tables)
        spread = 1.959963984540054 * error * math.sqrt(effect)
        assert (
            row["risk_difference"],
            row["risk_difference_low"],
            row["risk_difference_high"],
        ) == pytest.approx((difference, difference - spread, difference + spread))
        if row["effect_kind"] == "odds_ratio":
            low, high = (
                pooled.oddsratio_pooled
                * math.exp(sign * 1.959963984540054 * pooled.logodds_pooled_se * effect**0.5)
                for sign in (-1, 1)
            )
            assert (row["effect"], row["ci_low"], row["ci_high"]) == pytest.approx(
                (pooled.oddsratio_pooled, low, high)
            )
        else:
            assert row["effect"] == row["risk_difference"]
    assert set(tests["driver_kind"]) >= {"behaviour", "hand_off", "upstream"}
    assert clustered > 0, "no driver is clustered: the design effect is not tested"


def test_drivers_that_too_few_have_are_left_out(demo: Workbench, units: pd.DataFrame) -> None:
    tests = demo.frame(
        "select * from intermediate.int_driver_tests where effect_kind <> 'wait_days'"
    ).set_index([*KEY, "driver_kind", "driver", "compared_with"])
    drivers = units[units["driver"].notna()]
    tried = {True: 0, False: 0}
    for key, _ in drivers.groupby([*KEY, "driver_kind", "driver", "base"]):
        row = pd.Series(dict(zip(tests.index.names, key, strict=True)))
        is_judged = room(members(units, row)) >= 5
        assert (key in tests.index) == is_judged, key
        tried[is_judged] += 1
    assert min(tried.values()) > 10


def test_waits_are_compared_as_by_welch(demo: Workbench) -> None:
    tests = demo.frame("select * from intermediate.int_driver_tests")
    waits = demo.frame(
        """
        select journey_id, metric_id, stage_id, from_owner || ' to ' || to_owner as driver,
            'hand-offs to ' || to_owner as compared_with, wait_us / 86400e6 as days
        from intermediate.int_driver_hand_offs
        join intermediate.int_driver_units using (unit_number)
        where not is_entering
        """
    )
    judged = tests[tests["effect_kind"] == "wait_days"]
    assert len(judged) > 2
    for _, row in judged.iterrows():
        group = [*KEY, "compared_with"]
        near = waits[(waits[group] == row[group]).all(axis=1)]
        is_own = near["driver"] == row["driver"]
        own, others = near[is_own]["days"], near[~is_own]["days"]
        assert min(len(own), len(others)) >= LOWEST_N
        assert (row["exposed_value"], row["other_value"]) == pytest.approx(
            (own.mean(), others.mean())
        )
        error = math.sqrt(own.var() / len(own) + others.var() / len(others))
        difference = own.mean() - others.mean()
        assert (row["effect"], row["ci_low"], row["ci_high"]) == pytest.approx(
            (
                difference,
                difference - 1.959963984540054 * error,
                difference + 1.959963984540054 * error,
            )
        )
        assert row["p_value"] == pytest.approx(2 * stats.norm.sf(abs(difference / error)))


def test_p_values_are_adjusted_over_all_that_lags_by_kind(demo: Workbench) -> None:
    drivers = demo.frame(
        "select gap_drivers.*, gap_ranking.verdict = 'lagging' as is_lagging"
        " from marts.gap_drivers join marts.gap_ranking using (gap_id)"
        " where gap_drivers.p_value is not null"
    )
    families = list(drivers.groupby(["driver_kind", "is_lagging"]))
    assert max(len(family) for _, family in families) > 5
    for _, family in families:
        expected = multipletests(family["p_value"], method="fdr_bh")[1]
        assert list(family["adjusted_p_value"]) == pytest.approx(list(expected))


def test_contributions_add_up_exactly_and_are_kitagawas(demo: Workbench) -> None:
    """In decimals, without a tolerance; each within a rounding of its exact fraction."""
    rows = demo.query(
        """
        select gap_id, segment_dimension, segment_value, compared_with, component,
            contribution, contribution_total
        from marts.gap_drivers where driver_kind = 'mix_and_rate'
        """
    )
    sums: dict[tuple[object, ...], Decimal] = {}
    totals: dict[tuple[object, ...], Decimal] = {}
    for gap_id, dimension, _, compared_with, _, contribution, total in rows:
        key = gap_id, dimension, compared_with
        assert isinstance(contribution, Decimal)
        assert isinstance(total, Decimal)
        sums[key] = sums.get(key, Decimal(0)) + contribution
        totals[key] = total
    assert sums == totals
    assert {key[2] for key in sums} == {"benchmark", "previous_period"}
    gaps = dict(demo.query("select gap_id, gap::decimal(18, 12) from marts.gap_ranking"))
    assert all(
        total == gaps[gap_id]
        for (gap_id, _, compared_with), total in totals.items()
        if compared_with == "benchmark"
    )
    exact = exact_terms(demo)
    for gap_id, dimension, value, compared_with, component, contribution, _ in rows:
        # Against the own past each segment has a benchmark of its own.
        if component == "benchmark_mix" or str(gap_id).startswith("own_past:"):
            continue
        expected = exact[gap_id, dimension, value, compared_with, component]
        assert abs(Fraction(contribution) - expected) <= Fraction(20, 10**12)


def exact_terms(demo: Workbench) -> dict[tuple[object, ...], Fraction]:
    """From the counts of fct_measures; the demo's benchmarks are the total's."""
    counts = {
        tuple(row[:6]): (int(row[6]), Fraction(row[7]))  # type: ignore[call-overload]
        for row in demo.query(
            """
            select journey_id, metric_id, stage_id, segment_dimension, segment_value,
                period_start, n, numerator
            from marts.fct_measures where period_grain = 'trailing_13_weeks'
            """
        )
    }
    terms = {}
    for gap_id, *measure, benchmark, start, before in demo.query(
        """
        select gap_id, journey_id, metric_id, stage_id, benchmark_value, period_start,
            (period_start - interval 91 day)::date
        from marts.gap_ranking
        where segment_dimension = 'all' and benchmark_kind <> 'own_past'
        """
    ):
        cells = [key for key in counts if key[:3] == tuple(measure)]
        total, _ = counts.get((*measure, "all", "all", start), (0, 0))
        total_before, _ = counts.get((*measure, "all", "all", before), (0, 0))
        for *_, dimension, value, _ in cells:
            n, outcomes = counts.get((*measure, dimension, value, start), (0, Fraction(0)))
            n_before, before_outcomes = counts.get(
                (*measure, dimension, value, before), (0, Fraction(0))
            )
            if n and total:
                desired = Fraction(str(benchmark))
                term = (outcomes - n * desired) / total
                terms[gap_id, dimension, value, "benchmark", "rate"] = term
            if total and total_before and (n or n_before):
                rate = outcomes / n if n else before_outcomes / n_before
                rate_before = before_outcomes / n_before if n_before else outcomes / n
                weight, weight_before = Fraction(n, total), Fraction(n_before, total_before)
                terms[gap_id, dimension, value, "previous_period", "mix"] = (
                    (weight - weight_before) * (rate + rate_before) / 2
                )
                terms[gap_id, dimension, value, "previous_period", "rate"] = (
                    (weight + weight_before) / 2 * (rate - rate_before)
                )
    return terms


def test_the_planted_segment_and_the_queue_come_first(demo: Workbench) -> None:
    truth = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
    segment = truth["segment"]
    benchmark = truth["conversion_rates"][segment["stage_id"]]["benchmark_id"]
    drivers = demo.frame("select * from marts.gap_drivers").set_index("gap_id")
    own = drivers.loc[f"{benchmark}:all:all"].sort_values("driver_rank")
    first = own[own["driver_kind"] == "segment"].iloc[0]
    assert (first["segment_dimension"], first["segment_value"]) == (
        segment["dimension"],
        segment["value"],
    )
    assert first["share_of_gap"] == pytest.approx(segment["share_of_gap"], abs=0.1)
    assert first["adjusted_p_value"] < 0.001
    decomposed = own[(own["driver_kind"] == "mix_and_rate") & (own["compared_with"] == "benchmark")]
    assert decomposed.iloc[0]["segment_value"] == segment["value"]
    waits = own[own["effect_kind"] == "wait_days"]
    assert waits.iloc[0]["driver"] == "(no owner) to sales"
    # Waits that have ended by the end of the window are shorter than half of all.
    assert 4 < waits.iloc[0]["exposed_value"] < 10
    assert waits.iloc[0]["other_value"] < 2.5
    assert "lead_queued" in set(own[own["driver_kind"] == "behaviour"]["driver"])
    assert set(drivers["evidence"]) == {"association"}
    assert not drivers["sentence"].str.contains("because").any()
    assert drivers["sentence"].str.contains(" goes with ").all()


def test_shuffled_outcomes_go_with_nothing(
    demo: Workbench, make_workbench: Callable[[str], Workbench]
) -> None:
    """Outcomes permuted within strata, before and after the landmark: then a family has a
    finding in one of twenty cases, give or take three errors."""
    workbench = make_workbench("shuffled")
    workbench.home.mkdir(parents=True)
    shutil.copy(demo.settings.warehouse, workbench.settings.warehouse)
    workbench.use_map(PROJECT_DIR / "seeds" / "journey_map")
    workbench.dbt("compile", "--select", "int_driver_tests")
    (compiled,) = workbench.settings.dbt_target_dir.rglob("compiled/**/int_driver_tests.sql")
    sql = compiled.read_text()
    rng = np.random.default_rng(5)
    with duckdb.connect(str(workbench.settings.warehouse)) as connection:
        units = connection.execute(
            "select unit_number, measure_number, stratum_number, is_at_landmark, cluster_id,"
            " is_outcome from intermediate.int_driver_units order by unit_number"
        ).df()
        blocks = list(
            units.groupby(["measure_number", "stratum_number", "is_at_landmark"]).indices.values()
        )
        findings = families = 0
        for _ in range(SHUFFLES):
            outcome = units["is_outcome"].to_numpy().copy()
            for block in blocks:
                outcome[block] = rng.permutation(outcome[block])
            shuffled = units[["unit_number"]].assign(is_shuffled=outcome)
            connection.register("shuffled", shuffled)
            connection.execute(
                "update intermediate.int_driver_units as units set is_outcome = is_shuffled"
                " from shuffled where units.unit_number = shuffled.unit_number"
            )
            connection.unregister("shuffled")
            tests = connection.execute(sql).df()
            tests = tests[tests["effect_kind"] != "wait_days"]
            for _, family in tests.groupby([*KEY, "driver_kind"]):
                families += 1
                findings += min(multipletests(family["p_value"], method="fdr_bh")[1]) <= LEVEL
    assert families > 500
    error = math.sqrt(LEVEL * (1 - LEVEL) / families)
    assert findings / families < LEVEL + 3 * error
    assert findings / families > LEVEL / 3, "so few findings that the tests see nothing"

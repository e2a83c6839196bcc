"""Measures of segments: parts of the total, and each one counted anew from the published visits."""

from collections import Counter
from typing import Any

import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.cohorts import cohort_units, first_fallen, kaplan_meier, units_of, whole_us
from tests.conftest import Workbench

CASE_RATES = ["conversion_rate", "drop_off_rate", "open_rate", "identified_rate"]
VISIT_RATES = ["rework_rate", "skip_rate"]
TIMES = {"leaving": "time_in_stage", "advancing": "time_to_advance", "first_value": "time_to_value"}
LEVELS = {"p50": 0.5, "p75": 0.75, "p90": 0.9}
CELL = ["journey_id", "stage_id", "segment_dimension", "segment_value", "period_grain"]
PERIOD = ["journey_id", "metric_id", "stage_id", "period_grain", "period_start", "period_end"]
VISIT = ["journey_id", "entity_id", "attempt_number", "visit_number"]
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def measures(demo: Workbench) -> pd.DataFrame:
    return demo.frame("select * from marts.fct_measures")


@pytest.fixture(scope="module")
def segments(demo: Workbench) -> pd.DataFrame:
    """One row per visit and segment it lies in, pairs included."""
    return demo.frame(
        """
        select
            visit_segments.journey_id, entity_id, attempt_number, visit_number,
            segments.segment_dimension, segments.segment_value
        from intermediate.int_visit_segments as visit_segments
        join intermediate.int_segments as segments using (segment_number)
        """
    )


@pytest.fixture(scope="module")
def entries(demo: Workbench, segments: pd.DataFrame) -> pd.DataFrame:
    """Cases' first visits to their stages by segment, with what became of them."""
    clusters = demo.frame(
        f"select {', '.join(VISIT)}, cluster_id, is_identified from intermediate.int_cohort_entries"
    )
    windows = demo.frame(
        "select journey_id, stage_id, conversion_window_days from marts.dim_stages"
    )
    rows = cohort_units(demo)["advancing"].merge(clusters, on=VISIT).merge(windows)
    window = rows["conversion_window_days"] * DAY
    rows["conversion_rate"] = rows["advanced_at"] - rows["entered_at"] <= window
    left_in_time = rows["left_at"] - rows["entered_at"] <= window
    rows["drop_off_rate"] = left_in_time & ~rows["conversion_rate"]
    rows["open_rate"] = ~rows["conversion_rate"] & ~rows["drop_off_rate"]
    rows["identified_rate"] = rows["is_identified"]
    return rows[[*VISIT, "stage_id", "day", "cluster_id", *CASE_RATES]].merge(segments, on=VISIT)


@pytest.fixture(scope="module")
def visits(demo: Workbench, segments: pd.DataFrame) -> pd.DataFrame:
    """Visits by segment, with how they were left."""
    clusters = demo.frame(
        f"select {', '.join(VISIT)}, cluster_id from intermediate.int_cohort_visits"
    )
    windows = demo.frame(
        "select journey_id, stage_id, conversion_window_days from marts.dim_stages"
    )
    rows = cohort_units(demo)["leaving"].merge(clusters, on=VISIT).merge(windows)
    in_time = rows["exited_at"] - rows["entered_at"] <= rows["conversion_window_days"] * DAY
    rows["rework_rate"] = in_time & (rows["exit_kind"] == "back")
    rows["skip_rate"] = in_time & (rows["exit_kind"] == "skip")
    return rows[[*VISIT, "stage_id", "day", "cluster_id", *VISIT_RATES]].merge(segments, on=VISIT)


def test_segments_of_a_dimension_add_up_to_the_total(measures: pd.DataFrame) -> None:
    rates = measures[measures["metric_id"].isin(CASE_RATES + VISIT_RATES)]
    totals = rates[rates["segment_dimension"] == "all"].set_index(PERIOD)[["n", "numerator"]]
    parts = rates[rates["segment_dimension"] != "all"]
    sums = parts.groupby([*PERIOD, "segment_dimension"])[["n", "numerator"]].sum().reset_index()
    expected = totals.loc[pd.MultiIndex.from_frame(sums[PERIOD])]
    assert (sums["n"].to_numpy() == expected["n"].to_numpy()).all()
    assert (sums["numerator"].to_numpy() == expected["numerator"].to_numpy()).all()
    # No total of a journey with the dimension lacks its parts, in the demo's 52 weeks.
    for (journey, dimension), group in sums.groupby(["journey_id", "segment_dimension"]):
        is_pair = " & " in dimension
        of_journey = totals.reset_index()
        of_journey = of_journey[of_journey["journey_id"] == journey]
        if is_pair:
            of_journey = of_journey[of_journey["period_grain"].isin(["trailing_13_weeks", "all"])]
        assert len(group) == len(of_journey)
    assert sums["segment_dimension"].nunique() > 2
    assert sums["segment_dimension"].str.contains(" & ").any()


def test_each_case_converts_leaves_or_stays_open(measures: pd.DataFrame) -> None:
    keys = [*CELL, "period_start"]
    three = measures[measures["metric_id"].isin(CASE_RATES[:3])]
    by_metric = three.pivot(index=keys, columns="metric_id", values=["n", "numerator", "value"])
    n, numerator, value = (by_metric[column] for column in ("n", "numerator", "value"))
    assert len(by_metric) > 3000
    assert (n.nunique(axis=1) == 1).all()
    assert (numerator.sum(axis=1) == n["conversion_rate"]).all()
    assert value.sum(axis=1).to_numpy() == pytest.approx(1)
    assert (numerator["drop_off_rate"] > 0).sum() > 100
    assert (numerator["open_rate"] > 0).sum() > 100


def interval(units: pd.DataFrame, metric_id: str) -> tuple[float, ...]:
    """n, clusters, rate, effective n and Wilson's interval of units, by the formulas themselves."""
    n, rate = len(units), units[metric_id].mean()
    per_cluster = units.groupby("cluster_id")[metric_id].agg(["sum", "count"])
    clusters, effect = len(per_cluster), 1.0
    if clusters > 1 and 0 < rate < 1:
        residuals = per_cluster["sum"] - rate * per_cluster["count"]
        variance = clusters / (clusters - 1) * (residuals**2).sum() / n**2
        effect = max(1.0, variance * n / (rate * (1 - rate)))
    low, high = proportion_confint(rate * n / effect, n / effect, method="wilson")
    return n, clusters, rate, n / effect, low, high


def test_rates_of_segments_are_counts_of_the_published_visits(
    measures: pd.DataFrame, entries: pd.DataFrame, visits: pd.DataFrame
) -> None:
    seen: Counter[Any] = Counter()
    is_pair = measures["segment_dimension"].str.contains(" & ")
    is_checked = (measures["period_grain"] == "all") & (~is_pair | (measures["n"] >= 30))
    rates = measures[is_checked & (measures["segment_dimension"] != "all")]
    for metric_id in CASE_RATES + VISIT_RATES:
        units = entries if metric_id in CASE_RATES else visits
        groups = dict(list(units.groupby(CELL[:-1])))
        for _, row in rates[rates["metric_id"] == metric_id].iterrows():
            cell = units_of(groups[tuple(row[CELL[:-1]])], row)
            expected = interval(cell.assign(**{metric_id: cell[metric_id].astype(bool)}), metric_id)
            columns = ("n", "n_clusters", "value", "effective_n", "ci_low", "ci_high")
            assert tuple(row[column] for column in columns) == pytest.approx(expected)
            seen[metric_id] += 0 < row["value"] < 1
            seen["clustered"] += row["effective_n"] < row["n"]
        keys = units[units["segment_dimension"].notna()].groupby(CELL[:-1]).ngroups
        assert 0 < rates[rates["metric_id"] == metric_id].groupby(CELL[:-1]).ngroups <= keys
    assert all(seen[metric_id] > 5 for metric_id in CASE_RATES[:3] + VISIT_RATES[:1])
    assert seen["clustered"] > 50


@pytest.mark.parametrize("kind", ["leaving", "advancing", "first_value"])
def test_times_of_segments_are_kaplan_meier(
    demo: Workbench, measures: pd.DataFrame, segments: pd.DataFrame, kind: str
) -> None:
    """Of single dimensions: lifelines is slow."""
    columns = [*VISIT, "stage_id", "day", "duration_us", "is_event"]
    units = cohort_units(demo)[kind][columns].merge(segments, on=VISIT)
    groups = dict(list(units.groupby(CELL[:-1])))
    times = measures[measures["metric_id"].str.startswith(TIMES[kind])]
    times = times[(times["segment_dimension"] != "all") & (times["n"] >= 50)]
    assert set(times["period_grain"]) == {"trailing_13_weeks", "all"}
    times = times[~times["segment_dimension"].str.contains(" & ")]
    known = 0
    for _, rows in times.groupby([*CELL, "period_start"]):
        cell = units_of(groups[tuple(rows.iloc[0][CELL[:-1]])], rows.iloc[0])
        fit = kaplan_meier(cell)
        survival = fit.survival_function_.iloc[:, 0].to_numpy()
        low = fit.confidence_interval_.iloc[:, 0].to_numpy()
        for _, row in rows.iterrows():
            level = LEVELS[row["metric_id"][-3:]]
            expected = [first_fallen(fit.timeline, curve, level) for curve in (survival, low)]
            assert [whole_us(row["value"]), whole_us(row["ci_low"])] == expected
            assert (row["n"], row["numerator"]) == (len(cell), cell["is_event"].sum())
            known += expected[0] is not None
    assert known > 5


def test_a_segment_is_measured_in_few_periods_and_thrice_in_a_trailing_one(
    demo: Workbench, measures: pd.DataFrame
) -> None:
    is_time = measures["metric_id"].str.startswith("time_")
    is_total = measures["segment_dimension"] == "all"
    is_pair = measures["segment_dimension"].str.contains(" & ")
    is_long = measures["period_grain"].isin(["trailing_13_weeks", "all"])
    assert is_long[is_pair].all()
    assert is_long[is_time & ~is_total].all()
    assert not is_long[is_time & is_total].all()
    periods = demo.frame(
        """
        select
            journey_id, stage_id, coalesce(metric_id, '') as rule, weeks_back, period_start,
            period_end
        from intermediate.int_periods where weeks_back is not null
        """
    )
    measured = measures[measures["period_grain"] == "trailing_13_weeks"]
    # A rule has periods of its own, by its own window; other metrics those of the stage.
    families = measured["metric_id"].str.replace(r"_p\d\d$", "", regex=True)
    rules = families.where(families.isin(set(periods["rule"])), "")
    trailing = measured.assign(rule=rules).merge(periods)
    assert len(trailing) == len(measured)
    assert set(trailing["weeks_back"]) >= {0, 13}
    ends = periods.pivot(
        index=["journey_id", "stage_id", "rule"], columns="weeks_back", values="period_end"
    )
    assert (ends[0] - ends[13] == 91 * DAY).all()

"""Contacts, answers and hand-offs in the long table: each figure counted anew from its units.

What a unit is, and whether it counts, is shown where each family is; here that periods, segments,
clusters, intervals and curves are those of cases.
"""

from collections import Counter
from typing import Any

import pandas as pd
import pytest

from tests.cohorts import first_fallen, kaplan_meier, units_of, whole_us
from tests.conftest import Workbench
from tests.integration.test_measures_by_segment import LEVELS, interval

LONG = ["trailing_13_weeks", "all"]
OF_VISITS = ["acquisition_channel", "region", "industry"]


def placed(workbench: Workbench, view: str, metric: str) -> pd.DataFrame:
    """The units of a view by segment: the total, their own dimensions, those of raw records."""
    units = workbench.frame(
        f"""
        select
            units.*, {metric} as metric, journeys.time_zone,
            customers.acquisition_channel, accounts.region, accounts.industry
        from intermediate.{view} as units
        join marts.dim_journeys as journeys using (journey_id)
        left join (
            select customer_id, max_by(acquisition_channel, source_updated_at)
                as acquisition_channel, max_by(account_id, source_updated_at) as account_id
            from raw.crm_contacts where customer_id is not null group by customer_id
        ) as customers on customers.customer_id = units.customer_id
        left join (
            select account_id, max_by(region, source_updated_at) as region,
                max_by(industry, source_updated_at) as industry
            from raw.crm_accounts group by account_id
        ) as accounts on accounts.account_id = customers.account_id
        """
    )
    days = [
        rows["measured_at"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
        for zone, rows in units.groupby("time_zone")
    ]
    units["day"] = pd.concat(days).dt.normalize()
    own = workbench.frame("select * from intermediate.int_unit_dimensions")
    parts = [units.assign(segment_dimension="all", segment_value="all")]
    parts[0] = parts[0][parts[0]["only_dimension"].isna()]
    parts += [
        units[units["only_dimension"].isna()].assign(
            segment_dimension=dimension,
            segment_value=units[dimension].fillna("(unknown)"),
        )
        for dimension in OF_VISITS
    ]
    own_rows = units.merge(own, on="unit_id")
    only = own_rows["only_dimension"]
    parts.append(own_rows[only.isna() | (only == own_rows["segment_dimension"])])
    return pd.concat(parts)


@pytest.fixture(scope="module")
def measures(demo: Workbench) -> pd.DataFrame:
    return demo.frame("select * from marts.fct_measures where segment_value <> 'other'")


KEY = ["journey_id", "stage_id", "segment_dimension", "segment_value"]


def test_rates_of_units_are_counts_with_wilson_intervals(
    demo: Workbench, measures: pd.DataFrame
) -> None:
    units = placed(demo, "int_rate_units", "units.metric_id")
    seen: Counter[Any] = Counter()
    for metric_id, of_metric in units.groupby("metric"):
        groups = dict(list(of_metric.groupby(KEY)))
        rows = measures[measures["metric_id"] == metric_id]
        rows = rows[rows["segment_dimension"].isin(of_metric["segment_dimension"])]
        for _, row in rows[rows["period_grain"].isin([*LONG, "month"])].iterrows():
            cell = units_of(groups[tuple(row[KEY])], row)
            cell = cell.assign(is_reached=cell["is_reached"].astype(bool))
            actual = row[["n", "n_clusters", "value", "effective_n", "ci_low", "ci_high"]]
            assert tuple(actual) == pytest.approx(interval(cell, "is_reached")), tuple(row)
            seen[metric_id] += 1
            seen[row["segment_dimension"]] += 1
            seen["clustered"] += row["effective_n"] < row["n"]
        assert seen[metric_id] > 0, metric_id
    assert {"all", "region", "touchpoint", "support_topic", "hand_off"} <= set(seen)
    assert seen["clustered"] > 20


def test_weeks_and_months_of_units_have_the_total_alone(measures: pd.DataFrame) -> None:
    rows = measures[measures["metric_id"].isin(["first_contact_resolution_rate", "csat"])]
    short = rows[~rows["period_grain"].isin(LONG)]
    assert set(short["segment_dimension"]) == {"all"}
    assert rows[rows["period_grain"].isin(LONG)]["segment_dimension"].nunique() > 4


def test_times_of_units_are_kaplan_meier(demo: Workbench, measures: pd.DataFrame) -> None:
    units = placed(demo, "int_time_units", "units.metric_family")
    seen: Counter[Any] = Counter()
    for family, of_family in units.groupby("metric"):
        groups = dict(list(of_family.groupby(KEY)))
        rows = measures[measures["metric_id"].str[:-4] == family]
        rows = rows[(rows["period_grain"] == "all") & (rows["n"] >= 20)]
        for key, levels in rows[rows["segment_dimension"].isin(["all", "region"])].groupby(KEY):
            cell = units_of(groups[key], levels.iloc[0])
            fit = kaplan_meier(cell)
            curve = fit.survival_function_.iloc[:, 0].to_numpy()
            assert len(levels) == 3
            for _, row in levels.iterrows():
                expected = first_fallen(fit.timeline, curve, LEVELS[row["metric_id"][-3:]])
                assert whole_us(row["value"]) == expected, tuple(row)
                assert (row["n"], row["numerator"]) == (len(cell), cell["is_event"].sum())
                assert row["n_clusters"] == cell["cluster_id"].nunique()
                seen[family] += 1
    assert all(seen[family] > 5 for family in ("first_response_time", "resolution_time"))


def test_touchpoints_are_named_where_they_are_the_segment(measures: pd.DataFrame) -> None:
    by_touchpoint = measures[measures["segment_dimension"] == "touchpoint"]
    assert len(by_touchpoint) > 10
    assert (by_touchpoint["touchpoint_id"] == by_touchpoint["segment_value"]).all()
    others = measures[measures["segment_dimension"] != "touchpoint"]
    assert others["touchpoint_id"].isna().all()

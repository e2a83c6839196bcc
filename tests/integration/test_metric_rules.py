"""Metrics that are rows: counted by hand from raw events and facts, and against what was planted.

On-time rates have no place in the demo: they are counted in a small world of their own.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench
from tests.maps import write_tables

TRUTH = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
DAY = pd.Timedelta(days=1)
# Metric -> journey, anchor stage, the outcome's event in raw.events, first and last day.
RULES = {
    "activation": ("onboarding", "workspace_created", "report_shared", 0, 14),
    "retention": ("subscription", "subscribed", "app_used", 30, 60),
    "churn": ("subscription", "subscribed", "plan_cancelled", 0, 90),
    "referral": ("subscription", "subscribed", "referral_sent", 0, 90),
}
WINDOWS = {"lead_to_customer": 30, "onboarding": 14, "checkout": 7, "subscription": 120}


@pytest.fixture(scope="module")
def measures(demo: Workbench) -> pd.DataFrame:
    return demo.frame("select * from marts.fct_measures where segment_dimension = 'all'")


def first_visits(demo: Workbench, journey_id: str, stage_id: str) -> pd.DataFrame:
    """A case's first visit to a stage, with the local date: from the published facts alone."""
    visits = demo.frame(
        f"""
        select case_id, entity_id, min(entered_at) as entered_at
        from marts.fct_stage_visits
        where journey_id = '{journey_id}' and stage_id = '{stage_id}' and not is_left_truncated
        group by all
        """
    )
    local = visits["entered_at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    return visits.assign(day=local.dt.tz_localize(None).dt.normalize())


def assert_counted(measures: pd.DataFrame, metric_id: str, units: pd.DataFrame) -> None:
    """Every row of the metric, of whatever period, counts the units that entered in it."""
    rows = measures[
        (measures["metric_id"] == metric_id)
        & (measures["journey_id"] == units["journey_id"].iloc[0])
    ]
    assert set(rows["period_grain"]) == {"week", "month", "trailing_13_weeks", "all"}
    for _, row in rows.iterrows():
        within = units[(units["day"] >= row["period_start"]) & (units["day"] < row["period_end"])]
        expected = (len(within), within["is_reached"].sum())
        assert (row["n"], row["numerator"]) == expected, (metric_id, row["period_start"])
    weeks = rows[rows["period_grain"] == "week"]
    assert weeks["n"].sum() == len(units) > 100


@pytest.mark.parametrize("metric_id", RULES)
def test_a_rule_counts_the_entity_s_events(
    demo: Workbench, measures: pd.DataFrame, metric_id: str
) -> None:
    journey_id, stage_id, event_name, from_day, to_day = RULES[metric_id]
    units = first_visits(demo, journey_id, stage_id)
    events = demo.frame(
        f"select customer_id, occurred_at from raw.events where event_name = '{event_name}'"
    )
    pairs = units.merge(events, left_on="entity_id", right_on="customer_id")
    passed = pairs["occurred_at"] - pairs["entered_at"]
    reached = pairs[(passed >= from_day * DAY) & (passed <= to_day * DAY)]["case_id"]
    units["is_reached"] = units["case_id"].isin(reached)
    assert 10 < units["is_reached"].sum() < len(units) - 10
    assert_counted(measures, metric_id, units.assign(journey_id=journey_id))


@pytest.mark.parametrize("journey_id", WINDOWS)
def test_a_journey_converts_by_its_case_s_success(
    demo: Workbench, measures: pd.DataFrame, journey_id: str
) -> None:
    (entry,) = demo.query(
        f"""
        select stage_id from marts.dim_stages
        where journey_id = '{journey_id}' order by stage_order limit 1
        """
    )
    units = first_visits(demo, journey_id, str(entry[0]))
    successes = demo.frame(
        f"""
        select case_id, entered_at as succeeded_at
        from marts.fct_stage_visits join marts.dim_stages using (journey_id, stage_id)
        where journey_id = '{journey_id}' and stage_kind = 'success'
        """
    )
    units = units.merge(successes, on="case_id", how="left")
    passed = units["succeeded_at"] - units["entered_at"]
    units["is_reached"] = passed <= WINDOWS[journey_id] * DAY
    assert_counted(measures, "journey_conversion_rate", units.assign(journey_id=journey_id))


def test_what_was_planted_lies_within_the_interval(measures: pd.DataFrame) -> None:
    whole = measures[measures["period_grain"] == "all"].set_index("metric_id")
    for metric_id in ("retention", "churn", "referral"):
        row = whole.loc[metric_id]
        assert row["ci_low"] <= TRUTH[metric_id] <= row["ci_high"]
        assert row["ci_high"] - row["ci_low"] < 0.15


def test_intervals_are_wilson_s_on_clusters(demo: Workbench, measures: pd.DataFrame) -> None:
    units = demo.frame("select * from intermediate.int_metric_units")
    rows = measures[measures["metric_id"].isin([*RULES, "journey_conversion_rate"])]
    clustered = 0
    for _, row in rows[rows["period_grain"] != "week"].iterrows():
        cell = units[
            (units["metric_id"] == row["metric_id"])
            & (units["journey_id"] == row["journey_id"])
            & (units["entered_date"] >= row["period_start"])
            & (units["entered_date"] < row["period_end"])
        ]
        n, p = len(cell), cell["is_outcome"].mean()
        per_cluster = cell.groupby("cluster_id")["is_outcome"].agg(["sum", "count"])
        clusters = len(per_cluster)
        effect = 1.0
        if clusters > 1 and 0 < p < 1:
            residuals = per_cluster["sum"] - p * per_cluster["count"]
            variance = clusters / (clusters - 1) * (residuals**2).sum() / n**2
            effect = max(1.0, variance * n / (p * (1 - p)))
        clustered += effect > 1.01
        interval = proportion_confint(p * n / effect, n / effect, method="wilson")
        assert (row["n"], row["n_clusters"]) == (n, clusters)
        assert row["value"] == pytest.approx(p)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(interval, abs=1e-12)
        # A mature period is one whose units are all complete.
        assert not row["is_mature"] or cell["is_complete"].all()
    assert clustered > 10


# --- due dates ------------------------------------------------------------------------

MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days
        order,Order,customer,30,ordered,Europe/Berlin,14
        """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind
        order,ordered,1,purchase,progress
        order,packed,2,purchase,progress
        order,delivered,3,purchase,success
        """,
    "stage_rules": """
        journey_id,stage_id,source,event_name
        order,ordered,events,ordered
        order,packed,events,packed
        order,delivered,events,delivered
        """,
    "entity_links": """
        journey_id,source,entity_column
        order,events,customer_id
        """,
    "metric_rules": """
        metric_id,journey_id,anchor_stage,outcome_stage,from_day,to_day,due_property,is_negated
        on_time_rate,order,ordered,delivered,,,promised,false
        """,
}
# What was promised on 4 March, and when it came (UTC); in Berlin 8 March ends at 23:00 UTC.
ORDERS: dict[str, tuple[str | None, str | None]] = {
    "in_time": ("2024-03-08", "2024-03-08T22:59:59.999999Z"),
    "too_late": ("2024-03-08", "2024-03-08T23:00:00Z"),
    "to_the_second": ("2024-03-08T12:00:00+01:00", "2024-03-08T11:00:00Z"),
    "never": ("2024-03-20", None),
    "early_though_due_later": ("2024-12-24", "2024-03-05T00:00:00Z"),
    "not_yet_due": ("2024-12-24", None),
    "no_date": ("soon", "2024-03-05T00:00:00Z"),
    "nothing_promised": (None, "2024-03-05T00:00:00Z"),
}


def test_on_time_is_judged_by_what_the_order_promised(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """3 of 5: three in time, one too late and one past due; the other three are not judged."""
    workbench = make_workbench("on_time")
    workbench.use_map(write_tables(tmp_path / "map", MAP))
    files = tmp_path / "files"
    files.mkdir()
    rows = [("old", "ordered", "2024-01-01T08:00:00Z", ""), ("end", "ordered", "2024-06-30", "")]
    for customer, (promised, delivered) in ORDERS.items():
        properties = "" if promised is None else json.dumps({"promised": promised})
        rows.append((customer, "ordered", "2024-03-04T09:00:00Z", properties))
        rows.append((customer, "packed", "2024-03-04T10:00:00Z", '{"promised": "2024-03-01"}'))
        if delivered:
            rows.append((customer, "delivered", delivered, ""))
    with (files / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["event_id", "customer_id", "event_name", "occurred_at", "received_at", "properties"]
        )
        for number, (customer, name, at, properties) in enumerate(rows):
            writer.writerow([number, customer, name, at, at, properties])
    workbench.land(files)
    workbench.build("--select", "+fct_measures", "int_metric_units")

    units = workbench.query(
        """
        select entity_id, is_outcome from intermediate.int_metric_units
        where metric_id = 'on_time_rate' order by entity_id
        """
    )
    assert units == [
        ("early_though_due_later", True),
        ("in_time", True),
        ("never", False),
        ("to_the_second", True),
        ("too_late", False),
    ]
    assert workbench.query(
        """
        select stage_id, n, numerator, value, is_mature from marts.fct_measures
        where metric_id = 'on_time_rate' and period_grain = 'week'
        """
    ) == [("ordered", 5, 3, 0.6, True)]
    # The last of them is `end`, whom nothing was promised either.
    assert workbench.query(
        """
        select due_text from intermediate.int_due_times where due_at is null
        order by due_text nulls last
        """
    ) == [("soon",), (None,), (None,)]

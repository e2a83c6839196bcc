"""docs/cookbook.md on the demo's publication: every query answers, and some are counted anew."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestration.defs.models.assets import published_marts
from orchestration.publish.contracts import sort_orders
from orchestration.publish.publication import DATABASE, publish
from orchestration.warehouse import DuckDBWarehouse
from tests.conftest import Workbench
from tests.cookbook import EMPTY_IN_A_FIRST_RUN, Recipe, answer, recipe, recipes

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def published(
    demo: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file that analysts open."""
    manifest = json.loads((demo.settings.dbt_target_dir / "manifest.json").read_text())
    marts = [mart.path[-1] for mart in published_marts(manifest)]
    folder: Path = publish(
        DuckDBWarehouse(demo.settings.warehouse),
        tmp_path_factory.mktemp("cookbook"),
        marts,
        {},
        "cookbook",
        sorted_by=sort_orders(manifest),
    ).folder
    with duckdb.connect(folder / DATABASE, read_only=True) as connection:
        yield connection


def frame(connection: duckdb.DuckDBPyConnection, sql: str) -> pd.DataFrame:
    return connection.execute(sql).df()


def test_the_page_asks_twenty_questions_and_says_how_to_read_each_answer() -> None:
    found = recipes()
    assert [each.number for each in found] == list(range(1, 21))
    assert len({each.question for each in found}) == 20
    for each in found:
        assert each.question.endswith("?") or ": " in each.question, each.question
        assert each.reading.count(". ") + each.reading.count(".\n") >= 1, each.question
        assert max(map(len, each.sql.splitlines())) <= 100, each.question


@pytest.mark.parametrize("asked", recipes(), ids=lambda asked: f"{asked.number}")
def test_every_query_runs_as_it_stands(published: duckdb.DuckDBPyConnection, asked: Recipe) -> None:
    found = answer(published, asked.sql)
    assert len(set(found.columns)) == len(found.columns)
    assert bool(found.rows) == (asked.number not in EMPTY_IN_A_FIRST_RUN)
    # A column that no row fills is a join that never matches.
    for number, column in enumerate(found.columns if len(found.rows) > 9 else ()):
        is_filled = any(row[number] is not None for row in found.rows)
        assert is_filled or column.startswith("last_action"), column


def test_cohorts_by_month_counted_anew(published: duckdb.DuckDBPyConnection) -> None:
    visits = frame(published, "from fct_stage_visits where journey_id = 'onboarding'")
    stages = frame(published, "from dim_stages where journey_id = 'onboarding'")
    [journey] = frame(published, "from dim_journeys where journey_id = 'onboarding'").to_dict(
        "records"
    )
    entries = visits[(visits["stage_id"] == "workspace_created") & ~visits["is_left_truncated"]]
    entered = entries.groupby("case_id")["entered_at"].min()
    reached = visits[visits["stage_id"] == "activated"].groupby("case_id")["entered_at"].min()
    took = reached.reindex(entered.index) - entered
    local = entered.dt.tz_localize("UTC").dt.tz_convert(journey["time_zone"]).dt.tz_localize(None)
    months = local.dt.to_period("M")
    [seen] = stages.loc[stages["stage_id"] == "workspace_created", "observed_through"]
    window = journey["conversion_window_days"] * DAY

    found = frame(published, recipe(10).sql)
    found = found.set_index(found.pop("cohort_month").dt.to_period("M"))
    assert list(found.index) == sorted(months.unique())
    assert set(found["is_mature"]) == {True, False}
    # The first month and the last.
    assert found["is_partial"].sum() <= 2
    assert (found["median_days"] > found["days_low"]).any()
    assert not (found["median_days"] < found["days_low"]).any()
    assert not (found["median_days"] > found["days_high"]).any()
    for month, row in found.iterrows():
        in_month = took[months == month]
        assert row["cases"] <= len(in_month)
        if row["is_mature"] and not row["is_partial"]:
            assert row["cases"] == len(in_month)
            assert row["conversion_rate"] == pytest.approx((in_month <= window).mean())
            assert row["rate_low"] < row["conversion_rate"] < row["rate_high"]
        assert row["is_mature"] == ((month + 1).start_time + window <= seen)


def test_moves_back_counted_anew(published: duckdb.DuckDBPyConnection) -> None:
    steps = frame(published, "from fct_stage_transitions")
    place = ["journey_id", "from_stage_id"]
    moves_out = steps.groupby(place).size()
    pairs = steps[steps["transition_kind"] == "back"].groupby([*place, "to_stage_id"])["case_id"]

    found = frame(published, recipe(13).sql).set_index([*place, "to_stage_id"])
    assert len(found) > 1
    assert found["back_moves"].to_dict() == pairs.size().to_dict()
    assert found["cases"].to_dict() == pairs.nunique().to_dict()
    assert (found["cases"] < found["back_moves"]).any()
    shares = found["back_moves"] / moves_out.loc[found.index.droplevel("to_stage_id")].to_numpy()
    assert found["share_of_moves"].to_dict() == pytest.approx(shares.to_dict())


def test_steps_are_counted_as_the_facts_have_them(published: duckdb.DuckDBPyConnection) -> None:
    kinds = ["journey_id", "from_stage_id", "to_stage_id", "transition_kind"]
    steps = frame(published, "from fct_stage_transitions").groupby(kinds)["case_id"]
    stages = frame(published, "from dim_stages").set_index(["journey_id", "stage_id"])

    found = frame(published, "from fct_transition_counts").set_index(kinds)
    assert set(found.index.get_level_values("transition_kind")) >= {"back", "forward", "success"}
    assert found["transitions"].to_dict() == steps.size().to_dict()
    assert found["cases"].to_dict() == steps.nunique().to_dict()
    for (journey, left, entered, _), row in found.iterrows():
        assert row["from_stage_order"] == stages.loc[(journey, left), "stage_order"]
        assert row["to_stage_order"] == stages.loc[(journey, entered), "stage_order"]


def test_freshness_counted_anew(published: duckdb.DuckDBPyConnection) -> None:
    visits = frame(published, "from fct_stage_visits")
    stages = frame(published, "from dim_stages")
    found = frame(published, recipe(15).sql).set_index("journey_id")
    newest = visits.groupby("journey_id")["entered_at"].max()
    observed = stages.groupby("journey_id")["observed_through"].min()
    assert found["newest_entry"].to_dict() == newest.to_dict()
    assert found["observed_through"].to_dict() == observed.to_dict()


def test_a_metric_of_our_own_counted_anew(published: duckdb.DuckDBPyConnection) -> None:
    journey = "where journey_id = 'lead_to_customer'"
    visits = frame(published, f"from fct_stage_visits {journey}")
    stages = frame(published, f"from dim_stages {journey}").set_index("stage_id")
    meetings = frame(published, f"from fct_touchpoint_events {journey}")
    regions = frame(published, "from fct_visit_segments where segment_dimension = 'region'")

    sign_ups = visits[(visits["stage_id"] == "signed_up") & ~visits["is_left_truncated"]]
    sign_ups = sign_ups[sign_ups["entered_at"].dt.to_period("M") == pd.Period("2026-05")]
    assert stages.loc["signed_up", "observed_through"] >= pd.Timestamp("2026-06-02")
    routings = meetings[meetings["touchpoint_id"] == "lead_routing"]
    times = routings.groupby("case_id")["occurred_at"].apply(list).to_dict()
    sign_ups["is_routed"] = [
        any(entered <= time <= entered + DAY for time in times.get(case, []))
        for case, entered in zip(sign_ups["case_id"], sign_ups["entered_at"], strict=True)
    ]
    regions = regions[["visit_id", "segment_value"]]
    expected = sign_ups.merge(regions, on="visit_id").groupby("segment_value")["is_routed"]

    found = frame(published, recipe(17).sql).set_index("region")
    assert found["sign_ups"].to_dict() == expected.count().to_dict()
    assert found["routed_in_time"].to_dict() == expected.sum().to_dict()
    assert found["share"].to_dict() == pytest.approx(expected.mean().to_dict())


def test_open_and_overdue_counted_anew(published: duckdb.DuckDBPyConnection) -> None:
    visits = frame(published, "from fct_stage_visits where is_open")
    stages = frame(published, "from dim_stages")
    usual = frame(
        published,
        "from fct_measures where metric_id = 'time_to_advance_p75' and segment_dimension = 'all'"
        " and period_grain = 'trailing_13_weeks'",
    )
    place = ["journey_id", "stage_id"]
    usual = usual.sort_values("period_end").drop_duplicates(place, keep="last")
    rows = visits.merge(usual[[*place, "value"]], on=place).merge(stages, on=place)
    open_days = (rows["observed_through"] - rows["entered_at"]) / DAY
    overdue = rows[(open_days > rows["value"]) & (open_days <= rows["conversion_window_days"])]

    found = frame(published, recipe(18).sql)
    key = [*place, "customer_id", "entered_at"]
    assert len(found) > 0
    assert set(found[key].itertuples(index=False)) == set(overdue[key].itertuples(index=False))
    assert len(found) == len(overdue)


def test_reopened_contacts_counted_anew(published: duckdb.DuckDBPyConnection) -> None:
    visits = frame(published, "from fct_stage_visits where not is_left_truncated")
    stages = frame(published, "from dim_stages where stage_kind = 'progress'")
    moments = frame(published, "from fct_moment_stages where moment_kind = 'support_contact'")
    contacts = frame(published, "from fct_support_contacts")
    rows = visits.merge(stages, on=["journey_id", "stage_id"])
    rows["window"] = rows["conversion_window_days"] * DAY
    rows["landmark"] = rows["entered_at"] + rows["window"] / 5
    rows = rows[rows["entered_at"] + rows["window"] <= rows["observed_through"]]
    rows = rows[rows["exited_at"].isna() | (rows["exited_at"] > rows["landmark"])]
    asked = moments.merge(contacts, left_on="moment_id", right_on="support_contact_id")
    met = rows.merge(asked[["visit_id", "moment_at", "reopenings"]], on="visit_id")
    met = met[met["moment_at"] <= met["landmark"]]
    reopenings = met.groupby("visit_id")["reopenings"].max()
    rows = rows[rows["visit_id"].isin(reopenings.index)]
    rows["was_reopened"] = rows["visit_id"].map(reopenings) > 0
    rows["went_on"] = (rows["exited_at"] - rows["entered_at"] <= rows["window"]) & rows[
        "exit_kind"
    ].isin(["forward", "skip", "success"])
    expected = rows.groupby(["journey_id", "was_reopened"])["went_on"].agg(["count", "sum"])

    found = frame(published, recipe(12).sql).set_index(["journey_id", "was_reopened"])
    assert found["visits"].to_dict() == expected["count"].to_dict()
    assert found["went_on"].to_dict() == expected["sum"].to_dict()
    assert found["went_on"].sum() > 0

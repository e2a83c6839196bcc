"""Real orders with a promised day: which were late, and what their customers said of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import Table2x2

from orchestration.journey_map import TABLES
from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

EXAMPLE = PROJECT_DIR / "examples" / "order_fulfilment"
ZONE = "America/Sao_Paulo"
DAY = pd.Timedelta(days=1)
TIMES = {
    "placed": "order_purchase_timestamp",
    "approved": "order_approved_at",
    "shipped": "order_delivered_carrier_date",
    "delivered": "order_delivered_customer_date",
}


@pytest.fixture(scope="module")
def landing(shared_data: Path) -> Path:
    folder = shared_data / "olist_orders_sample"
    if not folder.is_dir():
        pytest.skip("skipped: no shared data of orders")
    return folder


@pytest.fixture(scope="module")
def orders(landing: Path) -> pd.DataFrame:
    found = pd.read_csv(landing / "olist_orders_dataset.csv", index_col="order_id")
    for column in (*TIMES.values(), "order_estimated_delivery_date"):
        found[column] = pd.to_datetime(found[column])
    found["due"] = found["order_estimated_delivery_date"].dt.normalize() + DAY
    found["is_on_time"] = found[TIMES["delivered"]] < found["due"]
    return found


@pytest.fixture(scope="module")
def built(
    landing: Path,
    tmp_path_factory: pytest.TempPathFactory,
    make_workbench: Callable[[str], Workbench],
) -> Workbench:
    """The example landed, and built as far as its deadlines are judged."""
    folder = tmp_path_factory.mktemp("orders_map")
    for file in EXAMPLE.iterdir():
        # What is labelled by hand beside the map is none of its tables.
        if file.stem in TABLES or file.name == "landing.yml":
            shutil.copy(file, folder)
    workbench = make_workbench("orders")
    workbench.use_map(folder)
    workbench.land(landing, folder)
    workbench.build("-s", "+int_missed_due_times", "+measure_rule_rates")
    return workbench


def test_one_file_feeds_an_event_for_each_time(built: Workbench, orders: pd.DataFrame) -> None:
    events = dict(built.query("select event_name, count(*) from raw.events group by all"))
    assert events == {event: orders[column].notna().sum() for event, column in TIMES.items()}
    assert built.query(
        "select count(*), count(distinct customer_id) from raw.survey_responses"
    ) == [(8225, 8135)]
    for table in ("events", "crm_accounts", "survey_responses"):
        assert built.query(f"select count(*) from quarantine.{table}") == [(0,)]


def test_states_are_found_by_the_customer_of_the_order(
    built: Workbench, landing: Path, orders: pd.DataFrame
) -> None:
    customers = pd.read_csv(landing / "olist_customers_dataset.csv", index_col="customer_id")
    states = orders["customer_id"].map(customers["customer_state"])
    found = built.frame(
        """
        select entity_id, segment_value as state from intermediate.int_visit_dimensions
        where segment_dimension = 'customer_state' and visit_number = 1
        """
    )
    assert found["state"].nunique() == 27
    assert (found["state"] == found["entity_id"].map(states)).all()


@pytest.mark.parametrize("anchor", ["placed", "shipped"])
def test_the_promised_day_is_kept_through_its_last_moment(
    built: Workbench, orders: pd.DataFrame, anchor: str
) -> None:
    """72 orders came on the day itself: they are on time."""
    [(start, end, n, on_time)] = built.query(
        f"""
        select period_start, period_end, n, numerator from marts.measure_rule_rates
        where metric_id = 'on_time_rate' and stage_id = '{anchor}'
            and segment_dimension = 'all' and period_grain = 'all'
        """
    )
    first = orders[list(TIMES.values())].min(axis=1)
    begun = orders[orders[TIMES["placed"]] == first]
    if anchor == "shipped":
        # What is handed over after it was delivered is handed over in a second attempt.
        begun = begun[~(begun[TIMES["delivered"]] < begun[TIMES["shipped"]])]
    within = begun[begun[TIMES[anchor]].between(str(start), str(end), inclusive="left")]
    as_of = orders[TIMES["placed"]].max()
    judged = within[within[TIMES["delivered"]].notna() | (within["due"] <= as_of)]
    assert (n, on_time) == (len(judged), judged["is_on_time"].sum())
    same_day = orders[TIMES["delivered"]].dt.normalize() == orders["due"] - DAY
    assert same_day.sum() == 72
    assert orders.loc[same_day, "is_on_time"].all()


def test_a_missed_day_goes_with_a_low_score(
    built: Workbench, landing: Path, orders: pd.DataFrame
) -> None:
    """The odds of three or less, of whom the day had passed without the parcel and of others."""
    found = built.frame(
        """
        select coalesce(missed.missed_at < answers.answered_at, false) as is_past_due,
            answers.score <= 3 as is_low
        from raw.survey_responses as answers
        left join intermediate.int_missed_due_times as missed
            on answers.customer_id = missed.entity_id
        """
    )
    reviews = pd.read_csv(landing / "olist_order_reviews_dataset.csv").join(orders, on="order_id")
    answered = pd.to_datetime(reviews["review_answer_timestamp"])
    as_of = orders[TIMES["placed"]].max()
    begun = reviews[TIMES["placed"]] <= reviews[list(TIMES.values())[1:]].min(axis=1).fillna(as_of)
    is_past_due = (
        begun & (reviews["due"] <= answered) & (reviews["due"] <= as_of) & ~reviews["is_on_time"]
    )
    expected = pd.crosstab(is_past_due, reviews["review_score"] <= 3)
    assert pd.crosstab(found["is_past_due"], found["is_low"]).to_numpy().tolist() == (
        expected.to_numpy().tolist()
    )
    low, high = Table2x2(expected.to_numpy()).oddsratio_confint()
    assert 20 < low < 27 < high < 35

"""Segments and success values of the demo, against what landed and what was planted."""

import json

import pandas as pd
import pytest

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

TRUTH = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())


@pytest.fixture(scope="module")
def visit_segments(demo: Workbench) -> pd.DataFrame:
    """Each visit with the value of each dimension and the segment of it that is measured."""
    return demo.frame(
        """
        select visits.*, dimension_values.segment_dimension, dimension_values.segment_value,
            segments.segment_value as measured_value, segments.is_pair
        from marts.fct_stage_visits as visits
        inner join intermediate.int_visit_segments as visit_segments
            using (journey_id, entity_id, attempt_number, visit_number)
        inner join intermediate.int_segments as segments using (segment_number)
        left join marts.fct_visit_segments as dimension_values
            on visits.visit_id = dimension_values.visit_id
            and segments.segment_dimension = dimension_values.segment_dimension
        """
    )


def test_each_dimension_partitions_the_visits_of_its_journey(
    demo: Workbench, visit_segments: pd.DataFrame
) -> None:
    visits = demo.frame("select journey_id, visit_id from marts.fct_stage_visits")
    declared = demo.query("select journey_id, dimension from journey_map.segment_dimensions")
    singles = visit_segments[~visit_segments["is_pair"]]
    assert len(declared) == 11
    for journey, dimension in declared:
        own = singles.query("journey_id == @journey and segment_dimension == @dimension")
        of_journey = visits.query("journey_id == @journey")["visit_id"]
        assert sorted(own["visit_id"]) == sorted(of_journey), (journey, dimension)
    # The demo has fewer values than any top n.
    assert (singles["segment_value"] == singles["measured_value"]).all()
    pairs = visit_segments[visit_segments["is_pair"]]
    assert len(pairs) == len(visits.query("journey_id == 'lead_to_customer'"))


def test_a_channel_is_that_of_the_newest_version_of_the_contact(
    demo: Workbench, visit_segments: pd.DataFrame
) -> None:
    contacts = demo.frame("select * from raw.crm_contacts").sort_values("source_updated_at")
    newest = contacts.groupby("contact_id").last().reset_index().sort_values("contact_id")
    known = newest.dropna(subset=["customer_id", "acquisition_channel"])
    channels = known.groupby("customer_id")["acquisition_channel"].first()
    own = visit_segments.query(
        "segment_dimension == 'acquisition_channel' and journey_id == 'lead_to_customer'"
    )
    expected = own["entity_id"].map(channels).fillna("(unknown)")
    assert (own["segment_value"] == expected).all()
    assert {"(unknown)", TRUTH["segment"]["value"]} < set(expected)


def test_the_planted_segment_has_its_share(visit_segments: pd.DataFrame) -> None:
    planted = TRUTH["segment"]
    entered = visit_segments[
        (visit_segments["segment_dimension"] == planted["dimension"])
        & (visit_segments["stage_id"] == planted["stage_id"])
    ]
    share = (entered["segment_value"] == planted["value"]).mean()
    # Five standard errors: the generator draws it.
    error = (planted["share"] * (1 - planted["share"]) / len(entered)) ** 0.5
    assert abs(share - planted["share"]) < 5 * error < 0.1


def test_a_deal_is_worth_its_amount_at_the_rate_of_its_day(demo: Workbench) -> None:
    values = demo.frame(
        """
        select success_values.*, opportunities.amount as deal_amount,
            opportunities.currency as deal_currency
        from intermediate.int_success_values as success_values
        inner join intermediate.int_stage_visits as visits
            using (journey_id, entity_id, attempt_number)
        inner join raw.crm_stage_changes as changes on visits.source_row_id = changes.change_id
        inner join raw.crm_opportunities as opportunities using (opportunity_id)
        where journey_id = 'lead_to_customer' and visits.stage_kind = 'success'
        qualify row_number() over (
            partition by journey_id, entity_id, attempt_number
            order by opportunities.source_updated_at desc
        ) = 1
        """
    )
    rates = demo.frame("select * from raw.fx_rates").sort_values(["rate_date", "source_updated_at"])
    for row in values.itertuples():
        rate = 1.0
        if row.deal_currency != "EUR":
            day = row.succeeded_at.normalize()
            listed = rates[(rates["currency"] == row.deal_currency) & (rates["rate_date"] <= day)]
            rate = float(listed["rate_to_reporting_currency"].iloc[-1])
        assert row.value == pytest.approx(float(row.deal_amount) * rate)
        assert row.value_basis == "source"
    assert set(values["deal_currency"]) == {"EUR", "CHF", "GBP"}
    assert values["value"].gt(0).all()


def test_a_success_of_a_journey_without_values_has_none(demo: Workbench) -> None:
    bases = demo.query(
        """
        select journey_id, value_basis, count(value) > 0
        from intermediate.int_success_values group by all order by all
        """
    )
    assert bases == [
        ("checkout", "source", True),
        ("lead_to_customer", "source", True),
        ("onboarding", "missing", False),
        ("subscription", "missing", False),
    ]

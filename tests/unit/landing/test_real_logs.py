"""Real files: the loan applications of bpic2012, in both formats, and the leads of Olist."""

import csv
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from orchestration.landing import TableCounts, land, reconcile
from orchestration.settings import PROJECT_DIR

SHARED = PROJECT_DIR.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="skipped: no shared data")

XES = "sources: [{name: log, files: bpic2012.xes.gz, table: event_log}]\n"
PARQUET = """
sources:
  - name: log
    files: bpic2012.parquet
    table: event_log
    columns:
      source_case_id: case:concept:name
      activity: concept:name
      lifecycle: lifecycle:transition
      resource: org:resource
      occurred_at: time:timestamp
      attributes: {json: all}
"""


@pytest.mark.slow
def test_the_same_log_as_xes_and_as_parquet_is_the_same_rows(site: Any) -> None:
    """To the id, the time, the order and the attributes."""
    now = datetime(2024, 6, 1)
    site.declare(XES)
    first = land(site.warehouse, SHARED / "bpic2012", site.map, now)
    assert first.totals == (TableCounts("event_log", 262_200, 262_200, 0, 0),)
    assert set(first.unlisted) == {"SOURCE.txt", "bpic2012.parquet"}
    before = "select sum(hash(event_id, event_seq, content_hash)) from raw.event_log"
    with duckdb.connect(str(site.warehouse)) as connection:
        state = connection.execute(before).fetchall()
    site.declare(PARQUET)
    second = land(site.warehouse, SHARED / "bpic2012", site.map, now)
    assert second.totals == (TableCounts("event_log", 262_200, 0, 0, 262_200),)
    with duckdb.connect(str(site.warehouse)) as connection:
        assert connection.execute(before).fetchall() == state
        assert all(counts.difference == 0 for counts in reconcile(connection))
        assert connection.execute(
            "select count(distinct source_case_id), min(occurred_at), max(occurred_at),"
            " min(event_seq), max(event_seq), max(load_id) from raw.event_log"
        ).fetchall() == [
            (
                13_087,
                datetime(2011, 9, 30, 22, 38, 44, 546_000),
                datetime(2012, 3, 14, 15, 4, 54, 681_000),
                1,
                262_200,
                1,
            )
        ]
        assert connection.execute(
            "select activity, lifecycle, resource, occurred_at, attributes, source_line"
            " from raw.event_log where source_case_id = '173688' and event_seq = 2"
        ).fetchall() == [
            (
                "A_PARTLYSUBMITTED",
                "COMPLETE",
                "112",
                datetime(2011, 9, 30, 22, 38, 44, 880_000),
                '{"case:AMOUNT_REQ":"20000","case:REG_DATE":"2011-10-01T00:38:44.546+02:00"}',
                12_750,
            )
        ]


def test_closed_deals_become_stage_changes_and_opportunities(site: Any) -> None:
    site.declare(
        """
sources:
  - name: leads
    files: olist_marketing_qualified_leads_dataset.csv
    table: crm_stage_changes
    columns:
      change_id: {composite: [mql_id, {constant: lead}]}
      opportunity_id: mql_id
      stage_name: {constant: lead}
      changed_at: first_contact_date
    time_zone: America/Sao_Paulo
    date_only: [changed_at]
  - name: deals
    files: olist_closed_deals_*.csv
    table: crm_stage_changes
    columns:
      change_id: {composite: [mql_id, {constant: won}]}
      opportunity_id: mql_id
      stage_name: {constant: won}
      changed_at: won_date
      changed_by: sr_id
    time_zone: America/Sao_Paulo
  - name: won
    files: olist_closed_deals_*.csv
    table: crm_opportunities
    columns:
      opportunity_id: mql_id
      account_id: seller_id
      amount: declared_monthly_revenue
      currency: {constant: BRL}
      created_at: won_date
      closed_at: won_date
      is_won: {constant: "true"}
    time_zone: America/Sao_Paulo
"""
    )
    result = land(site.warehouse, SHARED / "olist_marketing_funnel", site.map, datetime(2024, 6, 1))
    assert result.rejected == ()
    assert result.totals == (
        TableCounts("crm_opportunities", 842, 842, 0, 0),
        TableCounts("crm_stage_changes", 8_842, 8_842, 0, 0),
    )
    # 19:58:54 in São Paulo, in summer time until 2018-02-18 and so three hours behind.
    assert site.query(
        "select changed_at, source_line from raw.crm_stage_changes"
        " where change_id = '5420aad7fec3549a85876ba1c529bd84:won'"
    ) == [(datetime(2018, 2, 26, 22, 58, 54), 2)]
    with (SHARED / "olist_marketing_funnel" / "olist_closed_deals_dataset.csv").open() as file:
        revenue = sum(Decimal(row["declared_monthly_revenue"]) for row in csv.DictReader(file))
    assert site.query("select sum(amount) from raw.crm_opportunities where is_won") == [(revenue,)]

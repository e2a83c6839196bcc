"""The check that no row is lost stops a run."""

from typing import Any

import dagster as dg
import duckdb

from orchestration.defs.landing.checks import ROWS_RECONCILE, build_raw_gate, rows_reconcile
from orchestration.landing import reconcile
from orchestration.landing.contract import CONTRACT
from orchestration.settings import PROJECT_DIR


def test_one_row_deleted_by_hand_stops_the_run(site: Any) -> None:
    site.write("crm_accounts.csv", "account_id,created_at\na,2024-01-31\nb,2024-01-31\n")
    site.land()

    def failed() -> dict[str, str | None]:
        with duckdb.connect(str(site.warehouse), read_only=True) as connection:
            results = [rows_reconcile(counts) for counts in reconcile(connection)]
        return {
            (result.asset_key or dg.AssetKey("")).path[-1]: result.description
            for result in results
            if not result.passed
        }

    assert failed() == {}
    with duckdb.connect(str(site.warehouse)) as connection:
        connection.execute("delete from raw.crm_accounts where account_id = 'a'")
    assert set(failed()) == {"crm_accounts"}
    assert "2 rows in, 1 kept" in str(failed()["crm_accounts"])
    assert "1 lost" in str(failed()["crm_accounts"])
    with duckdb.connect(str(site.warehouse)) as connection:
        connection.execute(
            "insert into raw.released_rows values ('crm_accounts', 1, now(), 'forgotten', 1)"
        )
    assert failed() == {}


def test_the_check_is_blocking() -> None:
    specs = build_raw_gate(PROJECT_DIR / "expectations").check_specs
    blocking = {spec.asset_key.path[-1] for spec in specs if spec.name == ROWS_RECONCILE}
    assert blocking == set(CONTRACT)
    assert all(spec.blocking for spec in specs if spec.name == ROWS_RECONCILE)

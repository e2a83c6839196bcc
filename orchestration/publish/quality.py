"""What the manifest says of the data that the marts were made of."""

from typing import Any

from orchestration.landing.contract import CONTRACT, Kind
from orchestration.landing.load import reconcile
from orchestration.warehouse.base import Connection, quarantine_reasons


def landed_tables(connection: Connection) -> list[dict[str, Any]]:
    """Each raw table that something landed in: where its rows went, why, and how new they are.

    `newest` is the newest version of a record, the newest time of an immutable row.
    """
    described = []
    for counts in reconcile(connection):
        if not counts.rows_in:
            continue
        table = CONTRACT[counts.table]
        moment = "source_updated_at" if table.kind is Kind.RECORD else table.time_column
        [(newest,)] = connection.execute(
            f"select max({moment}) from raw.{table.name}"  # noqa: S608 (names of the contract)
        ).fetchall()
        described.append(
            {
                "table": table.name,
                "rows_in": counts.rows_in,
                "rows_kept": counts.rows_kept,
                "rows_quarantined": counts.rows_quarantined,
                "rows_duplicate": counts.rows_duplicate,
                "newest": newest,
                "quarantine_reasons": quarantine_reasons(connection, table.name),
            }
        )
    return described

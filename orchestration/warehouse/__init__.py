"""The engine that holds raw tables, models and marts: a DuckDB file or PostgreSQL.

base.py         what every engine can do, and reads that are the same on all of them
duckdb_file.py  the embedded default
postgres.py     a server
"""

from orchestration.settings import Settings, Target
from orchestration.warehouse.base import Connection, Cursor, Warehouse
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

__all__ = ["Connection", "Cursor", "DuckDBWarehouse", "Warehouse", "warehouse_of"]


def warehouse_of(settings: Settings) -> Warehouse:
    """Return the warehouse that the settings name; nothing is opened yet."""
    if settings.target is Target.DUCKDB:
        return DuckDBWarehouse(settings.warehouse)
    from orchestration.warehouse.postgres import PostgresWarehouse

    return PostgresWarehouse(settings.publications_kept)

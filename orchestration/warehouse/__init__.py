"""The engine that holds raw tables, models and marts: a DuckDB file, PostgreSQL or Spark.

base.py         what every engine can do, and reads that are the same on all of them
duckdb_file.py  the embedded default
postgres.py     a server
spark.py        a cluster behind its Thrift server, with what belongs to it in spark_*.py
staging.py      a place that files for an engine, or from it, pass through
"""

from orchestration.settings import Settings, Target
from orchestration.warehouse.base import Connection, Cursor, Warehouse
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

__all__ = ["Connection", "Cursor", "DuckDBWarehouse", "Warehouse", "warehouse_of"]


def warehouse_of(settings: Settings) -> Warehouse:
    """Return the warehouse that the settings name; nothing is opened yet."""
    if settings.target is Target.DUCKDB:
        return DuckDBWarehouse(settings.warehouse, settings.memory_limit)
    if settings.target is Target.SPARK:
        from orchestration.warehouse.spark import spark_warehouse

        return spark_warehouse(settings)
    from orchestration.warehouse.postgres import PostgresWarehouse

    return PostgresWarehouse(settings.publications_kept, settings.memory_limit)

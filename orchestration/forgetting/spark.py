"""A person in Spark: what dbt and landing fill is dropped, and filled again by the run.

Importing this module needs PyHive: import it late.
"""

# ruff: noqa: S608 - names come from the catalog and are quoted, texts pass through literal()

from orchestration.forgetting.server import FILLED_BY_RUNS
from orchestration.forgetting.traces import holds_sql
from orchestration.landing.people import Ids, Needles
from orchestration.quoting import quoted
from orchestration.settings import Settings
from orchestration.warehouse.spark import spark_warehouse

PUBLICATIONS = "publication_*"


def clear_spark(settings: Settings) -> None:
    """Drop the databases that a run fills; readers keep the views of database published."""
    with spark_warehouse(settings).dropping(FILLED_BY_RUNS):
        pass


def drop_older_databases(settings: Settings) -> None:
    """Drop the publications behind the one that the views of database published show."""
    warehouse = spark_warehouse(settings)
    shown = warehouse.shown()
    with warehouse.connect() as connection:
        older = [name for name in connection.databases(PUBLICATIONS) if name != shown]
    with warehouse.dropping(older):
        pass


def rows_in_spark(settings: Settings, ids: Ids, needles: Needles) -> dict[str, int]:
    """Rows that hold the person, by database, over every table that runs fill or publish.

    A metastore may have thousands of tables of others: they are not searched.
    """
    counts: dict[str, int] = {}
    with spark_warehouse(settings).connect() as connection:
        present = {*connection.databases()} & {*FILLED_BY_RUNS}
        for database in sorted(present | {*connection.databases(PUBLICATIONS)}):
            views = connection.views(database)
            counts[database] = 0
            for table in connection.tables(database):
                if table in views:
                    continue
                condition = holds_sql(
                    connection.columns(database, table), ids, needles, "({0} rlike {1})"
                )
                # A backslash escapes in Spark's texts, and varchar has a length.
                condition = condition.replace("\\", "\\\\").replace("::varchar", "::string")
                [(rows,)] = connection.execute(
                    f"select count(*) from {quoted(database)}.{quoted(table)} where {condition}"
                ).fetchall()
                counts[database] += rows
    return counts

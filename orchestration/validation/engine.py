"""The DuckDB adapter for Great Expectations 1.x, which ships none.

Importing this module imports great_expectations (seconds): import it late.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal

import great_expectations as gx
import sqlalchemy as sa
from great_expectations.constants import MAX_RESULT_RECORDS
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

from orchestration.warehouse.base import Warehouse

# The types that duckdb-engine reflects, under the names that DuckDB gives them. The module
# exports no `dialect`: GX would take DuckDB for PostgreSQL, whose `~` finds a pattern
# anywhere where DuckDB's matches the whole text. A regular expression is an error instead.
DUCKDB_TYPES = ModuleType("duckdb_types")
vars(DUCKDB_TYPES).update(
    VARCHAR=sa.String,
    BOOLEAN=sa.Boolean,
    INTEGER=sa.Integer,
    BIGINT=sa.BigInteger,
    DOUBLE=sa.Float,
    DECIMAL=sa.Numeric,
    DATE=sa.Date,
    TIMESTAMP=sa.DateTime,
)


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):
    """GX's SQL engine, made to work where a result dies with its connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As GX's engine, with DuckDB's types."""
        super().__init__(*args, **kwargs)
        self.dialect_module = DUCKDB_TYPES

    def execute_query(self, query: Any) -> Any:
        """Run `query` and return its rows, read before the connection goes back to the pool.

        GX fetches afterwards, from a connection that DuckDB has reset by then. Of a query
        written as text (an unexpected-rows query) GX looks at MAX_RESULT_RECORDS rows, and
        a table gone wrong may return all it has: no more than those are read.
        """
        with self.get_connection() as connection:
            result = self._execute_query_with_recovery(connection, query)
            as_text = isinstance(query, sa.TextClause)
            rows = result.fetchmany(MAX_RESULT_RECORDS) if as_text else result.fetchall()
            return IteratorResult(SimpleResultMetaData(list(result.keys())), iter(rows))


EngineClass = type[SqlAlchemyExecutionEngine]  # the field `type` hides the builtin below


class DuckDBDatasource(SQLDatasource):
    """One schema of a DuckDB file as a GX data source, named after the schema."""

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]

    @property
    def schema_(self) -> str:
        """The schema of its tables; GX asks for it under this name."""
        return self.name

    @property
    def execution_engine_type(self) -> EngineClass:
        """The engine that evaluates expectations."""
        return DuckDBExecutionEngine


class ServerDatasource(SQLDatasource):
    """One schema of a database server; GX's own data sources ask for a host in their URL."""

    type: Literal["server"] = "server"  # type: ignore[assignment]

    @property
    def schema_(self) -> str:
        """The schema of its tables; GX asks for it under this name."""
        return self.name


@contextmanager
def open_warehouse(warehouse: Warehouse, schema: str) -> Iterator[SQLDatasource]:
    """Open one schema of `warehouse` as a GX data source; let go of it afterwards.

    The context lives in memory: no file is written, nothing is sent.
    """
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        ),
    )
    # What connects travels beside the URL: GX would substitute a `$` in it.
    url, connect_args = warehouse.sqlalchemy
    source = context.data_sources
    add = source.add_duckdb if url.startswith("duckdb") else source.add_server
    datasource: SQLDatasource = add(
        name=schema, connection_string=url, kwargs={"connect_args": dict(connect_args)}
    )
    try:
        yield datasource
    finally:
        # GX keeps one engine for metrics and one for looking at tables.
        datasource.get_execution_engine().close()
        datasource.get_engine().dispose()

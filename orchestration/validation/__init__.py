"""Great Expectations by push-down in DuckDB: the adapter and the suites."""

"""Whether two engines publish the same marts: schema, and rows as a multiset.

Rows are paired by their columns that are no doubles (every mart has a key among them; rows
alike in all of these, by their doubles in order). Then only doubles can differ.
"""

from pathlib import Path

import duckdb
import pandas as pd

from orchestration.quoting import literal, quoted

Schema = dict[str, dict[str, str]]


def compare(ours: Path, theirs: Path, tolerance: float = 0.0) -> pd.DataFrame:
    """Compare the tables of two published DuckDB files; one row per mart, by name.

    Columns of the result: mart; schema (what differs in columns, their order or types, else
    ''); rows and their_rows; differences (rows without a partner on either side, and pairs in
    which a double differs by more than `tolerance`, relative to the larger); doubles (how many
    doubles differ at all); largest (the largest relative difference of two doubles; infinite
    where only one is null). Where the schema differs, every row counts as different.
    """
    with duckdb.connect() as connection:
        connection.execute(f"attach {literal(str(ours))} as ours (read_only)")
        connection.execute(f"attach {literal(str(theirs))} as theirs (read_only)")
        left, right = _schema(connection, "ours"), _schema(connection, "theirs")
        rows = [
            _compare_mart(connection, mart, left, right, tolerance)
            for mart in sorted({*left, *right})
        ]
    return pd.DataFrame(rows)


def _schema(connection: duckdb.DuckDBPyConnection, database: str) -> Schema:
    """Columns of each table in order, with their types."""
    columns = connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where database_name = ? order by table_name, column_index",
        [database],
    ).fetchall()
    tables: Schema = {}
    for table, column, kind in columns:
        tables.setdefault(table, {})[column] = kind
    return tables


def _compare_mart(
    connection: duckdb.DuckDBPyConnection,
    mart: str,
    left: Schema,
    right: Schema,
    tolerance: float,
) -> dict[str, object]:
    counts = [
        connection.execute(f"select count(*) from {name}.{quoted(mart)}").fetchall()[0][0]
        if mart in schema
        else 0
        for name, schema in (("ours", left), ("theirs", right))
    ]
    result = {"mart": mart, "schema": "", "rows": counts[0], "their_rows": counts[1]}
    mine, other = (list(schema.get(mart, {}).items()) for schema in (left, right))
    if mine != other:
        changed = [item for item in [*mine, *other] if item not in mine or item not in other]
        result["schema"] = ", ".join(f"{n} {kind}" for n, kind in changed) or "order of columns"
        return result | {"differences": sum(counts), "doubles": 0, "largest": float("inf")}
    doubles = [quoted(name) for name, kind in mine if kind in ("DOUBLE", "FLOAT")]
    exact = [quoted(name) for name, kind in mine if kind not in ("DOUBLE", "FLOAT")]
    order = f" order by {', '.join(doubles)}" if doubles else ""
    numbered = (
        f"select *, true as is_there, row_number() over (partition by {', '.join(exact)}{order})"
        f" as copy from {{}}.{quoted(mart)}"
    )
    keys = " and ".join(f"ours.{n} is not distinct from theirs.{n}" for n in [*exact, "copy"])
    gaps = ", ".join(
        f"case when ours.{n} is not distinct from theirs.{n} then 0"
        f" when ours.{n} is null or theirs.{n} is null then 'inf'::double"
        f" else abs(ours.{n} - theirs.{n}) / greatest(abs(ours.{n}), abs(theirs.{n})) end"
        for n in doubles
    )
    [(differences, unequal, largest)] = connection.execute(
        f"""
        with pairs as (
            select ours.is_there and theirs.is_there as is_pair, [{gaps}]::double[] as gaps
            from ({numbered.format("ours")}) as ours
            full outer join ({numbered.format("theirs")}) as theirs on {keys}
        )
        select
            count(*) filter (is_pair is null or list_max(gaps) > ?),
            coalesce(sum(len(list_filter(gaps, lambda gap: gap > 0))) filter (is_pair), 0),
            coalesce(max(list_max(gaps)) filter (is_pair), 0)
        from pairs
        """,
        [tolerance],
    ).fetchall()
    return result | {"differences": differences, "doubles": int(unequal), "largest": largest}

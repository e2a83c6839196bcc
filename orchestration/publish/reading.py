"""Reads of the private warehouse, by the run that holds it, and of what was published."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import DATABASE, current


@dataclass(frozen=True)
class Table:
    """A query's result: column names and rows in their order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def published_gaps(published_dir: Path, top: int | None = None) -> Table:
    """Return the published `gap_ranking` with the metrics' `unit`, worst first.

    Ranked gaps come first (totals before segments, each by priority_rank), then the rest;
    at most `top` rows.
    Raises JourneyGapsError where nothing is published.
    """
    folder = current(published_dir)
    if folder is None:
        raise JourneyGapsError(
            f"nothing is published in {published_dir}: run `journey-gaps run` with the same "
            "--home, --map or --demo first"
        )
    with duckdb.connect(folder / DATABASE, read_only=True) as connection:
        ranking = connection.execute(
            """
            select gap_ranking.*, dim_metrics.unit
            from gap_ranking
            left join dim_metrics on gap_ranking.metric_id = dim_metrics.metric_id
            order by
                priority_rank is null,
                segment_dimension <> 'all',
                priority_rank,
                gap_id
            limit ?
            """,
            [top],
        )
        columns = [column[0] for column in ranking.description or []]
        return Table(columns, ranking.fetchall())


def newest_load(warehouse: Path) -> int | None:
    """Return the number of the newest load, None before the first."""
    with duckdb.connect(warehouse, read_only=True) as connection:
        [(load_id,)] = connection.execute("select max(load_id) from raw.loads").fetchall()
    newest: int | None = load_id
    return newest


def journeys_as_of(warehouse: Path) -> dict[str, datetime | None]:
    """Return journey -> the time (UTC) after which nothing was seen, None without data."""
    with duckdb.connect(warehouse, read_only=True) as connection:
        return dict(
            connection.execute("select journey_id, as_of from marts.dim_journeys").fetchall()
        )


def quarantine_reasons(
    warehouse: Path, tables: Iterable[str], load_id: int | None
) -> dict[str, dict[str, int]]:
    """Return table -> reason -> rows that a load put in quarantine, most frequent first.

    Without a load every table maps to nothing.
    """
    if load_id is None:
        return {table: {} for table in tables}
    with duckdb.connect(warehouse, read_only=True) as connection:
        return {
            table: dict(
                connection.execute(
                    f"""
                    select reason, count(*) as row_count
                    from quarantine.{table}
                    where load_id = ?
                    group by reason
                    order by row_count desc, reason
                    """,  # noqa: S608 (a name of the contract)
                    [load_id],
                ).fetchall()
            )
            for table in tables
        }

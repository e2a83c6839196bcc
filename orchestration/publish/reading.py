"""What readers of the publication are shown."""

from dataclasses import dataclass
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

    Ranked gaps come first (totals before segments, each by priority_rank), then what lags
    but is not ranked, then the rest, each by lag factor; at most `top` rows.
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
                verdict <> 'lagging',
                lag_factor desc nulls last,
                gap_id
            limit ?
            """,
            [top],
        )
        columns = [column[0] for column in ranking.description or []]
        return Table(columns, ranking.fetchall())

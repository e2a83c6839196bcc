"""What readers of the publication are shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import DATABASE, current
from orchestration.what_if import Facts


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
    but is not ranked, then other comparisons with a given benchmark, and with the own past
    last, each by lag factor with totals before segments; at most `top` rows.
    Raises JourneyGapsError where nothing is published.
    """
    (ranking,) = _published(
        published_dir,
        """
        select gap_ranking.*, dim_metrics.unit
        from gap_ranking
        left join dim_metrics on gap_ranking.metric_id = dim_metrics.metric_id
        order by
            priority_rank is null,
            priority_rank is null and verdict <> 'lagging',
            priority_rank is null and benchmark_kind = 'own_past',
            segment_dimension <> 'all',
            priority_rank,
            lag_factor desc nulls last,
            gap_id
        limit $top
        """,
        top=top,
    )
    return ranking


def published_facts(published_dir: Path) -> Facts:
    """Return what `what-if` asks of a publication.

    Raises JourneyGapsError where nothing is published, or nothing yet that can answer.
    """
    tables = _published(
        published_dir,
        "from dim_journeys order by journey_id",
        "from dim_stages order by journey_id, stage_order",
        "from fct_stage_flows",
        "from gap_ranking where segment_dimension = 'all'",
        "from gap_scenarios where scenario_kind = 'as_is'",
        """
        from fct_measures
        where
            metric_id = 'time_to_advance_p50'
            and segment_dimension = 'all'
            and period_grain = 'trailing_13_weeks'
        qualify period_end = max(period_end) over (partition by journey_id, stage_id)
        """,
    )
    return Facts(*(table.records() for table in tables))


def _published(published_dir: Path, *queries: str, **parameters: object) -> list[Table]:
    folder = current(published_dir)
    if folder is None:
        raise JourneyGapsError(
            f"nothing is published in {published_dir}: run `journey-gaps run` with the same "
            "--home, --map or --demo first"
        )
    tables = []
    with duckdb.connect(folder / DATABASE, read_only=True) as connection:
        for query in queries:
            try:
                result = connection.execute(query, parameters)
            except duckdb.CatalogException as error:
                raise JourneyGapsError(
                    f"{folder} was published by an older version: run `journey-gaps run` again"
                ) from error
            columns = [column[0] for column in result.description or []]
            tables.append(Table(columns, result.fetchall()))
    return tables

"""What readers of the publication are shown: its gaps and their reasons, and what `what-if` asks.

A publication is never changed once it is there: it can be read while a run is under way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.publish.publication import DATABASE, current
from orchestration.publish.selection import CONDITION, TOTALS, Selection, require_known
from orchestration.quoting import literal, quoted
from orchestration.what_if import Facts

ALL = Selection()
Value = str | int | Sequence[str] | None


@dataclass(frozen=True)
class Table:
    """A query's result: column names and rows in their order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class OpenPublication:
    """A publication that is open for queries."""

    folder: Path
    connection: duckdb.DuckDBPyConnection

    def table(self, query: str, **variables: Value) -> Table:
        """Return the result of a query, which reads its variables by `getvariable`.

        Raises JourneyGapsError where the publication has not the marts or columns that it reads.
        """
        for name, value in variables.items():
            self.connection.execute(f"set variable {quoted(name)} = {_sql(value)}")
        try:
            result = self.connection.execute(query)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise JourneyGapsError(
                f"{self.folder} was published by an older version: run `journey-gaps run` again "
                f"({str(error).splitlines()[0]})"
            ) from error
        columns = [column[0] for column in result.description or []]
        return Table(columns, result.fetchall())

    def names(self, query: str) -> list[str]:
        """Return the first column of a query."""
        return [name for name, *_ in self.table(query).rows]

    def selected(self, mart: str, selection: Selection, query: str, **variables: Value) -> Table:
        """Return the result of a query over `selected`, the selected rows of a mart.

        It heeds `verdicts` and `kinds` itself, since not every mart has these columns.
        Raises SelectionError where the selection names what the publication has not.
        """
        self._require_known(selection, mart)
        return self.table(
            f"with selected as (from {quoted(mart)} where {CONDITION}) {query}",
            **selection.variables(),
            **variables,
        )

    def _require_known(self, selection: Selection, mart: str) -> None:
        if selection.journeys:
            known = self.names("select journey_id from dim_journeys")
            require_known("journey", selection.journeys, known)
        if selection.metrics:
            known = self.names("select metric_id from dim_metrics")
            require_known("metric", selection.metrics, known)
        if selection.stages:
            known = self.names("select stage_id from dim_stages")
            require_known("stage", selection.stages, known)
        if selection.segments:
            self._require_segments(selection, mart)

    def _require_segments(self, selection: Selection, mart: str) -> None:
        found = self.table(f"from {quoted(mart)} select distinct segment_dimension, segment_value")
        # A publication without rows has totals, too, though of nothing.
        values: dict[str, list[str]] = {dimension: [] for dimension in TOTALS}
        for dimension, value in found.rows:
            values.setdefault(dimension, []).append(value)
        for segment in selection.segments:
            if segment in values:
                continue
            dimension, _, value = segment.partition("=")
            require_known("segment dimension", [dimension], values)
            require_known(f"value of {dimension}", [value], values[dimension])


@contextmanager
def open_publication(folder: Path) -> Iterator[OpenPublication]:
    """Open a publication's folder for queries, read-only."""
    with duckdb.connect(folder / DATABASE, read_only=True) as connection:
        yield OpenPublication(folder, connection)


@contextmanager
def open_current(published_dir: Path) -> Iterator[OpenPublication]:
    """Open the current publication; raises JourneyGapsError where nothing is published."""
    folder = current(published_dir)
    if folder is None:
        raise JourneyGapsError(
            f"nothing is published in {published_dir}: run `journey-gaps run` with the same "
            "--home, --map or --demo first"
        )
    with open_publication(folder) as publication:
        yield publication


def published_gaps(
    published_dir: Path, top: int | None = None, selection: Selection = ALL
) -> Table:
    """Return the selected rows of the published `gap_ranking`, worst first.

    Beside its columns: the metric's `unit`, the `owner_teams` of `gap_suggestions` and the
    `last_action_owner`. Ranked gaps come first (totals before segments, each by priority_rank),
    then what lags but is not ranked, then other comparisons with a given benchmark, and with the
    own past last, each by lag factor with totals before segments; at most `top` rows.
    Raises JourneyGapsError where nothing is published, SelectionError where the selection names
    what the publication has not.
    """
    with open_current(published_dir) as publication:
        return publication.selected("gap_ranking", selection, _GAPS, top=top)


def published_drivers(
    published_dir: Path,
    gap: str | None = None,
    selection: Selection = ALL,
    kinds: Sequence[str] = (),
    top: int | None = None,
) -> tuple[dict[str, Any] | None, Table]:
    """Return one gap, and the rows of `gap_drivers` about it by kind and rank.

    `gap` is its id or its rank among the totals, as `published_gaps` has them; without it the
    first of the selection, None where there is none. `kinds` are driver kinds, none means all;
    `top` is the last driver_rank of each. Raises JourneyGapsError where nothing is published,
    SelectionError where `gap` or the selection names what is not there.
    """
    totals = replace(selection, segments=TOTALS)
    gaps = published_gaps(published_dir, selection=totals if gap is None else ALL).records()
    found = next(iter(gaps), None) if gap is None else _named(gap, gaps)
    with open_current(published_dir) as publication:
        gap_id = None if found is None else found["gap_id"]
        return found, publication.table(_DRIVERS, gap_id=gap_id, kinds=kinds, top=top)


def _sql(value: Value) -> str:
    """A variable's value in SQL. A parameter of a query would have DuckDB load pandas first."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, int):
        return str(value)
    return f"[{', '.join(map(literal, value))}]::varchar[]"


def _named(gap: str, gaps: list[dict[str, Any]]) -> dict[str, Any]:
    """The gap of an id or, of all cases, of a rank."""
    named = {found["gap_id"]: found for found in reversed(gaps)}
    ranked = {
        str(found["priority_rank"]): found
        for found in gaps
        if found["priority_rank"] is not None and found["segment_dimension"] == "all"
    }
    if gap in named:
        return named[gap]
    if gap.isdecimal():
        require_known("rank", [gap], ranked)
        return ranked[gap]
    require_known("gap", [gap], named)
    return named[gap]


def published_facts(published_dir: Path) -> Facts:
    """Return what `what-if` asks of a publication.

    Raises JourneyGapsError where nothing is published, or nothing yet that can answer.
    """
    with open_current(published_dir) as publication:
        return Facts(*(publication.table(query).records() for query in _FACTS))


_GAPS = """
    , owners as (
        select
            action_id,
            max(owner) as last_action_owner
        from fct_action_readouts
        group by action_id
    )

    select
        selected.*,
        dim_metrics.unit,
        gap_suggestions.owner_teams,
        owners.last_action_owner
    from selected
    left join dim_metrics on selected.metric_id = dim_metrics.metric_id
    left join gap_suggestions on selected.gap_id = gap_suggestions.gap_id
    left join owners on selected.last_action_id = owners.action_id
    where
        (getvariable('verdicts') = [] or list_contains(getvariable('verdicts'), selected.verdict))
        and (
            getvariable('kinds') = []
            or list_contains(getvariable('kinds'), selected.benchmark_kind)
        )
    order by
        selected.priority_rank is null,
        selected.priority_rank is null and selected.verdict <> 'lagging',
        selected.priority_rank is null and selected.benchmark_kind = 'own_past',
        selected.segment_dimension <> 'all',
        selected.priority_rank,
        selected.lag_factor desc nulls last,
        selected.gap_id
    limit getvariable('top')
"""

_DRIVERS = """
    select *
    from gap_drivers
    where
        gap_id = getvariable('gap_id')
        and (getvariable('kinds') = [] or list_contains(getvariable('kinds'), driver_kind))
        and (getvariable('top') is null or driver_rank <= getvariable('top'))
    order by
        list_position(
            ['segment', 'mix_and_rate', 'behaviour', 'experience', 'hand_off', 'upstream'],
            driver_kind
        ),
        compared_with <> 'benchmark' and driver_kind = 'mix_and_rate',
        driver_rank,
        driver
"""

_FACTS = (
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

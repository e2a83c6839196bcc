"""When each source last delivered, and which are stale. Pure: a connection in, facts out."""

# ruff: noqa: S608 - names come from the contract

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.alerts import Alert, Kind
from orchestration.landing.contract import CONTRACT
from orchestration.landing.contract import Kind as TableKind
from orchestration.landing.mapping import Source
from orchestration.warehouse import Connection


@dataclass(frozen=True)
class Freshness:
    """One source of one raw table. Times are UTC without a zone.

    `arrived_at` is when its newest file landed, None before the first; `newest` the time of the
    table's newest row. `limit` is None where the source may be of any age.
    """

    source: str
    table: str
    limit: timedelta | None
    arrived_at: datetime | None
    newest: datetime | None
    now: datetime

    @property
    def is_stale(self) -> bool:
        """Whether nothing came for longer than it may take."""
        if self.limit is None:
            return False
        return self.arrived_at is None or self.now - self.arrived_at > self.limit

    def __str__(self) -> str:
        """For a message: what came last and when, beside the limit."""
        if self.arrived_at is None:
            came = f"{self.source} has never delivered a file of raw.{self.table}"
        else:
            hours = max((self.now - self.arrived_at) / timedelta(hours=1), 0)
            came = (
                f"the newest file of {self.source} landed in raw.{self.table} {hours:,.1f} hours "
                f"ago, on {self.arrived_at:%Y-%m-%d %H:%M} UTC"
            )
        if self.newest is not None:
            came += f", and the table's newest row is of {self.newest:%Y-%m-%d %H:%M}"
        if self.limit is None:
            return came
        return f"{came}; at most {self.limit / timedelta(hours=1):g} hours are allowed"

    @property
    def alert(self) -> Alert:
        """What is told while it is stale."""
        said = str(self)
        return Alert(
            Kind.STALE_SOURCE,
            f"{self.source}:{self.table}",
            f"Source {self.source} is stale",
            (
                f"{said[0].upper()}{said[1:]}.",
                "See whether its export still runs and still writes to the landing folder; the "
                "limit is freshness_hours in landing.yml, or JOURNEY_GAPS_FRESHNESS_HOURS.",
            ),
        )


def source_freshness(
    connection: Connection,
    declared: Sequence[Source] | None,
    default_hours: float | None,
    now: datetime,
) -> list[Freshness]:
    """Every declared source; without a declaration every source that something came from.

    `now` is UTC without a zone. A source's own `freshness_hours` counts before the default.
    """
    arrivals: dict[tuple[str, str], datetime] = {
        (source, table): arrived_at
        for source, table, arrived_at in connection.execute(
            """
            select source_name, table_name, max(loaded_at) as arrived_at
            from raw.loads
            where status not in ('rejected', 'replayed')
            group by source_name, table_name
            """
        ).fetchall()
        if table in CONTRACT
    }
    if declared is None:
        limits = dict.fromkeys(arrivals, default_hours)
    else:
        limits = {
            (source.name, source.table): source.freshness_hours or default_hours
            for source in declared
        }
    newest = _newest_rows(connection, {table for (_, table), hours in limits.items() if hours})
    return [
        Freshness(
            source=source,
            table=table,
            limit=None if hours is None else timedelta(hours=hours),
            arrived_at=arrivals.get((source, table)),
            newest=newest.get(table),
            now=now,
        )
        for (source, table), hours in sorted(limits.items())
    ]


def _newest_rows(connection: Connection, tables: Iterable[str]) -> dict[str, datetime]:
    newest = {}
    for table in sorted(tables):
        contract = CONTRACT[table]
        is_record = contract.kind is TableKind.RECORD
        moment = "source_updated_at" if is_record else contract.time_column
        [(value,)] = connection.execute(f"select max({moment}) from raw.{table}").fetchall()
        if value is not None:
            newest[table] = value
    return newest

"""All that is looked at, in its order."""

from collections.abc import Iterator
from datetime import datetime

import duckdb
import psycopg2

from orchestration.doctor.findings import Finding, Level
from orchestration.doctor.installation import installation
from orchestration.doctor.map_rows import AREA, map_rows
from orchestration.doctor.map_use import map_use
from orchestration.doctor.operation import operation
from orchestration.doctor.services import services
from orchestration.errors import InputError, JourneyGapsError
from orchestration.journey_map import JourneyMap, load_journey_map
from orchestration.publish.publication import read_manifest
from orchestration.settings import Settings, Target
from orchestration.status import HomeStatus, status_of
from orchestration.warehouse import warehouse_of

PROBLEMS_SHOWN = 5


def examine(settings: Settings, now: datetime) -> list[Finding]:
    """Return everything that was looked at, what is well included; `now` (aware) is the clock."""
    found = status_of(settings)
    return [
        *installation(),
        *operation(settings, found, now),
        *_map(settings, found, now),
        *services(settings, now),
    ]


def _map(settings: Settings, found: HomeStatus, now: datetime) -> Iterator[Finding]:
    try:
        journey_map = load_journey_map(settings.map)
    except InputError as error:
        for problem in error.problems[:PROBLEMS_SHOWN]:
            yield Finding(AREA, Level.ERROR, str(problem), "journey-gaps check-map shows them all")
        return
    rows = sum(len(rows) for rows in journey_map.tables.values())
    yield Finding(AREA, Level.OK, f"{settings.map}: {rows:,} rows that hold together")
    yield from map_rows(journey_map, now.date())
    yield from _is_published(settings, journey_map)
    if found.running is not None and settings.target is Target.DUCKDB:
        yield Finding(
            AREA, Level.INFO, "not held against the data: a run has the warehouse", "ask again then"
        )
    elif settings.target is Target.DUCKDB and not settings.warehouse.exists():
        message = "nothing has landed yet to hold it against"
        yield Finding(AREA, Level.INFO, message, "journey-gaps run")
    else:
        try:
            with warehouse_of(settings).connect() as connection:
                yield from map_use(connection, now.date())
        except (duckdb.Error, psycopg2.Error) as error:
            message = f"built by another version: {str(error).strip().splitlines()[0]}"
            yield Finding(AREA, Level.WARNING, message, "journey-gaps run")
        except JourneyGapsError as error:
            # Of a server that cannot be reached, `services` tells.
            if settings.target is Target.DUCKDB:
                yield Finding(
                    "data",
                    Level.ERROR,
                    str(error).strip().splitlines()[0],
                    "close the program that has it open; of a damaged file build a new one",
                )


def _is_published(settings: Settings, journey_map: JourneyMap) -> Iterator[Finding]:
    try:
        published = read_manifest(settings.published_dir).get("journey_map_sha256")
    except JourneyGapsError:
        return
    if published != journey_map.sha256:
        yield Finding(
            AREA,
            Level.INFO,
            "the map has changed since the last publication, of which the lines below speak",
            "journey-gaps run",
        )

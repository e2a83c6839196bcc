"""Forgetting in order: find, remember, erase, build and publish anew, scrub, prove.

What was found is written to `HOME/forgetting.json` (for its owner alone) before anything
changes, and removed when the proof holds: until then a rerun with the same customers does all
of it again, whatever was done.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.files import write_whole
from orchestration.forgetting import server
from orchestration.forgetting.erasing import count_rows, rewrite
from orchestration.forgetting.person import find_ids, other_ids, union
from orchestration.forgetting.scrubbing import drop_older_publications, scrub
from orchestration.forgetting.traces import JOURNAL_FILE, landing_lines, search
from orchestration.landing.contract import create_tables_sql
from orchestration.landing.existing import existing_tables
from orchestration.landing.forgotten import remember
from orchestration.landing.inputs import landing_place_of
from orchestration.landing.people import ID_COLUMNS, Ids, Needles
from orchestration.maintenance import warehouse_held
from orchestration.settings import Settings, Target


@dataclass(frozen=True)
class Line:
    """One place that was searched: rows of the person there before and after.

    `bytes_after` is how often their texts stand in its bytes, None where it is no file.
    """

    place: str
    rows_before: int
    rows_after: int | None
    bytes_after: int | None


@dataclass(frozen=True)
class Proof:
    """What forgetting found and left, place by place.

    `ids_by_column` counts what else was found to be the person's; `vague` ids are too short to
    be told from other text and were looked for only where an id stands. `landing_files` still
    name the person, with how many lines: only their owner may change them. `removed` are the
    publications that were removed.
    """

    lines: tuple[Line, ...]
    ids_by_column: Mapping[str, int]
    vague: tuple[str, ...]
    landing_files: Mapping[str, int]
    removed: tuple[str, ...] = ()

    @property
    def remains(self) -> list[Line]:
        """Places that still hold the person."""
        return [line for line in self.lines if line.rows_after or line.bytes_after]


@dataclass(frozen=True)
class _Journal:
    """What a forgetting that was begun is about."""

    customers: tuple[str, ...]
    ids: Ids
    narrow: frozenset[str]
    before: Mapping[str, int]

    @property
    def needles(self) -> Needles:
        return Needles(Needles.of(self.ids).texts, self.narrow)

    def write(self, home: Path) -> None:
        content = {
            "customers": self.customers,
            "ids": {name: sorted(values) for name, values in self.ids.items()},
            "narrow": sorted(self.narrow),
            "before": self.before,
        }
        write_whole(home / JOURNAL_FILE, json.dumps(content) + "\n", is_private=True)

    @classmethod
    def read(cls, home: Path) -> "_Journal | None":
        path = home / JOURNAL_FILE
        if not path.exists():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        ids = {name: frozenset(values) for name, values in content["ids"].items()}
        return cls(
            tuple(content["customers"]), ids, frozenset(content["narrow"]), content["before"]
        )


def preview(settings: Settings, customers: Sequence[str]) -> Proof:
    """What forgetting these customers would find; nothing is changed.

    Raises JourneyGapsError as `forget` does.
    """
    with warehouse_held(settings, "forget"):
        journal = _journal(settings, customers)
        lines = tuple(Line(name, rows, None, None) for name, rows in journal.before.items())
        return _proof(settings, journal, lines)


def forget(settings: Settings, customers: Sequence[str], rebuild: Callable[[], object]) -> Proof:
    """Erase customers from all that a HOME holds, and search it for what remains.

    `rebuild` lands, builds and publishes, and raises where nothing is published. It runs
    without the warehouse's lock, which a run takes by itself; landing leaves the customers
    out by then. Raises JourneyGapsError where a customer is found nowhere, another forgetting
    was begun and not finished, or the warehouse is in use.
    """
    with warehouse_held(settings, "forget"):
        journal = _journal(settings, customers)
        journal.write(settings.home)
        remember(settings.home, journal.ids)
        if settings.warehouse.exists():
            rewrite(settings.warehouse, journal.ids, journal.needles, _adopted(settings))
            if settings.target is Target.POSTGRES:
                server.clear_server()
            if settings.target is Target.SPARK:
                from orchestration.forgetting.spark import clear_spark

                clear_spark(settings)
    if settings.warehouse.exists():
        rebuild()
    with warehouse_held(settings, "forget"):
        removed = drop_older_publications(settings, journal.ids, journal.needles)
        if settings.target is Target.POSTGRES:
            server.drop_older_schemas()
        if settings.target is Target.SPARK:
            from orchestration.forgetting.spark import drop_older_databases

            drop_older_databases(settings)
        shutil.rmtree(f"{settings.warehouse}.tmp", ignore_errors=True)
        scrub(settings, journal.needles)
        proof = _proof(settings, journal, tuple(_searched(settings, journal)), removed)
        if not proof.remains:
            (settings.home / JOURNAL_FILE).unlink()
    return proof


def _adopted(settings: Settings) -> frozenset[str]:
    """Schemas of the warehouse file that are its owner's: tables that landing adopts."""
    on_server = settings.target is Target.POSTGRES
    relations = existing_tables(settings.sources, is_postgres=on_server).relations.values()
    return frozenset(
        relation.schema for relation in relations if relation.database is None and not on_server
    )


def _journal(settings: Settings, customers: Sequence[str]) -> _Journal:
    """What is to be erased: what a forgetting that broke off found, and what is there now."""
    begun = _Journal.read(settings.home)
    if begun is not None and set(begun.customers) != set(customers):
        raise JourneyGapsError(
            "forgetting somebody else was begun and is not finished: first run "
            f"`journey-gaps forget {' '.join(begun.customers)}` again"
        )
    ids: Ids = {name: frozenset() for name in ID_COLUMNS}
    narrow: frozenset[str] = frozenset()
    before: dict[str, int] = {}
    if settings.warehouse.exists():
        with closing(_open(settings.warehouse)) as connection:
            ids = find_ids(connection, customers)
            if begun is not None:
                ids = union(ids, begun.ids)
            needles = Needles.of(ids, other_ids(connection, ids))
            narrow = needles.narrow
            before = count_rows(connection, ids, needles)
    else:
        named = frozenset(customers)
        ids = {**ids, "customer_id": named, "source_case_id": named}
    journal = _Journal(tuple(customers), ids, narrow, before)
    searched = search(settings, ids, journal.needles)
    for place, (rows, _) in searched.items():
        if rows and not place.startswith(f"{settings.warehouse.name}: "):
            before[place] = rows
    if begun is not None:
        return _Journal(begun.customers, ids, begun.narrow | narrow, begun.before)
    if not any(before.values()) and not any(found for _, found in searched.values()):
        _require_landing(settings, journal)
    return journal


def _open(warehouse: Path) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(warehouse)
        for statement in create_tables_sql():
            connection.execute(statement)
    except duckdb.Error as error:
        raise JourneyGapsError(f"{warehouse} cannot be opened: {error}") from error
    return connection


def _require_landing(settings: Settings, journal: _Journal) -> None:
    """Somebody whom HOME does not know yet may be in files that are still to land."""
    if landing_lines(settings, Needles(journal.customers)):
        return
    raise JourneyGapsError(
        f"{', '.join(journal.customers)} is found nowhere in {settings.home} nor in "
        f"{landing_place_of(settings).name}: check the id; it is a customer_id, or the "
        "source_case_id of a process log"
    )


def _proof(
    settings: Settings,
    journal: _Journal,
    lines: tuple[Line, ...],
    removed: Collection[str] = (),
) -> Proof:
    known = set(journal.needles.texts)
    return Proof(
        lines=lines,
        ids_by_column={
            name: len(values - set(journal.customers))
            for name, values in journal.ids.items()
            if values - set(journal.customers)
        },
        vague=tuple(sorted({text for values in journal.ids.values() for text in values} - known)),
        landing_files=landing_lines(
            settings, Needles((*journal.needles.texts, *set(journal.customers) - known))
        ),
        removed=tuple(removed),
    )


def _searched(settings: Settings, journal: _Journal) -> Iterator[Line]:
    """Every table of people's rows by name, then every place under HOME as a whole."""
    ids, needles = journal.ids, journal.needles
    if settings.warehouse.exists():
        with closing(_open(settings.warehouse)) as connection:
            for table, rows in count_rows(connection, ids, needles).items():
                if rows or journal.before.get(table):
                    yield Line(table, journal.before.get(table, 0), rows, None)
    for place, (rows, found) in search(settings, ids, needles).items():
        in_warehouse = place.startswith(f"{settings.warehouse.name}: ")
        before = 0 if in_warehouse else journal.before.get(place, 0)
        yield Line(place, before, rows, None if in_warehouse else found)
    if settings.target is Target.POSTGRES:
        for schema, rows in server.rows_on_server(ids, needles).items():
            yield Line(f"PostgreSQL: {schema}", 0, rows, None)
    if settings.target is Target.SPARK:
        from orchestration.forgetting.spark import rows_in_spark

        for schema, rows in rows_in_spark(settings, ids, needles).items():
            yield Line(f"Spark: {schema}", 0, rows, None)

"""Which files feed which raw table, and how: `landing.yml`, or names that speak for themselves.

Without a `landing.yml` (in the landing folder, else in the map folder) the convention holds:
`<raw table>.<csv|parquet|jsonl|xes>[.gz]`, or files of these formats in a folder of that name;
columns go by their names. Columns that the contract does not know are kept in the table's JSON
column (`properties`, `attributes`) where it has one.

With a `landing.yml`, only what it lists is landed::

    sources:
      - name: deals                          # unique; shown in messages and in raw.loads
        files: crm/deals*.csv                # glob, relative to the landing folder
        table: crm_stage_changes             # a table of the contract
        columns:                             # contract column: where its value comes from
          change_id: {composite: [deal_id, {constant: won}], separator: ":"}
          opportunity_id: deal_id            # a column of the file
          stage_name: {constant: won}        # the same text in every row
          changed_at: won_date
        time_zone: America/Sao_Paulo         # of times without an offset; default UTC
        date_only: [changed_at]              # times that are dates: no durations under a day
        source_start: 2017-06-14             # the source has no older rows by design
        extract_time: 2018-11-14T00:00:00Z   # the source is complete up to here
        freshness_hours: 26                  # nothing new for longer than this is an alert
        present: [won_date]                  # leave out rows in which one of these is empty
        where: {lead_type: [offline, industry]}   # leave out rows with another value

- Without `columns`, columns go by their names, as in the convention.
- `{json: [plan, region]}` makes a JSON object of columns, `{json: all}` of all columns that the
  source maps nowhere else. Empty values are left out; a text that is itself a JSON object or
  array is kept as one.
- `{composite: [...]}` is null where a part is; the separator is ":" unless it is given.
- One file may feed several tables, and one of its rows several events: name it in two sources.
- An XES file needs no `columns`: source_case_id is `case:concept:name`, activity `concept:name`,
  lifecycle `lifecycle:transition`, resource `org:resource`, occurred_at `time:timestamp`, and
  attributes the JSON of all other attributes, those of the trace with the prefix `case:`.
  Columns that are given replace these one by one.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import duckdb
import yaml
from fsspec.utils import glob_translate  # type: ignore[import-untyped]  # it ships no types
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from orchestration.errors import InputError, Problem
from orchestration.landing.contract import (
    CONTRACT,
    CONTRACT_VERSION,
    Table,
    install_macros,
    json_object_sql,
)
from orchestration.landing.places import Listing, Place
from orchestration.landing.readers import RejectedFileError, format_of
from orchestration.quoting import literal

FILE_NAME = "landing.yml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Constant(_Strict):
    """The same text in every row."""

    constant: str


class Composite(_Strict):
    """Several columns or constants joined to one text, null where one of them is."""

    composite: tuple[str | Constant, ...] = Field(min_length=1)
    separator: str = ":"


class JsonOf(_Strict):
    """A JSON object of columns, keyed by their names."""

    columns: tuple[str, ...] | Literal["all"] = Field(alias="json")


_SHAPES: Mapping[type[_Strict], str] = {
    Constant: "constant",
    Composite: "composite",
    JsonOf: "json",
}


def _shape(value: object) -> str | None:
    """Which kind of origin a value is: a text is a column, a mapping goes by its key.

    The tags are no keys of a landing.yml, so a place that pydantic reports is never mistaken.
    """
    if isinstance(value, str):
        return "<column>"
    for model, key in _SHAPES.items():
        if isinstance(value, model) or (isinstance(value, Mapping) and key in value):
            return f"<{key}>"
    return None


Origin = Annotated[
    Annotated[str, Tag("<column>")]
    | Annotated[Constant, Tag("<constant>")]
    | Annotated[Composite, Tag("<composite>")]
    | Annotated[JsonOf, Tag("<json>")],
    Discriminator(
        _shape,
        custom_error_type="column_origin",
        custom_error_message="must be a column of the file, {constant: text}, "
        "{composite: [columns]} or {json: [columns]}",
    ),
]

XES_COLUMNS: Mapping[str, Origin] = {
    "source_case_id": "case:concept:name",
    "activity": "concept:name",
    "lifecycle": "lifecycle:transition",
    "resource": "org:resource",
    "occurred_at": "time:timestamp",
    "attributes": JsonOf(json="all"),
}


@dataclass(frozen=True)
class Bound:
    """A source's mapping on one file: SQL over the file's columns for `contract.judge_sql`."""

    texts: Mapping[str, str]
    condition: str
    notes: tuple[str, ...]


class Source(_Strict):
    """One way from files to a raw table: an entry of `landing.yml`, or a name that says it."""

    name: str = Field(min_length=1)
    files: str = Field(min_length=1)
    table: str
    columns: dict[str, Origin] | None = None
    time_zone: str = "UTC"
    date_only: tuple[str, ...] = ()
    source_start: str | None = None
    extract_time: str | None = None
    freshness_hours: float | None = Field(default=None, gt=0)
    present: tuple[str, ...] = ()
    where: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Hash of all that decides what a file's rows become (not its names and declarations)."""
        decisive = self.model_dump(include={"table", "columns", "time_zone", "present", "where"})
        text = json.dumps([CONTRACT_VERSION, decisive], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def declared(self, column: str) -> datetime | None:
        """`source_start` or `extract_time` as UTC without a zone, None where not declared."""
        text: str | None = getattr(self, column)
        return None if text is None else _utc(text, self.time_zone)

    def bind(self, header: Mapping[str, str], file_format: str) -> Bound:
        """SQL for this source over one file's trimmed columns (`header`: name to SQL name).

        Raises RejectedFileError where the file lacks a column that the mapping names or, where
        columns go by name, one that the contract requires. A JSONL or XES file in which no row
        has a value that the contract does not require lacks nothing.
        """
        if not header:  # no event, no readable line: no columns, and no row that misses them
            return Bound({}, "true", ())
        table = CONTRACT[self.table]
        file = _Columns(header, is_sparse=file_format in ("jsonl", "xes"))
        given = self.columns
        if file_format == "xes" and table.name == "event_log":
            given = {**XES_COLUMNS, **(self.columns or {})}
        if given is None:
            texts, notes = _by_name(table, file)
        else:
            texts, notes = _by_origin(table, given, file), []
        conditions = [f"{file.sql(name, 'present')} is not null" for name in self.present]
        for name, values in self.where.items():
            listed = ", ".join(map(literal, (values,) if isinstance(values, str) else values))
            conditions.append(f"{file.sql(name, 'where')} in ({listed})")
        mapped = {*(self.columns or {}), "present", "where"}
        notes += [
            f"no row has {name}, which is mapped to {purpose}"
            for name, purpose in file.absent
            if purpose in mapped
        ]
        return Bound(texts, " and ".join(conditions) or "true", tuple(notes))


@dataclass
class _Columns:
    """The columns of one file by name. In a sparse format only columns with a value show."""

    header: Mapping[str, str]
    is_sparse: bool
    absent: list[tuple[str, str]] = field(default_factory=list)

    def sql(self, name: str, purpose: str, is_required: bool = False) -> str:
        if name in self.header:
            return self.header[name]
        if not self.is_sparse or is_required:
            raise RejectedFileError(
                f"has no such column, which is mapped to {purpose}",
                column=name,
                remedy=f"its columns are {self.listing}",
            )
        self.absent.append((name, purpose))
        return "null::varchar"

    def json(self, names: Iterable[str], purpose: str) -> str:
        values = {name: self.sql(name, purpose) for name in names}
        return f"nullif({json_object_sql(values, embed=True)}, '{{}}')"

    @property
    def listing(self) -> str:
        return _listed(list(self.header))


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _by_name(table: Table, file: _Columns) -> tuple[dict[str, str], list[str]]:
    """Columns by their names; the others into the table's JSON column, if it has one."""
    for column in table.landed_columns:
        if column.is_required and column.name not in file.header:
            raise RejectedFileError(
                f"has no such column, which {table.name} requires",
                column=column.name,
                remedy=f"its columns are {file.listing}; add it, or map columns in {FILE_NAME}",
            )
    header = file.header
    texts = {c.name: header[c.name] for c in table.landed_columns if c.name in header}
    derived = [c.name for c in table.columns if c.is_derived and c.name in header]
    extra = [name for name in header if table.column(name) is None]
    notes = [f"column {name} is derived: what the file has is not landed" for name in derived]
    if extra and table.json_column:
        others = file.json(extra, table.json_column)
        own = texts.get(table.json_column)
        texts[table.json_column] = f"merged_json({own}, {others})" if own else others
        notes.append(f"columns beyond the contract, kept in {table.json_column}: {_listed(extra)}")
    elif extra:
        notes.append(f"columns beyond the contract, not landed: {_listed(extra)}")
    return texts, notes


def _by_origin(table: Table, origins: Mapping[str, Origin], file: _Columns) -> dict[str, str]:
    """Columns as they are mapped."""
    used = {name for origin in origins.values() for name in _columns_of(origin)}
    required = {column.name for column in table.landed_columns if column.is_required}
    for name in required - set(origins):
        raise RejectedFileError(
            f"no column is mapped to it, and {table.name} requires it",
            column=name,
            remedy=f"map it in {FILE_NAME}: a column of the file or a constant",
        )
    texts = {}
    for name, origin in origins.items():
        match origin:
            case Constant(constant=text):
                texts[name] = literal(text.strip()) if text.strip() else "null::varchar"
            case Composite(composite=parts, separator=separator):
                texts[name] = f" || {literal(separator)} || ".join(
                    literal(part.constant)
                    if isinstance(part, Constant)
                    else file.sql(part, name, name in required)
                    for part in parts
                )
            case JsonOf(columns="all"):
                texts[name] = file.json([c for c in file.header if c not in used], name)
            case JsonOf(columns=columns):
                texts[name] = file.json(columns, name)
            case str():
                texts[name] = file.sql(origin, name, name in required)
    return texts


def _columns_of(origin: Origin) -> Iterator[str]:
    match origin:
        case str():
            yield origin
        case Composite(composite=parts):
            yield from (part for part in parts if isinstance(part, str))
        case JsonOf(columns=columns) if columns != "all":
            yield from columns


@dataclass(frozen=True)
class Plan:
    """What a landing place holds for the warehouse. Files are relative to the place, with /.

    `unlisted` files are no source's, `unmatched` are the globs for which there is no file;
    `waiting` files land when they have settled, `ignored` ones never, for the reason given.
    """

    sources: tuple[Source, ...]
    files: Mapping[str, tuple[Source, ...]]
    unlisted: tuple[str, ...]
    unmatched: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)


def make_plan(place: Place, map_dir: Path) -> Plan:
    """Find the files to land and their sources.

    Raises InputError where the landing place is missing or `landing.yml` is wrong, with all
    problems found. A file that `landing.yml` names without a wildcard is in the plan whether or
    not it is there: reading it tells.
    """
    listing = place.listing()
    found = [name for name in sorted(listing.files) if name != FILE_NAME]
    files: dict[str, list[Source]] = {}
    unmatched: list[str] = []
    declared = declared_sources(place, listing, map_dir)
    if declared is None:
        by_table: dict[str, Source] = {}
        for name in found:
            if (table := _table_of(name)) is not None:
                source = Source(name=table, files=f"{table}*", table=table)
                files[name] = [by_table.setdefault(table, source)]
        sources = list(by_table.values())
    else:
        sources = declared
        for source in sources:
            names = _matching(source.files, found)
            # What is not there because it still waits is no loose end.
            names = [name for name in names if name not in listing.waiting]
            if not names and not _matching(source.files, listing.waiting):
                unmatched.append(f"{source.name}: {source.files}")
            for name in names:
                files.setdefault(name, []).append(source)
    return Plan(
        sources=tuple(sources),
        files={name: tuple(files[name]) for name in sorted(files)},
        unlisted=tuple(name for name in found if name not in files),
        unmatched=tuple(unmatched),
        waiting=listing.waiting,
        ignored=listing.ignored,
    )


def _table_of(name: str) -> str | None:
    path = PurePosixPath(name)
    file_format = format_of(name)
    if file_format is None:
        return None
    if len(path.parts) > 1:
        return path.parts[0] if path.parts[0] in CONTRACT else None
    stem = path.name.lower().removesuffix(".gz").removesuffix(f".{file_format}")
    return stem if stem in CONTRACT else None


def _matching(pattern: str, found: Sequence[str]) -> list[str]:
    if not any(wildcard in pattern for wildcard in "*?["):
        return [PurePosixPath(pattern).as_posix()]
    matches = re.compile(glob_translate(pattern)).match
    return [name for name in found if matches(name)]


def declared_sources(place: Place, listing: Listing, map_dir: Path) -> list[Source] | None:
    """The sources of `landing.yml` in the place, else in the map; None where there is none.

    Raises InputError where it is wrong.
    """
    if FILE_NAME in listing.files:
        return read_declaration(place.fetch(FILE_NAME), f"{place.name.rstrip('/')}/{FILE_NAME}")
    if (map_dir / FILE_NAME).is_file():
        return read_declaration(map_dir / FILE_NAME)
    return None


def read_declaration(path: Path, name: str | None = None) -> list[Source]:
    """The sources of a `landing.yml`. Raises InputError with every problem, its line and key.

    `name` is what problems call the file (default: its path).
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        problem = Problem(
            name or str(path),
            f"is not YAML: {reason}",
            row=mark.line + 1 if mark is not None else None,
        )
        raise InputError("The landing mapping cannot be read.", [problem]) from error
    document = _Document(name or str(path))
    content = document.value(root, ()) if root is not None else {}
    sources: list[Source] = []
    if not document.problems:
        try:
            sources = list(_Declaration.model_validate(content).sources)
        except ValidationError as error:
            document.problems += [
                document.problem(details["loc"], _plainly(details["type"], details["msg"]))
                for details in error.errors()
            ]
    names: set[str] = set()
    for index, source in enumerate(sources):
        for key, message in contradictions(source):
            document.problems.append(document.problem(("sources", index, *key), message))
        if source.name in names:
            message = f"{source.name!r} names two sources; give each its own name"
            document.problems.append(document.problem(("sources", index, "name"), message))
        names.add(source.name)
    if document.problems:
        raise InputError("The landing mapping is wrong.", document.problems)
    return sources


class _Declaration(_Strict):
    sources: tuple[Source, ...] = Field(min_length=1)


class _Document:
    """YAML as texts, lists and mappings, with the line of every key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, key: tuple[str | int, ...]) -> Any:
        """The node's content. Scalars stay text: `yes`, `12` and `2018-01-01` are not guessed."""
        self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            content = {}
            for name_node, value_node in node.value:
                name = name_node.value if isinstance(name_node, yaml.ScalarNode) else "?"
                self.lines[*key, name] = name_node.start_mark.line + 1
                if name in content:
                    self.problems.append(self.problem((*key, name), "is given twice"))
                content[name] = self.value(value_node, (*key, name))
            return content
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*key, index)) for index, item in enumerate(node.value)]
        return None if node.tag.endswith(":null") else node.value

    def problem(self, location: Sequence[str | int], message: str) -> Problem:
        """A problem at the innermost key of `location` that the file has."""
        key: tuple[str | int, ...] = ()
        for part in location:
            if (*key, part) in self.lines:
                key = (*key, part)
        # What pydantic calls missing is no key of the file: name it all the same.
        name = ".".join(str(part) for part in key)
        if isinstance(location[-1], str) and location[-1] not in key and "required" in message:
            name = f"{name}.{location[-1]}" if name else location[-1]
        return Problem(self.name, message, row=self.lines.get(key, 1), column=name or None)


def _plainly(kind: str, message: str) -> str:
    plain = {
        "missing": "is required",
        "extra_forbidden": "is no key of a landing.yml; see the keys in "
        "orchestration/landing/mapping.py",
    }
    return plain.get(kind, message)


def contradictions(source: Source) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is well-formed in a source and yet cannot be: keys within the source, messages."""
    path = PurePosixPath(source.files)
    if path.is_absolute() or ".." in path.parts:
        yield ("files",), "must lie in the landing folder: a relative path without .."
    zones = _time_zones()
    if source.time_zone not in zones:
        yield ("time_zone",), f"unknown time zone {source.time_zone!r}; such as Europe/Amsterdam"
    else:
        for key in ("source_start", "extract_time"):
            text = getattr(source, key)
            if text is not None and source.declared(key) is None:
                yield (key,), f"{text!r} is not a time (ISO 8601, such as 2018-11-14T00:00:00Z)"
    table = CONTRACT.get(source.table)
    if table is None:
        yield ("table",), f"unknown table {source.table!r}; tables are {', '.join(CONTRACT)}"
        return
    known = ", ".join(column.name for column in table.landed_columns)
    for name in source.columns or {}:
        column = table.column(name)
        if column is None:
            yield ("columns", name), f"{table.name} has no such column; its columns are {known}"
        elif column.is_derived:
            yield ("columns", name), "is the row's order in its file and cannot be mapped"
    for name in source.date_only:
        column = table.column(name)
        if column is None or column.type.sql != "TIMESTAMP":
            yield ("date_only",), f"{name!r} is no time column of {table.name}"
    is_xes = (format_of(source.files) or "xes") == "xes" and table.name == "event_log"
    if source.columns is not None and not is_xes:
        for column in table.landed_columns:
            if column.is_required and column.name not in source.columns:
                yield ("columns",), f"{table.name} requires {column.name}: map it"


@cache
def _time_zones() -> set[str]:
    with duckdb.connect() as connection:
        return {
            name
            for (name,) in connection.execute("select name from pg_timezone_names()").fetchall()
        }


def _utc(text: str, time_zone: str) -> datetime | None:
    with duckdb.connect() as connection:
        install_macros(connection)
        row = connection.execute("select utc_time(?, ?)", [text, time_zone]).fetchone()
    return row[0] if row is not None else None

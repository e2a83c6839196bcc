"""Read raw files as text, row by row, each row with the line it came from.

CSV (comma, semicolon or tab; UTF-8), Parquet, JSONL and XES, each plain or `.gz`. A reader
lands a file in temporary DuckDB tables and says how to select from them; it never holds a file
in memory. A file that cannot be read as a whole raises RejectedFileError; a line that cannot be
read lands with its fault and its text, and the lines around it land as ever.

A tidy CSV is read by DuckDB. Where DuckDB refuses it, or where its leniency about quotes would
decide what a row means, a reader of our own takes over and isolates the broken lines: a record
is closed by the rules of RFC 4180 and has as many fields as the header, or its first line is
broken and reading goes on with the next one.
"""

# ruff: noqa: S608 - names are made here, texts pass through literal()

import gzip
import hashlib
import json
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar
from xml.parsers import expat

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

from orchestration.errors import JourneyGapsError, Problem
from orchestration.quoting import literal, quoted

_BLOCK_BYTES = 1 << 18
_BATCH_ROWS = 20_000
# A field over more lines than this is an open quote, not a text.
_MOST_LINES_IN_A_FIELD = 1_000
_BOM = b"\xef\xbb\xbf"
# Tables pack to a tenth, rarely to a hundredth; what unpacks to more, and much, fills the disk.
MOST_UNPACKED_RATIO = 200
_UNPACKED_UNSUSPECTED = 1 << 30


class RejectedFileError(JourneyGapsError):
    """A file that cannot be read as a whole: nothing of it lands.

    `row` is a physical line (None: the file), `column` a name, `remedy` what to do about it.
    """

    def __init__(  # noqa: D107  (the class says it)
        self,
        message: str,
        row: int | None = None,
        column: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.row, self.column, self.remedy = row, column, remedy
        self.message = message
        super().__init__(message)

    def problem(self, file: str) -> Problem:
        """The same as a problem of the file of that name."""
        return Problem(file, self.message, self.row, self.column, self.remedy)


@dataclass(frozen=True)
class StagedFile:
    """A file in temporary tables.

    `rows` is SQL for a relation with row_number (from 1, in file order), source_line (physical
    line, from 1; the row's number in a Parquet file), fault (why the line could not be read),
    raw_text (then the line) and one text column per column of the file; `header` gives the SQL
    name of each of them, `types` the file's own type where it has types.
    """

    rows: str
    header: Mapping[str, str]
    tables: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)

    def drop(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Free the temporary tables."""
        for table in self.tables:
            connection.execute(f"drop table if exists {table}")


def format_of(name: str) -> str | None:
    """`csv`, `parquet`, `jsonl` or `xes` by the file's name, plain or .gz; None for others."""
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    return suffix if suffix in FORMATS else None


@dataclass(frozen=True)
class Fingerprint:
    """What a file was when its content was hashed."""

    sha256: str
    state: tuple[int, int, int]


def fingerprint(path: Path) -> Fingerprint:
    """Hash a file's bytes. Raises RejectedFileError where it cannot be read or changes."""
    try:
        before = _state(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(error) from error
    fingerprint = Fingerprint(digest, before)
    require_unchanged(path, fingerprint)
    return fingerprint


def require_inside(path: Path, folder: Path) -> None:
    """Raise RejectedFileError where a path leads out of a folder, by a link or by `..`."""
    target = path.resolve()
    if not target.is_relative_to(folder.resolve()):
        raise RejectedFileError(
            f"leads out of the landing folder, to {target}",
            remedy="put the file itself there, or name its folder as the landing folder",
        )


def require_unchanged(path: Path, fingerprint: Fingerprint) -> None:
    """Raise RejectedFileError where a file is no longer what was hashed."""
    try:
        state = _state(path)
    except OSError as error:
        raise _unreadable(error) from error
    if state != fingerprint.state:
        raise RejectedFileError(
            "changed while it was read",
            remedy="land it when it is complete: write under another name, then rename",
        )


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _unreadable(error: OSError) -> RejectedFileError:
    if isinstance(error, FileNotFoundError):
        return RejectedFileError(
            "there is no such file", remedy="deliver it, or take it off the list"
        )
    return RejectedFileError(f"cannot be read: {error.strerror or error}")


def read(
    connection: duckdb.DuckDBPyConnection, path: Path, relation: str, work_dir: Path
) -> StagedFile:
    """Land a file in temporary tables whose names begin with `relation`.

    `work_dir` is a folder for what must be unpacked. Raises RejectedFileError, and leaves no table
    behind then.
    """
    file_format = format_of(path.name)
    if file_format is None:
        known = ", ".join(FORMATS)
        raise RejectedFileError(
            "is of no format that is read", remedy=f"{known}, each plain or .gz"
        )
    staging = _Staging(connection, relation)
    try:
        return FORMATS[file_format](staging, path, work_dir)
    except BaseException:
        staging.drop()
        raise


def _blocks(path: Path) -> Iterator[bytes]:
    """A file's bytes, unpacked. Raises RejectedFileError where it is empty or cannot be read."""
    is_packed = path.name.lower().endswith(".gz")
    is_empty = True
    unpacked = 0
    try:
        most = max(path.stat().st_size * MOST_UNPACKED_RATIO, _UNPACKED_UNSUSPECTED)
        with gzip.open(path) if is_packed else path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                unpacked += len(block)
                if unpacked > most:
                    raise RejectedFileError(
                        f"unpacks to more than {MOST_UNPACKED_RATIO} times its size",
                        remedy="deliver it in parts, or unpacked",
                    )
                if is_empty:
                    _require_text_or_parquet(block, is_packed)
                is_empty = False
                yield block
    except EOFError as error:
        raise RejectedFileError(
            "its gzip data end too early: the file is truncated", remedy="deliver it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        message = f"its gzip data are broken: {error}"
        raise RejectedFileError(message, remedy="deliver it again") from error
    except OSError as error:
        raise _unreadable(error) from error
    if is_empty:
        raise RejectedFileError("is empty", remedy="a file without rows still has its header")


def _require_text_or_parquet(block: bytes, is_packed: bool) -> None:
    if block.startswith(b"\x1f\x8b"):
        packed = "twice" if is_packed else "but not named .gz"
        raise RejectedFileError(f"is packed with gzip {packed}", remedy="name it .gz, packed once")
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RejectedFileError("is UTF-16", remedy="save it as UTF-8")
    if block.startswith(b"PK\x03\x04"):
        raise RejectedFileError("is a zip file or a spreadsheet", remedy="save it as CSV (UTF-8)")


@dataclass
class _Staging:
    """Temporary tables of one file, filled batch by batch."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    tables: list[str] = field(default_factory=list)

    def create(self, suffix: str, definition: str) -> str:
        name = f"{self.relation}_{suffix}"
        self.tables.append(name)
        self.connection.execute(f"create or replace temp table {name} {definition}")
        return name

    def append(self, table: str, columns: Mapping[str, object]) -> None:
        """Append a batch of columns (lists) by name."""
        batch = pa.table(dict(columns))
        self.connection.register("landing_batch", batch)
        try:
            self.connection.execute(f"insert into {table} by name select * from landing_batch")
        finally:
            self.connection.unregister("landing_batch")

    def staged(
        self, rows: str, header: Mapping[str, str], types: Mapping[str, str] | None = None
    ) -> StagedFile:
        return StagedFile(rows, header, tuple(self.tables), types or {})

    def drop(self) -> None:
        StagedFile("", {}, tuple(self.tables)).drop(self.connection)

    def value(self, query: str) -> int:
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row is not None and row[0] is not None else 0


_LINEAGE = "source_line BIGINT, fault VARCHAR, raw_text VARCHAR"

_Row = TypeVar("_Row")


def _batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        yield batch


def _names(width: int) -> list[str]:
    """SQL names of a file's columns: by position, since DuckDB folds case and files repeat."""
    return [f"c{index}" for index in range(width)]


# --- CSV -----------------------------------------------------------------------------------


@dataclass
class _Scan:
    """What one pass over a CSV file's bytes tells."""

    path: Path
    last_line: int = 0  # the last line that is not blank, from 1
    is_tidy: bool = True  # no quoting that DuckDB reads in a way of its own


def _scan(path: Path, work_dir: Path) -> _Scan:
    """Read a file once: unpack it, count its lines, look at its quotes."""
    scan = _Scan(path)
    is_packed = path.name.lower().endswith(".gz")
    if is_packed:
        scan.path = work_dir / "unpacked.csv"
    lines, tail, has_returns = 0, b"", False
    with scan.path.open("wb") if is_packed else nullcontext() as unpacked:
        for block in _blocks(path):
            if unpacked is not None:
                unpacked.write(block)
            content = block.rstrip(b"\r\n")
            if content:
                scan.last_line = lines + content.count(b"\n") + 1
            lines += block.count(b"\n")
            has_returns = has_returns or b"\r" in block
            window = tail + block
            # `"x" "y"` is one text to DuckDB, and `  "x"` keeps its quotes.
            scan.is_tidy = scan.is_tidy and not any(
                odd in window for odd in (b'" "', b'"  ', b'  "')
            )
            tail = block[-2:]
    if has_returns and lines == 0:
        raise RejectedFileError(
            "its lines end with a carriage return alone", remedy="save it with LF or CRLF"
        )
    return scan


def _read_csv(staging: _Staging, path: Path, work_dir: Path) -> StagedFile:
    scan = _scan(path, work_dir)
    header_line, header_lines, names, delimiter = _header(scan.path)
    header = dict(zip(names, _names(len(names)), strict=True))
    # In a file of one column, a blank line would be a row to DuckDB.
    if scan.is_tidy and header_line == header_lines == 1 and len(header) > 1:
        link = work_dir / "input.csv"  # a name without wildcards, whatever the file is called
        link.unlink(missing_ok=True)
        link.symlink_to(scan.path.resolve())
        staged = _read_tidy_csv(staging, link, header, delimiter, scan.last_line)
        if staged is not None:
            return staged
    return _read_broken_csv(staging, scan.path, header, delimiter, header_line + header_lines - 1)


def _read_tidy_csv(
    staging: _Staging, path: Path, header: Mapping[str, str], delimiter: str, last_line: int
) -> StagedFile | None:
    """Let DuckDB read a CSV file; None where it does not, or not to the line."""
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in header.values())
    try:
        table = staging.create(
            "csv",
            f"""as select * from read_csv({literal(str(path))}, auto_detect = false,
            header = true, columns = {{{columns}}}, delim = {literal(delimiter)}, quote = '"',
            escape = '"', strict_mode = true, null_padding = false, parallel = false,
            compression = 'none')""",  # in parallel it refuses files with many line breaks
        )
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return None
    rows = staging.value(f"select count(*) from {table}")
    line = "rowid + 2"
    if rows + 1 != last_line:
        breaks = " + ".join(
            f"coalesce(length({name}) - length(replace({name}, chr(10), '')), 0)"
            for name in header.values()
        )
        if rows + 1 + staging.value(f"select sum({breaks}) from {table}") != last_line:
            return None  # blank lines between the rows
        line += (
            f" + coalesce(sum({breaks}) over "
            "(order by rowid rows between unbounded preceding and 1 preceding), 0)::bigint"
        )
    return staging.staged(
        f"(select rowid + 1 as row_number, {line} as source_line, null::varchar as fault,"
        f" null::varchar as raw_text, * from {table})",
        header,
    )


def _read_broken_csv(
    staging: _Staging, path: Path, header: Mapping[str, str], delimiter: str, skip: int
) -> StagedFile:
    """Read a CSV file line by line and isolate the lines that cannot be read."""
    columns = list(header.values())
    types = ", ".join(f"{name} VARCHAR" for name in columns)
    table = staging.create("lines", f"({_LINEAGE}, {types})")
    for batch in _batches(_csv_records(path, len(columns), delimiter, skip)):
        lines, faults, texts, fields = zip(*batch, strict=True)
        staging.append(
            table,
            {
                "source_line": pa.array(lines, pa.int64()),
                "fault": pa.array(faults, pa.string()),
                "raw_text": pa.array(texts, pa.string()),
                **{
                    name: pa.array(values, pa.string())
                    for name, values in zip(columns, zip(*fields, strict=True), strict=True)
                },
            },
        )
    return staging.staged(f"(select rowid + 1 as row_number, * from {table})", header)


# Line, fault, text of a line with a fault, fields.
_Record = tuple[int, str | None, str | None, tuple[str | None, ...]]


def _lines(path: Path) -> Iterator[bytes]:
    """Physical lines of a file, without their LF, the first without its byte-order mark."""
    rest, is_first = b"", True
    for block in _blocks(path):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.removeprefix(_BOM) if is_first else line
            is_first = False
    if rest:
        yield rest.removeprefix(_BOM) if is_first else rest


def _header(path: Path) -> tuple[int, int, list[str], str]:
    """Line of the header, the lines it spans, the column names and the delimiter."""
    lines = _lines(path)
    number, line = next(
        ((number, line) for number, line in enumerate(lines, start=1) if line.strip()), (0, b"")
    )
    if number == 0:
        raise RejectedFileError("has no header", remedy="name the columns in its first line")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise RejectedFileError(_not_utf8(error), row=number, remedy="save it as UTF-8") from error
    bare = re.sub(r'"(?:[^"]|"")*("|$)', "", text)
    delimiter = max(",;\t", key=bare.count)
    span = 1
    split = _splitter(delimiter)
    while (fields := split(text.removesuffix("\r"))) is None and span < _MOST_LINES_IN_A_FIELD:
        following = next(lines, None)
        if following is None:
            break
        text, span = text + "\n" + following.decode(errors="replace"), span + 1
    if not isinstance(fields, list):
        raise RejectedFileError("its header has a broken quote", row=number)
    names = [name.strip() or f"column_{n}" for n, name in enumerate(fields, start=1)]
    for name in names:
        if names.count(name) > 1:
            raise RejectedFileError("the header names it twice", row=number, column=name)
    return number, span, names, delimiter


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start + 1}"


def _splitter(delimiter: str) -> Callable[[str], list[str] | str | None]:
    """A function that splits a record: its fields, None for an open quote, or what is wrong."""
    quoted_field = re.compile(r' *"((?:[^"]|"")*)(" *)?')
    plain_field = re.compile(f"[^{delimiter}]*")

    def split(record: str) -> list[str] | str | None:
        if '"' not in record:
            return record.split(delimiter)
        fields: list[str] = []
        position = 0
        while True:
            match = quoted_field.match(record, position)
            if match is None:
                match = plain_field.match(record, position)
                assert match is not None  # noqa: S101  (the pattern matches the empty text)
                fields.append(match.group())
            elif match.group(2) is None:
                return None
            else:
                fields.append(match.group(1).replace('""', '"'))
            position = match.end()
            if position == len(record):
                return fields
            if record[position] != delimiter:
                return f"has a broken quote in field {len(fields)}"
            position += 1

    return split


def _csv_records(path: Path, width: int, delimiter: str, skip: int) -> Iterator[_Record]:
    """Records of a CSV file after `skip` lines: line, fault, text where broken, fields."""
    split = _splitter(delimiter)
    source = enumerate(_lines(path), start=1)
    ahead: deque[tuple[int, bytes]] = deque()

    def line(offset: int) -> bytes | None:
        while len(ahead) <= offset:
            following = next(source, None)
            if following is None:
                return None
            ahead.append(following)
        return ahead[offset][1]

    def record() -> tuple[list[str], int] | str:
        """The next record and the lines it takes, or what is wrong with its first line."""
        text, taken = "", 0
        fields: list[str] | str | None = None
        while fields is None:
            following = line(taken)
            if following is None or taken == _MOST_LINES_IN_A_FIELD:
                return "has a quote that is never closed"
            try:
                text += ("\n" if taken else "") + following.decode()
            except UnicodeDecodeError as error:
                return "has a quote that is never closed" if taken else _not_utf8(error)
            taken += 1
            if taken == 1 or b'"' in following:
                fields = split(text.removesuffix("\r"))
        if isinstance(fields, list):
            if not any(fields[width:]):
                del fields[width:]
            if len(fields) == width:
                return fields, taken
            fields = f"has {len(fields)} fields, the header has {width}"
        return fields if taken == 1 else "has a quote that is never closed"

    for _ in range(skip):
        next(source)
    while (first := line(0)) is not None:
        number = ahead[0][0]
        if not first.strip():
            ahead.popleft()
            continue
        match record():
            case str(fault):
                # Lines that its open quote swallowed are lines again.
                ahead.popleft()
                yield number, fault, _text(first), (None,) * width
            case fields, taken:
                for _ in range(taken):
                    ahead.popleft()
                yield number, None, None, tuple(fields)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")


# --- JSONL ---------------------------------------------------------------------------------


def _read_jsonl(staging: _Staging, path: Path, work_dir: Path) -> StagedFile:  # noqa: ARG001
    table = staging.create("lines", f"({_LINEAGE})")
    for batch in _batches(_json_lines(path)):
        numbers, faults, texts = zip(*batch, strict=True)
        staging.append(
            table,
            {
                "source_line": pa.array(numbers, pa.int64()),
                "fault": pa.array(faults, pa.string()),
                "raw_text": pa.array(texts, pa.string()),
            },
        )
    keys = f"case when {_IS_OBJECT} then json_keys(raw_text) end"
    names = [
        name
        for (name,) in staging.connection.execute(
            f"select distinct unnest({keys}) as name from {table} where fault is null order by name"
        ).fetchall()
    ]
    header = dict(zip(names, _names(len(names)), strict=True))
    pointers = ", ".join(
        literal("/" + name.replace("~", "~0").replace("/", "~1")) for name in names
    )
    columns = "".join(f", texts[{n}] as {c}" for n, c in enumerate(header.values(), start=1))
    rows = f"""(
        select row_number, source_line, fault,
            case when fault is not null then raw_text end as raw_text {columns}
        from (
            select *, case
                when fault is null then json_extract_string(raw_text, [{pointers}]::varchar[])
            end as texts
            from (
                select rowid + 1 as row_number, source_line, raw_text,
                    case
                        when fault is not null then fault
                        when not {_IS_OBJECT} then 'is not a JSON object'
                        when len({keys}) <> len(list_distinct({keys}))
                            then 'is a JSON object that names a key twice'
                    end as fault
                from {table}
            ) as judged
        ) as extracted
    )"""
    return staging.staged(rows, header)


_IS_OBJECT = "coalesce(try(json_type(raw_text)) = 'OBJECT', false)"


def _json_lines(path: Path) -> Iterator[tuple[int, str | None, str]]:
    """Lines of a JSONL file that are not blank: line, fault, text."""
    has_lines = False
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        has_lines = True
        try:
            yield number, None, line.decode().removesuffix("\r")
        except UnicodeDecodeError as error:
            yield number, _not_utf8(error), _text(line)
    if not has_lines:
        raise RejectedFileError("is empty", remedy="one JSON object per line")


# --- Parquet -------------------------------------------------------------------------------

_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")


def _read_parquet(staging: _Staging, path: Path, work_dir: Path) -> StagedFile:
    blocks = _blocks(path)
    link = work_dir / "input.parquet"  # a name without wildcards, whatever the file is called
    link.unlink(missing_ok=True)
    if path.name.lower().endswith(".gz"):
        with link.open("wb") as unpacked:
            unpacked.writelines(blocks)
    else:
        next(blocks)
        link.symlink_to(path.resolve())
    source = (
        f"read_parquet({literal(str(link))}, binary_as_string = true, hive_partitioning = false)"
    )
    try:
        described = staging.connection.execute(f"describe select * from {source}").fetchall()
        header = dict(zip((row[0] for row in described), _names(len(described)), strict=True))
        values = ", ".join(
            f"{text_of(quoted(row[0]), row[1])} as {name}"
            for row, name in zip(described, header.values(), strict=True)
        )
        table = staging.create("parquet", f"as select {values} from {source}")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if _is_cut(link):
            raise RejectedFileError(
                "is not Parquet that can be read: it is truncated, its end is missing",
                remedy="deliver it again",
            ) from error
        reason = str(error).replace(str(link), path.name).splitlines()[0]
        raise RejectedFileError(
            f"is not Parquet that can be read: {reason}", remedy="write it again"
        ) from error
    return staging.staged(
        f"(select rowid + 1 as row_number, rowid + 1 as source_line, null::varchar as fault,"
        f" null::varchar as raw_text, * from {table})",
        header,
        {row[0]: row[1] for row in described},
    )


def _is_cut(path: Path) -> bool:
    """Whether a Parquet file has its first bytes and lacks the same ones at its end."""
    with path.open("rb") as content:
        start = content.read(4)
        content.seek(max(0, path.stat().st_size - 4))
        return start == b"PAR1" and content.read(4) != b"PAR1"


def text_of(column: str, sql_type: str) -> str:
    """SQL for a typed column as landed text: what is nested becomes JSON."""
    is_nested = sql_type.startswith(_NESTED) or sql_type.endswith("]")
    return f"to_json({column})::varchar" if is_nested else f"{column}::varchar"


# --- XES -----------------------------------------------------------------------------------

_XES_ATTRIBUTES = {"string", "date", "int", "float", "boolean", "id", "list", "container"}

_Texts = dict[str, str | None]


@dataclass(slots=True)
class _Attribute:
    tag: str
    key: str
    value: str | None
    children: list["_Attribute"] | None = None

    def plain(self) -> object:
        """The value; with attributes of its own an object, a list an array of objects."""
        children = self.children or []
        match self.tag:
            case "list":
                return [{child.key: child.plain()} for child in children]
            case "container":
                return {child.key: child.plain() for child in children}
            case _ if children:
                return {
                    "value": self.value,
                    "children": {child.key: child.plain() for child in children},
                }
        return self.value

    def text(self) -> str | None:
        if self.children or self.tag in ("list", "container"):
            return json.dumps(self.plain(), ensure_ascii=False)
        return self.value


class _XesParser:
    """Collects the events of a XES log: their lines and, as texts, their attributes.

    An event has the attributes of its trace too, with the prefix `case:`.
    """

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.events: list[_Texts] = []
        self._is_log = False
        self._trace: _Texts | None = None
        self._trace_events: list[_Texts] = []
        # What attributes belong to; None outside traces and events (extensions, globals, log).
        self._owner: _Texts | None = None
        self._open: list[_Attribute] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    def parse(self, block: bytes, is_last: bool = False) -> None:
        """Take the next bytes. Raises RejectedFileError where they are no well-formed XES."""
        try:
            self._parser.Parse(block, is_last)
        except expat.ExpatError as error:
            message = expat.errors.messages.get(error.code, str(error))
            raise RejectedFileError(f"is malformed XES: {message}", row=error.lineno) from error

    def _refuse_doctype(self, *_: object) -> None:
        raise RejectedFileError(
            "declares a document type, which XES does not have", row=self._parser.CurrentLineNumber
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._owner is not None and tag in _XES_ATTRIBUTES:
            attribute = _Attribute(tag, attributes.get("key", ""), attributes.get("value"))
            if self._open:
                parent = self._open[-1]
                parent.children = [*(parent.children or ()), attribute]
            self._open.append(attribute)
        elif tag == "event":
            self._owner = {}
            self._trace_events.append(self._owner)
            self.lines.append(self._parser.CurrentLineNumber)
        elif tag == "trace":
            self._trace = self._owner = {}
        elif not self._is_log:
            if tag != "log":
                raise RejectedFileError(
                    f"is XML but no XES log: it begins with <{tag}>",
                    row=self._parser.CurrentLineNumber,
                )
            self._is_log = True

    def _end(self, tag: str) -> None:
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._open and tag in _XES_ATTRIBUTES:
            attribute = self._open.pop()
            if not self._open and self._owner is not None:
                prefix = "case:" if self._owner is self._trace else ""
                self._owner[prefix + attribute.key] = attribute.text()
        elif tag == "event":
            self._owner = self._trace
            if self._trace is None:
                self._close_trace()
        elif tag == "trace":
            self._close_trace()

    def _close_trace(self) -> None:
        trace = self._trace or {}
        self.events += [{**event, **trace} for event in self._trace_events]
        self._trace_events = []
        self._trace = self._owner = None


def _read_xes(staging: _Staging, path: Path, work_dir: Path) -> StagedFile:  # noqa: ARG001
    table = staging.create("events", "(source_line BIGINT)")
    header: dict[str, str] = {}
    parser = _XesParser()

    def flush() -> None:
        """Land the traces that are complete; lines of an open trace wait for their events."""
        events, lines = parser.events, parser.lines[: len(parser.events)]
        for key in dict.fromkeys(chain.from_iterable(events)):
            if key not in header:
                header[key] = f"c{len(header)}"
                staging.connection.execute(f"alter table {table} add column {header[key]} VARCHAR")
        texts = {
            name: pa.array([event.get(key) for event in events], pa.string())
            for key, name in header.items()
        }
        staging.append(table, {"source_line": pa.array(lines, pa.int64()), **texts})
        parser.events, parser.lines = [], parser.lines[len(lines) :]

    for block in _blocks(path):
        parser.parse(block)
        if len(parser.events) >= _BATCH_ROWS:
            flush()
    parser.parse(b"", is_last=True)
    flush()
    return staging.staged(
        f"(select rowid + 1 as row_number, null::varchar as fault, null::varchar as raw_text, *"
        f" from {table})",
        header,
    )


FORMATS: Mapping[str, Callable[[_Staging, Path, Path], StagedFile]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "jsonl": _read_jsonl,
    "xes": _read_xes,
}

"""Every format, plain and packed; and every way in which a file can be broken."""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing import Status, load, readers

HEADER = "event_id,event_name,occurred_at,properties\n"
LOG = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <global scope="event"><string key="concept:name" value="UNKNOWN"/></global>
  <string key="concept:name" value="a log"/>
  <trace>
    <string key="concept:name" value="case &amp; 1"/>
    <int key="AMOUNT" value="500"/>
    <event>
      <string key="concept:name" value="submit"/>
      <string key="lifecycle:transition" value="COMPLETE"/>
      <date key="time:timestamp" value="2024-01-31T10:00:00.000+01:00"/>
    </event>
    <event>
      <string key="concept:name" value="approve"/>
      <string key="org:resource" value="ann"/>
      <date key="time:timestamp" value="2024-01-31T11:00:00.000+01:00"/>
      <string key="cost" value="9"><string key="currency" value="EUR"/></string>
      <list key="notes"><values><string key="note" value="x"/><int key="note" value="2"/></values>
      </list>
      <container key="place"><string key="city" value="Köln"/></container>
    </event>
  </trace>
</log>
"""


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


EVENTS = [
    {"event_id": "1", "event_name": "view", "occurred_at": "2024-01-31T10:00:00Z"},
    {"event_id": "2", "event_name": "buy", "occurred_at": "2024-01-31T11:00:00Z"},
]
FORMATS: dict[str, bytes] = {
    "csv": b"event_id,event_name,occurred_at\n"
    b"1,view,2024-01-31T10:00:00Z\n2,buy,2024-01-31T11:00:00Z\n",
    "jsonl": b'{"event_id":"1","event_name":"view","occurred_at":"2024-01-31T10:00:00Z"}\n'
    b'{"event_id":2,"event_name":"buy","occurred_at":"2024-01-31T11:00:00Z"}\n',
    "parquet": parquet(pa.Table.from_pylist(EVENTS)),
    "xes": b'<log><trace><string key="x" value="y"/>'
    + b"\n".join(
        b"<event>"
        + b"".join(
            f'<string key="{key}" value="{value}"/>'.encode() for key, value in event.items()
        )
        + b"</event>"
        for event in EVENTS
    )
    + b"</trace></log>",
}
FIRST_LINES = {"csv": 2, "jsonl": 1, "parquet": 1, "xes": 1}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_every_format_lands_plain_and_packed(site: Any, file_format: str, packed: str) -> None:
    file = site.land_one(f"events.{file_format}{packed}", FORMATS[file_format])
    assert (file.rows_in, file.rows_kept) == (2, 2)
    first = FIRST_LINES[file_format]
    assert site.query(
        "select event_id, event_name, occurred_at, source_file, source_line"
        " from raw.events order by event_id"
    ) == [
        ("1", "view", datetime(2024, 1, 31, 10), f"events.{file_format}{packed}", first),
        ("2", "buy", datetime(2024, 1, 31, 11), f"events.{file_format}{packed}", first + 1),
    ]


@pytest.mark.parametrize("name", ["events.csv", "events.jsonl", "events.xes", "events.parquet"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_an_empty_file_is_rejected(site: Any, name: str, packed: str) -> None:
    file = site.land_one(name + packed, b"")
    assert file.status is Status.REJECTED
    assert file.problems[0].message == "is empty"


@pytest.mark.parametrize("content", ["\n\n", "\ufeff", "  \n"])
def test_a_csv_without_a_header_is_rejected(site: Any, content: str) -> None:
    file = site.land_one("events.csv", content)
    assert file.problems[0].message == "has no header"


@pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
def test_a_header_alone_is_a_file_without_rows(site: Any, name: str) -> None:
    file = site.land_one(name, HEADER)
    assert (file.status, file.rows_in) == (Status.LANDED, 0)


@pytest.mark.parametrize("name", [f"events.{file_format}.gz" for file_format in FORMATS])
def test_a_truncated_gzip_is_rejected_and_the_rest_lands(site: Any, name: str) -> None:
    site.write("crm_accounts.csv", "account_id,created_at\na,2024-01-31\n")
    packed = gzip.compress(FORMATS[name.split(".")[1]])
    (site.landing / name).write_bytes(packed[:-9])
    result = site.land()
    (rejected,) = result.rejected
    assert rejected.file == name
    assert "its gzip data end too early" in rejected.message
    assert site.column("select account_id from raw.crm_accounts") == ["a"]
    assert site.column("select count(*) from raw.events") == [0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv.gz", b"no gzip", "gzip data are broken"),
        ("events.csv", gzip.compress(b"a,b\n", mtime=0), "is packed with gzip but not named .gz"),
        ("events.csv", "a,b\n".encode("utf-16"), "is UTF-16"),
        ("events.csv", b"PK\x03\x04 and so on", "is a zip file or a spreadsheet"),
        ("events.csv", b"a,b\r1,2\r", "carriage return alone"),
        ("events.csv", b"a,b,a\n1,2,3\n", "the header names it twice"),
        ("events.csv", b'a,"b\n1,2\n', "its header has a broken quote"),
        ("events.csv", b"a,\xff\n1,2\n", "is not UTF-8: byte 0xff at position 3"),
        ("events.parquet", b"PAR1 no parquet", "is not Parquet that can be read"),
        ("events.xes", b"<html></html>", "is XML but no XES log: it begins with <html>"),
        ("events.xes", b"event_id,event_name\n", "is malformed XES: syntax error"),
        (
            "events.xes",
            b'<!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/passwd">]><log>&x;</log>',
            "declares a document type",
        ),
    ],
)
def test_a_file_that_is_something_else_is_rejected(
    site: Any, name: str, content: bytes, message: str
) -> None:
    (site.landing / name).write_bytes(content)
    (file,) = site.land().files
    assert file.status is Status.REJECTED
    assert message in file.problems[0].message


def test_malformed_xes_is_rejected_with_its_line_and_lands_nothing(site: Any) -> None:
    broken = LOG.replace("<container", "<contain", 1)
    site.write("event_log/good.xes", LOG)
    file = site.land_one("event_log/broken.xes.gz", broken)
    assert file.status is Status.REJECTED
    assert (file.problems[0].row, "malformed XES" in file.message) == (21, True)
    assert "mismatched tag" in file.message
    assert set(site.column("select source_file from raw.event_log")) == {"event_log/good.xes"}


def test_a_xes_file_that_ends_too_early_lands_nothing(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_BATCH_ROWS", 1)
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 64)
    file = site.land_one("event_log.xes", LOG.removesuffix("</log>\n"))
    assert file.status is Status.REJECTED
    assert site.column("select count(*) from raw.event_log") == [0]


@pytest.mark.parametrize("block", [7, 1 << 18])
def test_xes_has_its_own_mapping(site: Any, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_BLOCK_BYTES", block)
    monkeypatch.setattr(readers, "_BATCH_ROWS", 1)
    file = site.land_one("event_log.xes", LOG)
    assert file.message == ""
    assert site.query(
        "select source_case_id, event_seq, activity, lifecycle, resource, occurred_at,"
        " attributes, source_line from raw.event_log order by event_seq"
    ) == [
        (
            "case & 1",
            1,
            "submit",
            "COMPLETE",
            None,
            datetime(2024, 1, 31, 9),
            '{"case:AMOUNT":"500"}',
            9,
        ),
        (
            "case & 1",
            2,
            "approve",
            None,
            "ann",
            datetime(2024, 1, 31, 10),
            '{"case:AMOUNT":"500","cost":{"value":"9","children":{"currency":"EUR"}},'
            '"notes":[{"note":"x"},{"note":"2"}],"place":{"city":"Köln"}}',
            14,
        ),
    ]


def test_xes_with_a_prefix_and_events_outside_traces(site: Any) -> None:
    log = (
        '<x:log xmlns:x="http://www.xes-standard.org/"><x:trace><x:event>'
        '<x:string key="concept:name" value="a"/><x:date key="time:timestamp" value="2024-01-31"/>'
        '</x:event><x:string key="concept:name" value="7"/></x:trace>'
        '<x:event><x:string key="concept:name" value="stray"/>'
        '<x:date key="time:timestamp" value="2024-01-31"/></x:event></x:log>'
    )
    site.land_one("event_log.xes", log)
    assert site.query("select source_case_id, activity from raw.event_log") == [("7", "a")]
    assert site.query("""select reason, "content"->>'activity' from quarantine.event_log""") == [
        ("source_case_id is missing", "stray")
    ]


def test_xes_columns_can_be_replaced_one_by_one(site: Any) -> None:
    site.declare(
        "sources: [{name: x, files: '*.xes', table: event_log, columns: {resource: case:AMOUNT}}]"
    )
    site.land_one("log.xes", LOG)
    assert set(site.query("select resource, source_case_id from raw.event_log")) == {
        ("500", "case & 1")
    }
    assert site.column("select attributes from raw.event_log where event_seq = 1") == [None]


def test_a_xes_log_without_events_has_no_rows(site: Any) -> None:
    file = site.land_one("event_log.xes", "<log></log>")
    assert (file.status, file.rows_in) == (Status.LANDED, 0)


def test_a_jsonl_without_a_readable_line_is_quarantined(site: Any) -> None:
    file = site.land_one("events.jsonl", "{oops\n{}\n")
    assert (file.status, file.rows_quarantined) == (Status.LANDED, 2)
    assert site.column("select reason from quarantine.events order by source_line") == [
        "is not a JSON object",
        "event_id is missing; event_name is missing; occurred_at is missing",
    ]


def test_a_broken_quote_costs_one_line(site: Any) -> None:
    good = '{n},view,2024-01-31,"{{""page"":""/{n}""}}"\n'
    content = (
        HEADER
        + good.format(n=2)
        + '3,"view,2024-01-31,\n'
        + good.format(n=4)
        + '5,"vi"ew,2024-01-31,\n'
        + "6,view\n"
        + "7,view,2024-01-31,,,more\n"
        + '8,"two\nlines",2024-01-31,\n'
        + "10,view,2024-01-31,,\n"
    )
    file = site.land_one("events.csv", content)
    assert site.query("select event_id, source_line from raw.events order by source_line") == [
        ("2", 2),
        ("4", 4),
        ("8", 8),
        ("10", 10),
    ]
    assert site.query(
        """select source_line, reason, "content"->>'line', row_id from quarantine.events
        order by source_line"""
    ) == [
        (3, "has a quote that is never closed", '3,"view,2024-01-31,', None),
        (5, "has a broken quote in field 2", '5,"vi"ew,2024-01-31,', None),
        (6, "has 2 fields, the header has 4", "6,view", None),
        (7, "has 6 fields, the header has 4", "7,view,2024-01-31,,,more", None),
    ]
    assert [problem.row for problem in file.problems] == [3, 5, 6, 7]
    assert str(file.problems[0]) == "events.csv, line 3: has a quote that is never closed"


def test_invalid_utf8_costs_one_line(site: Any) -> None:
    content = (HEADER + "1,view,2024-01-31,\n2,caf\xe9,2024-01-31,\n3,café,2024-01-31,\n").encode(
        "utf-8"
    )
    content = content.replace("caf\xe9".encode(), b"caf\xe9", 1)
    site.land_one("events.csv", content)
    assert site.query("select event_id, event_name from raw.events order by event_id") == [
        ("1", "view"),
        ("3", "café"),
    ]
    assert site.query("select source_line, reason from quarantine.events") == [
        (3, "is not UTF-8: byte 0xe9 at position 6")
    ]


def test_broken_lines_of_jsonl_cost_one_line_each(site: Any) -> None:
    good = b'{"event_id":"%d","event_name":"view","occurred_at":"2024-01-31"}'
    lines = [
        b"\xef\xbb\xbf" + good % 1,
        b"",
        b'{"event_id":"3"',
        b'["4"]',
        b'{"event_id":"5","event_id":"5"}',
        b'{"event_id":"\xff"}',
        good % 7 + b"\r",
    ]
    site.land_one("events.jsonl.gz", b"\n".join(lines))
    assert site.query("select event_id, source_line from raw.events order by all") == [
        ("1", 1),
        ("7", 7),
    ]
    assert site.query("select source_line, reason from quarantine.events order by all") == [
        (3, "is not a JSON object"),
        (4, "is not a JSON object"),
        (5, "is a JSON object that names a key twice"),
        (6, "is not UTF-8: byte 0xff at position 14"),
    ]


def test_nested_json_lands_as_json(site: Any) -> None:
    site.land_one(
        "events.jsonl",
        '{"event_id":1,"event_name":"view","occurred_at":"2024-01-31","properties":{"b":1.5},'
        '"utm":{"source":"x"},"a/b~c":true,"":null,"tags":["x"]}\n',
    )
    assert site.column("select properties from raw.events") == [
        '{"a/b~c":"true","b":1.5,"tags":["x"],"utm":{"source":"x"}}'
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_of_a_spreadsheet_is_read(site: Any, delimiter: str, end: str, mark: str) -> None:
    lines = [
        delimiter.join(['"event_id"', "event_name", "occurred_at"]),
        delimiter.join(["1", f'"a{delimiter}b{end}c ""d"""', " 2024-01-31 "]),
        delimiter.join(["2", "", "2024-01-31"]),
        delimiter.join(["3", "x", "2024-01-31"]),
    ]
    site.land_one("events.csv", mark + end.join(lines))
    assert site.query("select event_id, event_name, source_line from raw.events order by all") == [
        ("1", f'a{delimiter}b{end}c "d"', 2),
        ("3", "x", 5),
    ]
    assert site.query("select reason, source_line from quarantine.events") == [
        ("event_name is missing", 4)
    ]


def test_parquet_of_any_type_becomes_canonical_text(site: Any) -> None:
    table = pa.table(
        {
            "response_id": pa.array([1, 2], pa.int64()),
            "survey": pa.array(["nps", "nps"]).dictionary_encode(),
            "score": pa.array([9.0, None]),
            "is_higher_better": pa.array([True, False]),
            "asked_at": pa.array([datetime(2024, 1, 31, 10)] * 2, pa.timestamp("ns")),
            "answered_at": pa.array(
                [datetime(2024, 1, 31, 10), None], pa.timestamp("us", "Europe/Amsterdam")
            ),
            "customer_id": pa.array([b"c1", b"c2"], pa.binary()),
        }
    )
    site.declare(
        "sources: [{name: x, files: '*.parquet', table: survey_responses,"
        " time_zone: Europe/Amsterdam}]"
    )
    site.land_one("what ? [is] *this.parquet", parquet(table))
    assert site.query(
        "select response_id, score, is_higher_better, asked_at, answered_at, customer_id,"
        " source_line from raw.survey_responses order by all"
    ) == [
        ("1", 9.0, True, datetime(2024, 1, 31, 9), datetime(2024, 1, 31, 10), "c1", 1),
        ("2", None, False, datetime(2024, 1, 31, 9), None, "c2", 2),
    ]


def test_nested_parquet_lands_as_json(site: Any) -> None:
    table = pa.table(
        {
            "event_id": ["1"],
            "event_name": ["view"],
            "occurred_at": pa.array([datetime(2024, 1, 31)], pa.timestamp("ms")),
            "properties": pa.array([{"plan": "pro", "tags": ["a"]}]),
        }
    )
    site.land_one("events.parquet", parquet(table))
    assert site.column("select properties from raw.events") == ['{"plan":"pro","tags":["a"]}']


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_file_that_changes_while_it_is_read_is_rejected(
    site: Any, monkeypatch: pytest.MonkeyPatch, packed: str
) -> None:
    def read_and_change(connection: Any, path: Path, relation: str, work_dir: Path) -> Any:
        staged = readers.read(connection, path, relation, work_dir)
        with path.open("ab") as file:
            file.write(b"\n")
        return staged

    monkeypatch.setattr(load, "read", read_and_change)
    file = site.land_one(f"events.csv{packed}", HEADER + "1,view,2024-01-31,\n")
    assert file.status is Status.REJECTED
    assert "changed while it was read" in file.message
    assert site.column("select count(*) from raw.events") == [0]


@pytest.mark.parametrize("name", ["events.csv", "events.parquet", "events.xes"])
def test_a_file_that_vanishes_while_it_is_read_is_rejected(
    site: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def vanish_and_read(connection: Any, path: Path, relation: str, work_dir: Path) -> Any:
        path.unlink()
        return readers.read(connection, path, relation, work_dir)

    monkeypatch.setattr(load, "read", vanish_and_read)
    file = site.land_one(name, FORMATS[name.split(".")[1]])
    assert file.status is Status.REJECTED
    assert "there is no such file" in file.message


def test_an_error_of_the_engine_is_no_broken_file(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full memory must stop the load, not reject the file and go on."""

    def fail(*_: object) -> str:
        raise duckdb.OutOfMemoryException("full")

    monkeypatch.setattr(readers._Staging, "create", fail)
    for name in ("events.csv", "events.parquet"):
        site.write(name, FORMATS[name.split(".")[1]])
        with pytest.raises(duckdb.OutOfMemoryException):
            site.land()
        (site.landing / name).unlink()


# --- The two readers of CSV agree ----------------------------------------------------------

_FIELDS = st.sampled_from(
    [
        "",
        "a",
        "é",
        '"x"',
        '"p,q"',
        '"m\nn"',
        '"he ""x"""',
        ' "s"',
        'y"z',
        '  "t"',
        '"u" ',
        '"v" "w"',
    ]
)
_LINES = st.lists(_FIELDS, min_size=3, max_size=3).map(",".join)
_NOISE = st.text(alphabet='a", \n\té', max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.one_of(_LINES, _LINES, _LINES, _NOISE, st.just("")), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
)
def test_both_csv_readers_agree_on_what_the_fast_one_reads(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, last: bool
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    path = folder / "x.csv"
    path.write_bytes((end.join(["a,b,c", *lines]) + (end if last else "")).encode())
    with duckdb.connect() as connection:
        either = readers.read(connection, path, "either", folder)
        if "either_lines" in either.tables:
            return
        header = either.header
        own = readers._read_broken_csv(readers._Staging(connection, "own"), path, header, ",", 1)
        columns = ", ".join(f"coalesce({name}, '')" for name in header.values())
        rows = [
            connection.execute(
                f"select source_line, fault, {columns} from {staged.rows} order by row_number"
            ).fetchall()
            for staged in (either, own)
        ]
    assert rows[0] == rows[1]


def test_a_tidy_csv_takes_the_fast_way(tmp_path: Path) -> None:
    """With quotes and line breaks in fields, blank lines at the end, and CRLF."""
    path = tmp_path / "x.csv"
    path.write_bytes(b'a,b\r\n1,"x\r\ny"\r\n2,"say ""no"""\r\n\r\n')
    with duckdb.connect() as connection:
        staged = readers.read(connection, path, "file", tmp_path)
        assert staged.tables == ("file_csv",)
        rows = connection.execute(f"select source_line, c1 from {staged.rows}").fetchall()
    assert rows == [(2, "x\r\ny"), (4, 'say "no"')]


@pytest.mark.parametrize("first", ["", "\n"])
@pytest.mark.parametrize("between", ["\n", "\n \n"])
def test_lines_are_counted_over_blank_ones(site: Any, first: str, between: str) -> None:
    rows = f"1,a,2024-01-31,\n{between}2,b,2024-01-31,\n\n"
    site.land_one("events.csv", first + HEADER + rows)
    assert site.query("select event_id, source_line from raw.events order by all") == [
        ("1", 2 + len(first)),
        ("2", 3 + len(first) + between.count("\n")),
    ]


@pytest.mark.parametrize("block", [90, 150, 210, 270, 330, 600])
def test_events_of_an_open_trace_keep_their_lines(
    site: Any, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever part of the next trace has been read when one is landed."""
    event = (
        '<event><string key="concept:name" value="a{}"/>'
        '<date key="time:timestamp" value="2024-01-31"/></event>\n'
    )
    traces = [
        f'<trace><string key="concept:name" value="{case}"/>\n'
        + event.format(2 * case)
        + event.format(2 * case + 1)
        + "</trace>\n"
        for case in range(4)
    ]
    monkeypatch.setattr(readers, "_BLOCK_BYTES", block)
    monkeypatch.setattr(readers, "_BATCH_ROWS", 1)
    site.land_one("event_log.xes", "<log>\n" + "".join(traces) + "</log>")
    assert site.query("select activity, source_line from raw.event_log order by event_seq") == [
        (f"a{2 * case + place}", 3 + 4 * case + place) for case in range(4) for place in range(2)
    ]

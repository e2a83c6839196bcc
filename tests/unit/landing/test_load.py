"""Loads: what is kept, refused, counted; and that nothing depends on the order of arrival."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.errors import InputError
from orchestration.landing import Status, TableCounts, land, load, missing_tables, reconcile
from orchestration.landing.contract import BOOKS, CONFLICT_REASON, CONTRACT

STAGES = "change_id,opportunity_id,stage_name,changed_at,changed_by\n"
NOW = datetime(2024, 6, 1, 12, 0)


def stage(change: str, opportunity: str = "o1", name: str = "won", at: str = "2024-01-31") -> str:
    return f"{change},{opportunity},{name},{at},\n"


def stages(*rows: str) -> str:
    return STAGES + "".join(rows)


def test_an_empty_folder_makes_all_tables(site: Any) -> None:
    result = site.land()
    assert (result.load_id, result.files) == (None, ())
    tables = site.query(
        "select table_schema, table_name from information_schema.tables order by all"
    )
    assert tables == sorted(
        [("quarantine", table) for table in CONTRACT]
        + [("raw", table) for table in CONTRACT]
        + [("raw", book) for book in BOOKS]
    )


def test_rows_carry_their_lineage(site: Any) -> None:
    site.write("crm_stage_changes/a.csv", stages(stage("1")))
    result = site.land(now=datetime(2024, 6, 1, 14, 0, tzinfo=UTC))
    assert site.query(
        "select load_id, loaded_at, source_file, source_line, length(content_hash)"
        " from raw.crm_stage_changes"
    ) == [(1, datetime(2024, 6, 1, 14, 0), "crm_stage_changes/a.csv", 2, 32)]
    (row,) = site.query("select * exclude (file_sha256, mapping_sha256, message) from raw.loads")
    assert row == (
        1,
        datetime(2024, 6, 1, 14, 0),
        "crm_stage_changes",
        "crm_stage_changes",
        "crm_stage_changes/a.csv",
        1,
        1,
        0,
        0,
        "landed",
    )
    assert result.totals == (TableCounts("crm_stage_changes", 1, 1, 0, 0),)


def test_a_file_lands_once(site: Any) -> None:
    site.write("crm_stage_changes/a.csv", stages(stage("1")))
    assert site.land().load_id == 1
    again = site.land()
    assert (again.load_id, again.files[0].status) == (None, Status.SKIPPED)
    # The same content under another name is the same content.
    site.write("crm_stage_changes/b.csv", stages(stage("1")))
    assert {file.status for file in site.land().files} == {Status.SKIPPED}
    site.write("crm_stage_changes/c.csv", stages(stage("1"), stage("2")))
    result = site.land()
    assert result.load_id == 2
    assert result.totals == (TableCounts("crm_stage_changes", 2, 1, 0, 1),)


def test_the_same_content_with_another_mapping_lands_again_and_warns(site: Any) -> None:
    site.write("a.csv", "id,at\n1,2024-01-31 10:00\n2,2024-01-31 11:00\n")
    entry = (
        "sources: [{{name: {}, files: a.csv, table: crm_accounts, time_zone: {},"
        " columns: {{account_id: id, created_at: at}}}}]\n"
    )
    site.declare(entry.format("x", "UTC"))
    assert site.land().files[0].message == ""
    site.declare(entry.format("renamed", "UTC"))
    assert site.land().files[0].status is Status.SKIPPED
    site.declare(entry.format("x", "Europe/Amsterdam"))
    (file,) = site.land().files
    assert (file.status, file.rows_kept) == (Status.LANDED, 2)
    assert "landed before with another mapping" in file.message


def test_records_keep_all_versions(site: Any) -> None:
    header = "account_id,plan,created_at,source_updated_at\n"
    first, second = "a,free,2024-01-01,2024-01-01\n", "a,pro,2024-01-01,2024-02-01\n"
    site.write("crm_accounts/1.csv", header + first + first)
    assert site.land().totals == (TableCounts("crm_accounts", 2, 1, 0, 1),)
    site.write("crm_accounts/2.csv", header + second + first)
    assert site.land().totals == (TableCounts("crm_accounts", 2, 1, 0, 1),)
    assert site.query("select plan, load_id from raw.crm_accounts order by load_id") == [
        ("free", 1),
        ("pro", 2),
    ]


def test_one_id_with_two_contents_puts_both_in_quarantine(site: Any) -> None:
    file = site.land_one(
        "crm_stage_changes.csv",
        stages(stage("1"), stage("1", name="lost"), stage("2"), stage("1", name="lost")),
    )
    assert (file.rows_kept, file.rows_quarantined, file.rows_duplicate) == (1, 2, 1)
    assert site.column("select change_id from raw.crm_stage_changes") == ["2"]
    assert site.query(
        "select row_id, reason, source_line from quarantine.crm_stage_changes order by all"
    ) == [("1", CONFLICT_REASON, 2), ("1", CONFLICT_REASON, 3)]
    assert site.column("select count(*) from raw.withdrawn_rows") == [0]


def test_a_later_contradiction_withdraws_the_row_that_was_kept(site: Any) -> None:
    site.write("crm_stage_changes/1.csv", stages(stage("1", "opp"), stage("2", "opp2")))
    site.land()
    site.write("crm_stage_changes/2.csv", stages(stage("1", "opp", "lost")))
    result = site.land()
    assert result.rows_withdrawn == {"crm_stage_changes": 1}
    assert site.query("select * from raw.withdrawn_rows") == [
        ("crm_stage_changes", "1", 2, None, None, None, "opp", None, None)
    ]
    assert site.column("select change_id from raw.crm_stage_changes") == ["2"]
    quarantined = site.query(
        """select source_file, load_id, "content" from quarantine.crm_stage_changes order by all"""
    )
    assert [(file, load_id) for file, load_id, _ in quarantined] == [
        ("crm_stage_changes/1.csv", 2),
        ("crm_stage_changes/2.csv", 2),
    ]
    assert json.loads(quarantined[0][2]) == {
        "change_id": "1",
        "opportunity_id": "opp",
        "stage_name": "won",
        "changed_at": "2024-01-31 00:00:00",
    }
    # A third content of the id is refused too; what was refused and comes again is a duplicate.
    site.write("crm_stage_changes/3.csv", stages(stage("1", "opp", "open"), stage("1", "opp")))
    assert site.land().totals == (TableCounts("crm_stage_changes", 2, 0, 1, 1),)
    assert site.column("select count(*) from raw.withdrawn_rows") == [1]


@pytest.mark.parametrize(
    ("table", "header", "rows", "entity"),
    [
        (
            "events",
            "event_id,anonymous_id,customer_id,account_id,event_name,occurred_at",
            ["1,an,c,ac,a,2024-01-31", "1,an,c,ac,b,2024-01-31"],
            ("c", "an", "ac", None, None, None),
        ),
        (
            "support_events",
            "support_event_id,support_contact_id,kind,occurred_at",
            ["1,s,reopened,2024-01-31", "1,s,closed,2024-01-31"],
            (None, None, None, None, "s", None),
        ),
        (
            "experiment_assignments",
            "experiment_id,customer_id,arm,assigned_at",
            ["1,c,a,2024-01-31", "1,c,b,2024-01-31"],
            ("c", None, None, None, None, None),
        ),
        (
            "event_log",
            "event_id,source_case_id,activity,occurred_at",
            ["1,case,a,2024-01-31", "1,case,b,2024-01-31"],
            (None, None, None, None, None, "case"),
        ),
    ],
)
def test_a_withdrawn_row_names_its_entities(
    site: Any, table: str, header: str, rows: Sequence[str], entity: tuple[str | None, ...]
) -> None:
    for number, row in enumerate(rows):
        site.write(f"{table}/{number}.csv", f"{header}\n{row}\n")
        site.land()
    assert site.query("select * exclude (row_id) from raw.withdrawn_rows") == [(table, 2, *entity)]
    assert site.column(f"select count(*) from raw.{table}") == [0]


def test_a_refused_row_is_no_second_content_of_its_id(site: Any) -> None:
    """A row that the source sends again, repaired, is kept."""
    file = site.land_one("crm_stage_changes.csv", stages(stage("1", at="soon"), stage("1")))
    assert (file.rows_kept, file.rows_quarantined) == (1, 1)
    assert site.query("select row_id, reason from quarantine.crm_stage_changes") == [
        (
            "1",
            "changed_at 'soon' is not a time (ISO 8601, such as 2024-03-31T14:05:00+02:00)",
        )
    ]


def test_a_time_ahead_of_the_clock_is_kept_once_it_has_passed(site: Any) -> None:
    rows = stages(stage("1", at="2024-06-02 00:00"))
    site.write("crm_stage_changes/1.csv", rows)
    assert site.land().totals == (TableCounts("crm_stage_changes", 1, 0, 1, 0),)
    site.write("crm_stage_changes/2.csv", rows + "\n")
    later = site.land(now=NOW + timedelta(days=1))
    assert later.totals == (TableCounts("crm_stage_changes", 1, 1, 0, 0),)


def test_problems_name_the_first_quarantined_rows(site: Any) -> None:
    rows = [stage(str(n), at="") for n in range(30)]
    file = site.land_one("crm_stage_changes.csv", stages(*rows))
    assert file.rows_quarantined == 30
    assert [problem.row for problem in file.problems] == list(range(2, 12))
    assert str(file.problems[0]) == "crm_stage_changes.csv, line 2: changed_at is missing"


def test_a_rejected_file_is_logged_and_tried_again(site: Any) -> None:
    site.write("events.csv", b"")
    site.write("crm_stage_changes.csv", stages(stage("1")))
    result = site.land()
    assert [file.file for file in result.rejected] == ["events.csv"]
    assert site.query("select status, source_file, rows_in from raw.loads order by all") == [
        ("landed", "crm_stage_changes.csv", 1),
        ("rejected", "events.csv", 0),
    ]
    # Nothing new has landed, and the file is still broken.
    again = site.land()
    assert (again.load_id, len(again.rejected)) == (None, 1)
    site.write("events.csv", "event_id,event_name,occurred_at\n1,a,2024-01-31\n")
    assert site.land().rejected == ()


def test_missing_tables_are_those_that_never_landed(site: Any) -> None:
    site.write("crm_stage_changes.csv", STAGES)
    site.write("events.csv", b"")
    site.land()
    with duckdb.connect(str(site.warehouse)) as connection:
        # Tables that a warehouse already has need no landing.
        connection.execute("insert into raw.fx_rates (currency) values ('EUR')")
        required = ["crm_stage_changes", "events", "fx_rates", "crm_accounts", "orders"]
        assert missing_tables(connection, required) == ["events", "crm_accounts", "orders"]


def test_reconcile_names_the_table_and_the_difference(site: Any) -> None:
    site.write(
        "crm_stage_changes.csv", stages(stage("1"), stage("2"), stage("3", at=""), stage("1"))
    )
    site.land()
    with duckdb.connect(str(site.warehouse)) as connection:
        connection.execute("delete from raw.crm_stage_changes where change_id = '2'")
        broken = [counts for counts in reconcile(connection) if counts.difference]
        assert broken == [TableCounts("crm_stage_changes", 4, 1, 1, 1)]
        assert broken[0].difference == 1
        assert len(reconcile(connection)) == len(CONTRACT)


def dump(warehouse: Path) -> dict[str, list[Any]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
        return {
            name: connection.execute(f"from {name} order by all").fetchall() for (name,) in tables
        }


def test_an_error_leaves_the_warehouse_as_it_was(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("crm_accounts/1.csv", "account_id,created_at\na,2024-01-31\n")
    site.write("crm_stage_changes/1.csv", stages(stage("1"), stage("2")))
    site.land()
    before = dump(site.warehouse)
    site.write("crm_accounts/2.csv", "account_id,created_at\nb,2024-01-31\n")
    site.write("crm_stage_changes/2.csv", stages(stage("1", name="lost"), stage("3")))
    place = load.place_rows

    def fail_late(connection: Any, table: Any, *rest: Any) -> int:
        withdrawn = place(connection, table, *rest)
        if table.name == "crm_stage_changes":
            assert withdrawn == 1
            raise RuntimeError("power cut")
        return withdrawn

    monkeypatch.setattr(load, "place_rows", fail_late)
    with pytest.raises(RuntimeError, match="power cut"):
        site.land()
    assert dump(site.warehouse) == before
    monkeypatch.undo()
    assert site.land().load_id == 2
    assert list(site.warehouse.parent.glob(".landing-*")) == []


def test_landing_does_not_write_to_its_folder(site: Any) -> None:
    site.write("events.csv.gz", "event_id,event_name,occurred_at\n1,a,2024-01-31\n")
    site.write("crm_stage_changes.csv", stages('1,"o\n'))
    before = {path: path.stat().st_mtime_ns for path in site.landing.rglob("*")}
    site.land()
    assert {path: path.stat().st_mtime_ns for path in site.landing.rglob("*")} == before
    assert [path.name for path in site.warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_a_warehouse_that_cannot_be_opened_is_named(site: Any) -> None:
    site.warehouse.parent.mkdir()
    site.warehouse.write_text("no database")
    with pytest.raises(InputError, match=r"warehouse\.duckdb"):
        site.land()


def test_of_equal_events_the_first_in_its_file_counts(site: Any) -> None:
    """In any order of arrival; the row is then news, so that its case is built again."""
    header = "source_case_id,activity,occurred_at\n"
    rows = [f"7,{activity},2024-01-31\n" for activity in "abc"]
    site.write("event_log/all.csv", header + "".join(rows))
    site.land()
    site.write("event_log/late.csv", header + rows[2] + rows[0])
    site.land()
    assert site.query(
        "select activity, event_seq, load_id, source_file, source_line from raw.event_log"
        " order by activity"
    ) == [
        ("a", 1, 1, "event_log/all.csv", 2),
        ("b", 2, 1, "event_log/all.csv", 3),
        ("c", 1, 2, "event_log/late.csv", 2),
    ]


# --- Any order of arrival, any split into files and loads -----------------------------------

_ROWS = st.builds(
    stage,
    change=st.sampled_from(["1", "2", "3", ""]),
    name=st.sampled_from(["won", "lost"]),
    at=st.sampled_from(["2024-01-31", "2024-01-31T00:00:00Z", "2024-02-01", "soon", "2999-01-01"]),
)


@st.composite
def _arrivals(draw: Any) -> tuple[list[str], list[list[list[str]]]]:
    """Rows, and a split of them into loads of files, in another order."""
    rows = draw(st.lists(_ROWS, min_size=1, max_size=14))
    shuffled = draw(st.permutations(rows))
    loads: list[list[list[str]]] = [[[]]]
    for row in shuffled:
        match draw(st.sampled_from(["same", "file", "load"])):
            case "file":
                loads[-1].append([])
            case "load":
                loads.append([[]])
        loads[-1][-1].append(row)
    return rows, loads


def _expected(rows: Sequence[str]) -> tuple[set[str], Counter[str], int]:
    """Ids kept, ids or faults quarantined, duplicates: domain.md §4, in Python."""
    contents: dict[str, set[tuple[str, ...]]] = {}
    refused: set[str] = set()
    for row in rows:
        change, *rest = row.strip("\n").split(",")
        rest[2] = rest[2].removesuffix("T00:00:00Z")
        if not change or rest[2] in ("soon", "2999-01-01"):
            refused.add(row)
        else:
            contents.setdefault(change, set()).add(tuple(rest))
    kept = {change for change, texts in contents.items() if len(texts) == 1}
    quarantined = Counter({c: len(texts) for c, texts in contents.items() if len(texts) > 1})
    quarantined.update(row.split(",")[0] for row in refused)
    return kept, quarantined, len(rows) - len(kept) - quarantined.total()


def _land_in_order(root: Path, loads: Sequence[Sequence[Sequence[str]]]) -> Path:
    landing, warehouse = root / "landing", root / "warehouse.duckdb"
    (landing / "crm_stage_changes").mkdir(parents=True)
    number = 0
    for files in loads:
        for rows in files:
            # A file of equal content would be skipped: a column of its own tells them apart.
            number += 1
            header = STAGES.replace("\n", f",file_{number}\n")
            content = "".join(row.replace("\n", ",\n") for row in rows)
            (landing / "crm_stage_changes" / f"{number:03}.csv").write_text(header + content)
        land(warehouse, landing, root, NOW)
        with duckdb.connect(str(warehouse)) as connection:
            assert all(counts.difference == 0 for counts in reconcile(connection))
    return warehouse


def _state(warehouse: Path) -> tuple[list[Any], list[Any], list[Any]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        raw = "select * exclude (load_id, source_file, source_line) from raw.crm_stage_changes"
        refused = (
            "select * exclude (load_id, source_file, source_line) from quarantine.crm_stage_changes"
        )
        return (
            connection.execute(f"{raw} order by all").fetchall(),
            connection.execute(f"{refused} order by all").fetchall(),
            connection.execute(
                "select sum(rows_in), sum(rows_duplicate) from raw.loads"
            ).fetchall(),
        )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals=_arrivals())
def test_the_order_of_arrival_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    arrivals: tuple[list[str], list[list[list[str]]]],
) -> None:
    rows, loads = arrivals
    root = tmp_path_factory.mktemp("order")
    at_once = _state(_land_in_order(root / "once", [[rows]]))
    in_parts = _state(_land_in_order(root / "parts", loads))
    assert at_once == in_parts
    kept, quarantined, duplicates = _expected(rows)
    assert {row[0] for row in at_once[0]} == kept
    assert Counter(row[0] or "" for row in at_once[1]) == quarantined
    assert at_once[2] == [(len(rows), duplicates)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    files=st.lists(
        st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_the_order_of_events_does_not_depend_on_the_order_of_files(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[str]], data: Any
) -> None:
    contents = [
        f"source_case_id,activity,occurred_at,attributes\n{'x' * 0}"
        + "".join(f"7,{activity},2024-01-31,\n" for activity in activities)
        + "\n" * number  # no two files are equal
        for number, activities in enumerate(files)
    ]
    states = []
    for order in (range(len(files)), data.draw(st.permutations(range(len(files))))):
        root = tmp_path_factory.mktemp("order")
        (root / "landing" / "event_log").mkdir(parents=True)
        for number in order:
            (root / "landing" / "event_log" / f"{number}.csv").write_text(contents[number])
            if data.draw(st.booleans()):
                land(root / "warehouse.duckdb", root / "landing", root, NOW)
        land(root / "warehouse.duckdb", root / "landing", root, NOW)
        with duckdb.connect(str(root / "warehouse.duckdb")) as connection:
            states.append(
                connection.execute(
                    "select * exclude (load_id, source_file, source_line) from raw.event_log"
                    " order by all"
                ).fetchall()
            )
    assert states[0] == states[1]
    first_places = {
        activity: min(places.index(activity) for places in files if activity in places) + 1
        for places in files
        for activity in places
    }
    assert {row[3]: row[2] for row in states[0]} == first_places


def test_what_customers_write_lands_as_they_wrote_it(site: Any) -> None:
    """A megabyte of text, from right to left, with pictures of several characters each."""
    verbatims = {
        "long": "não chegou " * 95_325 + "🙁",
        "hebrew": "\u200fהמשלוח לא הגיע\u200f, מספר 123",  # noqa: RUF001 (marks of direction are the case)
        "arabic": "لم يصل الطلب بعد\u061f",
        "family": "\U0001f469\u200d\U0001f469\u200d\U0001f467 ❤\ufe0f \U0001f1e7\U0001f1f7 e\u0301",
        "lines": 'first, "quoted"\nsecond; third\tend',
    }
    assert len(verbatims["long"].encode()) > 2**20
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["response_id", "survey", "verbatim", "asked_at"])
    writer.writerows([key, "nps", text, "2024-01-31"] for key, text in verbatims.items())
    site.write("survey_responses.csv", out.getvalue())
    lines = [
        {"response_id": f"j_{key}", "survey": "nps", "verbatim": text, "asked_at": "2024-01-31"}
        for key, text in verbatims.items()
    ]
    site.write(
        "survey_responses/more.jsonl",
        "\n".join(json.dumps(line, ensure_ascii=False) for line in lines),
    )
    result = site.land()

    assert [(each.rows_in, each.rows_kept) for each in result.files] == [(5, 5), (5, 5)]
    landed = dict(site.query("select response_id, verbatim from raw.survey_responses"))
    assert landed == {**verbatims, **{f"j_{key}": text for key, text in verbatims.items()}}


def test_rows_that_contradict_themselves_are_set_aside_and_counted(site: Any) -> None:
    file = site.land_one(
        "survey_responses.csv",
        "response_id,survey,score,scale_min,scale_max,asked_at,answered_at\n"
        "r1,csat,4,1,5,2024-01-30,2024-01-31\n"
        "r2,csat,6,1,5,2024-01-30,2024-01-31\n"
        "r3,csat,4,,,2024-01-30,2024-01-31\n"
        "r4,csat,4,1,5,2024-01-30,2024-01-29\n"
        "r5,nps,4,,,2024-01-30,2024-01-31\n",
    )
    assert (file.rows_in, file.rows_kept, file.rows_quarantined) == (5, 2, 3)
    assert [str(problem) for problem in file.problems] == [
        "survey_responses.csv, line 3: score '6' is above scale_max '5'",
        "survey_responses.csv, line 4: score '4' is without a scale: scale_min is missing;"
        " score '4' is without a scale: scale_max is missing",
        "survey_responses.csv, line 5: answered_at '2024-01-29' is before asked_at '2024-01-30'",
    ]
    assert site.column("select response_id from raw.survey_responses order by all") == ["r1", "r5"]
    refused = "select row_id from quarantine.survey_responses order by all"
    assert site.column(refused) == ["r2", "r3", "r4"]

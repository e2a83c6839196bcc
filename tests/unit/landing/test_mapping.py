"""Which files feed which table: the convention and landing.yml."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestration.errors import InputError, Problem
from orchestration.landing import Status

STAGES = "change_id,opportunity_id,stage_name,changed_at,changed_by\n"


def problems_of(act: Callable[[], Any]) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        act()
    return caught.value.problems


def test_a_missing_landing_folder_is_named(site: Any) -> None:
    site.landing.rmdir()
    (problem,) = problems_of(site.land)
    assert problem.file == str(site.landing)
    assert "does not exist" in problem.message
    assert "--landing" in str(problem.remedy)
    assert not site.warehouse.exists()


def test_names_say_the_table(site: Any) -> None:
    row = "{n},o1,won,2024-01-01,\n"
    site.write("crm_stage_changes.csv", STAGES + row.format(n=1))
    site.write("crm_stage_changes/2024/part-2.csv.gz", STAGES + row.format(n=2))
    site.write("crm_stage_changes/2024/_SUCCESS", "")
    site.write("crm_stage_changes/notes.txt", "not data")
    site.write("stages.csv", STAGES + row.format(n=3))
    site.write(".events.csv", "hidden")
    result = site.land()
    assert sorted(site.column("select change_id from raw.crm_stage_changes")) == ["1", "2"]
    assert result.unlisted == ("crm_stage_changes/notes.txt", "stages.csv")
    assert {file.source for file in result.files} == {"crm_stage_changes"}


def test_an_unknown_column_is_kept_in_the_json_column(site: Any) -> None:
    header = "event_id,event_name,occurred_at,properties,plan,note\n"
    rows = (
        '1,view,2024-01-01,"{""page"":""/""}",pro,\n'
        "2,view,2024-01-01,,free,hello\n"
        "3,view,2024-01-01,[1],free,\n"
        "4,view,2024-01-01,,,\n"
    )
    file = site.land_one("events.csv", header + rows)
    assert "kept in properties: plan, note" in file.message
    assert site.query("select event_id, properties from raw.events order by event_id") == [
        ("1", '{"page":"/","plan":"pro"}'),
        ("2", '{"note":"hello","plan":"free"}'),
        ("4", None),
    ]
    assert site.column("select row_id from quarantine.events") == ["3"]


def test_an_unknown_column_without_a_json_column_is_named(site: Any) -> None:
    header = STAGES.rstrip() + ",mood\n"
    file = site.land_one("crm_stage_changes.csv", header + "1,o1,won,2024-01-01,,good\n")
    assert file.status is Status.LANDED
    assert "not landed: mood" in file.message
    assert site.column("select message from raw.loads") == [file.message]


def test_a_missing_column_rejects_the_file_and_no_other(site: Any) -> None:
    site.write("crm_stage_changes/good.csv", STAGES + "1,o1,won,2024-01-01,\n")
    file = site.land_one(
        "crm_stage_changes/bad.csv", "change_id,opportunity_id,stage_name\n2,o,x\n"
    )
    assert file.status is Status.REJECTED
    (problem,) = file.problems
    assert (problem.file, problem.column) == ("crm_stage_changes/bad.csv", "changed_at")
    assert "its columns are change_id, opportunity_id, stage_name" in str(problem.remedy)
    assert site.column("select change_id from raw.crm_stage_changes") == ["1"]
    assert site.query("select status, rows_in from raw.loads order by all") == [
        ("landed", 1),
        ("rejected", 0),
    ]


def test_an_optional_column_may_be_missing(site: Any) -> None:
    file = site.land_one("crm_accounts.csv", "account_id,created_at\na,2024-01-01\n")
    assert (file.rows_kept, file.message) == (1, "")


def test_the_landing_folder_goes_before_the_map_folder(site: Any) -> None:
    site.write("deals.csv", "id,at\n1,2024-01-01\n")
    entry = "sources: [{{name: x, files: deals.csv, table: crm_accounts, columns: {}}}]\n"
    columns = "{{account_id: {}, created_at: at}}"
    site.declare(entry.format(columns.format("{constant: map}")))
    (site.landing / "landing.yml").write_text(entry.format(columns.format("{constant: landing}")))
    result = site.land()
    assert site.column("select account_id from raw.crm_accounts") == ["landing"]
    assert result.unlisted == ()


def test_a_mapping_says_where_each_value_comes_from(site: Any) -> None:
    site.write(
        "crm/deals.csv",
        "deal,rep,seen,won,plan,tags\n"
        "7,ann,2024-01-01 10:00,2024-02-01 10:00,pro,[1]\n"
        "8,,2024-01-02 10:00,,free,\n",
    )
    site.write("crm/ignored.csv", "a,b\n")
    site.declare(
        """
sources:
  - name: seen
    files: crm/deals*.csv
    table: events
    columns:
      event_id: {composite: [deal, rep, {constant: seen}], separator: "/"}
      event_name: {constant: "  yes "}
      occurred_at: seen
      properties: {json: all}
    time_zone: America/New_York
  - name: won
    files: crm/deals*.csv
    table: events
    columns:
      event_id: {composite: [deal, {constant: won}]}
      event_name: {constant: won}
      occurred_at: won
      properties: {json: [plan]}
    present: [won]
"""
    )
    result = site.land()
    assert site.query(
        "select event_id, event_name, occurred_at::varchar, properties, source_line"
        " from raw.events order by event_name"
    ) == [
        ("7:won", "won", "2024-02-01 10:00:00", '{"plan":"pro"}', 2),
        (
            "7/ann/seen",
            "yes",
            "2024-01-01 15:00:00",
            '{"plan":"pro","tags":[1],"won":"2024-02-01 10:00"}',
            2,
        ),
    ]
    # A composite id is no id where a part is missing.
    assert site.query("select reason, source_line from quarantine.events") == [
        ("event_id is missing", 3)
    ]
    assert [(file.source, file.rows_in, file.message) for file in result.files] == [
        ("seen", 2, ""),
        ("won", 1, "1 rows left out by present or where"),
    ]
    assert result.unlisted == ("crm/ignored.csv",)


def test_rows_of_one_file_go_to_several_tables(site: Any) -> None:
    site.write(
        "all.jsonl",
        '{"kind":"account","id":"a","at":"2024-01-01"}\n'
        '{"kind":"contact","id":"c","at":"2024-01-01"}\n'
        '{"kind":"lead","id":"l","at":"2024-01-01"}\n',
    )
    site.declare(
        """
sources:
  - name: accounts
    files: all.jsonl
    table: crm_accounts
    columns: {account_id: id, created_at: at}
    where: {kind: account}
  - name: contacts
    files: all.jsonl
    table: crm_contacts
    columns: {contact_id: id, created_at: at}
    where: {kind: [contact, lead]}
"""
    )
    site.land()
    assert site.column("select account_id from raw.crm_accounts") == ["a"]
    assert sorted(site.column("select contact_id from raw.crm_contacts")) == ["c", "l"]
    assert site.query("select table_name, rows_in from raw.loads order by all") == [
        ("crm_accounts", 1),
        ("crm_contacts", 2),
    ]


@pytest.mark.parametrize(
    "columns",
    [
        "{account_id: nope, created_at: at}",
        "{account_id: {composite: [id, nope]}, created_at: at}",
    ],
)
def test_a_source_column_that_the_file_lacks_rejects_it(site: Any, columns: str) -> None:
    site.declare(f"sources: [{{name: x, files: a.csv, table: crm_accounts, columns: {columns}}}]\n")
    file = site.land_one("a.csv", "id,at\n1,2024-01-01\n")
    assert file.status is Status.REJECTED
    assert file.problems[0].column == "nope"
    assert "account_id" in file.problems[0].message


@pytest.mark.parametrize("key", ["present: [nope]", "where: {nope: x}"])
def test_a_filter_on_a_column_that_the_file_lacks_rejects_it(site: Any, key: str) -> None:
    site.declare(
        "sources: [{name: x, files: a.csv, table: crm_accounts,"
        f" columns: {{account_id: id, created_at: at}}, {key}}}]\n"
    )
    file = site.land_one("a.csv", "id,at\n1,2024-01-01\n")
    assert (file.status, file.problems[0].column) == (Status.REJECTED, "nope")


def test_a_file_that_the_mapping_names_and_that_is_missing_is_rejected(site: Any) -> None:
    site.declare(
        """
sources:
  - {name: here, files: here.csv, table: crm_accounts}
  - {name: gone, files: gone.csv, table: crm_contacts}
  - {name: none, files: "none*.csv", table: events}
"""
    )
    site.write("here.csv", "account_id,created_at\na,2024-01-01\n")
    result = site.land()
    assert [(file.file, file.status) for file in result.files] == [
        ("gone.csv", Status.REJECTED),
        ("here.csv", Status.LANDED),
    ]
    assert "no such file" in result.rejected[0].message
    assert result.unmatched == ("none: none*.csv",)
    assert site.column("select account_id from raw.crm_accounts") == ["a"]


def test_what_sources_declare_is_kept_by_load(site: Any) -> None:
    declaration = """
sources:
  - name: deals
    files: deals.csv
    table: crm_accounts
    time_zone: Europe/Amsterdam
    date_only: [created_at]
    source_start: 2023-07-01
    extract_time: {extract}
"""
    site.write("deals.csv", "account_id,created_at\na,2024-01-01\n")
    site.declare(declaration.format(extract="2024-05-01T00:00:00Z"))
    assert site.land().load_id == 1
    assert site.land().load_id is None
    # A later extract is news although no file is.
    site.declare(declaration.format(extract="2024-05-02T00:00:00+02:00"))
    result = site.land()
    assert (result.load_id, result.files[0].status) == (2, Status.SKIPPED)
    assert site.query(
        "select source_name, table_name, source_start::varchar, extract_time::varchar,"
        " date_only_columns, load_id from raw.landing_sources order by load_id"
    ) == [
        ("deals", "crm_accounts", "2023-06-30 22:00:00", "2024-05-01 00:00:00", "created_at", 1),
        ("deals", "crm_accounts", "2023-06-30 22:00:00", "2024-05-01 22:00:00", "created_at", 2),
    ]


def test_times_that_are_all_dates_ask_to_be_declared(site: Any) -> None:
    file = site.land_one(
        "crm_accounts.csv", "account_id,created_at\na,2024-01-01\nb,2024-01-02 00:00:00\n"
    )
    assert file.message == "created_at holds dates only: declare date_only"


GOOD = "name: x, files: a.csv, table: crm_accounts"


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("sources: [", 1, None, "is not YAML"),
        ("", 1, "sources", "is required"),
        ("sources: []", 1, "sources", "at least 1 item"),
        ("source: []\nsources: [{" + GOOD + "}]", 1, "source", "is no key of a landing.yml"),
        ("sources:\n  - {name: x, files: a.csv}", 2, "sources.0.table", "is required"),
        (
            "sources:\n  - name: x\n    files: a.csv\n    table: deals",
            4,
            "sources.0.table",
            "unknown table 'deals'; tables are crm_accounts",
        ),
        (
            "sources:\n  - name: x\n    file: a.csv\n    files: a.csv\n    table: events",
            3,
            "sources.0.file",
            "is no key",
        ),
        (
            "sources:\n  - " + GOOD.replace(", ", "\n    ") + "\n    columns:\n"
            "      account_id: id\n      created_at: at\n      created_by: who",
            8,
            "sources.0.columns.created_by",
            "crm_accounts has no such column; its columns are account_id, name",
        ),
        (
            "sources:\n  - {" + GOOD + ", columns: {account_id: id}}",
            2,
            "sources.0.columns",
            "crm_accounts requires created_at",
        ),
        (
            "sources:\n  - {" + GOOD + ", columns: {account_id: {const: x}, created_at: at}}",
            2,
            "sources.0.columns.account_id",
            "must be a column of the file, {constant: text}",
        ),
        (
            "sources:\n  - {" + GOOD + ", columns: {account_id: {constant: x, y: z},"
            " created_at: at}}",
            2,
            "sources.0.columns.account_id.y",
            "is no key",
        ),
        (
            "sources:\n  - {name: x, files: a.csv, table: event_log, columns: {event_seq: n,"
            " source_case_id: c, activity: a, occurred_at: t}}",
            2,
            "sources.0.columns.event_seq",
            "order in its file",
        ),
        (
            "sources:\n  - {" + GOOD + ",\n     time_zone: Amsterdam}",
            3,
            "sources.0.time_zone",
            "unknown time zone 'Amsterdam'",
        ),
        (
            "sources:\n  - {" + GOOD + ",\n     source_start: soon}",
            3,
            "sources.0.source_start",
            "'soon' is not a time",
        ),
        (
            "sources:\n  - {" + GOOD + ",\n     date_only: [name]}",
            3,
            "sources.0.date_only",
            "'name' is no time column",
        ),
        (
            "sources:\n  - {name: x, files: ../a.csv, table: events}",
            2,
            "sources.0.files",
            "must lie in the landing folder",
        ),
        (
            "sources:\n  - {" + GOOD + "}\n  - {" + GOOD + "}",
            3,
            "sources.1.name",
            "'x' names two sources",
        ),
        (
            "sources:\n  - name: x\n    name: y\n    files: a.csv\n    table: events",
            3,
            "sources.0.name",
            "is given twice",
        ),
    ],
)
def test_a_wrong_mapping_is_named_with_line_and_key(
    site: Any, text: str, line: int, key: str | None, message: str
) -> None:
    site.declare(text)
    problems = problems_of(site.land)
    problem = next(problem for problem in problems if message in problem.message)
    assert (problem.row, problem.column) == (line, key)
    assert problem.file == str(site.map / "landing.yml")
    assert not site.warehouse.exists()


def test_all_problems_of_a_mapping_are_named(site: Any) -> None:
    site.declare(
        "sources:\n  - {name: x, files: a.csv, table: nope}\n"
        "  - {name: x, files: /b.csv, table: events, time_zone: nope}\n"
    )
    columns = {problem.column for problem in problems_of(site.land)}
    assert columns == {
        "sources.0.table",
        "sources.1.files",
        "sources.1.time_zone",
        "sources.1.name",
    }


def test_a_value_that_no_row_of_a_jsonl_file_has_is_null(site: Any) -> None:
    """JSON leaves out what is null; a day without it is no broken file."""
    entry = (
        "sources: [{{name: x, files: a.jsonl, table: crm_accounts, columns:"
        " {{account_id: {}, plan: tier, created_at: at}}}}]\n"
    )
    site.declare(entry.format("id"))
    file = site.land_one("a.jsonl", '{"id":1,"at":"2024-01-31T10:00:00Z"}\n')
    assert (file.rows_kept, file.message) == (1, "no row has tier, which is mapped to plan")
    site.declare(entry.format("key"))
    (file,) = site.land().files
    assert (file.status, file.problems[0].column) == (Status.REJECTED, "key")


def test_columns_without_a_name_are_numbered(site: Any) -> None:
    """The index that pandas writes."""
    file = site.land_one("crm_accounts.csv", ",account_id,created_at\n0,a,2024-01-31 10:00\n")
    assert file.message == "columns beyond the contract, not landed: column_1"

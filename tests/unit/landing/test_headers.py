"""Schema changes: between files of one source, and since the last load."""

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from orchestration.landing import Status
from orchestration.landing.headers import Header, schema_changes


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ("a,b,c", None),
        ("a,b,c,d", "new d"),
        ("a,c", "missing b"),
        ("a,c,x", "new x; missing b"),
        ("c,a,b", "moved c"),
        ("c,d,a", "new d; missing b; moved a"),
    ],
)
def test_what_changed_is_said(now: str, change: str | None) -> None:
    before = Header("old.csv", ("a", "b", "c"), {})
    found = schema_changes(before, Header("new.csv", tuple(now.split(",")), {}))
    if change is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith("schema changed since old.csv: ")
        if "moved" not in change:
            assert found.endswith(change)
        else:
            assert change.rpartition("moved")[0] in found
            assert "moved" in found


def test_json_lines_have_no_order() -> None:
    before = Header("old.jsonl", ("a", "b"), {})
    assert schema_changes(before, Header("new.jsonl", ("b", "a"), {})) is None
    assert schema_changes(before, Header("new.csv", ("b", "a"), {})) is None


def test_a_folder_of_mixed_schemas_is_named(site: Any) -> None:
    site.write("events/1.csv", "event_id,event_name,occurred_at,plan\n1,x,2024-01-01,p\n")
    site.write("events/2.csv", "event_id,event_name,occurred_at\n2,x,2024-01-01\n")
    site.write("events/3.csv", "event_id,name,occurred_at\n3,x,2024-01-01\n")
    result = site.land()
    first, second, third = result.files
    assert (first.status, first.schema_change) == (Status.LANDED, None)
    assert second.status is Status.LANDED
    assert second.schema_change == "schema changed since events/1.csv: missing plan"
    assert second.schema_change in second.message
    # A renamed header is one missing and one new, and here the contract misses it.
    assert third.status is Status.REJECTED
    assert third.schema_change == "schema changed since events/2.csv: new name; missing event_name"
    assert "column event_name: has no such column" in third.message
    assert result.schema_changes == (second, third)
    assert site.column("select event_id from raw.events order by all") == ["1", "2"]


def test_a_change_since_the_last_load_is_named_once(site: Any) -> None:
    header = "event_id,event_name,occurred_at"
    site.write("events/1.csv", f"{header}\n1,x,2024-01-01\n")
    assert site.land().schema_changes == ()
    site.write("events/2.csv", f"{header},plan\n2,x,2024-01-01,p\n")
    (changed,) = site.land().schema_changes
    assert changed.schema_change == "schema changed since events/1.csv: new plan"
    assert site.column("select message from raw.loads where load_id = 2") == [changed.message]
    site.write("events/3.csv", f"{header},plan\n3,x,2024-01-01,p\n")
    assert site.land().schema_changes == ()


def test_a_type_that_changes_is_named(site: Any) -> None:
    for name, employees in (("1", [7]), ("2", ["many"])):
        table = pa.table(
            {"account_id": [name], "created_at": ["2024-01-31"], "employee_count": employees}
        )
        (site.landing / "crm_accounts").mkdir(exist_ok=True)
        pyarrow.parquet.write_table(table, site.landing / "crm_accounts" / f"{name}.parquet")
    _, second = site.land().files
    assert "employee_count was BIGINT, is VARCHAR" in second.message
    assert second.rows_quarantined == 1


def test_a_truncated_parquet_file_is_named(site: Any) -> None:
    path = site.landing / "crm_accounts.parquet"
    table = pa.table({"account_id": ["a"] * 1000, "created_at": ["2024-01-31"] * 1000})
    pyarrow.parquet.write_table(table, path)
    for size in (path.stat().st_size - 1, path.stat().st_size // 2, 5):
        path.write_bytes(path.read_bytes()[:size])
        (file,) = site.land().files
        assert "it is truncated, its end is missing (deliver it again)" in file.message

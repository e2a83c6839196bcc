"""dbt's own tests: unit tests of the SQL, data tests on the real log.

The demo's data tests run as checks in tests/browser/test_dagster_ui.py and tests/engines.
"""

import re

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench


def test_unit_tests_pass(demo: Workbench) -> None:
    demo.dbt("test", "--select", "test_type:unit")


def test_data_tests_pass_on_the_loan_log(loan: Workbench) -> None:
    loan.dbt("test", "--exclude", "test_type:unit")


def test_no_join_compares_all_with_all(demo: Workbench) -> None:
    """DuckDB does so where a join's condition mixes both sides or names one: minutes at size.

    Left out are two of small tables, and feedback: each text is tried with each pattern.
    """
    meant = {"int_journey_rules", "int_periods", "int_feedback_matches"}
    compiled = demo.settings.dbt_target_dir / "compiled" / "journey_gaps" / "models"
    # dbt puts its unit tests beside them, in folders named as their files.
    models = [
        file
        for file in compiled.rglob("*.sql")
        if file.stem not in meant and ".yml/" not in file.as_posix()
    ]
    assert len(models) > 100
    slow = [
        file.stem
        for file in models
        if "BLOCKWISE_NL_JOIN" in str(demo.query(f"explain {file.read_text()}"))
    ]
    assert not slow


def test_no_view_stores_a_relation_in_between(demo: Workbench) -> None:
    """Where one does, DuckDB reads every column of all tables below for whoever asks for one."""
    views = demo.query("select schema_name, view_name from duckdb_views() where not internal")
    assert len(views) > 30
    storing = [
        view
        for schema, view in views
        if "CTE_SCAN" in str(demo.query(f"explain select count(*) from {schema}.{view}"))
    ]
    assert not storing


def test_entries_are_compared_with_as_of_by_its_macro() -> None:
    """Else DuckDB plans for a hundred visits where millions come, in increments alone (ADR 25)."""
    comparison = re.compile(r"(where|and|on)\s+\w+\.entered_at <= \w+\.as_of")
    models = list((PROJECT_DIR / "models").rglob("*.sql"))
    assert sum("is_seen(" in model.read_text() for model in models) > 5
    assert not [model.stem for model in models if comparison.search(model.read_text())]

"""dbt's own tests: unit tests of the SQL, data tests on the real log.

The demo's data tests run as checks in tests/browser/test_dagster_ui.py and tests/engines.
"""

from tests.conftest import Workbench


def test_unit_tests_pass(demo: Workbench) -> None:
    demo.dbt("test", "--select", "test_type:unit")


def test_data_tests_pass_on_the_loan_log(loan: Workbench) -> None:
    loan.dbt("test", "--exclude", "test_type:unit")

"""dbt's own tests: unit tests of the SQL, data tests on the demo and on the real log."""

from tests.conftest import Workbench


def test_unit_tests_pass(demo: Workbench) -> None:
    demo.dbt("test", "--select", "test_type:unit")


def test_data_tests_pass_on_the_demo(demo: Workbench) -> None:
    demo.dbt("test", "--exclude", "test_type:unit")


def test_data_tests_pass_on_the_loan_log(loan: Workbench) -> None:
    loan.dbt("test", "--exclude", "test_type:unit")

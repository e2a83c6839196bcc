"""What runs by itself where: a declared map, and a name that is not in it."""

import pytest

from orchestration.cli import main
from orchestration.environments import (
    DAILY_REFRESH,
    ENVIRONMENTS,
    FRESHNESS,
    NEW_FILES,
    NEW_JOURNEY_MAP,
    RUN_FAILURES,
    WEEKLY_REPORT,
    UnknownEnvironmentError,
    declared,
)
from orchestration.settings import Environment

ALL = {DAILY_REFRESH, WEEKLY_REPORT, NEW_JOURNEY_MAP, NEW_FILES, FRESHNESS, RUN_FAILURES}


def test_every_environment_is_declared() -> None:
    assert set(ENVIRONMENTS) == set(Environment)
    assert {environment.value: set(it.running) for environment, it in ENVIRONMENTS.items()} == {
        "dev": set(),
        "ci": set(),
        "prod": ALL,
    }
    assert {environment.value: it.alerts for environment, it in ENVIRONMENTS.items()} == {
        "dev": False,
        "ci": False,
        "prod": True,
    }
    assert declared("prod").runs(DAILY_REFRESH)
    assert not declared(Environment.DEV).runs(DAILY_REFRESH)


@pytest.mark.parametrize("name", ["staging", "PROD", ""])
def test_an_unknown_environment_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(UnknownEnvironmentError) as error:
        declared(name)
    assert str(error.value) == (
        f"no environment is called {name!r}: JOURNEY_GAPS_ENV is dev, ci, prod"
    )


def test_the_command_line_refuses_it_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_ENV", "foo")
    monkeypatch.setattr("sys.argv", ["journey-gaps", "gaps"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "env: Input should be 'dev', 'ci' or 'prod'" in capsys.readouterr().err

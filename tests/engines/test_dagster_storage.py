"""Dagster's books on a real PostgreSQL server, and its password nowhere else."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from orchestration.errors import JourneyGapsError
from orchestration.resources import open_instance
from orchestration.settings import Settings
from tests.engines.conftest import PASSWORD


@pytest.fixture
def settings(
    new_database: Callable[[str], None],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings of a HOME and a database of the test's own."""
    new_database(request.node.name)
    monkeypatch.setenv("JOURNEY_GAPS_DAGSTER_STORAGE", "postgres")
    return Settings(home=tmp_path / "home")


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="numbers")])
def numbers() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(
        metadata={"rows": 3}, check_results=[dg.AssetCheckResult(passed=True)]
    )


def query(sql: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        rows: list[tuple[object, ...]] = cursor.fetchall()
        return rows


def test_runs_are_kept_on_the_server(settings: Settings) -> None:
    with open_instance(settings) as instance:
        result = dg.materialize([numbers], instance=instance)
    # Another process finds them.
    with open_instance(settings) as instance:
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
        assert instance.event_log_storage.supports_global_concurrency_limits
    assert query("select run_id, status from dagster.runs") == [(result.run_id, "SUCCESS")]
    [(events,)] = query("select count(*) from dagster.event_logs")
    assert isinstance(events, int)
    assert events > 5
    checks = query("select check_name, execution_status from dagster.asset_check_executions")
    assert checks == [("holds", "SUCCEEDED")]
    # The warehouse may be in the same database: nothing of Dagster's is outside its schema.
    assert query("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]
    assert not list(settings.dagster_dir.rglob("*.db"))
    for file in settings.home.rglob("*"):
        assert not file.is_file() or PASSWORD not in file.read_text(errors="replace"), file
    config = (settings.dagster_dir / "dagster.yaml").read_text()
    assert "env: PGPASSWORD" in config


def test_a_password_in_the_address_is_not_written_down_either(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, postgres: dict[str, str]
) -> None:
    monkeypatch.delenv("PGPASSWORD")
    server = f"127.0.0.1:{postgres['PGPORT']}"
    database = os.environ["PGDATABASE"]
    address = f"postgresql://{postgres['PGUSER']}:p%24ss%20word@{server}/{database}"
    from_address = Settings(home=settings.home, postgres_url=address)  # type: ignore[arg-type]
    with open_instance(from_address) as instance:
        assert instance.get_runs_count() == 0
    config = (settings.dagster_dir / "dagster.yaml").read_text()
    assert "ss word" not in config
    assert "ss%20word" not in config


def test_a_server_that_refuses_is_named_with_the_way_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(JourneyGapsError, match="JOURNEY_GAPS_DAGSTER_STORAGE=sqlite") as error:
        open_instance(settings)
    assert "password authentication failed" in str(error.value)
    assert "wrong" not in str(error.value)

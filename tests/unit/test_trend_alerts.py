"""What the trends say becomes a warning beside the marts, with their sentences."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.defs.publication.checks import NOTHING_WORSENS, TRENDS, build_marts_gate
from orchestration.settings import PROJECT_DIR, Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("JOURNEY_GAPS_HOME", str(tmp_path))
    return Settings()


def evaluated(settings: Settings, *rows: tuple[str, bool, str, float]) -> dg.AssetCheckEvaluation:
    """The check on trends of segment_dimension, is_alert, sentence, adjusted_p_value."""
    with duckdb.connect(settings.warehouse) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.gap_trends (segment_dimension varchar, is_alert boolean, "
            "sentence varchar, adjusted_p_value double)"
        )
        for row in rows:
            connection.execute("insert into marts.gap_trends values (?, ?, ?, ?)", row)
    result = dg.materialize(
        [build_marts_gate(PROJECT_DIR / "expectations")],
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(TRENDS, NOTHING_WORSENS)),
        resources={"settings": settings},
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_totals_lead_and_then_what_is_surest(settings: Settings) -> None:
    check = evaluated(
        settings,
        ("region", True, "North fell.", 0.001),
        ("all", False, "Nobody asks.", 0.0001),
        ("all", True, "All fell a bit.", 0.04),
        ("all", True, "All fell a lot.", 0.01),
    )
    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.WARN,
        False,
    )
    assert check.description == "All fell a lot. All fell a bit. North fell."
    assert check.metadata["alerts"].value == 3


def test_of_many_the_first_are_said_and_all_are_kept(settings: Settings) -> None:
    check = evaluated(
        settings, *(("region", True, f"Part {part} fell.", part / 100) for part in range(1, 8))
    )
    assert check.description is not None
    assert check.description.endswith("Part 5 fell. … and 2 more in gap_trends")
    assert str(check.metadata["sentences"].value).count("- Part ") == 7


def test_nothing_that_alerts_passes(settings: Settings) -> None:
    check = evaluated(settings, ("all", False, "All is steady.", 0.5))
    assert check.passed
    assert check.description is None
    assert check.metadata["alerts"].value == 0

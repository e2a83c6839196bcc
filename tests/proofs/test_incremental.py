"""What an incremental run rebuilds and what it leaves alone.

That the facts equal a full rebuild in any order of arrival is shown in test_histories.py.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from tests.conftest import Workbench
from tests.histories import (
    JOURNEYS,
    NEEDS_MORE_OF_A_MAP,
    START,
    Rows,
    differences,
    relations,
    snapshot,
    tables,
    worlds,
    write_files,
    write_map,
)


def rows_of(seed: int) -> Rows:
    return tables(worlds(40, seed))


def assert_equal(
    actual: dict[str, list[tuple[Any, ...]]], expected: dict[str, list[tuple[Any, ...]]]
) -> None:
    for name, rows in expected.items():
        assert rows or name.startswith(NEEDS_MORE_OF_A_MAP), (
            f"{name} is empty: the test shows nothing"
        )
    assert not differences(actual, expected)


def sorted_frames(workbench: Workbench, names: list[str]) -> dict[str, pd.DataFrame]:
    """All rows, in an order that does not depend on that of the columns."""
    frames = {name: workbench.frame(f"select * from {name}") for name in names}
    return {
        name: frame.sort_values(sorted(frame.columns), ignore_index=True)
        for name, frame in frames.items()
    }


def test_the_state_is_written_after_every_incremental_model(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """Else a run that breaks off between them would never do the rest."""
    workbench = make_workbench("graph")
    workbench.use_map(write_map(tmp_path / "map"))

    def names(selection: str) -> set[str]:
        output = workbench.dbt("ls", "--output", "name", "--select", selection)
        return {line.strip() for line in output.splitlines() if line.startswith("int_")}

    incremental = names("config.materialized:incremental")
    assert {"int_stage_visits", "int_visit_touchpoints"} <= incremental
    assert incremental <= names("+int_build_state")


def test_a_second_run_without_news_touches_nothing(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("idle")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", rows_of(4)))
    workbench.build()
    names = relations(workbench)
    first = snapshot(workbench, names)
    workbench.build()
    assert workbench.query("select count(*) from intermediate.int_touched_entities") == [(0,)]
    assert workbench.query(
        "select count(*) from intermediate.int_journey_builds where is_full_rebuild"
    ) == [(0,)]
    assert_equal(snapshot(workbench, names), first)


def test_a_changed_map_rebuilds_its_journey_and_no_other(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    rows = rows_of(5)
    workbench = make_workbench("changed_map")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", rows))
    workbench.build()
    names = relations(workbench)
    before = snapshot(workbench, names)
    rule = "signup,visited,events,page,path,equals,"
    changed = write_map(tmp_path / "changed", {"stage_rules": (f"{rule}/home", f"{rule}/docs")})
    workbench.use_map(changed)
    workbench.build()
    after = snapshot(workbench, names)
    rebuilt = workbench.query(
        "select journey_id from intermediate.int_journey_builds where is_full_rebuild"
    )
    assert rebuilt == [("signup",)]
    assert after["intermediate.int_stage_visits"] != before["intermediate.int_stage_visits"]
    workbench.build("--full-refresh")
    assert_equal(after, snapshot(workbench, names))


def test_a_map_that_asks_for_the_rows_of_entries_rebuilds_its_journey(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("asked")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", rows_of(9)))
    selection = ("--select", "+int_build_state")
    workbench.build(*selection)
    kept = """
        select count(*) > 0, count(source_row_id) = count(*)
        from intermediate.int_stage_visits where journey_id = 'claim'
    """
    assert workbench.query(kept) == [(True, False)]
    line = "ticket,team,support_events,resource,entering_event,false,5,true,"
    asked = line.replace("ticket,team,support_events", "claim,clerk,event_log")
    change = {"segment_dimensions": (line, f"{line}\n{asked}")}
    workbench.use_map(write_map(tmp_path / "asked", change))
    workbench.dbt("seed")
    workbench.dbt("run", *selection)
    assert workbench.query(
        "select journey_id from intermediate.int_journey_builds where is_full_rebuild"
    ) == [("claim",)]
    assert workbench.query(kept) == [(True, True)]


def test_a_warehouse_of_an_older_version_is_rebuilt_with_its_new_columns(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("older_version")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", rows_of(8)))
    workbench.build("--vars", "{facts_version: 0}")
    with duckdb.connect(str(workbench.settings.warehouse)) as connection:
        connection.execute("alter table intermediate.int_stage_visits drop column lapsed_at")
        connection.execute("alter table intermediate.int_visit_touchpoints add column old_idea int")
    workbench.build()
    names = relations(workbench)
    upgraded = sorted_frames(workbench, names)
    workbench.build("--full-refresh")
    for name, expected in sorted_frames(workbench, names).items():
        pd.testing.assert_frame_equal(upgraded[name][expected.columns], expected, obj=name)
        assert set(upgraded[name].columns) == set(expected.columns)


def test_a_journey_taken_out_of_the_map_leaves_no_rows(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    workbench = make_workbench("removed")
    workbench.use_map(write_map(tmp_path / "map"))
    workbench.land(write_files(tmp_path / "files", rows_of(6)))
    workbench.build()
    shorter = tmp_path / "shorter"
    write_map(shorter)
    for table in ("journeys", "stages", "stage_rules", "entity_links"):
        path = shorter / f"{table}.csv"
        kept = [line for line in path.read_text().splitlines() if not line.startswith("deal,")]
        path.write_text("\n".join(kept) + "\n")
    workbench.use_map(shorter)
    workbench.build()
    for table in ("int_stage_visits", "int_journey_events"):
        journeys = workbench.query(f"select distinct journey_id from intermediate.{table}")
        assert {name for (name,) in journeys} == JOURNEYS.keys() - {"deal"}


def test_as_of_hides_what_is_later(
    make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """Facts as of a day equal the facts of the rows up to that day (without identities)."""
    day = START + timedelta(days=25, hours=6)
    rows = rows_of(7)
    changes = rows["crm_stage_changes"]
    early = [row for row in changes if row["changed_at"] <= day]
    journey_map = write_map(tmp_path / "map")
    facts = {}
    for name, some in (("all", changes), ("early", early)):
        workbench = make_workbench(f"as_of_{name}")
        workbench.use_map(journey_map)
        files = {"crm_opportunities": rows["crm_opportunities"], "crm_stage_changes": some}
        # The same declared extract time: else the shorter file would seem observed less far.
        workbench.land(write_files(tmp_path / name, files))
        workbench.dbt(
            "build",
            "--exclude-resource-type",
            "test",
            "unit_test",
            env={"JOURNEY_GAPS_AS_OF": str(day)},
        )
        facts[name] = snapshot(workbench, ["marts.fct_stage_visits", "marts.fct_stage_transitions"])
    assert len(early) < len(changes)
    assert_equal(facts["all"], facts["early"])

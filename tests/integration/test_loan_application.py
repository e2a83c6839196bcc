"""The real log of 13,087 loan applications, to the row."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pm4py
import pytest

from tests import reference
from tests.conftest import Workbench

STAGES = {
    "submitted": "progress",
    "preaccepted": "progress",
    "accepted": "progress",
    "offer_sent": "progress",
    "offer_returned": "progress",
    "approved": "success",
    "declined": "exit",
    "cancelled": "exit",
}
ACTIVITIES = {
    "A_SUBMITTED": "submitted",
    "A_PREACCEPTED": "preaccepted",
    "A_ACCEPTED": "accepted",
    "O_SENT": "offer_sent",
    "O_SENT_BACK": "offer_returned",
    "A_APPROVED": "approved",
    "A_DECLINED": "declined",
    "A_CANCELLED": "cancelled",
}
JOURNEY = reference.Journey(stages=STAGES, has_own_id=True)


def test_every_event_lands(loan: Workbench) -> None:
    assert loan.query("select count(*), count(distinct source_case_id) from raw.event_log") == [
        (262200, 13087)
    ]
    assert loan.query("select count(*) from quarantine.event_log") == [(0,)]


def test_visits_cases_and_open_ones(loan: Workbench) -> None:
    rows = loan.query(
        """
        select stage_id, count(*), count(distinct case_id), count(*) filter (is_open)
        from marts.fct_stage_visits group by stage_id, stage_order order by stage_order
        """
    )
    assert rows == [
        ("submitted", 13087, 13087, 0),
        ("preaccepted", 7367, 7367, 69),
        ("accepted", 5113, 5113, 3),
        ("offer_sent", 5383, 5015, 240),
        ("offer_returned", 3454, 3254, 87),
        ("approved", 2246, 2246, 0),
        ("declined", 7635, 7635, 0),
        ("cancelled", 2807, 2807, 0),
    ]


def test_transitions_and_back_moves(loan: Workbench) -> None:
    rows = loan.query(
        """
        select from_stage_id, to_stage_id, transition_kind, count(*)
        from marts.fct_stage_transitions group by all
        """
    )
    assert sum(row[3] for row in rows) == 34005
    back = [row for row in rows if row[2] == "back"]
    assert back == [("offer_returned", "offer_sent", "back", 368)]


def test_conversions_case_by_case(loan: Workbench) -> None:
    rows = loan.query(
        """
        select entries.stage_id, count(*) filter (entries.is_converted), count(*)
        from intermediate.int_cohort_entries as entries
        join intermediate.int_stage_observations as observations
            using (journey_id, stage_id)
        where entries.entered_at + interval 30 day <= observations.observed_through
        group by entries.stage_id, observations.stage_order
        order by observations.stage_order
        """
    )
    assert rows == [
        ("submitted", 6362, 11310),
        ("preaccepted", 4423, 6360),
        ("accepted", 4294, 4378),
        ("offer_sent", 2732, 4293),
        ("offer_returned", 1829, 2574),
    ]


def test_published_all_uses_whole_mature_weeks(loan: Workbench) -> None:
    assert loan.query(
        """
        select numerator, n, is_mature from marts.fct_measures
        where metric_id = 'conversion_rate' and stage_id = 'submitted'
            and period_grain = 'all'
        """
    ) == [(6323.0, 11226, True)]


def log_events(workbench: Workbench, warehouse: str = "raw.event_log") -> list[tuple[object, ...]]:
    return workbench.query(
        f"""
        select source_case_id, activity, lifecycle, resource, occurred_at, event_seq, event_id
        from {warehouse} order by event_seq
        """
    )


def expected_facts(rows: list[tuple[object, ...]]) -> set[tuple[object, ...]]:
    events = [
        reference.Event(str(case), ACTIVITIES[str(activity)], at, "event_log", str(row_id), seq)
        for case, activity, lifecycle, _, at, seq, row_id in rows
        if lifecycle == "COMPLETE" and activity in ACTIVITIES
    ]
    as_of = max(row[4] for row in rows)
    return {
        (
            visit.entity,
            visit.attempt,
            visit.number,
            visit.stage,
            visit.entered_at,
            visit.exited_at,
            visit.next_stage,
            "lapsed" if visit.lapsed_at else visit.kind,
            STAGES[visit.stage] == "progress" and not (visit.exited_at or visit.lapsed_at),
            None
            if STAGES[visit.stage] != "progress"
            else round(
                ((visit.exited_at or visit.lapsed_at or as_of) - visit.entered_at).total_seconds()
                * 1_000_000
            ),
        )
        for visit in reference.visits(events, JOURNEY)
    }


def facts_of(workbench: Workbench) -> set[tuple[object, ...]]:
    return set(
        workbench.query(
            """
            select entity_id, attempt_number, visit_number, stage_id, entered_at, exited_at,
                next_stage_id, exit_kind, is_open, time_in_stage_us
            from marts.fct_stage_visits
            """
        )
    )


def test_facts_equal_the_reference_on_the_whole_log(loan: Workbench) -> None:
    assert facts_of(loan) == expected_facts(log_events(loan))


def _collapsed_log(workbench: Workbench) -> pd.DataFrame:
    """The log as pm4py takes it: stage events to the first end, no stage twice in a row."""
    rows = [row for row in log_events(workbench) if row[2] == "COMPLETE" and row[1] in ACTIVITIES]
    log = pd.DataFrame(
        {
            "case:concept:name": [row[0] for row in rows],
            "concept:name": [ACTIVITIES[str(row[1])] for row in rows],
            "time:timestamp": pd.to_datetime([row[4] for row in rows], utc=True),
            "order": [list(STAGES).index(ACTIVITIES[str(row[1])]) for row in rows],
            "seq": [row[5] for row in rows],
        }
    ).sort_values(["case:concept:name", "time:timestamp", "order", "seq"], ignore_index=True)
    cases = log["case:concept:name"]
    is_end = log["concept:name"].map(STAGES).ne("progress")
    log = log[is_end.groupby(cases).cumsum() - is_end == 0]
    before = log.groupby("case:concept:name")["concept:name"].shift()
    return log[log["concept:name"] != before]


def test_steps_and_their_times_are_those_of_pm4py(loan: Workbench) -> None:
    log = _collapsed_log(loan)
    counts, _, _ = pm4py.discover_dfg(log)
    times, _, _ = pm4py.discover_performance_dfg(log, perf_aggregation_key="all")
    rows = loan.query(
        """
        select from_stage_id, to_stage_id, count(*), sum(duration_us)::bigint,
            min(duration_us), max(duration_us), median(duration_us)
        from marts.fct_stage_transitions group by all
        """
    )
    assert {row[:2]: row[2] for row in rows} == dict(counts)
    assert sum(counts.values()) == 34005
    for left, entered, count, total, *others in rows:
        # pm4py gives seconds, as doubles.
        expected = times[left, entered]
        assert total / count / 1e6 == pytest.approx(expected["mean"], rel=1e-9)
        assert total / 1e6 == pytest.approx(expected["sum"], rel=1e-9)
        for name, value in zip(("min", "max", "median"), others, strict=True):
            assert value / 1e6 == pytest.approx(expected[name], abs=1e-6), (left, entered, name)


def test_whole_cases_take_as_long_as_pm4py_says(loan: Workbench) -> None:
    rows = loan.query(
        """
        select date_diff('microsecond', min(entered_at), max(entered_at))
        from marts.fct_stage_visits group by case_id
        """
    )
    durations = pm4py.get_all_case_durations(_collapsed_log(loan))
    assert len(durations) == 13087
    assert sorted(row[0] / 1e6 for row in rows) == pytest.approx(sorted(durations), abs=1e-6)


def test_xes_and_parquet_are_the_same_log(
    loan: Workbench,
    shared_data: Path,
    make_workbench: Callable[[str], Workbench],
    tmp_path: Path,
) -> None:
    mapping = tmp_path / "map"
    mapping.mkdir()
    (mapping / "landing.yml").write_text(
        """
        sources:
          - name: loan_log
            files: bpic2012.parquet
            table: event_log
            columns:
              source_case_id: "case:concept:name"
              activity: "concept:name"
              lifecycle: "lifecycle:transition"
              resource: "org:resource"
              occurred_at: "time:timestamp"
        """
    )
    workbench = make_workbench("parquet")
    workbench.land(shared_data / "bpic2012", mapping)
    with duckdb.connect(str(workbench.settings.warehouse)) as connection:
        connection.execute(f"attach '{loan.settings.warehouse}' as xes (read_only)")
        columns = "event_id, source_case_id, activity, lifecycle, resource, occurred_at, event_seq"
        difference = connection.execute(
            f"""
            (select {columns} from raw.event_log except select {columns} from xes.raw.event_log)
            union all
            (select {columns} from xes.raw.event_log except select {columns} from raw.event_log)
            """
        ).fetchall()
    assert difference == []

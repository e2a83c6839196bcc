"""Random parts of the real loan log, each in a warehouse of its own, against the reference."""

import csv
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import LOAN_MAP, Workbench
from tests.integration.test_loan_application import expected_facts, facts_of, log_events


def transitions_of(visits: set[tuple[object, ...]]) -> Counter[tuple[object, ...]]:
    return Counter((row[0], row[3], row[6], row[5], row[7]) for row in visits if row[6])


def write_log(folder: Path, rows: list[tuple[object, ...]]) -> Path:
    folder.mkdir()
    with (folder / "event_log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source_case_id", "activity", "lifecycle", "resource", "occurred_at"])
        for case, activity, lifecycle, resource, at, *_ in rows:
            assert isinstance(at, datetime)
            stamp = at.replace(tzinfo=UTC).isoformat(timespec="microseconds")
            writer.writerow([case, activity, lifecycle, resource, stamp])
    return folder


def test_facts_equal_the_reference_on_random_subsets_of_cases(
    loan: Workbench, make_workbench: Callable[[str], Workbench], tmp_path: Path
) -> None:
    """Twenty warehouses of their own: as_of, maturity and facts follow from the subset."""
    rows = log_events(loan)
    cases = sorted({str(row[0]) for row in rows})
    draw = random.Random(20111001)
    workbench = make_workbench("subset")
    workbench.use_map(LOAN_MAP)
    workbench.land(write_log(tmp_path / "empty", []))
    workbench.build()
    empty = workbench.settings.warehouse.read_bytes()
    for number in range(20):
        chosen = set(draw.sample(cases, draw.choice([1, 2, 5, 20, 100, 500])))
        subset = [row for row in rows if row[0] in chosen]
        draw.shuffle(subset)
        workbench.settings.warehouse.write_bytes(empty)
        workbench.land(write_log(tmp_path / f"log_{number}", subset))
        workbench.dbt("run", "--select", "+fct_stage_visits", "+fct_stage_transitions")
        # event_seq is the order in the file that landed, so the reference takes it from there.
        expected = expected_facts(log_events(workbench))
        facts = facts_of(workbench)
        transitions = Counter(
            workbench.query(
                """
                select visits.entity_id, steps.from_stage_id, steps.to_stage_id,
                    steps.occurred_at, steps.transition_kind
                from marts.fct_stage_transitions as steps
                join marts.fct_stage_visits as visits
                    on steps.from_visit_id = visits.visit_id
                """
            )
        )
        assert len(facts) > 0
        assert facts == expected, f"subset {number} of {len(chosen)} cases"
        assert transitions == transitions_of(expected)

"""The counterfactual on the demo: moves counted again from the published visits, two
implementations of the chain, what it expects against what was seen, and the command line.
"""

import csv
import io
import json
import math
import os
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.counterfactual import Chain, Change, expected
from orchestration.publish.reading import published_facts
from tests.conftest import Workbench

JOURNEY = "lead_to_customer"
READ = (
    *("dim_journeys", "dim_stages", "dim_metrics", "fct_measures", "fct_stage_flows"),
    *("gap_ranking", "gap_scenarios"),
)


def records(workbench: Workbench, sql: str) -> list[dict[str, Any]]:
    frame = workbench.frame(sql).astype(object)
    return list(frame.where(frame.notna(), None).to_dict("records"))


def close(figure: float | None, other: float | None) -> bool:
    if figure is None or other is None:
        return figure is other
    return math.isclose(figure, other, rel_tol=1e-9, abs_tol=1e-9)


@pytest.fixture(scope="module")
def home(demo: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A publication of the demo's marts that the question reads."""
    folder = tmp_path_factory.mktemp("what_if")
    publication = folder / "published" / "7"
    publication.mkdir(parents=True)
    (folder / "published" / "current").symlink_to("7")
    with duckdb.connect(publication / "journey_gaps.duckdb") as connection:
        connection.execute(f"attach '{demo.settings.warehouse}' as warehouse (read_only)")
        for mart in READ:
            connection.execute(f"create table {mart} as from warehouse.marts.{mart}")
    return folder


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell says is no part of a test."""
    for name in [name for name in os.environ if name.startswith("JOURNEY_GAPS_")]:
        monkeypatch.delenv(name)


def invoke(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["what-if", *(str(argument) for argument in arguments)])
    return result.exit_code, " ".join(result.output.replace("│", " ").split())


def test_flows_are_the_first_advances_of_the_published_visits(demo: Workbench) -> None:
    journeys = {
        row["journey_id"]: row
        for row in records(demo, "from marts.dim_journeys where order_mode <> 'any'")
    }
    stages = {
        (row["journey_id"], row["stage_id"]): row for row in records(demo, "from marts.dim_stages")
    }
    periods = {
        row["journey_id"]: (row["period_start"], row["period_end"])
        for row in records(
            demo, "select distinct journey_id, period_start, period_end from marts.fct_stage_flows"
        )
    }
    assert periods.keys() == journeys.keys()
    cases: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for visit in records(
        demo,
        "select journey_id, case_id, visit_number, stage_id, stage_order, entered_at "
        "from marts.fct_stage_visits where not is_left_truncated order by visit_number",
    ):
        cases[visit["journey_id"], visit["case_id"]].append(visit)
    counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    days: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for (journey, _), visits in cases.items():
        if journey not in periods:
            continue
        start, end = periods[journey]
        zone = ZoneInfo(journeys[journey]["time_zone"])
        met: set[str] = set()
        for place, visit in enumerate(visits):
            stage = stages[journey, visit["stage_id"]]
            entered = visit["entered_at"].to_pydatetime()
            local = entered.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone)
            is_first = visit["stage_id"] not in met
            met.add(visit["stage_id"])
            day = datetime(local.year, local.month, local.day)
            if stage["stage_kind"] != "progress" or not is_first or not start <= day < end:
                continue
            key = (journey, visit["stage_id"])
            counts["entries"][key] += 1
            if place == 0:
                kinds = {stages[journey, later["stage_id"]]["stage_kind"] for later in visits}
                counts["inflow"][key] += 1
                counts["inflow_successes"][key] += "success" in kinds
            for later in visits[place + 1 :]:
                kind = stages[journey, later["stage_id"]]["stage_kind"]
                if kind != "exit" and later["stage_order"] > visit["stage_order"]:
                    took = (later["entered_at"].to_pydatetime() - entered).total_seconds() / 86400
                    if took <= stage["conversion_window_days"]:
                        counts["moves"][*key, later["stage_id"]] += 1
                        days[*key, later["stage_id"]].append(took)
                    break
    flows = records(demo, "from marts.fct_stage_flows")
    assert sum(flow["moves"] for flow in flows) > 3000
    for flow in flows:
        key = (flow["journey_id"], flow["from_stage_id"])
        for figure in ("entries", "inflow", "inflow_successes"):
            assert flow[figure] == counts[figure][key], (key, figure)
        move = (*key, flow["to_stage_id"])
        assert flow["moves"] == counts["moves"][move], move
        mean = math.fsum(days[move]) / len(days[move]) if days[move] else None
        assert close(flow["mean_days"], mean), move


def test_shares_of_a_stage_are_its_conversion_rate(demo: Workbench) -> None:
    """In the demo the stages of a journey mature together, so the two periods are one."""
    rates = records(
        demo,
        """
        select any_value(value) as value, sum(share) as share
        from marts.fct_stage_flows as flows
        inner join marts.fct_measures as measures
            on
                flows.journey_id = measures.journey_id
                and from_stage_id = stage_id
                and flows.period_start = measures.period_start
        where
            metric_id = 'conversion_rate'
            and period_grain = 'trailing_13_weeks'
            and segment_dimension = 'all'
        group by flows.journey_id, from_stage_id
        """,
    )
    assert len(rates) == 12
    assert all(close(rate["value"], rate["share"]) for rate in rates)


def test_the_chain_expects_as_it_is_what_was_seen(demo: Workbench) -> None:
    seen = records(
        demo,
        "select journey_id, inflow, successes, observed_successes from marts.gap_scenarios "
        "where scenario_kind = 'as_is'",
    )
    assert {row["journey_id"] for row in seen} == {JOURNEY, "onboarding", "checkout"}
    for row in seen:
        observed = row["observed_successes"]
        # Within a standard error of the count, and close where there are many.
        assert abs(row["successes"] - observed) <= min(math.sqrt(observed), 0.1 * observed), row


def test_sql_and_python_agree_on_every_scenario(demo: Workbench) -> None:
    chains = {
        journey: Chain.of(
            records(demo, f"from marts.fct_stage_flows where journey_id = '{journey}'")
        )
        for journey in (JOURNEY, "onboarding", "checkout")
    }
    levers = {row["gap_id"]: row for row in records(demo, "from marts.gap_levers")}
    scenarios = records(demo, "from marts.gap_scenarios")
    kinds = Counter(row["scenario_kind"] for row in scenarios)
    count = len(levers)
    assert count >= 3
    assert kinds["one"] == count
    assert kinds["as_is"] == 3
    as_is = {row["journey_id"]: row for row in scenarios if row["scenario_kind"] == "as_is"}
    for row in scenarios:
        chain = chains[row["journey_id"]]
        changes: dict[str, Change] = {}
        cautious: dict[str, Change] = {}
        singles = 0.0
        for gap_id in (row["gap_ids"] or "").split(" + ") if row["gap_ids"] else []:
            lever = levers[gap_id]
            stage, rate = lever["stage_id"], chain.rates[lever["stage_id"]]
            whole = Change(rate * lever["rate_factor"], lever["days_factor"])
            part = Change(rate * lever["cautious_rate_factor"])
            if lever["lever_kind"] == "time":
                whole, part = Change(None, lever["days_factor"]), Change()
            changes[stage] = changes.get(stage, Change()) & whole
            cautious[stage] = cautious.get(stage, Change()) & part
            singles += expected(chain, {stage: whole}).successes - expected(chain).successes
        outcome = expected(chain, changes)
        before = as_is[row["journey_id"]]
        assert close(row["successes"], outcome.successes), row
        assert close(row["added_successes"], outcome.successes - before["successes"]), row
        assert close(row["mean_days_to_success"], outcome.mean_days), row
        assert close(row["sum_of_single_effects"], singles), row
        assert close(
            row["cautious_added_successes"],
            expected(chain, cautious).successes - before["successes"],
        ), row


def test_gaps_of_two_stages_add_more_together(demo: Workbench) -> None:
    (both,) = records(
        demo,
        "from marts.gap_scenarios "
        "where scenario_kind = 'two' and stage_ids = 'signed_up + offer_sent'",
    )
    singles = records(
        demo,
        "from marts.gap_scenarios "
        "where scenario_kind = 'one' and stage_ids in ('signed_up', 'offer_sent')",
    )
    total = sum(row["added_successes"] for row in singles)
    assert close(both["sum_of_single_effects"], total)
    assert both["added_successes"] > 1.2 * total
    # Rates multiply along a chain without ways round: so do their effects.
    before = both["successes"] - both["added_successes"]
    factor = math.prod(row["successes"] / before for row in singles)
    assert close(both["successes"], before * factor)


def test_the_command_answers_as_the_mart_does(demo: Workbench, home: Path) -> None:
    stages = ("--stage", "signed_up", "--stage", "offer_sent")
    exit_code, output = invoke("--home", home, *stages, "--to", "benchmark", "--format", "json")
    assert exit_code == 0, output
    found = json.loads(output)
    assert found["journey_id"] == JOURNEY
    mart = {
        row["gap_ids"]: row
        for row in records(demo, f"from marts.gap_scenarios where journey_id = '{JOURNEY}'")
    }
    for scenario in found["scenarios"]:
        row = mart[" + ".join(lever["gap_id"] for lever in scenario["levers"]) or None]
        for figure in scenario.keys() - {"levers"}:
            assert close(scenario[figure], row[figure]), (row["gap_ids"], figure)
    assert len(found["scenarios"]) == 4

    _, everything = invoke("--home", home, "--all", "--journey", JOURNEY, "--format", "json")
    last = json.loads(everything)["scenarios"][-1]
    row = next(row for row in mart.values() if row["scenario_kind"] == "all")
    assert " + ".join(lever["gap_id"] for lever in last["levers"]) == row["gap_ids"]
    assert close(last["successes"], row["successes"])
    assert close(last["mean_days_to_success"], row["mean_days_to_success"])


def test_the_command_in_a_table_and_as_csv(home: Path) -> None:
    exit_code, output = invoke("--home", home, "--stage", "signed_up", "--stage", "offer_sent")
    assert exit_code == 0
    assert "signed_up from 40.6% to 60.0% (industry)" in output
    assert "Together they add" in output
    assert "each stage feeds the next" in output
    assert "have been seen so far" in output
    result = CliRunner().invoke(
        app,
        ["what-if", "--home", str(home), "--stage", "visited", "--to", "62%", "--format", "csv"],
    )
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert [row["levers"] for row in rows] == ["", "visited from 46.9% to 62.0%"]
    ratio = float(rows[1]["successes"]) / float(rows[0]["successes"])
    facts = published_facts(home / "published")
    chain = Chain.of([flow for flow in facts.flows if flow["journey_id"] == JOURNEY])
    assert close(ratio, 0.62 / chain.rates["visited"])


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--stage", "signedup"], 2, "no stage 'signedup': did you mean signed_up?"),
        (["--stage", "signed_up", "--journey", "leads"], 2, "no journey 'leads'"),
        (["--stage", "signed_up", "--to", "140%"], 2, "140% is more than everybody"),
        (["--stage", "signed_up", "--to", "soon"], 2, "'soon' is no goal"),
        (["--all", "--to", "60%"], 2, "leave out --to"),
        (["--all"], 2, "say which journey (--journey)"),
        ([], 2, "say which stages"),
        (["--stage", "signed_up", "--to", "target"], 1, "no target of the rate or the time"),
        (["--stage", "in_use"], 1, "any order"),
    ],
)
def test_what_cannot_be_answered(
    home: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    code, output = invoke("--home", home, *arguments)
    assert (code, message in output) == (exit_code, True), output


def test_without_a_publication_or_with_an_older_one(tmp_path: Path) -> None:
    code, output = invoke("--home", tmp_path, "--stage", "signed_up")
    assert code == 1
    assert "nothing is published" in output
    publication = tmp_path / "published" / "7"
    publication.mkdir(parents=True)
    (tmp_path / "published" / "current").symlink_to("7")
    duckdb.connect(publication / "journey_gaps.duckdb").close()
    code, output = invoke("--home", tmp_path, "--stage", "signed_up")
    assert code == 1
    assert "published by an older version" in output

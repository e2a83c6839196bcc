"""Twenty companies drawn at random: the ranking names what was planted in each.

The worst stage, a second one and the segment that explains it, the times and the sizes are
drawn; files, landing and models are the real ones. The map and its seeds are the same for all,
so they are loaded once, and dbt runs in this process with one manifest.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from orchestration.demo import Plan, write_demo
from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

SEEDS = range(20)


@dataclass(frozen=True)
class Company:
    """What was drawn and planted, and the ranking of the totals against given benchmarks."""

    plan: Plan
    truth: dict[str, Any]
    ranking: pd.DataFrame
    entries: pd.DataFrame


def dbt(manifest: Any, *arguments: str) -> Any:
    """Run dbt in this process, with the environment's HOME."""
    folder = str(PROJECT_DIR)
    done = dbtRunner(manifest=manifest).invoke(
        [
            *("--quiet", "--no-write-json", "--log-level-file", "none", *arguments),
            *("--project-dir", folder, "--profiles-dir", folder),
        ]
    )
    # It keeps the file open for the next command, but the next file is another one.
    DuckDBConnectionManager.close_all_connections()
    assert done.success, done.exception or [
        (result.node.name, result.message) for result in done.result if result.status != "success"
    ]
    return done.result


@pytest.fixture(scope="module")
def build(
    make_workbench: Callable[[str], Workbench], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], Workbench]]:
    """Land a folder in a new warehouse that has the map's seeds, and build the ranking."""
    workbench = make_workbench("truth")
    template = tmp_path_factory.mktemp("template") / "warehouse.duckdb"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workbench.settings.environ().items():
            patch.setenv(name, value)
        workbench.use_map(PROJECT_DIR / "seeds" / "journey_map")
        workbench.home.mkdir(parents=True)
        manifest = dbt(None, "parse")
        dbt(manifest, "seed")
        shutil.move(workbench.settings.warehouse, template)

        def make(folder: Path) -> Workbench:
            shutil.copy(template, workbench.settings.warehouse)
            workbench.land(folder)
            dbt(manifest, "run", "--select", "+gap_ranking")
            return workbench

        yield make


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed_{seed}")
def company(
    request: pytest.FixtureRequest,
    build: Callable[[Path], Workbench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Company:
    folder = tmp_path_factory.mktemp("company")
    plan = Plan.draw(request.param)
    truth = write_demo(folder, seed=request.param, plan=plan)
    workbench = build(folder)
    shutil.rmtree(folder)
    return Company(
        plan,
        truth,
        workbench.frame(
            """
            select * from marts.gap_ranking
            where segment_dimension = 'all' and benchmark_kind <> 'own_past'
                and metric_id in ('conversion_rate', 'time_in_stage_p50')
            """
        ).set_index("benchmark_id"),
        workbench.frame(
            f"""
            with contacts as (
                select * from raw.crm_contacts
                qualify row_number() over (
                    partition by contact_id order by source_updated_at desc
                ) = 1
            ),

            accounts as (
                select * from raw.crm_accounts
                qualify row_number() over (
                    partition by account_id order by source_updated_at desc
                ) = 1
            )

            select
                entries.is_converted::integer as is_converted,
                {plan.segment.dimension} as segment_value
            from intermediate.int_cohort_entries as entries
            join intermediate.int_periods as periods using (journey_id, stage_id)
            join contacts on contacts.customer_id = entries.entity_id
            join accounts using (account_id)
            where periods.period_grain = 'all' and periods.metric_id is null
                and stage_id = '{plan.segment.stage_id}'
                and entered_date >= period_start and entered_date < period_end
            """
        ),
    )


def test_the_worst_stage_leads_and_nothing_else_lags(company: Company) -> None:
    expected, ranking = company.truth["expected_ranking"], company.ranking
    lagging = ranking[ranking["verdict"] == "lagging"]
    ranked = lagging[lagging["lag_rank"].notna()].sort_values("lag_rank")

    assert list(ranked.index) == expected["lag_rank"]
    assert sorted(lagging.index) == expected["lagging"]
    assert set(ranking["verdict"]) <= {"lagging", "unclear", "at_par", "ahead"}


def test_the_planted_lags_are_measured(company: Company) -> None:
    for stage in company.plan.lagging_stages():
        planted = company.truth["conversion_rates"][stage]
        row = company.ranking.loc[planted["benchmark_id"]]
        assert row["stage_id"] == stage
        low, high = (planted["benchmark"] / row[end] for end in ("ci_high", "ci_low"))
        assert low <= planted["lag"] <= high
        assert low <= row["lag_factor"] <= high
        assert row["n"] == pytest.approx(planted["expected_entries_in_13_weeks"], rel=0.3)


def test_the_planted_times_are_measured(company: Company) -> None:
    for planted in company.truth["days_in_stage"].values():
        row = company.ranking.loc[planted["benchmark_id"]]
        assert row["ci_low"] <= planted["median"] <= row["ci_high"]


def test_the_planted_segment_explains_its_gap(company: Company) -> None:
    """Its share of the shortfall, over the facts: w · (B - r) ÷ (B - all)."""
    segment = company.truth["segment"]
    benchmark = company.truth["conversion_rates"][segment["stage_id"]]["benchmark"]
    converted = company.entries.groupby("segment_value")["is_converted"]
    shortfalls = converted.count() * benchmark - converted.sum()
    shares = shortfalls / shortfalls.sum()

    assert shares.idxmax() == segment["value"]
    assert shares[segment["value"]] == pytest.approx(segment["share_of_gap"], abs=0.1)

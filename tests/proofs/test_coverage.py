"""Do 95 % intervals cover the truth 95 times in 100? By simulation, through the real SQL.

Every week is a replicate: deals that open in it, some of which are won within the window. In one
journey the deals of an account share its rate, drawn from a beta distribution; in the other each
deal stands alone.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tests.conftest import Workbench
from tests.maps import write_tables

WEEKS = 1000
MONDAY = datetime(2004, 1, 5)
WINDOW = timedelta(days=7)
RATES = {"clustered": 0.3, "alone": 0.1}
ACCOUNTS = 60
LARGEST_ACCOUNT = 8
ALONE = 120
# Rates of accounts: Beta(0.6, 1.4), so two deals of one account correlate by 1 / (1 + 2).
SPREAD = 2.0
EXACT = {"rel": 1e-9, "abs": 0.0}

MAP = {
    "journeys": """
        journey_id,name,entity,order_mode,time_zone,conversion_window_days
        clustered,Clustered,opportunity,ordered,UTC,7
        alone,Alone,opportunity,ordered,UTC,7
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind
        clustered,open,1,purchase,progress
        clustered,won,2,purchase,success
        alone,open,1,purchase,progress
        alone,won,2,purchase,success
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name,priority
        clustered,open,crm_stage_changes,Clustered open,1
        clustered,won,crm_stage_changes,Clustered won,1
        alone,open,crm_stage_changes,Alone open,1
        alone,won,crm_stage_changes,Alone won,1
    """,
    "entity_links": """
        journey_id,source,entity_column
        clustered,crm_stage_changes,opportunity_id
        alone,crm_stage_changes,opportunity_id
    """,
    "benchmarks": """
        benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,source
        clustered_rate,conversion_rate,1,clustered,open,target,0.3,test
        alone_rate,conversion_rate,1,alone,open,target,0.1,test
    """,
}


def deals(draw: np.random.Generator) -> pd.DataFrame:
    """One row per deal: its week, account or none, and whether it is won in time."""
    shape = (WEEKS, ACCOUNTS)
    rate = RATES["clustered"]
    rates = draw.beta(rate * SPREAD, (1 - rate) * SPREAD, shape)
    sizes = draw.integers(1, LARGEST_ACCOUNT, shape, endpoint=True)
    weeks, accounts = np.indices(shape)
    clustered = pd.DataFrame(
        {
            "journey": "Clustered",
            "week": weeks.repeat(sizes.ravel()),
            "account_id": (weeks * ACCOUNTS + accounts).ravel().repeat(sizes.ravel()),
            "rate": rates.ravel().repeat(sizes.ravel()),
        }
    )
    alone = pd.DataFrame(
        {
            "journey": "Alone",
            "week": np.arange(WEEKS).repeat(ALONE),
            "account_id": None,
            "rate": RATES["alone"],
        }
    )
    both = pd.concat([clustered, alone], ignore_index=True).astype({"account_id": "Int64"})
    both["is_won"] = draw.random(len(both)) < both["rate"]
    both["opportunity_id"] = both.index.astype(str)
    minutes = draw.integers(0, 7 * 1440, len(both))
    both["opened_at"] = (
        pd.Timestamp(MONDAY)
        + pd.to_timedelta(both["week"] * 7, unit="D")
        + pd.to_timedelta(minutes, unit="min")
    )
    # Won at the last second of the window, or one too late.
    late = np.where(both["is_won"], 0, 1)
    both["won_at"] = both["opened_at"] + WINDOW + pd.to_timedelta(late, unit="s")
    return both


@pytest.fixture(scope="module")
def simulated(
    make_workbench: Callable[[str], Workbench], tmp_path_factory: pytest.TempPathFactory
) -> Workbench:
    both = deals(np.random.default_rng(20250101))
    folder: Path = tmp_path_factory.mktemp("coverage")
    (folder / "files").mkdir()
    both.assign(created_at=both["opened_at"])[
        ["opportunity_id", "account_id", "created_at"]
    ].to_csv(folder / "files" / "crm_opportunities.csv", index=False)
    moments = [
        pd.DataFrame(
            {
                "change_id": both["opportunity_id"] + f"-{name}",
                "opportunity_id": both["opportunity_id"],
                "stage_name": both["journey"] + f" {name}",
                "changed_at": both[f"{name if name == 'won' else 'opened'}_at"],
            }
        )
        for name in ("open", "won")
    ]
    pd.concat(moments).to_csv(folder / "files" / "crm_stage_changes.csv", index=False)
    workbench = make_workbench("coverage")
    workbench.use_map(write_tables(folder / "map", MAP))
    workbench.land(folder / "files")
    workbench.build("--select", "+gap_trends")
    return workbench


@pytest.fixture(scope="module")
def weeks(simulated: Workbench) -> pd.DataFrame:
    return simulated.frame(
        """
        select journey_id, period_start, n, n_clusters, effective_n, numerator, value,
            ci_low, ci_high
        from marts.fct_measures
        where metric_id = 'conversion_rate' and stage_id = 'open' and is_mature
            and period_grain = 'week' and segment_dimension = 'all'
        order by journey_id, period_start
        """
    )


def covering(low: pd.Series, high: pd.Series, truth: float) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize("journey_id", RATES)
def test_wilson_intervals_cover_the_truth(weeks: pd.DataFrame, journey_id: str) -> None:
    """Within the range in which a true 95 % is 999 times in 1,000."""
    rates = weeks[weeks["journey_id"] == journey_id]
    assert WEEKS - 3 <= len(rates) <= WEEKS
    least, most = stats.binom.interval(0.999, len(rates), 0.95)
    covered = covering(rates["ci_low"], rates["ci_high"], RATES[journey_id])
    assert least <= covered * len(rates) <= most, covered


def test_without_the_design_effect_accounts_would_make_intervals_too_narrow(
    weeks: pd.DataFrame,
) -> None:
    rates = weeks[weeks["journey_id"] == "clustered"]
    assert (rates["n_clusters"] == ACCOUNTS).all()
    # Kish: 1 + (size-weighted mean size - 1) * correlation, 1 + (17/3 - 1) / 3 here.
    sizes = np.arange(1, LARGEST_ACCOUNT + 1)
    expected = 1 + ((sizes**2).sum() / sizes.sum() - 1) / (1 + SPREAD)
    assert (rates["n"] / rates["effective_n"]).mean() == pytest.approx(expected, rel=0.03)
    low, high = proportion_confint(rates["numerator"], rates["n"], method="wilson")
    covered = covering(low, high, RATES["clustered"])
    assert stats.binom.cdf(covered * len(rates), len(rates), 0.95) < 1e-9
    assert covered == pytest.approx(math.erf(1.96 / math.sqrt(2 * expected)), abs=0.04)


def test_wilson_intervals_are_those_of_statsmodels(weeks: pd.DataFrame) -> None:
    low, high = proportion_confint(
        weeks["value"] * weeks["effective_n"], weeks["effective_n"], method="wilson"
    )
    assert weeks["ci_low"].tolist() == pytest.approx(low.tolist(), **EXACT)
    assert weeks["ci_high"].tolist() == pytest.approx(high.tolist(), **EXACT)


def test_differences_are_newcombes(simulated: Workbench, weeks: pd.DataFrame) -> None:
    """MOVER on two Wilson intervals is Newcombe's method; statsmodels has it as `newcomb`."""
    changes = simulated.query(
        """
        select journey_id, period_start, change, change_ci_low, change_ci_high
        from marts.gap_trends
        where
            change is not null
            and metric_id = 'conversion_rate'
            and period_grain = 'week'
            and segment_dimension = 'all'
        """
    )
    by_week = {(row["journey_id"], row["period_start"]): row for _, row in weeks.iterrows()}
    assert len(changes) > 40
    for journey_id, start, *actual in changes:
        here = by_week[journey_id, pd.Timestamp(start)]
        before = by_week[journey_id, pd.Timestamp(start) - pd.Timedelta(days=7)]
        low, high = confint_proportions_2indep(
            here["value"] * here["effective_n"],
            here["effective_n"],
            before["value"] * before["effective_n"],
            before["effective_n"],
            method="newcomb",
            compare="diff",
        )
        assert actual == pytest.approx([here["value"] - before["value"], low, high], **EXACT)

"""Readouts of actions against statsmodels, scipy and plain Python, from the units themselves."""

import csv
import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench
from tests.maps import write_tables

MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days,default_success_value,currency
        buy,Buy,customer,60,ordered,Europe/Berlin,10,100,EUR
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind
        buy,start,1,purchase,progress
        buy,bought,2,purchase,success
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name
        buy,start,events,start
        buy,bought,events,bought
    """,
    "entity_links": """
        journey_id,source,entity_column
        buy,events,customer_id
    """,
    "segment_dimensions": """
        journey_id,dimension,source,source_column,is_immutable
        buy,acquisition_channel,crm_contacts,acquisition_channel,true
    """,
    "metrics": """
        metric_id,label,unit,direction,scale,loss_family,equivalence_margin,definition_version,description
        conversion_rate,Conversion,share,higher_is_better,proportion,conversion,0.02,1,Goes on
        time_in_stage_p50,Median,days,lower_is_better,duration,,0.1,1,Half have left
        identified_rate,Known,share,higher_is_better,proportion,,0.02,1,Known
    """,
    "actions": """
        action_id,title,category,owner,hypothesis,journey_id,stage_id,metric_id,segment_dimension,segment_value,control_segment_value,started_on,ended_on,experiment_id,control_arm,readout_on
        treated,A,process_tweak,web,H,buy,start,conversion_rate,acquisition_channel,treated,calm,2024-11-01,,,,
        once,A,process_tweak,web,H,buy,start,conversion_rate,acquisition_channel,treated,calm,2024-11-01,2024-12-31,,,2025-02-01
        drifting,A,process_tweak,web,H,buy,start,conversion_rate,acquisition_channel,drifting,calm,2024-11-01,,,,
        alone,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-11-01,,,,
        short,A,process_tweak,web,H,buy,start,conversion_rate,acquisition_channel,treated,calm,2024-06-20,,,,
        new,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-04-15,,,,
        days,A,process_tweak,web,H,buy,start,time_in_stage_p50,,,,2024-11-01,,,,
        known,A,process_tweak,web,H,buy,start,identified_rate,,,,2024-11-01,,,,
        planned,A,process_tweak,web,H,buy,start,conversion_rate,,,,2026-01-01,,,,
        fair,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-06-01,2024-09-30,fair,c,2024-11-01
        fair_in_segment,A,process_tweak,web,H,buy,start,conversion_rate,acquisition_channel,calm,,2024-06-01,2024-09-30,fair,c,2024-11-01
        uneven,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-06-01,2024-09-30,uneven,c,2024-11-01
        three,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-06-01,2024-09-30,three,c,2024-11-01
        misnamed,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-06-01,2024-09-30,fair,nobody,2024-11-01
        nobody,A,process_tweak,web,H,buy,start,conversion_rate,,,,2024-06-01,2024-09-30,none,c,2024-11-01
    """,
}
WAITS = "It is read once, on 2025-02-01, when the outcomes until then are in."


def wilson(count: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    low, high = proportion_confint(count, n, alpha=alpha, method="wilson")
    return float(low), float(high)


def side(units: pd.DataFrame) -> dict[str, float]:
    """The rate of some units, with its n divided by the design effect of their clusters."""
    n, p = len(units), units["is_outcome"].mean()
    per_cluster = units.groupby("cluster_id")["is_outcome"].agg(["sum", "count"])
    clusters = len(per_cluster)
    residuals = per_cluster["sum"] - p * per_cluster["count"]
    variance = clusters / (clusters - 1) * (residuals**2).sum() / n**2
    effect = max(1.0, variance * n / (p * (1 - p)))
    return {"n": n, "p": p, "effective_n": n / effect, "effect": effect}


def mover(plus: list[dict[str, float]], minus: list[dict[str, float]], alpha: float) -> Any:
    """Sum of some rates less that of others, with the ends of its interval."""
    difference = sum(cell["p"] for cell in plus) - sum(cell["p"] for cell in minus)
    below = above = 0.0
    for cells, is_plus in ((plus, True), (minus, False)):
        for cell in cells:
            low, high = wilson(cell["p"] * cell["effective_n"], cell["effective_n"], alpha)
            arms = (cell["p"] - low, high - cell["p"])
            below += arms[0 if is_plus else 1] ** 2
            above += arms[1 if is_plus else 0] ** 2
    return difference, difference - math.sqrt(below), difference + math.sqrt(above)


def p_of(plus: list[dict[str, float]], minus: list[dict[str, float]]) -> float:
    """1 - the highest confidence level whose interval excludes 0."""

    def facing(log_alpha: float) -> float:
        difference, low, high = mover(plus, minus, math.exp(log_alpha))
        return float(low if difference > 0 else -high)

    return math.exp(optimize.brentq(facing, math.log(1e-30), math.log(1 - 1e-12)))


@pytest.fixture(scope="module")
def trial(
    make_workbench: Callable[[str], Workbench], tmp_path_factory: pytest.TempPathFactory
) -> Workbench:
    """Fifteen months of customers in accounts of two: one channel gains 25 points in November."""
    draw = np.random.default_rng(5)
    files = tmp_path_factory.mktemp("trial") / "files"
    files.mkdir()
    begin, span = datetime(2024, 1, 1), 456
    events, contacts, assignments = [], [], []
    for number in range(6000):
        customer, account = f"k{number}", f"a{number // 2}"
        if number % 2 == 0:  # both customers of an account tend the same way
            lean = draw.normal(0, 0.25)
        day = draw.uniform(0, span)
        channel = ("treated", "calm", "drifting")[number // 2 % 3]
        rate = {"treated": 0.4 + (day > 305) * 0.25, "calm": 0.4, "drifting": 0.2 + day / span / 2}
        at = begin + timedelta(days=day)
        events.append((f"{customer}s", customer, "start", at))
        if draw.random() < rate[channel] + lean:
            bought_at = at + timedelta(days=draw.uniform(0, 9.9))
            events.append((f"{customer}b", customer, "bought", bought_at))
        contacts.append((f"p{number}", account, customer, channel, begin, begin))
        if 140 < day < 280:
            assigned_at = at - timedelta(hours=1)
            for experiment, arms, shares in (
                ("fair", "ct", (0.5, 0.5)),
                ("uneven", "ct", (0.4, 0.6)),
                ("three", "ctu", (0.34, 0.33, 0.33)),
            ):
                arm = str(draw.choice(list(arms), p=shares))
                assignments.append((experiment, customer, arm, assigned_at))
    columns = {
        "events": ("event_id", "customer_id", "event_name", "occurred_at"),
        "crm_contacts": (
            *("contact_id", "account_id", "customer_id", "acquisition_channel"),
            *("created_at", "source_updated_at"),
        ),
        "experiment_assignments": ("experiment_id", "customer_id", "arm", "assigned_at"),
    }
    for table, rows in zip(columns, (events, contacts, assignments), strict=True):
        with (files / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns[table], *rows])
    workbench = make_workbench("trial")
    workbench.use_map(write_tables(files.parent / "map", MAP))
    workbench.land(files)
    workbench.build("-s", "+fct_action_readouts")
    return workbench


@pytest.fixture(scope="module")
def units(trial: Workbench) -> pd.DataFrame:
    """What the readouts count, with the channel of each."""
    frame = trial.frame(
        """
        select units.*, contacts.acquisition_channel as channel
        from intermediate.int_metric_units as units
        join staging.stg_crm_contacts as contacts using (customer_id)
        where is_complete and metric_id = 'conversion_rate'
        """
    )
    frame["day"] = pd.to_datetime(frame["entered_date"])
    return frame


@pytest.fixture(scope="module")
def readouts(trial: Workbench) -> Any:
    return trial.frame("select * from marts.fct_action_readouts").set_index("readout_id")


def cells(units: pd.DataFrame, channel: str, start: str, end: str | None = None) -> list[Any]:
    """The channel after the start and before it, without 13 weeks."""
    own, first = units[units["channel"] == channel], pd.Timestamp(start)
    last = pd.Timestamp(end or "2099-01-01")
    after = own[(own["day"] >= first) & (own["day"] <= last)]
    return [side(after), side(own[own["day"] < first - pd.Timedelta(days=91)])]


@pytest.mark.parametrize(("action", "end"), [("treated", None), ("once", "2024-12-31")])
def test_a_control_segment_is_taken_off_with_its_interval_and_p(
    readouts: Any, units: pd.DataFrame, action: str, end: str | None
) -> None:
    row = readouts.loc[action]
    after, before = cells(units, "treated", "2024-11-01", end)
    control_after, control_before = cells(units, "calm", "2024-11-01", end)
    plus, minus = [after, control_before], [before, control_after]
    assert min(cell["effect"] for cell in plus + minus) > 1.0, "no side is clustered"
    assert [row["after_n"], row["before_n"]] == [after["n"], before["n"]]
    assert [row["control_after_n"], row["control_before_n"]] == [
        control_after["n"],
        control_before["n"],
    ]
    assert (row["before_ci_low"], row["before_ci_high"]) == pytest.approx(
        wilson(before["p"] * before["effective_n"], before["effective_n"])
    )
    found = (row["effect"], row["effect_ci_low"], row["effect_ci_high"])
    assert found == pytest.approx(mover(plus, minus, 0.05))
    assert row["p_value"] == pytest.approx(p_of(plus, minus), rel=1e-3)
    variance = sum(
        base["p"] * (1 - base["p"]) * (1 / base["effective_n"] + 1 / later["effective_n"])
        for base, later in ((before, after), (control_before, control_after))
    )
    power = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert row["smallest_detectable_effect"] == pytest.approx(power * math.sqrt(variance))
    assert row["verdict"] == "improved"
    assert row["effect_ci_low"] < 0.25 < row["effect_ci_high"]
    assert row["added_outcomes"] == pytest.approx(row["effect"] * row["after_n"])
    # Whoever converts here has succeeded, and a success is worth 100.
    assert row["realised_value"] == pytest.approx(row["added_outcomes"] * 100)


def test_what_cannot_be_told_is_not(readouts: Any) -> None:
    said = {
        name: (row["verdict"], row["reason"].partition(".")[0])
        for name, row in readouts[readouts["reason"].notna()].iterrows()
    }
    assert said.pop("drifting") == ("no_evidence", "drifting and calm moved apart before the start")
    assert said.pop("alone")[1].startswith("Without a control")
    assert said.pop("short")[1].startswith("Too few cases before the start")
    # Entries of the first 60 days may be of an attempt that began before the source did.
    assert said.pop("new")[1].startswith("No case had its window and entered 13 weeks before")
    assert said.pop("days") == (
        "no_evidence",
        "Only rates are read out, and time_in_stage_p50 is none",
    )
    assert said.pop("known")[1].startswith("Nobody counts for identified_rate at start")
    assert said.pop("planned") == ("too_early", "It starts on 2026-01-01")
    assert said.pop("nobody") == ("void", "Nobody was assigned to none")
    assert said.pop("uneven:t")[1].startswith("Sample-ratio mismatch")
    misnamed = {said.pop(f"misnamed:{arm}") for arm in "ct"}
    assert misnamed == {("void", "Nobody was assigned to the control arm nobody")}
    # Sham experiments: what is left was read, and is nothing.
    assert set(said) == {"fair:t", "fair_in_segment:t", "three:t", "three:u"}
    assert {verdict for verdict, _ in said.values()} == {"no_evidence"}
    assert readouts.loc["drifting", "effect"] > 0.05
    assert math.isnan(readouts.loc["drifting", "p_value"])
    assert math.isnan(readouts.loc["uneven:t", "effect"])


def test_arms_are_compared_by_newcombe_and_split_by_chi_square(
    readouts: Any, units: pd.DataFrame, trial: Workbench
) -> None:
    assigned = trial.frame("select * from staging.stg_experiment_assignments")
    within = units[(units["day"] >= "2024-06-01") & (units["day"] <= "2024-09-30")]
    in_time = assigned[assigned["assigned_at"] < "2024-09-30 22:00:00"]
    for name, experiment, channel in (
        ("fair:t", "fair", None),
        ("fair_in_segment:t", "fair", "calm"),
        ("three:t", "three", None),
        ("three:u", "three", None),
    ):
        row = readouts.loc[name]
        arms = in_time[in_time["experiment_id"] == experiment]
        entries = within.merge(arms, on="customer_id")
        if channel:
            entries = entries[entries["channel"] == channel]
        treated, control = (
            entries[entries["arm"] == arm]["is_outcome"] for arm in (row["arm"], "c")
        )
        assert [row["after_n"], row["before_n"]] == [len(treated), len(control)]
        # The variance over n customers is C / (C - 1) of the binomial one: n - 1 are effective.
        sample = [
            figure
            for outcomes in (treated, control)
            for figure in (outcomes.mean() * (len(outcomes) - 1), len(outcomes) - 1)
        ]
        low, high = confint_proportions_2indep(*sample, method="newcomb")
        assert (row["effect_ci_low"], row["effect_ci_high"]) == pytest.approx((low, high))
        inside, outside = (
            confint_proportions_2indep(
                *sample, method="newcomb", alpha=min(row["p_value"] * factor, 1 - 1e-9)
            )
            for factor in (0.999, 1.001)
        )
        assert inside[0] < 0 < inside[1]
        assert not outside[0] < 0 < outside[1]
    for experiment, name in (("fair", "fair:t"), ("uneven", "uneven:t"), ("three", "three:u")):
        counts = in_time[in_time["experiment_id"] == experiment]["arm"].value_counts()
        if len(counts) == 2:
            expected = stats.chisquare(counts).pvalue
        else:
            total = counts.sum()
            expected = 3 * min(
                stats.chisquare([count, total - count], [total / 3, total * 2 / 3]).pvalue
                for count in counts
            )
        assert readouts.loc[name, "split_p_value"] == pytest.approx(min(expected, 1), rel=1e-5)
        assert readouts.loc[name, "n_control_assigned"] == counts["c"]


def test_a_readout_waits_for_its_day_and_then_stays(trial: Workbench) -> None:
    def once(as_of: str) -> dict[str, Any]:
        env = {"JOURNEY_GAPS_AS_OF": as_of}
        trial.dbt("run", "-s", "int_stage_observations+,+fct_action_readouts", env=env)
        (row,) = trial.frame(
            "select * from marts.fct_action_readouts where readout_id = 'once'"
        ).to_dict("records")
        return {str(column): value for column, value in row.items()}

    # 1 February begins at 23:00 UTC.
    early = once("2025-01-31 22:59:00")
    assert (early["verdict"], early["reason"]) == ("too_early", WAITS)
    assert early["after_n"] > 100
    assert math.isnan(early["after_value"])
    assert math.isnan(early["effect"])
    read = once("2025-01-31 23:00:00")
    assert read["verdict"] == "improved"
    for later in ("2025-02-14 12:00:00", ""):
        pd.testing.assert_series_equal(pd.Series(once(later)), pd.Series(read))


@pytest.fixture(scope="module")
def demo_readouts(demo: Workbench) -> Any:
    return demo.frame("select * from marts.fct_action_readouts").set_index("action_id")


def test_the_demo_shows_the_planted_effects(demo_readouts: Any) -> None:
    truth = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
    planted = {each["experiment_id"]: each for each in truth["experiments"]}
    assert set(demo_readouts.index) == set(planted)
    for action, row in demo_readouts.iterrows():
        effect = planted[str(action)]["effect"]
        assert row["arm"] == planted[str(action)]["treated_arm"]
        assert row["effect_ci_low"] < effect < row["effect_ci_high"]
        assert row["split_p_value"] > 0.001
        assert row["verdict"] == ("improved" if effect else "no_evidence")
    checklist = demo_readouts.loc["onboarding_checklist"]
    assert checklist["sentence"].startswith(
        "A checklist for the first report: improved because of it."
    )


def test_the_demos_gaps_without_an_action_have_a_suggestion(demo: Workbench) -> None:
    suggestions = demo.frame("select * from marts.gap_suggestions").set_index("benchmark_id")
    totals = suggestions[suggestions["segment_dimension"] == "all"]
    contact = totals.loc["contact_rate"]
    # Nobody owns the queue between the sign-up and the first contact.
    assert contact["category"] == "long_term_project"
    assert "lead_routing" in contact["touchpoints"]
    assert contact["owner_teams"].startswith("(no owner)")
    assert totals.loc["close_rate", "owner_teams"] == "sales"

"""Does the engine cry wolf? By simulation, through the real SQL, where nothing is to be found.

Every journey is a replicate: customers who convert at the benchmark's rate, whatever their
segment, week, behaviour or arm. In the `mixed` journeys some segments do lag, so that the share
of false verdicts among all can be counted. Bounds are three standard errors of the simulation
above the nominal 5 %. What the usual analysis finds in the same world is asserted to be far above
them, so these tests can fail. The rates are printed (`pytest -s`) and kept as properties.
"""

import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench
from tests.maps import write_tables

JOURNEYS = 100
MIXED = 20
WEEKS = 45
A_WEEK = 60
WINDOW_DAYS = 7
RATE = 0.3
LAGGING_RATE = 0.1
# Who does not convert in time does so later, after an exponential time.
LATER_DAYS = 15
# Segments of one dimension; in the mixed journeys the first ones lag. The other is paired with it.
VALUES = 8
LAGGING_VALUES = 3
REGIONS = 2
DURATIONS = {"time_to_advance_p50": 0.5, "time_to_advance_p75": 0.75, "time_to_advance_p90": 0.9}
METRICS = ["conversion_rate", *DURATIONS, "time_in_stage_p50"]
BEHAVIOURS = 12
MONDAY = datetime(2025, 1, 6)
# The experiments' weeks, and the day on which they are read.
ASSIGNED = (5, 25)
READOUT = MONDAY + timedelta(weeks=27)
# Days on which the experiments are looked at, and whether they are due.
LOOKS = {
    READOUT - timedelta(weeks=8): False,
    READOUT - timedelta(seconds=1): False,
    READOUT: True,
}
NOMINAL = 0.05
SEED = 20261122


def bound(replicates: int) -> float:
    """Three standard errors above the nominal rate."""
    return NOMINAL + 3 * math.sqrt(NOMINAL * (1 - NOMINAL) / replicates)


def names() -> list[str]:
    return [f"null_{number:03}" for number in range(JOURNEYS)] + [
        f"mixed_{number:03}" for number in range(MIXED)
    ]


def customers(draw: np.random.Generator) -> pd.DataFrame:
    """One row per customer: journey, time of entry, segments, arm, outcome."""
    journeys = names()
    people = pd.DataFrame(
        {
            "journey_id": np.repeat(journeys, WEEKS * A_WEEK),
            "week": np.tile(np.repeat(np.arange(WEEKS), A_WEEK), len(journeys)),
        }
    )
    size = len(people)
    people["customer_id"] = [f"c{number}" for number in range(size)]
    people["entered_at"] = (
        pd.Timestamp(MONDAY)
        + pd.to_timedelta(people["week"] * 7, unit="D")
        + pd.to_timedelta(draw.integers(0, 7 * 86_400, size), unit="s")
    )
    people["channel"] = draw.integers(0, VALUES, size)
    people["region"] = draw.integers(0, REGIONS, size)
    lags = people["journey_id"].str.startswith("mixed") & (people["channel"] < LAGGING_VALUES)
    people["is_won"] = draw.random(size) < np.where(lags, LAGGING_RATE, RATE)
    later = WINDOW_DAYS + draw.exponential(LATER_DAYS, size)
    seconds = np.where(
        people["is_won"], draw.integers(2 * 86_400, WINDOW_DAYS * 86_400, size), later * 86_400
    )
    people["won_at"] = people["entered_at"] + pd.to_timedelta(seconds.astype("int64"), unit="s")
    people["arm"] = np.where(draw.random(size) < 0.5, "control", "treated")
    return people


def events(people: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    """Entries with their segments, successes, and what a customer does before the landmark."""
    properties = [
        json.dumps({"channel_of": f"v{channel}", "region": f"r{region}"})
        for channel, region in zip(people["channel"], people["region"], strict=True)
    ]
    entries = pd.DataFrame(
        {
            "customer_id": people["customer_id"],
            "event_name": people["journey_id"] + "_entered",
            "occurred_at": people["entered_at"],
            "properties": properties,
        }
    )
    won = people[people["won_at"] < pd.Timestamp(MONDAY) + pd.Timedelta(weeks=WEEKS)]
    successes = pd.DataFrame(
        {
            "customer_id": won["customer_id"],
            "event_name": won["journey_id"] + "_won",
            "occurred_at": won["won_at"],
        }
    )
    chosen = draw.integers(0, len(people), len(people))
    behaviours = pd.DataFrame(
        {
            "customer_id": people["customer_id"].to_numpy()[chosen],
            "event_name": [f"did_{number}" for number in draw.integers(0, BEHAVIOURS, len(chosen))],
            "occurred_at": people["entered_at"].to_numpy()[chosen]
            + pd.to_timedelta(draw.integers(60, 86_400, len(chosen)), unit="s").to_numpy(),
        }
    )
    rows = pd.concat([entries, successes, behaviours], ignore_index=True)
    rows["event_id"] = [f"e{number}" for number in range(len(rows))]
    return rows


def worst_start(people: pd.DataFrame, of: pd.Series) -> dict[str, datetime]:
    """Per journey, the Monday after the four weeks in which those of `of` converted worst."""
    rates = people[of].groupby(["journey_id", "week"])["is_won"].mean().unstack()
    rolling = rates.T.rolling(4).mean().T.iloc[:, 20:36]
    return {
        str(journey): MONDAY + timedelta(weeks=int(week) + 1)
        for journey, week in rolling.idxmin(axis=1).items()
    }


def write_world(folder: Path) -> None:
    draw = np.random.default_rng(SEED)
    people = customers(draw)
    (folder / "files").mkdir()
    events(people, draw).to_parquet(folder / "files" / "events.parquet")
    first, last = ASSIGNED
    assigned = people[people["week"].between(first, last - 1)]
    pd.DataFrame(
        {
            "experiment_id": assigned["journey_id"],
            "customer_id": assigned["customer_id"],
            "arm": assigned["arm"],
            "assigned_at": assigned["entered_at"] - pd.Timedelta(seconds=1),
        }
    ).to_parquet(folder / "files" / "experiment_assignments.parquet")
    write_tables(folder / "map", journey_map(people))


def targets() -> dict[str, float]:
    """What is true of everybody, and of nobody who lags."""
    return {"conversion_rate": RATE} | {
        metric: WINDOW_DAYS + LATER_DAYS * math.log((1 - RATE) / (1 - level))
        for metric, level in DURATIONS.items()
    }


def journey_map(people: pd.DataFrame) -> dict[str, str]:
    journeys = names()
    begins = MONDAY + timedelta(weeks=ASSIGNED[0])
    ends = MONDAY + timedelta(weeks=ASSIGNED[1])
    everybody = people["journey_id"].notna()
    bad = worst_start(people, everybody)
    bad_segment = worst_start(people, people["region"] == 1)
    actions = []
    for journey in journeys:
        common = f"process_tweak,team,None,{journey},entered,conversion_rate"
        actions += [
            f"try_{journey},Try,{common},all,all,,{begins:%Y-%m-%d},{ends:%Y-%m-%d},"
            f"{journey},control,{READOUT:%Y-%m-%d}",
            f"after_{journey},After,{common},all,all,,{bad[journey]:%Y-%m-%d},,,,",
            f"did_{journey},Did,{common},region,r1,r0,{bad_segment[journey]:%Y-%m-%d},,,,",
        ]
    return {
        "journeys": "journey_id,name,entity,order_mode,time_zone,conversion_window_days,"
        "attempt_gap_days\n"
        + "\n".join(f"{journey},{journey},customer,ordered,UTC,7,7" for journey in journeys),
        "stages": "journey_id,stage_id,stage_order,phase,stage_kind\n"
        + "\n".join(
            f"{journey},entered,1,purchase,progress\n{journey},won,2,purchase,success"
            for journey in journeys
        ),
        "stage_rules": "journey_id,stage_id,source,event_name,priority\n"
        + "\n".join(
            f"{journey},{stage},events,{journey}_{stage},1"
            for journey in journeys
            for stage in ("entered", "won")
        ),
        "entity_links": "journey_id,source,entity_column\n"
        + "\n".join(f"{journey},events,customer_id" for journey in journeys),
        "segment_dimensions": "journey_id,dimension,source,source_column,as_of_rule,is_immutable,"
        "top_n,is_ranked,paired_with\n"
        + "\n".join(
            f"{journey},channel_of,events,channel_of,,true,{VALUES},true,region\n"
            f"{journey},region,events,region,,true,{REGIONS},true,"
            for journey in journeys
        ),
        "benchmarks": "benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,"
        "source\n"
        + "\n".join(
            f"{journey}_{metric},{metric},1,{journey},entered,target,{value},test"
            for journey in journeys
            for metric, value in targets().items()
        ),
        "metrics": pd.read_csv(PROJECT_DIR / "seeds" / "journey_map" / "metrics.csv", dtype=str)
        .query("metric_id in @METRICS")
        .to_csv(index=False),
        "actions": "action_id,title,category,owner,hypothesis,journey_id,stage_id,metric_id,"
        "segment_dimension,segment_value,control_segment_value,started_on,ended_on,experiment_id,"
        "control_arm,readout_on\n" + "\n".join(actions),
    }


@pytest.fixture(scope="module")
def world(
    make_workbench: Callable[[str], Workbench], tmp_path_factory: pytest.TempPathFactory
) -> Workbench:
    folder = tmp_path_factory.mktemp("false_verdicts")
    write_world(folder)
    workbench = make_workbench("false_verdicts")
    workbench.use_map(folder / "map")
    workbench.land(folder / "files", folder / "map")
    workbench.build("--select", "+gap_ranking", "+gap_trends")
    return workbench


@pytest.fixture(scope="module")
def ranking(world: Workbench) -> pd.DataFrame:
    """What is judged of null and mixed journeys, and whether a verdict on it would be true."""
    rows = world.frame(
        """
        select journey_id, metric_id, benchmark_kind, segment_dimension, segment_value,
            n, gap, p_value, adjusted_p_value, verdict,
            case
                when benchmark_kind = 'own_past' then null
                else ci_low > benchmark_value or ci_high < benchmark_value
            end as is_beyond
        from marts.gap_ranking
        where stage_id = 'entered'
            and verdict in ('lagging', 'ahead', 'at_par', 'unclear')
        """
    )
    rows["is_verdict"] = rows["verdict"].isin(["lagging", "ahead"])
    channel = rows["segment_value"].str.extract(r"^v(\d+)")[0].astype(float)
    concerned = rows["segment_dimension"].isin(["all", "region"]) | (channel < LAGGING_VALUES)
    rows["is_true"] = (
        rows["journey_id"].str.startswith("mixed")
        & (rows["benchmark_kind"] == "target")
        & concerned
        & (rows["gap"] < 0)
    )
    return rows


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Keeps and prints a rate with the bound that it must not pass."""

    def keep(name: str, rate: float, most: float | None = None) -> None:
        # xdist sends nothing of numpy.
        record_property(name, float(rate))
        print(f"{name}: {rate:.4f}" + ("" if most is None else f" (at most {most:.4f})"))

    return keep


FAMILIES = [("conversion_rate", "target"), *((metric, "own_past") for metric in METRICS)] + [
    (metric, "target") for metric in DURATIONS
]


@pytest.mark.parametrize(("metric_id", "kind"), FAMILIES)
def test_one_null_family_in_twenty_holds_a_verdict(
    ranking: pd.DataFrame, note: Callable[..., None], metric_id: str, kind: str
) -> None:
    rows = ranking[
        (ranking["metric_id"] == metric_id)
        & (ranking["benchmark_kind"] == kind)
        & ranking["journey_id"].str.startswith("null")
    ]
    families = rows.groupby("journey_id")
    assert len(families) == JOURNEYS
    # The total, the values of both dimensions and their pairs.
    assert families.size().median() >= 1 + VALUES + REGIONS + VALUES * REGIONS // 2
    note(f"families: {metric_id} {kind}", families["is_verdict"].any().mean(), bound(JOURNEYS))
    assert families["is_verdict"].any().mean() <= bound(JOURNEYS)
    # Without the adjustment, most families would hold one.
    naive = families["p_value"].min().le(NOMINAL).mean()
    note(f"families unadjusted: {metric_id} {kind}", naive)
    assert naive > 0.25


def test_an_interval_beyond_the_benchmark_is_no_verdict(
    ranking: pd.DataFrame, note: Callable[..., None]
) -> None:
    """Whoever looks through the segments for one that lies beyond finds it."""
    rows = ranking[
        (ranking["metric_id"] == "conversion_rate")
        & (ranking["benchmark_kind"] == "target")
        & ranking["journey_id"].str.startswith("null")
    ]
    naive = rows.groupby("journey_id")["is_beyond"].any().mean()
    note("families with an interval beyond the benchmark", naive)
    assert naive > 0.5


def test_of_the_segments_named_one_in_twenty_is_false(
    ranking: pd.DataFrame, note: Callable[..., None]
) -> None:
    rows = ranking[
        (ranking["metric_id"] == "conversion_rate")
        & (ranking["benchmark_kind"] == "target")
        & ranking["journey_id"].str.startswith("mixed")
        & (ranking["segment_dimension"] != "all")
    ]
    named = rows[rows["is_verdict"]].assign(is_false=lambda verdicts: ~verdicts["is_true"])
    shares = named.groupby("journey_id")["is_false"].mean().reindex(rows["journey_id"].unique())
    shares = shares.fillna(0)
    assert len(shares) == MIXED
    most = NOMINAL + 3 * float(shares.std()) / math.sqrt(MIXED)
    note("false among the segments named", shares.mean(), most)
    assert shares.mean() <= most
    lagging = rows[rows["is_true"] & (rows["segment_dimension"] == "channel_of")]
    assert len(lagging) == MIXED * LAGGING_VALUES
    note("lagging segments named", lagging["is_verdict"].mean())
    assert lagging["is_verdict"].mean() > 0.95


@pytest.mark.parametrize("is_total", [True, False])
def test_one_week_in_twenty_holds_a_false_trend(
    world: Workbench, note: Callable[..., None], is_total: bool
) -> None:
    """Nothing changes in any journey: all that a period says is one family of null hypotheses."""
    rows = world.frame(
        f"""
        select period_grain, period_start, p_value, is_alert,
            trend in ('improving', 'worsening') as is_verdict
        from marts.gap_trends
        where trend is not null and stage_id = 'entered'
            and {"" if is_total else "not"} (segment_dimension = 'all')
        """
    )
    whose = "totals" if is_total else "segments"
    trailing = rows[rows["period_grain"] == "trailing_13_weeks"]
    assert len(trailing) >= (JOURNEYS + MIXED) * (1 if is_total else VALUES + REGIONS)
    note(f"{whose}: false trends of 13 weeks", trailing["is_verdict"].sum(), 0)
    assert not trailing["is_verdict"].any()
    weeks = rows[rows["period_grain"] == "week"].groupby("period_start")
    assert len(weeks) >= 24
    most = bound(len(weeks))
    note(f"{whose}: weeks with a false trend", weeks["is_verdict"].any().mean(), most)
    assert weeks["is_verdict"].any().mean() <= most
    note(f"{whose}: weeks with an alert", weeks["is_alert"].any().mean(), most)
    assert weeks["is_alert"].any().mean() <= most
    naive = (weeks["p_value"].min() <= NOMINAL).mean()
    note(f"{whose}: weeks with an unadjusted trend", naive)
    assert naive > 0.8


@pytest.fixture(scope="module")
def drivers(world: Workbench) -> pd.DataFrame:
    """Of every stage's rate, once: its benchmarks share the tests."""
    rows = world.frame(
        """
        select journey_id, benchmark_kind, driver_kind, driver, segment_dimension, p_value,
            adjusted_p_value, is_unfavourable, compared_with
        from marts.gap_drivers inner join (
            select gap_id, benchmark_kind from marts.gap_ranking
        ) as gaps using (gap_id)
        where p_value is not null and stage_id = 'entered' and metric_id = 'conversion_rate'
        """
    )
    rows["is_null"] = (
        rows["journey_id"].str.startswith("null")
        | (rows["driver_kind"] != "segment")
        | (rows["segment_dimension"] == "region")
    )
    rows["is_named"] = rows["adjusted_p_value"] <= NOMINAL
    return rows


@pytest.mark.parametrize("kind", ["segment", "behaviour"])
def test_of_the_drivers_named_one_in_twenty_is_false(
    drivers: pd.DataFrame, note: Callable[..., None], kind: str
) -> None:
    rows = drivers[drivers["driver_kind"] == kind]
    nulls = rows[rows["is_null"] & (rows["benchmark_kind"] == "target")]
    tests = len(nulls)
    assert tests >= JOURNEYS * (VALUES if kind == "segment" else BEHAVIOURS)
    raw = nulls["p_value"].le(NOMINAL).mean()
    # Two values of a dimension are one test.
    note(f"{kind}: raw p <= 0.05", raw, bound(tests // 2))
    assert raw <= bound(tests // 2)
    per_journey = nulls.groupby("journey_id")["p_value"].min().le(NOMINAL).mean()
    note(f"{kind}: null journeys with an unadjusted driver", per_journey)
    assert per_journey > 0.3
    named = rows[rows["is_named"]]
    false = int(named["is_null"].sum())
    if kind == "behaviour":
        note("behaviour: named", false, 0)
        assert false == 0
        return
    note("segment: named", len(named))
    note("segment: false among those named", false / len(named), bound(len(named)))
    assert false / len(named) <= bound(len(named))
    lagging = rows[
        (rows["benchmark_kind"] == "target")
        & rows["journey_id"].str.startswith("mixed")
        & (rows["segment_dimension"] == "channel_of")
        & rows["driver"].isin([f"channel_of v{value}" for value in range(LAGGING_VALUES)])
    ]
    assert len(lagging) == MIXED * LAGGING_VALUES
    found = (lagging["is_named"] & lagging["is_unfavourable"]).mean()
    note("segment: lagging ones found", found)
    assert found > 0.7


@pytest.fixture(scope="module")
def readouts(world: Workbench) -> pd.DataFrame:
    return read(world)


def read(workbench: Workbench) -> pd.DataFrame:
    return workbench.frame("select * from marts.fct_action_readouts order by readout_id")


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """The customers of the world once more."""
    return customers(np.random.default_rng(SEED))


def z_test(successes: "pd.Series[float]", sizes: "pd.Series[float]") -> float:
    return float(proportions_ztest(successes.to_numpy(), sizes.to_numpy())[1])


def test_before_and_after_is_never_evidence(
    readouts: pd.DataFrame, people: pd.DataFrame, note: Callable[..., None]
) -> None:
    """Begun where the metric happened to be worst, many an action seems to work."""
    rows = readouts[readouts["readout_kind"] == "before_after"]
    assert len(rows) == JOURNEYS + MIXED
    assert set(rows["verdict"]) == {"no_evidence"}
    starts = rows.set_index("journey_id")["started_on"]
    begun = (pd.to_datetime(starts) - pd.Timestamp(MONDAY)).dt.days // 7
    weeks = people["week"] - people["journey_id"].map(begun)
    side = pd.Series(np.where(weeks >= 0, "after", "before"), people.index)
    around = people[weeks >= -4].groupby(["journey_id", side])["is_won"].agg(["sum", "count"])
    improved = [
        z_test(sums["sum"], sums["count"]) <= NOMINAL
        and sums["sum"].iloc[0] / sums["count"].iloc[0]
        > sums["sum"].iloc[1] / sums["count"].iloc[1]
        for _, sums in around.groupby("journey_id")
    ]
    note("before and after: naively improved", float(np.mean(improved)))
    # By chance one in forty.
    assert np.mean(improved) > 4 * NOMINAL / 2


@pytest.mark.parametrize("kind", ["difference_in_differences", "experiment"])
def test_one_readout_in_twenty_finds_an_effect_by_chance(
    readouts: pd.DataFrame, note: Callable[..., None], kind: str
) -> None:
    rows = readouts[readouts["readout_kind"] == kind]
    judged = rows[rows["p_value"].notna()]
    note(f"{kind}: read", len(judged) / len(rows))
    assert len(judged) > 0.7 * len(rows)
    most = bound(len(judged))
    raw = judged["p_value"].le(NOMINAL)
    excludes = (judged["effect_ci_low"] > 0) | (judged["effect_ci_high"] < 0)
    note(f"{kind}: raw p <= 0.05", raw.mean(), most)
    note(f"{kind}: interval without 0", excludes.mean(), most)
    assert max(raw.mean(), excludes.mean()) <= most
    verdicts = rows["verdict"].isin(["improved", "worse"])
    note(f"{kind}: improved or worse", verdicts.mean(), 0)
    assert not verdicts.any()


def test_looking_daily_changes_nothing(
    world: Workbench, readouts: pd.DataFrame, people: pd.DataFrame, note: Callable[..., None]
) -> None:
    """An experiment has no figures before its day, and the same ones on every day after."""
    final = readouts[readouts["readout_kind"] == "experiment"].reset_index(drop=True)
    assert not set(final["verdict"]) & {"too_early", "void"}
    figures = ["before_value", "before_ci_low", "before_ci_high", "after_value", "after_ci_low"]
    figures += ["after_ci_high", "difference", "effect", "effect_ci_low", "effect_ci_high"]
    figures += ["p_value", "adjusted_p_value", "added_outcomes", "readout_at"]
    for day, is_due in LOOKS.items():
        world.dbt(
            "run",
            "--select",
            "int_stage_observations+,+fct_action_readouts",
            env={"JOURNEY_GAPS_AS_OF": day.isoformat(sep=" ")},
        )
        seen = read(world).query("readout_kind == 'experiment'").reset_index(drop=True)
        if is_due:
            pd.testing.assert_frame_equal(seen, final)
        else:
            assert set(seen["verdict"]) == {"too_early"}
            assert seen[figures].isna().all(axis=None)
    peeked = peeked_at_daily(people)
    note("experiments: significant on some day", peeked)
    assert peeked > 3 * NOMINAL


def peeked_at_daily(people: pd.DataFrame) -> float:
    """Share of the journeys whose arms differ significantly on one day of all, read naively."""
    first, last = ASSIGNED
    assigned = people[people["week"].between(first, last - 1)].assign(
        day=lambda rows: (rows["entered_at"] - pd.Timestamp(MONDAY)).dt.days,
    )
    cells = assigned.groupby(["journey_id", "arm", "day"])["is_won"].agg(["sum", "count"])
    daily = cells.groupby(["journey_id", "arm"]).cumsum()
    control, treated = daily.xs("control", level="arm"), daily.xs("treated", level="arm")
    both = control.add_suffix("_control").join(treated.add_suffix("_treated"), how="inner")
    # A week must be in before anybody looks.
    both = both[both.index.get_level_values("day") >= 7 * (first + 1)]
    pooled = (both["sum_control"] + both["sum_treated"]) / (
        both["count_control"] + both["count_treated"]
    )
    error = np.sqrt(pooled * (1 - pooled) * (1 / both["count_control"] + 1 / both["count_treated"]))
    z = both["sum_treated"] / both["count_treated"] - both["sum_control"] / both["count_control"]
    p = pd.Series(2 * stats.norm.sf((z / error).abs()), both.index)
    return float((p.groupby("journey_id").min() <= NOMINAL).mean())

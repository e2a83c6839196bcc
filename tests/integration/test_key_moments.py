"""Key moments of the demo, counted anew from the published visits and the landed answers."""

import math
from collections.abc import Iterator

import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from statsmodels.stats.proportion import proportion_confint

from tests.cohorts import first_fallen, nps_interval
from tests.conftest import Workbench

CASE = ["journey_id", "entity_id", "attempt_number"]
DAY = pd.Timedelta(days=1)
LEAST_ANSWERS = 30


@pytest.fixture(scope="module")
def moments(demo: Workbench) -> pd.DataFrame:
    return demo.frame("select * from marts.fct_key_moments")


@pytest.fixture(scope="module")
def stages(demo: Workbench) -> pd.DataFrame:
    """Stages with their place in the journey and its window."""
    found = demo.frame(
        """
        select stages.*, journeys.time_zone, journeys.conversion_window_days as window_days
        from marts.dim_stages as stages
        join journey_map.journeys as journeys using (journey_id)
        """
    )
    first = found.groupby("journey_id")["stage_order"].transform("min")
    found["is_entry"] = found["stage_order"] == first
    return found


@pytest.fixture(scope="module")
def visits(demo: Workbench) -> pd.DataFrame:
    return demo.frame("select * from marts.fct_stage_visits")


@pytest.fixture(scope="module")
def entries(demo: Workbench, visits: pd.DataFrame, stages: pd.DataFrame) -> pd.DataFrame:
    """The visits by which cases entered their journeys, with their local day and cluster."""
    begun = visits[~visits["is_left_truncated"]].merge(
        stages.loc[stages["is_entry"], ["journey_id", "stage_id", "time_zone", "window_days"]]
    )
    begun = begun.sort_values("visit_number").drop_duplicates(CASE)
    begun["day"] = begun["entered_at"].dt.tz_localize("UTC")
    zones = [
        rows["day"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
        for zone, rows in begun.groupby("time_zone")
    ]
    begun["day"] = pd.concat(zones)
    clusters = demo.frame(
        f"select {', '.join(CASE)}, visit_number, cluster_id from intermediate.int_cohort_entries"
    )
    return begun.merge(clusters, on=[*CASE, "visit_number"])


@pytest.fixture(scope="module")
def cases(entries: pd.DataFrame, visits: pd.DataFrame, stages: pd.DataFrame) -> pd.DataFrame:
    """One row per key moment and case, with the first time it was there within the window."""
    wanted = stages.loc[stages["key_moment"].notna(), ["journey_id", "stage_id", "is_entry"]]
    there = visits.merge(wanted).merge(
        entries[[*CASE, "visit_number", "entered_at", "window_days"]],
        on=CASE,
        suffixes=("", "_begun"),
    )
    there = there[there["visit_number"] >= there["visit_number_begun"]]
    there["wait"] = there["entered_at"] - there["entered_at_begun"]
    there = there[there["wait"] <= there["window_days"] * DAY]
    first = there.sort_values("entered_at").drop_duplicates([*CASE, "stage_id"])
    rows = entries[[*CASE, "visit_number", "day", "customer_id", "cluster_id"]].merge(wanted)
    reached = first[[*CASE, "stage_id", "entered_at", "wait"]]
    return rows.merge(
        reached.rename(columns={"entered_at": "reached_at"}), on=[*CASE, "stage_id"], how="left"
    )


@pytest.fixture(scope="module")
def segmented(demo: Workbench, cases: pd.DataFrame) -> pd.DataFrame:
    """Cases by the segments of the visit that began them, the total among them."""
    segments = demo.frame(
        """
        select journey_id, entity_id, attempt_number, visit_number,
            segments.segment_dimension, segments.segment_value
        from intermediate.int_visit_segments
        join intermediate.int_segments as segments using (journey_id, segment_number)
        where not segments.is_pair
        """
    )
    total = cases.assign(segment_dimension="all", segment_value="all")
    return pd.concat([total, cases.merge(segments, on=[*CASE, "visit_number"])])


def score_interval(survey: str, points: "pd.Series[int]") -> tuple[float, float]:
    if survey == "csat":
        low, high = proportion_confint(points.sum(), len(points), method="wilson")
        return low, high
    counts = int((points == 1).sum()), int((points == -1).sum())
    return nps_interval(*counts, len(points))[1:]


def of_cell(segmented: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    same = pd.Series(True, index=segmented.index)
    for name in ("journey_id", "stage_id", "segment_dimension", "segment_value"):
        same &= segmented[name] == row[name]
    days = segmented["day"]
    return segmented[same & (days >= row["period_start"]) & (days < row["period_end"])]


def cells(
    moments: pd.DataFrame, segmented: pd.DataFrame
) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    for _, row in moments.iterrows():
        yield row, of_cell(segmented, row)


def test_every_key_moment_has_its_rows(
    moments: pd.DataFrame, segmented: pd.DataFrame, stages: pd.DataFrame
) -> None:
    """Of each segment with a case, and the same periods for all of a journey."""
    keyed = stages[stages["key_moment"].notna()]
    named = set(zip(moments["stage_id"], moments["key_moment"], strict=True))
    assert named == set(zip(keyed["stage_id"], keyed["key_moment"], strict=True))
    place = ["journey_id", "stage_id", "segment_dimension", "segment_value"]
    assert not moments.duplicated([*place, "period_grain"]).any()
    ever = moments[moments["period_grain"] == "all"]
    periods = ever.groupby("journey_id")[["period_start", "period_end"]].first()
    within = segmented.join(periods, on="journey_id", how="inner")
    within = within[
        (within["day"] >= within["period_start"]) & (within["day"] < within["period_end"])
    ]
    assert set(ever[place].itertuples(index=False)) == set(within[place].itertuples(index=False))


def test_periods_are_mature_by_the_journeys_window(
    moments: pd.DataFrame, stages: pd.DataFrame
) -> None:
    entry = stages[stages["is_entry"]].set_index("journey_id")
    for (journey, end), rows in moments.groupby(["journey_id", "period_end"]):
        zone, through = entry.loc[journey, ["time_zone", "observed_through"]]
        windows = pd.Timedelta(days=int(entry.loc[journey, "window_days"]))

        def is_over(
            day: pd.Timestamp,
            zone: str = zone,
            windows: pd.Timedelta = windows,
            through: pd.Timestamp = through,
        ) -> bool:
            midnight = day.tz_localize(zone).tz_convert("UTC").tz_localize(None)
            return bool(midnight + windows <= through)

        assert end.weekday() == 0
        assert is_over(end)
        assert not is_over(end + 7 * DAY)
        trailing = rows[rows["period_grain"] == "trailing_13_weeks"]
        assert set(trailing["period_start"]) == {end - 91 * DAY}


def test_reach_and_its_interval(moments: pd.DataFrame, segmented: pd.DataFrame) -> None:
    """Wilson on n over the design effect of the clusters."""
    effects = []
    for row, units in cells(moments, segmented):
        reached = units["wait"].notna()
        assert (row["n"], row["reached"]) == (len(units), reached.sum()), row
        p = reached.mean()
        sums = pd.DataFrame({"x": reached, "n": 1}).groupby(units["cluster_id"]).sum()
        count = len(sums)
        assert row["n_clusters"] == count
        effect = 1.0
        if 0 < p < 1 and count > 1:
            v = count / (count - 1) * ((sums["x"] - p * sums["n"]) ** 2).sum() / len(units) ** 2
            effect = max(1.0, v * len(units) / (p * (1 - p)))
        effects.append(effect)
        low, high = proportion_confint(
            p * len(units) / effect, len(units) / effect, method="wilson"
        )
        assert row["reach"] == pytest.approx(p, abs=1e-12)
        assert row["reach_ci_low"] == pytest.approx(low, abs=1e-9)
        assert row["reach_ci_high"] == pytest.approx(high, abs=1e-9)
    assert max(effects) > 1


def test_days_are_those_of_kaplan_meier(moments: pd.DataFrame, segmented: pd.DataFrame) -> None:
    """Cases that did not reach it are censored at the window's end, by lifelines."""
    seen = 0
    for row, units in cells(moments, segmented):
        if units["is_entry"].all():
            assert row["days_note"] == "the journey begins here"
            continue
        window = int(row["window_days"]) * DAY
        waits = units["wait"].fillna(window).dt.total_seconds() * 1e6
        fit = KaplanMeierFitter().fit(waits.round(), units["wait"].notna())
        times = fit.survival_function_.index.to_numpy()[1:]
        band = fit.confidence_interval_
        for name, curve in (
            ("p50", fit.survival_function_.iloc[1:, 0]),
            ("ci_low", band.iloc[1:, 0]),
            ("ci_high", band.iloc[1:, 1]),
        ):
            expected = first_fallen(times, curve.to_numpy(), 0.5)
            value = row[f"days_to_reach_{name}"]
            if expected is None or (expected == round(window / DAY * 86_400e6) and name != "p50"):
                continue
            assert value == pytest.approx(expected / 86_400e6, abs=1e-9), (name, row)
            seen += 1
        if row["reach"] < 0.5:
            assert math.isnan(row["days_to_reach_p50"])
            assert row["days_note"] == f"fewer than half reached it within {window.days} days"
    assert seen > 50


def test_the_first_value_is_as_soon_as_the_measures_say(
    demo: Workbench, moments: pd.DataFrame
) -> None:
    """The curve of first value is followed beyond the window; until its end they are one."""
    measures = demo.frame(
        """
        select journey_id, segment_dimension, segment_value, period_grain, period_start,
            period_end, n, value, ci_low, ci_high
        from marts.fct_measures where metric_id = 'time_to_value_p50'
        """
    )
    first = moments[(moments["key_moment"] == "first_value") & moments["days_note"].isna()]
    place = ["journey_id", "segment_dimension", "segment_value", "period_grain"]
    both = first.merge(measures, on=[*place, "period_start", "period_end"], suffixes=("", "_there"))
    assert len(both) == len(first) > 10
    assert both["n"].tolist() == both["n_there"].tolist()
    assert both["days_to_reach_p50"].tolist() == pytest.approx(both["value"].tolist(), abs=1e-9)
    assert both["days_to_reach_ci_low"].tolist() == pytest.approx(both["ci_low"].tolist(), abs=1e-9)
    known = both[both["days_to_reach_ci_high"].notna()]
    assert known["days_to_reach_ci_high"].tolist() == pytest.approx(
        known["ci_high"].tolist(), abs=1e-9
    )


def test_scores_are_those_of_the_two_weeks_after(
    demo: Workbench, moments: pd.DataFrame, segmented: pd.DataFrame
) -> None:
    answers = demo.frame("select * from intermediate.int_current_survey_responses")
    as_of = demo.frame(
        "select distinct journey_id, as_of from intermediate.int_stage_observations"
    ).set_index("journey_id")["as_of"]
    answers = answers[answers["answered_at"].notna() & answers["score"].notna()]
    nps = answers[answers["survey"] == "nps"].copy()
    nps["point"] = (nps["score"] >= 9).astype(int) - (nps["score"] <= 6).astype(int)
    csat = answers[answers["survey"] == "csat"].copy()
    csat["point"] = (csat["score"] >= csat["scale_max"] - 1).astype(int)
    scored = pd.concat([nps, csat])[
        ["response_id", "customer_id", "survey", "answered_at", "point"]
    ]
    reached = segmented[segmented["wait"].notna()]
    near = reached.merge(scored, on="customer_id")
    since = near["answered_at"] - near["reached_at"]
    near = near[(since >= pd.Timedelta(0)) & (since <= 14 * DAY)]
    near = near[near["answered_at"] <= near["journey_id"].map(as_of)]
    told = 0
    for row, rows in cells(moments, near):
        latest = rows.sort_values(["answered_at", "response_id"]).drop_duplicates(
            ["customer_id", "survey"], keep="last"
        )
        for survey, factor in (("csat", 1), ("nps", 100)):
            points = latest.loc[latest["survey"] == survey, "point"]
            assert row[f"{survey}_n"] == len(points), row
            if len(points) >= LEAST_ANSWERS:
                assert row[survey] == pytest.approx(points.mean() * factor, abs=1e-9)
                interval = (row[f"{survey}_ci_low"], row[f"{survey}_ci_high"])
                assert interval == pytest.approx(score_interval(survey, points), abs=1e-6)
                told += 1
            else:
                assert math.isnan(row[survey])
                assert math.isnan(row[f"{survey}_ci_low"])
                assert math.isnan(row[f"{survey}_ci_high"])
                note = "too few answers" if len(points) else "no answers"
                assert row[f"{survey}_note"] == note
    assert told > 3

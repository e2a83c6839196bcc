"""Scores of surveys from raw answers, against statsmodels, scipy and formulas written by hand."""

import csv
import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from orchestration.settings import PROJECT_DIR
from tests.cohorts import nps_interval
from tests.conftest import Workbench
from tests.maps import write_tables

TRUTH = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
DAY = pd.Timedelta(days=1)
BEGIN = datetime(2024, 1, 1)
AS_OF = datetime(2024, 7, 31, 12)
# Survey -> lowest and highest score and direction of the scales it comes on, some of no use.
SCALES: dict[str, list[tuple[int, int, bool]]] = {
    "nps": [*[(0, 10, True)] * 6, (0, 10, False), (1, 10, True), (0, 5, True)],
    "csat": [*[(1, 5, True)] * 4, (1, 5, False), (1, 10, True), (0, 4, True), (1, 3, True)],
    "ces": [*[(1, 7, True)] * 3, (1, 7, False), (1, 5, True), (0, 10, False)],
}
REASONS = {"unanswered", "no_score", "other_scale", "scale_too_small", "off_scale"}
MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days
        use,Use,customer,400,ordered,Europe/Berlin,30
    """,
    "stages": """
        journey_id,stage_id,stage_order,phase,stage_kind
        use,trial,1,onboarding,progress
        use,using,2,loyalty,progress
        use,renewed,3,loyalty,success
    """,
    "stage_rules": """
        journey_id,stage_id,source,event_name
        use,trial,events,tried
        use,using,events,used
        use,renewed,events,renewed
    """,
    "entity_links": """
        journey_id,source,entity_column
        use,events,customer_id
    """,
    "segment_dimensions": """
        journey_id,dimension,source,source_column,is_immutable
        use,acquisition_channel,crm_contacts,acquisition_channel,true
    """,
    "metrics": """
        metric_id,label,unit,direction,scale,score_min,score_max,loss_family,equivalence_margin,definition_version,description
        nps,NPS,points,higher_is_better,score,-100,100,,5,1,Promoters less detractors
        csat,CSAT,share,higher_is_better,proportion,,,,0.02,1,Two best boxes
        ces,CES,points,higher_is_better,score,1,7,,0.1,1,Mean
        nps_response_rate,Answers,share,higher_is_better,proportion,,,,0.02,1,Answer
        csat_response_rate,Answers,share,higher_is_better,proportion,,,,0.02,1,Answer
        ces_response_rate,Answers,share,higher_is_better,proportion,,,,0.02,1,Answer
    """,
}


def text(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z" if at else ""


def raw_response(number: int, draw: np.random.Generator) -> dict[str, Any]:
    """A response: of somebody or nobody, on some scale, answered or not, before as_of or after."""
    survey = str(draw.choice(list(SCALES)))
    low, high, is_higher_better = SCALES[survey][draw.integers(len(SCALES[survey]))]
    asked_at = BEGIN + timedelta(seconds=int(draw.integers(-5 * 86400, 216 * 86400)))
    answered_at, score = None, None
    if draw.random() < 0.7:
        answered_at = asked_at + timedelta(seconds=int(draw.exponential(4 * 86400)))
        score = float(draw.integers(low, high + 1))
        score += draw.choice([0, high, -high, 0.5], p=[0.94, 0.02, 0.02, 0.02])
    return {
        "response_id": f"r{number}",
        "customer_id": "" if draw.random() < 0.02 else f"k{draw.integers(160)}",
        "survey": survey,
        "score": None if draw.random() < 0.02 else score,
        "scale_min": low,
        "scale_max": None if draw.random() < 0.02 else high,
        "is_higher_better": is_higher_better,
        "asked_at": asked_at,
        "answered_at": answered_at,
    }


@pytest.fixture(scope="module")
def responses() -> pd.DataFrame:
    draw = np.random.default_rng(8)
    rows = [raw_response(number, draw) for number in range(2600)]
    frame = pd.DataFrame(rows).astype({"score": float, "scale_max": float})
    # Of answers at one moment the greatest id counts, as text: r99.
    for number, score in ((2600, 5.0), (2601, 5.0), (99, 1.0)):
        at = pd.Timestamp(BEGIN + timedelta(days=100, hours=9))
        tied = ["k0", "csat", score, 1, 5.0, True, at, at]
        frame.loc[number] = [f"r{number}", *tied]
    return frame.astype({"is_higher_better": bool})


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """When each tries, uses and renews, with account and channel; some have neither."""
    draw = np.random.default_rng(9)
    rows = []
    for number in range(160):
        tried_at = BEGIN + timedelta(seconds=int(draw.integers(0, 40 * 86400)))
        used_at = tried_at + timedelta(seconds=int(draw.integers(10 * 86400, 60 * 86400)))
        renewed_at = used_at + timedelta(days=int(draw.integers(60, 160)))
        rows.append(
            {
                "customer_id": f"k{number}",
                "account_id": f"a{number // 2}" if number < 120 else None,
                "channel": ("web", "call")[number // 2 % 2] if number < 120 else "(unknown)",
                "tried_at": tried_at,
                "used_at": used_at,
                "renewed_at": renewed_at if renewed_at <= AS_OF else pd.NaT,
            }
        )
    return pd.DataFrame(rows).set_index("customer_id")


@pytest.fixture(scope="module")
def world(
    responses: pd.DataFrame,
    customers: pd.DataFrame,
    make_workbench: Callable[[str], Workbench],
    tmp_path_factory: pytest.TempPathFactory,
) -> Workbench:
    """Seven months of answers, more of them after the last event, which is as_of."""
    files = tmp_path_factory.mktemp("surveys") / "files"
    files.mkdir()
    events, contacts = [("last", "k0", "seen", text(AS_OF))], []
    for customer, row in customers.iterrows():
        for name, at in (("tried", "tried_at"), ("used", "used_at"), ("renewed", "renewed_at")):
            if not pd.isna(row[at]):
                events.append((f"{customer}{name}", customer, name, text(row[at])))
        if not pd.isna(row["account_id"]):
            contact = (f"p{customer}", row["account_id"], customer, row["channel"])
            contacts.append((*contact, text(BEGIN), text(BEGIN)))
    tables: dict[str, tuple[tuple[str, ...], list[Any]]] = {
        "events": (("event_id", "customer_id", "event_name", "occurred_at"), events),
        "crm_contacts": (
            (
                *("contact_id", "account_id", "customer_id", "acquisition_channel"),
                *("created_at", "source_updated_at"),
            ),
            contacts,
        ),
        "survey_responses": (
            (*responses.columns, "touchpoint_id", "source_updated_at"),
            [
                [
                    text(None if pd.isna(value) else value)
                    if column.endswith("_at")
                    else ("" if pd.isna(value) else value)
                    for column, value in row.items()
                ]
                + ["chat", text(row["asked_at"])]
                for _, row in responses.iterrows()
            ],
        ),
    }
    for table, (columns, rows) in tables.items():
        with (files / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    workbench = make_workbench("surveys")
    workbench.use_map(write_tables(files.parent / "map", MAP))
    workbench.land(files)
    workbench.build("-s", "+fct_measures", "fct_survey_responses", "+int_survey_unit_dimensions")
    return workbench


def judged(response: "pd.Series[Any]") -> tuple[str | None, float | None]:
    """Why it counts for nothing, or what it is on its survey's scale: by hand."""
    survey, score = response["survey"], response["score"]
    low, high = response["scale_min"], response["scale_max"]
    if pd.isna(response["answered_at"]) or response["answered_at"] > AS_OF:
        return "unanswered", None
    if pd.isna(score):
        return "no_score", None
    if pd.isna(high):
        return "unknown_scale", None
    if survey == "nps" and (low, high) != (0, 10):
        return "other_scale", None
    if survey == "csat" and high - low + 1 < 5:
        return "scale_too_small", None
    if not low <= score <= high or (survey != "ces" and score != int(score)):
        return "off_scale", None
    best_first = high - score if not response["is_higher_better"] else score - low
    if survey == "ces":
        return None, 1 + 6 * best_first / (high - low)
    return None, best_first + (survey == "csat")


def unit_score(response: "pd.Series[Any]") -> float:
    """Of nps 1, 0 or -1, of csat 1 or 0, of ces the score."""
    on_scale = float(response["on_scale"])
    if response["survey"] == "nps":
        return 1.0 if on_scale >= 9 else -1.0 if on_scale <= 6 else 0.0
    if response["survey"] == "csat":
        return float(on_scale > response["scale_max"] - response["scale_min"] + 1 - 2)
    return on_scale


def stage_at(customers: pd.DataFrame, customer: str, at: pd.Timestamp) -> str | None:
    if customer not in customers.index or at > AS_OF:
        return None
    row = customers.loc[customer]
    if at < row["tried_at"]:
        return None
    if at >= row["renewed_at"]:
        return "renewed" if at < row["renewed_at"] + 30 * DAY else None
    return "trial" if at < row["used_at"] else "using"


def landed(world: Workbench, responses: pd.DataFrame) -> pd.DataFrame:
    """Without those that landing put in quarantine: off their scale, or without one."""
    known = {row[0] for row in world.query("select response_id from raw.survey_responses")}
    assert len(known) < responses["response_id"].nunique()
    return responses[responses["response_id"].isin(known)]


def placed(responses: pd.DataFrame, customers: pd.DataFrame, moment: str) -> pd.DataFrame:
    """Those of a customer in a stage at that moment, with stage, local day and segments."""
    own = responses[responses["customer_id"].isin(customers.index) & responses[moment].notna()]
    stages = [stage_at(customers, row["customer_id"], row[moment]) for _, row in own.iterrows()]
    own = own.assign(stage_id=stages).dropna(subset="stage_id")
    local = own[moment].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    own["day"] = local.dt.tz_localize(None).dt.normalize()
    own["channel"] = own["customer_id"].map(customers["channel"])
    own["cluster"] = own["customer_id"].map(customers["account_id"]).fillna(own["customer_id"])
    return own


@pytest.fixture(scope="module")
def answers(responses: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    found = responses.apply(judged, axis=1, result_type="expand")
    scored = responses.assign(reason=found[0], on_scale=found[1].astype(float))
    scored = scored[scored["reason"].isna()]
    scored["unit_score"] = scored.apply(unit_score, axis=1)
    return placed(scored, customers, "answered_at")


@pytest.fixture(scope="module")
def scores(world: Workbench) -> pd.DataFrame:
    return world.frame("select * from marts.measure_scores")


def within(answers: pd.DataFrame, row: "pd.Series[Any]") -> pd.DataFrame:
    """All answers of a cell, of a customer several."""
    own = answers[
        (answers["survey"] == row["metric_id"])
        & (answers["stage_id"] == row["stage_id"])
        & (answers["day"] >= row["period_start"])
        & (answers["day"] < row["period_end"])
    ]
    if row["segment_dimension"] == "acquisition_channel":
        return own[own["channel"] == row["segment_value"]]
    return own


def latest(answers: pd.DataFrame) -> pd.DataFrame:
    ordered = answers.sort_values(["answered_at", "response_id"])
    return ordered.groupby("customer_id").tail(1)


def expected(metric_id: str, unit_scores: "pd.Series[float]") -> tuple[float, float, float]:
    n, mean = len(unit_scores), unit_scores.mean()
    if metric_id == "nps":
        return nps_interval(int((unit_scores == 1).sum()), int((unit_scores == -1).sum()), n)
    if metric_id == "csat":
        low, high = proportion_confint(unit_scores.sum(), n, method="wilson")
        return mean, low, high
    if n == 1:
        return mean, math.nan, math.nan
    spread = stats.t.ppf(0.975, n - 1) * unit_scores.std(ddof=1) / math.sqrt(n)
    return mean, max(mean - spread, 1), min(mean + spread, 7)


def test_half_a_count_a_class_by_hand() -> None:
    # 50 promoters and 20 detractors of 100: 30.5/101.5 less and more 1.96 x 0.07766.
    assert nps_interval(50, 20, 100) == pytest.approx((30, 14.335, 44.778), abs=5e-3)


def test_every_score_is_that_of_the_latest_answers(
    scores: pd.DataFrame, answers: pd.DataFrame
) -> None:
    with_several = 0
    for _, row in scores.iterrows():
        cell = within(answers, row)
        own = latest(cell)
        with_several += len(own) < len(cell)
        assert (row["n"], row["n_clusters"]) == (len(own), own["cluster"].nunique())
        assert row["effective_n"] == row["n"]
        assert row["numerator"] == pytest.approx(own["unit_score"].sum())
        figures = (row["value"], row["ci_low"], row["ci_high"])
        wanted = expected(row["metric_id"], own["unit_score"])
        assert figures == pytest.approx(wanted, rel=1e-6, nan_ok=True), row
    assert with_several > 50
    counts = scores.groupby(["metric_id", "period_grain"]).size()
    assert len(counts) == 12
    assert set(scores["stage_id"]) == {"trial", "using", "renewed"}
    assert set(scores["segment_value"]) == {"all", "web", "call", "(unknown)", "chat"}


def test_no_period_with_an_answer_is_left_out(scores: pd.DataFrame, answers: pd.DataFrame) -> None:
    weeks = scores[(scores["period_grain"] == "week") & (scores["segment_dimension"] == "all")]
    monday = answers["day"] - pd.to_timedelta(answers["day"].dt.day_of_week, unit="D")
    seen = zip(answers["survey"], answers["stage_id"], monday, strict=True)
    found = zip(weeks["metric_id"], weeks["stage_id"], weeks["period_start"], strict=True)
    assert set(found) == set(seen)
    assert max(answers["answered_at"]) <= AS_OF


def test_every_response_is_scored_or_says_why(world: Workbench, responses: pd.DataFrame) -> None:
    facts = world.frame("select * from marts.fct_survey_responses").set_index("response_id")
    responses = landed(world, responses)
    seen = responses[responses["asked_at"] <= AS_OF]
    assert set(facts.index) == set(seen["response_id"])
    assert len(seen) < len(responses)
    for _, response in seen.iterrows():
        fact = facts.loc[response["response_id"]]
        reason, on_scale = judged(response)
        if reason:
            assert (fact["unscored_reason"], fact["is_scored"]) == (reason, False)
            assert fact[["score_on_scale", "nps_class", "is_top_box"]].isna().all()
            continue
        assert fact["is_scored"]
        assert pd.isna(fact["unscored_reason"])
        assert fact["score_on_scale"] == pytest.approx(on_scale)
        counted = unit_score(pd.Series({**response, "on_scale": on_scale}))
        if response["survey"] == "nps":
            assert fact["nps_class"] == {1: "promoter", 0: "passive", -1: "detractor"}[counted]
        if response["survey"] == "csat":
            assert fact["is_top_box"] == bool(counted)
    unseen = facts["answered_at"].isna() & facts["score"].notna()
    assert not unseen.any()
    assert set(facts["unscored_reason"].dropna()) == REASONS


def test_who_is_asked_answers_within_14_days_or_not(
    world: Workbench, responses: pd.DataFrame, customers: pd.DataFrame
) -> None:
    asked = placed(landed(world, responses), customers, "asked_at")
    asked = asked[asked["asked_at"] + 14 * DAY <= AS_OF]
    is_reached = asked["answered_at"] - asked["asked_at"] <= 14 * DAY
    wanted = set(
        zip(
            asked["survey"] + "_response_rate",
            asked["stage_id"],
            "survey_question:" + asked["response_id"],
            asked["asked_at"],
            is_reached,
            strict=True,
        )
    )
    units = world.frame("select * from intermediate.int_survey_rate_units")
    columns = ["metric_id", "stage_id", "unit_id", "measured_at", "is_reached"]
    assert set(units[columns].itertuples(index=False, name=None)) == wanted
    assert len(units) == len(wanted)
    # Late is not in time, and some that answered were in a later stage by then.
    assert (asked["answered_at"].notna() & ~is_reached).sum() > 5


def test_t_is_scipy_s(world: Workbench) -> None:
    sql = """
        select degrees, {{ t_95('degrees') }} as quantile
        from (select unnest(range(0, 3000)) as degrees) as numbers
    """
    output = world.dbt("show", "--limit", "-1", "--output", "json", "--inline", sql)
    rows = json.loads(output[output.index("{") :])["show"]
    found = {row["degrees"]: row["quantile"] for row in rows}
    assert found.pop(0) is None
    degrees = np.array(list(found))
    assert len(degrees) == 2999
    errors = np.abs(np.array(list(found.values())) - stats.t.ppf(0.975, degrees))
    assert errors.max() < 8e-7
    assert errors[degrees > 20].max() < 2e-7


@pytest.fixture(scope="module")
def csat_units(demo: Workbench) -> pd.DataFrame:
    """The demo's answers in which reasons are looked for, with what went before them: from raw."""
    units = demo.frame(
        """
        select units.*, unit_id[17:] as response_id
        from intermediate.int_driver_units as units where metric_id = 'csat'
        """
    )
    newest = """
        select * from raw.{} qualify row_number() over (
            partition by {} order by source_updated_at desc, content_hash desc
        ) = 1
    """
    contacts = demo.frame(newest.format("support_contacts", "support_contact_id"))
    contacts = contacts.sort_values(["opened_at", "support_contact_id"])
    episodes = contacts.groupby(["customer_id", "topic"])
    hours = (contacts["opened_at"] - episodes["opened_at"].shift()).dt.total_seconds() / 3600
    limit = episodes["channel"].shift().map({"call": 24, "chat": 24, "email": 12})
    contacts["is_repeat"] = hours <= limit
    answers = demo.frame(newest.format("survey_responses", "response_id"))
    units = units.merge(answers, on=["response_id", "customer_id"])
    near = units[["response_id", "customer_id", "answered_at"]].merge(contacts, on="customer_id")
    near = near[
        (near["opened_at"] <= near["answered_at"])
        & (near["opened_at"] > near["answered_at"] - 14 * DAY)
    ]
    by_answer = near.groupby("response_id")["is_repeat"].any()
    units["has_contact"] = units["response_id"].isin(by_answer.index)
    units["is_repeat"] = units["response_id"].map(by_answer).fillna(value=False).astype(bool)
    units["is_satisfied"] = units["score"] >= 4
    return units


def test_units_are_the_latest_answers_of_the_period(
    demo: Workbench, csat_units: pd.DataFrame
) -> None:
    assert (csat_units["is_outcome"] == csat_units["is_satisfied"]).all()
    assert not csat_units.duplicated(["stage_id", "customer_id"]).any()
    assert (csat_units["landmark_at"] == csat_units["answered_at"]).all()
    assert (csat_units["entered_at"] == csat_units["answered_at"] - 14 * DAY).all()
    measures = demo.frame(
        "select * from marts.measure_scores where metric_id = 'csat' and segment_dimension = 'all'"
    )
    keys = ["journey_id", "stage_id", "period_start", "period_end"]
    counted = csat_units.groupby(keys)["is_outcome"].agg(["size", "sum"]).reset_index()
    both = counted.merge(measures, on=keys)
    assert len(both) > 0
    assert (both["n"] == both["size"]).all()
    assert (both["numerator"] == both["sum"]).all()


def test_low_satisfaction_finds_the_repeat_contact(
    demo: Workbench, csat_units: pd.DataFrame
) -> None:
    drivers = demo.frame(
        "select * from marts.gap_drivers where metric_id = 'csat' and driver_kind = 'experience'"
    )
    first = drivers[drivers["driver_rank"] == 1]
    largest = csat_units.groupby(["journey_id", "stage_id"]).size().idxmax()
    first = first.set_index(["journey_id", "stage_id"]).loc[[largest]]
    assert set(first["driver"]) == {"repeat contact"}
    own = csat_units.set_index(["journey_id", "stage_id"]).loc[[largest]]
    own = own[own["has_contact"]]
    rates = own.groupby("is_repeat")["is_satisfied"].mean()
    for _, row in first.iterrows():
        assert row["compared_with"] == "contacted support"
        assert (row["n"], row["exposed_n"]) == (len(own), own["is_repeat"].sum())
        assert (row["exposed_value"], row["other_value"]) == pytest.approx(
            (rates[True], rates[False])
        )
        assert row["is_unfavourable"]
        assert row["adjusted_p_value"] <= 0.05
        planted = TRUTH["csat_after_repeat"] - TRUTH["csat_otherwise"]
        assert row["risk_difference_low"] <= planted <= row["risk_difference_high"]
        assert "goes with" in row["sentence"]
    assert not any(drivers["driver"] == "low csat score")

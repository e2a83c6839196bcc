"""A HOME with two publications made by hand, their tables as the marts' contracts say."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import yaml

from orchestration.settings import PROJECT_DIR

MARTS = PROJECT_DIR / "models" / "marts"
READ = (
    *("dim_journeys", "dim_metrics", "dim_stages", "fct_action_readouts", "fct_measures"),
    *("gap_drivers", "gap_ranking", "gap_suggestions", "gap_trends"),
)
NOW, EARLIER = "20260602T060000Z-b", "20260501T060000Z-a"
# A formula, markup, a command, a table's wall, a line of its own, HTML.
HOSTILE = '=1+1|[red]x[/red]\x1b[2J\n1 forged\u202e<img src=x>`"'
NEWEST_WEEK = date(2026, 5, 25)
QUARTER, QUARTER_BEFORE = date(2026, 2, 23), date(2025, 11, 24)

Row = dict[str, Any]


def of_all(stage: str, **given: Any) -> Row:
    """Conversion of a stage of the leads, all cases."""
    return {
        "journey_id": "leads",
        "metric_id": "conversion_rate",
        "stage_id": stage,
        "segment_dimension": "all",
        "segment_value": "all",
        **given,
    }


def of_region(stage: str, region: str, **given: Any) -> Row:
    return of_all(stage, **{"segment_dimension": "region", "segment_value": region, **given})


def gap(row: Row, gap_id: str, kind: str, verdict: str, **given: Any) -> Row:
    value = given.pop("value", 0.4)
    benchmark = given.pop("benchmark_value", 0.6)
    return {
        **row,
        "gap_id": gap_id,
        "benchmark_id": gap_id,
        "benchmark_kind": kind,
        "benchmark_value": benchmark,
        "period_grain": "trailing_13_weeks",
        "period_start": QUARTER,
        "n": 761,
        "value": value,
        "ci_low": value - 0.03,
        "ci_high": value + 0.04,
        "lag_factor": round(benchmark / value, 3),
        "verdict": verdict,
        "sentence": f"{row['stage_id']} is {verdict}.",
        **given,
    }


GAPS = [
    gap(of_all("signed_up"), "contact:all:all", "industry", "lagging", priority_rank=1,
        value_at_stake=78436.5, currency="EUR", top_reason="region dach goes with 8.1 %."),
    gap(of_all(HOSTILE), "hostile|gap", "target", "lagging", priority_rank=2, value=0.1,
        last_action_id="a1", last_action_sentence="Nothing is known yet."),
    gap(of_all("visited"), "visits:all:all", "target", "ahead", value=0.7),
    gap(of_all("signed_up"), "own_past:signed_up", "own_past", "unclear", benchmark_value=0.41),
    gap(of_region("signed_up", "dach"), "contact:region:dach", "industry", "lagging",
        priority_rank=1, value=0.2),
    gap(of_region("signed_up", "uk"), "contact:region:uk", "industry", "unclear", value=0.55),
]  # fmt: skip
GAPS_BEFORE = [
    {**GAPS[0], "verdict": "unclear", "value": 0.55, "priority_rank": None},
    {**GAPS[1], "benchmark_value": 0.5, "priority_rank": 1},
    {**GAPS[3], "verdict": "at_par"},
    gap(of_all("visited"), "dropped:all:all", "target", "lagging", priority_rank=2),
]


def driver(kind: str, name: str, rank: int, **given: Any) -> Row:
    return {
        **of_all("signed_up", segment_dimension=None, segment_value=None),
        "gap_id": "contact:all:all",
        "driver_kind": kind,
        "driver": name,
        "compared_with": "entries",
        "effect_kind": "odds_ratio",
        "driver_rank": rank,
        "evidence": "association",
        "n": 761,
        "exposed_n": 222,
        "is_unfavourable": True,
        "sentence": f"{name} goes with it.",
        **given,
    }


def share_of(name: str, rank: int, points: float, against: str) -> Row:
    return driver(
        "mix_and_rate", name, rank, effect_kind="contribution", effect=points,
        contribution=points, contribution_total=-0.2, compared_with=against,
        is_unfavourable=points < 0,
    )  # fmt: skip


DRIVERS = [
    share_of("rate of region dach", 1, -0.15, "benchmark"),
    share_of("rate of region uk", 2, -0.05, "benchmark"),
    share_of("mix of region uk", 1, 0.001, "previous_period"),
    *(
        driver("segment", f"region {region}", rank, segment_dimension="region",
               segment_value=region, effect_kind="rate_gap", effect=-0.4, ci_low=-0.45,
               ci_high=-0.36, adjusted_p_value=p, exposed_value=0.2, other_value=0.54,
               share_of_gap=0.75, warning=warning, compared_with="other segments")
        for region, rank, p, warning in [("dach", 1, 1e-9, None), ("uk", 2, None, "too_few_data")]
    ),
    driver("behaviour", HOSTILE, 1, effect=0.601, ci_low=0.283, ci_high=1.275,
           adjusted_p_value=0.825, warning="early_outcomes", exposed_value=0.05, other_value=0.084),
    *(
        driver("hand_off", f"a to b{number}", number, effect_kind="wait_days", effect=5.68,
               ci_low=4.4, ci_high=6.95, exposed_value=7.2, other_value=1.5)
        for number in range(1, 8)
    ),
]  # fmt: skip


def week(stage: str, back: int, value: float | None, n: int = 20, **given: Any) -> Row:
    """A week of a stage, so many before the newest."""
    start = NEWEST_WEEK - timedelta(weeks=back)
    return of_all(
        stage,
        **{
            "period_grain": "week",
            "period_start": start,
            "n": n,
            "value": value,
            "is_mature": True,
            "is_partial": False,
            "is_alert": False,
            "sentence": "A week.",
            **given,
        },
    )


def quarter(stage: str, value: float, trend: str | None, **given: Any) -> Row:
    """The latest 13 weeks of a stage."""
    return week(
        stage,
        0,
        value,
        761,
        **{
            "period_grain": "trailing_13_weeks",
            "period_start": QUARTER,
            "previous_value": 0.5,
            "change": None if trend is None else value - 0.5,
            "change_ci_low": None if trend is None else value - 0.55,
            "change_ci_high": None if trend is None else value - 0.45,
            "trend": trend,
            **given,
        },
    )


TWICE = [
    {"benchmark_id": kind, "benchmark_kind": kind, "benchmark_value": value}
    for kind, value in [("industry", 0.6), ("target", 0.7)]
]
TRENDS = [
    # From zero to the highest, one week without cases, one not in the mart at all.
    *(
        week("signed_up", back, value, 0 if value is None else 20, **benchmark, **given)
        for benchmark in TWICE
        for back, value, given in [
            (7, 0.2, {"is_partial": True}),
            (6, 0.0, {}),
            (5, 0.4, {}),
            (4, None, {}),
            (2, 0.8, {}),
            (1, 0.4, {"is_mature": False}),
            (0, 0.1, {"is_mature": False, "is_partial": True}),
        ]
    ),
    *(quarter("signed_up", 0.4, "worsening", **benchmark) for benchmark in TWICE),
    week("visited", 3, 0.3, is_alert=True, trend="worsening"),
    quarter("visited", 0.5, "steady"),
    quarter(HOSTILE, 0.1, None),
    *(
        {**quarter("visited", value, "unclear"), "metric_id": "nps", "previous_value": -30.0}
        for value in [-20.0]
    ),
    *(
        {**week("visited", back, value), "metric_id": "nps"}
        for back, value in [(2, -100.0), (1, 0.0)]
    ),
    {**quarter("signed_up", 0.3, "improving"), "segment_dimension": "region",
     "segment_value": "dach"},
]  # fmt: skip


def measure(row: Row, n: int, value: float, start: date = QUARTER) -> Row:
    return {
        **row,
        "period_grain": "trailing_13_weeks",
        "period_start": start,
        "period_end": start + timedelta(weeks=13),
        "n": n,
        "value": value,
        "ci_low": value - 0.03,
        "ci_high": value + 0.04,
        "is_mature": True,
    }


MEASURES = [
    measure(of_all("signed_up"), 761, 0.4),
    measure(of_all("signed_up"), 700, 0.5, QUARTER_BEFORE),
    measure(of_region("signed_up", "dach"), 222, 0.2),
    measure(of_region("signed_up", "uk"), 100, 0.55),
    measure(of_region("signed_up", "gone"), 50, 0.3, QUARTER_BEFORE),
    measure(of_all("visited"), 900, 0.7),
    measure(of_region(HOSTILE, HOSTILE), 40, 0.1),
]
TABLES: dict[str, list[Row]] = {
    "dim_journeys": [{"journey_id": "leads", "name": "Leads"}, {"journey_id": "trials"}],
    "dim_metrics": [
        {"metric_id": "conversion_rate", "unit": "share", "direction": "higher_is_better"},
        {"metric_id": "nps", "unit": "points", "score_min": -100.0},
    ],
    "dim_stages": [
        {"journey_id": "leads", "stage_id": stage, "stage_order": order}
        for order, stage in enumerate(["visited", "signed_up", HOSTILE], start=1)
    ],
    "fct_action_readouts": [{"action_id": "a1", "owner": "team|one"}],
    "fct_measures": MEASURES,
    "gap_drivers": DRIVERS,
    "gap_ranking": GAPS,
    "gap_suggestions": [{"gap_id": "contact:all:all", "owner_teams": "(no owner), sales"}],
    "gap_trends": TRENDS,
}


def columns_of(mart: str) -> dict[str, str]:
    """The columns of a mart's contract, with their types."""
    [file] = MARTS.rglob(f"{mart}.yml")
    [model] = yaml.safe_load(file.read_text())["models"]
    return {column["name"]: column["data_type"] for column in model["columns"]}


def publish(home: Path, publication_id: str, tables: Mapping[str, list[Row]]) -> Path:
    """A publication with these rows, not current yet; a mart without any is empty."""
    folder = home / "published" / "runs" / publication_id
    folder.mkdir(parents=True)
    with duckdb.connect(folder / "journey_gaps.duckdb") as connection:
        connection.begin()
        for mart in READ:
            columns = ", ".join(f"{name} {kind}" for name, kind in columns_of(mart).items())
            connection.execute(f"create table {mart} ({columns})")
            for row in tables.get(mart, []):
                connection.execute(
                    f"insert into {mart} ({', '.join(row)}) values ({', '.join('?' * len(row))})",
                    list(row.values()),
                )
        connection.commit()
    published_at = f"{publication_id[:4]}-{publication_id[4:6]}-{publication_id[6:8]}T06:00:00Z"
    manifest = {"publication_id": publication_id, "published_at": published_at, "marts": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def make_current(home: Path, publication_id: str) -> None:
    link = home / "published" / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(f"runs/{publication_id}")


def make_home(home: Path) -> Path:
    """A HOME with the publication above and one before it."""
    publish(home, EARLIER, {**TABLES, "gap_ranking": GAPS_BEFORE})
    publish(home, NOW, TABLES)
    make_current(home, NOW)
    return home

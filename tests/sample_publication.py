"""A publication made by hand, small and nasty, and what a page made of it holds."""

import gzip
import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb

HOSTILE = "</script><img src=x onerror=alert(1)>"
QUARTER = (date(2024, 1, 1), date(2024, 4, 1))
MONDAY = date(2024, 3, 4)

Rows = list[dict[str, Any]]

TABLES = {
    "dim_journeys": "journey_id varchar, name varchar, entity varchar, time_zone varchar, "
    "as_of timestamp",
    "dim_stages": "journey_id varchar, stage_id varchar, stage_order integer, stage_kind varchar, "
    "conversion_window_days integer, observed_through timestamp",
    "dim_metrics": "metric_id varchar, label varchar, unit varchar, direction varchar, "
    "scale varchar, description varchar",
    "fct_measures": "journey_id varchar, metric_id varchar, stage_id varchar, "
    "touchpoint_id varchar, segment_dimension varchar, segment_value varchar, "
    "period_grain varchar, period_start date, period_end date, n bigint, value double, "
    "ci_low double, ci_high double, is_mature boolean, is_partial boolean, "
    "n_clusters bigint, numerator double, naive_value double",
    "fct_survival_curves": "journey_id varchar, stage_id varchar, curve_kind varchar, "
    "period_grain varchar, period_start date, duration_us bigint, at_risk bigint, "
    "survival double, survival_low double, survival_high double",
    "fct_stage_transitions": "journey_id varchar, from_visit_id varchar, from_stage_id varchar, "
    "to_stage_id varchar, transition_kind varchar, is_handoff boolean, occurred_at timestamp, "
    "duration_us bigint",
    "fct_visit_segments": "visit_id varchar, segment_dimension varchar, segment_value varchar",
    "fct_stage_visits": "visit_id varchar, case_id varchar, journey_id varchar, stage_id varchar, "
    "entered_at timestamp, is_open boolean, is_left_truncated boolean",
    "gap_ranking": "gap_id varchar, journey_id varchar, metric_id varchar, stage_id varchar, "
    "touchpoint_id varchar, segment_dimension varchar, segment_value varchar, "
    "benchmark_id varchar, benchmark_kind varchar, benchmark_value double, period_start date, "
    "period_end date, n bigint, value double, ci_low double, ci_high double, gap double, "
    "lag_factor double, verdict varchar, reach double, recoverable_cases double, "
    "excess_customer_days double, priority_rank bigint, success_share double, "
    "value_basis varchar, currency varchar, value_at_stake double, top_reason varchar, "
    "last_action_id varchar, last_action_sentence varchar",
    "gap_drivers": "gap_id varchar, driver_kind varchar, driver varchar, "
    "segment_dimension varchar, segment_value varchar, compared_with varchar, "
    "effect_kind varchar, n bigint, exposed_n bigint, exposed_value double, other_value double, "
    "is_unfavourable boolean, warning varchar, driver_rank bigint, sentence varchar",
    "gap_suggestions": "gap_id varchar, journey_id varchar, metric_id varchar, stage_id varchar, "
    "segment_dimension varchar, segment_value varchar, benchmark_value double, value double, "
    "priority_rank bigint, category varchar, category_reason varchar, touchpoints varchar, "
    "owner_teams varchar",
    "gap_touchpoints": "finding_id varchar, finding_kind varchar, journey_id varchar, "
    "stage_id varchar, pair varchar, n bigint, n_affected bigint, share double, "
    "median_wait_days double, other_n bigint, other_share double, "
    "other_median_wait_days double, excess_days double, warning varchar, finding_rank bigint, "
    "sentence varchar",
    "gap_unclassified_phrases": "phrase_rank integer, phrase varchar, words integer, n bigint",
    "dim_touchpoints": "touchpoint_id varchar, name varchar, owner_team varchar, "
    "owner_column varchar",
    "fct_action_readouts": "readout_id varchar, action_id varchar, title varchar, "
    "category varchar, owner varchar, journey_id varchar, metric_id varchar, stage_id varchar, "
    "segment_dimension varchar, segment_value varchar, readout_kind varchar, started_on date, "
    "ended_on date, readout_on date, n bigint, effect double, effect_ci_low double, "
    "effect_ci_high double, smallest_detectable_effect double, verdict varchar, sentence varchar",
    "fct_survey_responses": "response_id varchar, survey varchar, asked_at timestamp, "
    "answered_at timestamp",
    "fct_feedback": "response_id varchar, answered_at timestamp, is_classified boolean",
    "fct_feedback_topics": "response_id varchar, topic varchar, feedback_type varchar, "
    "survey varchar, score double",
    "fct_support_contacts": "channel varchar, opened_at timestamp, first_response_us bigint, "
    "is_resolved_at_first_contact boolean, is_repeated boolean, reopenings integer, "
    "team_changes integer",
    "fct_key_moments": "journey_id varchar, stage_id varchar, key_moment varchar, "
    "segment_dimension varchar, segment_value varchar, period_grain varchar, period_start date, "
    "period_end date, n bigint, reach double, reach_ci_low double, "
    "reach_ci_high double, days_to_reach_p50 double, days_note varchar, csat_n bigint, "
    "csat double, csat_note varchar, nps_n bigint, nps double, nps_note varchar",
    "fct_journey_coverage": "journey_id varchar, stage_id varchar, stage_order integer, "
    "stage_kind varchar, cases bigint, counted_cases bigint, mature_cases bigint, "
    "left_truncated_cases bigint, anonymous_cases bigint, lapsed_visits bigint, "
    "orphan_events bigint, excluded_entities bigint",
    "fct_restatements": "cause varchar, as_of timestamp",
    "gap_trends": "journey_id varchar, metric_id varchar, stage_id varchar, "
    "touchpoint_id varchar, segment_dimension varchar, segment_value varchar, "
    "benchmark_id varchar, benchmark_kind varchar, benchmark_value double, "
    "period_grain varchar, period_start date, value double, gap double",
}

JOURNEYS: Rows = [
    {
        "journey_id": "leads",
        "name": "Leads & friends",
        "entity": "customer",
        "time_zone": "Europe/Berlin",
        "as_of": "2024-05-10 08:00:00",
    },
    {"journey_id": "empty_one", "as_of": None},
]
STAGES: Rows = [
    {
        "journey_id": journey,
        "stage_id": stage,
        "stage_order": order,
        "stage_kind": kind,
        "conversion_window_days": 30,
        "observed_through": "2024-05-09 20:00:00",
    }
    for journey, stage, order, kind in [
        # The names sort in another order than the stages.
        ("leads", "visited", 1, "progress"),
        ("leads", "signed_up", 2, "progress"),
        ("leads", HOSTILE, 3, "progress"),
        ("leads", "offer_sent", 4, "progress"),
        ("leads", "won", 5, "success"),
        ("leads", "lost", 6, "exit"),
        ("empty_one", "begun", 1, "progress"),
    ]
]
CONVERSION = {
    "metric_id": "conversion_rate",
    "label": "Conversion rate",
    "unit": "share",
    "direction": "higher_is_better",
    "scale": "proportion",
    "description": "Share of the cases that go on.",
}
TIME = {
    "metric_id": "time_in_stage_p50",
    "label": "Median time in stage",
    "unit": "days",
    "direction": "lower_is_better",
    "scale": "duration",
    "description": "Days until half have left.",
}
VISITS: Rows = [
    {
        "visit_id": f"c{case} {stage}",
        "case_id": f"c{case}",
        "journey_id": "leads",
        "stage_id": stage,
        "entered_at": f"2024-01-{case + 1:02} 10:00:00",
        "is_open": stage == "visited" and case > 1,
        "is_left_truncated": case == 0,
    }
    for case, stages in enumerate([["visited", "won"], ["visited", "lost"], ["visited"]])
    for stage in stages
]


def measure(
    metric: str, stage: str, n: int, value: float | None, ci: tuple[float | None, float | None]
) -> dict[str, Any]:
    """A measure of the last 13 mature weeks."""
    return {
        "journey_id": "leads",
        "metric_id": metric,
        "stage_id": stage,
        "segment_dimension": "all",
        "segment_value": "all",
        "period_grain": "trailing_13_weeks",
        "period_start": QUARTER[0],
        "period_end": QUARTER[1],
        "n": n,
        "value": value,
        "ci_low": ci[0],
        "ci_high": ci[1],
        "is_mature": True,
        "is_partial": False,
    }


def week(stage: str, number: int, value: float, **given: Any) -> dict[str, Any]:
    """The conversion of one week, which is the `number`th from MONDAY."""
    start = MONDAY + timedelta(weeks=number)
    return {
        **measure("conversion_rate", stage, 20 + number, value, (value - 0.1, value + 0.1)),
        "period_grain": "week",
        "period_start": start,
        "period_end": start + timedelta(weeks=1),
        **given,
    }


def shared(row: Mapping[str, Any], table: str) -> dict[str, Any]:
    """The part of a row for which another table has columns."""
    columns = {column.split()[0] for column in TABLES[table].split(", ")}
    return {column: value for column, value in row.items() if column in columns}


def gap(row: Mapping[str, Any], kind: str, benchmark: float, verdict: str, **given: Any) -> dict:
    """A row of gap_ranking about a measure."""
    value = row["value"]
    name = f"{row['stage_id']} {row['metric_id']} {kind}"
    sign = -1 if row["metric_id"] == "time_in_stage_p50" else 1
    return {
        **shared(row, "gap_ranking"),
        "gap_id": name,
        "benchmark_id": name,
        "benchmark_kind": kind,
        "benchmark_value": benchmark,
        "gap": None if value is None else sign * (value - benchmark),
        "verdict": verdict,
        "reach": 0.25,
        **given,
    }


def trend(row: Mapping[str, Any], kind: str, benchmark: float) -> dict[str, Any]:
    """A row of gap_trends about a week."""
    return {
        **shared(row, "gap_trends"),
        "benchmark_id": f"{row['stage_id']} {kind}",
        "benchmark_kind": kind,
        "benchmark_value": benchmark,
        "gap": row["value"] - benchmark,
    }


SIGNED_UP = measure("conversion_rate", "signed_up", 400, 0.4, (0.352, 0.448))
OFFER_SENT = measure("conversion_rate", "offer_sent", 56, 0.0893, (0.038, 0.194))
HOSTILE_RATE = measure("conversion_rate", HOSTILE, 100, 0.8, (0.711, 0.867))
VISITED = measure("conversion_rate", "visited", 1200, 0.5, (0.472, 0.528))
OFFER_DAYS = measure("time_in_stage_p50", "offer_sent", 60, 7.1, (5.4, 8.1)) | {
    "numerator": 42,
    "naive_value": 4.0,
}
MEASURES: Rows = [
    VISITED,
    SIGNED_UP,
    HOSTILE_RATE,
    OFFER_SENT,
    measure("time_in_stage_p50", "visited", 1200, 0.5, (0.4, 0.6)),
    measure("time_in_stage_p50", "signed_up", 400, None, (None, None)),
    measure("time_in_stage_p50", HOSTILE, 100, 3.0, (2.0, None)),
    OFFER_DAYS,
]
WEEKS: Rows = [
    week("signed_up", 0, 0.45, is_partial=True),
    week("signed_up", 1, 0.42),
    week("signed_up", 2, 0.40),
    # nobody signed up in the fourth week
    week("signed_up", 4, 0.38),
    week("signed_up", 5, 0.35),
    week("signed_up", 6, 0.20, is_mature=False),
    week("signed_up", 7, 0.10, is_mature=False, is_partial=True),
    week("visited", 5, 0.50),
    week("visited", 6, 0.50),
]
# As visits of one stage and period leave it: days, share left, at risk after.
CURVES: Rows = [
    {
        "journey_id": "leads",
        "stage_id": stage,
        "curve_kind": "leaving",
        "period_grain": "trailing_13_weeks",
        "period_start": QUARTER[0],
        "duration_us": round(days * 86_400e6),
        "at_risk": at_risk,
        "survival": share,
        "survival_low": max(0.0, share - 0.05),
        "survival_high": share + 0.05,
    }
    for stage, days, share, at_risk in [
        ("visited", 0.25, 0.8, 960),
        ("visited", 0.5, 0.5, 600),
        ("visited", 0.6, 0.4, 480),
        ("signed_up", 3.0, 0.7, 280),
        ("offer_sent", 2.0, 0.9, 54),
        ("offer_sent", 7.1, 0.5, 30),
        ("offer_sent", 20.0, 0.3, 18),
    ]
]
TRANSITIONS: Rows = [
    {
        "journey_id": "leads",
        "from_visit_id": f"c{case} visited",
        "from_stage_id": "visited",
        "to_stage_id": end,
        "transition_kind": kind,
        "duration_us": 43_200_000_000,
    }
    # The first case began before the data.
    for case, end, kind in [(0, "won", "success"), (1, "lost", "exit")]
]
SEGMENTS: Rows = [
    {
        **measure("conversion_rate", stage, n, value, (value - 0.1, value + 0.1)),
        "n_clusters": n,
        "segment_dimension": dimension,
        "segment_value": segment,
    }
    for dimension, segment, stage, n, value in [
        ("plan_size", "<b>small</b>", "signed_up", 100, 0.2),
        ("plan_size", "big", "signed_up", 280, 0.48),
        ("plan_size", "(unknown)", "signed_up", 20, 0.28),
        ("plan_size", "big", "visited", 500, 1.0),
        ("plan_size", "(unknown)", "visited", 700, 0.143),
        ("plan_size & region", "big & north", "signed_up", 90, 0.5),
    ]
]
VISIT_SEGMENTS: Rows = [
    {"visit_id": "c1 visited", "segment_dimension": "plan_size", "segment_value": "big"}
]
GAPS: Rows = [
    gap(OFFER_SENT, "target", 0.3, "lagging", lag_factor=3.359, recoverable_cases=11.8,
        priority_rank=2),
    gap(SIGNED_UP, "industry", 0.6, "lagging", lag_factor=1.5, recoverable_cases=80.0,
        priority_rank=1),
    gap(OFFER_DAYS, "industry", 2.0, "lagging", lag_factor=3.55, excess_customer_days=306.0),
    gap(HOSTILE_RATE, "target", 0.8, "unclear", lag_factor=1.0),
    gap(HOSTILE_RATE, "own_past", 0.6, "ahead", lag_factor=0.75),
    gap(VISITED, "target", 0.9, "definition_mismatch", gap=None),
    {
        **gap(SIGNED_UP, "industry", 0.6, "lagging", lag_factor=4.0, priority_rank=1),
        "gap_id": "segment",
        "segment_dimension": "plan_size",
        "segment_value": "<b>small</b>",
    },
]  # fmt: skip
TRENDS: Rows = [
    trend(row, "industry", 0.6 if row["period_start"] < date(2024, 4, 8) else 0.55)
    for row in WEEKS
    if row["stage_id"] == "signed_up"
]
MANIFEST: dict[str, Any] = {
    "publication_id": "20240510T120000Z-abc",
    "published_at": "2024-05-10T12:00:00Z",
    "as_of": {"leads": "2024-05-10T08:00:00"},
    "rejected_files": [],
}
QUALITY: dict[str, Any] = {
    "tables": [
        {
            "table": "events",
            "rows_in": 12000,
            "rows_kept": 11980,
            "rows_quarantined": 12,
            "rows_duplicate": 8,
            "newest": "2024-05-08T06:00:00Z",
            "quarantine_reasons": {"event_id is missing": 3, "<i>bad</i> time": 9},
        },
        {
            "table": "fx_rates",
            "rows_in": 0,
            "rows_kept": 0,
            "rows_quarantined": 0,
            "rows_duplicate": 0,
            "newest": None,
            "quarantine_reasons": {},
        },
    ],
    "checks": {"passed": 41, "warned": 1, "failed": 0, "messages": ["events: <u>few</u>"]},
    "rejected_files": [],
}


def make_publication(folder: Path, manifest: Mapping[str, Any] = MANIFEST, **tables: Rows) -> Path:
    """A publication folder with the rows above, or with others by table."""
    rows = {
        "dim_journeys": JOURNEYS,
        "dim_stages": STAGES,
        "dim_metrics": [CONVERSION, TIME],
        "fct_measures": [*MEASURES, *WEEKS, *SEGMENTS],
        "fct_survival_curves": CURVES,
        "fct_stage_transitions": TRANSITIONS,
        "fct_visit_segments": VISIT_SEGMENTS,
        "fct_stage_visits": VISITS,
        "gap_ranking": GAPS,
        "gap_trends": TRENDS,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(folder / "journey_gaps.duckdb") as connection:
        for table, columns in TABLES.items():
            connection.execute(f"create table {table} ({columns})")
            for row in tables.get(table, rows.get(table, [])):
                connection.execute(
                    f"insert into {table} ({', '.join(row)}) values ({', '.join('?' * len(row))})",
                    list(row.values()),
                )
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Page(HTMLParser):
    """A page's text, scripts, styles, attributes and cards, as a browser would part them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.parts: dict[str, list[str]] = {"text": [], "script": [], "style": []}
        self.inside = "text"
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("script", "style"):
            self.inside = tag
            self.parts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = "text"

    def handle_data(self, data: str) -> None:
        if self.inside == "text":
            self.parts["text"].append(data)
        else:
            self.parts[self.inside][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts["text"]).split()).replace(" :", ":")

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script draws and swaps."""
        return json.loads(gzip.decompress(b64decode(self.parts["script"][1])))

    @property
    def specs(self) -> dict[str, Any]:
        return self.data["specs"]

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


def datasets(spec: Mapping[str, Any]) -> dict[str, Rows]:
    """Layer -> its rows; layers that all have the same rows share those of the chart."""
    return {
        layer["name"]: spec["datasets"][data["name"]] if "name" in data else data["values"]
        for layer in spec["layer"]
        for data in (layer.get("data") or spec["data"],)
    }

"""Rows for the sections of the report beyond stages and trends, with a name that bites."""

from datetime import date
from typing import Any

from tests.sample_publication import (
    CONVERSION,
    GAPS,
    HOSTILE,
    MEASURES,
    SIGNED_UP,
    TIME,
    Rows,
    gap,
    measure,
)

REASON = "channel partner goes with 8.1 % (conversion rate) against 54 % of the others."
READOUT = "A call: improved because of it. Conversion rate at signed_up was 45 % with call."
CSAT = {**CONVERSION, "metric_id": "csat", "label": "Satisfied customers", "description": "Happy."}
CSAT_RATE = {**CSAT, "metric_id": "csat_response_rate", "label": "Response rate"}
NPS = {
    **CONVERSION,
    "metric_id": "nps",
    "label": "Net promoter score",
    "unit": "points",
    "scale": "score",
    "description": "Promoters less detractors.",
}
RESOLVED = {
    **CSAT,
    "metric_id": "first_contact_resolution_rate",
    "label": "First-contact resolution",
}


def _driver(kind: str, driver: str, **given: Any) -> dict[str, Any]:
    return {
        "gap_id": "signed_up conversion_rate industry",
        "driver_kind": kind,
        "driver": driver,
        "compared_with": "other segments",
        "effect_kind": "rate_gap",
        "n": 400,
        "is_unfavourable": True,
        "driver_rank": 1,
        "sentence": f"{driver} goes with it.",
        **given,
    }


def _hand_off(pair: str, stage: str, **given: Any) -> dict[str, Any]:
    return {
        "finding_id": f"{pair} {stage}",
        "finding_kind": "hand_off",
        "journey_id": "leads",
        "stage_id": stage,
        "pair": pair,
        "n": 40,
        "n_affected": 30,
        "share": 0.75,
        "median_wait_days": 6.5,
        "other_n": 100,
        "other_share": 0.5,
        "other_median_wait_days": 1.25,
        "excess_days": 900.0,
        "finding_rank": 1,
        "sentence": f"{pair}.",
        **given,
    }


def _month(number: int, n: int, value: float, **given: Any) -> dict[str, Any]:
    return {
        **measure("csat", "signed_up", n, value, (value - 0.1, value + 0.1)),
        "period_grain": "month",
        "period_start": date(2023, 10 + number, 1) if number < 3 else date(2024, number - 2, 1),
        "period_end": date(2023, 11 + number, 1) if number < 2 else date(2024, number - 1, 1),
        **given,
    }


def _readout(action: str, verdict: str, effect: float | None, **given: Any) -> dict[str, Any]:
    return {
        "readout_id": f"{action}:arm",
        "action_id": action,
        "title": f"A {action}",
        "category": "process_tweak",
        "owner": "customer_success",
        "journey_id": "leads",
        "metric_id": "conversion_rate",
        "stage_id": "signed_up",
        "segment_dimension": "all",
        "segment_value": "all",
        "readout_kind": "experiment",
        "started_on": date(2024, 1, 5),
        "ended_on": date(2024, 3, 5),
        "readout_on": date(2024, 4, 5),
        "n": 800,
        "effect": effect,
        "effect_ci_low": None if effect is None else effect - 0.05,
        "effect_ci_high": None if effect is None else effect + 0.05,
        "smallest_detectable_effect": 0.08,
        "verdict": verdict,
        "sentence": READOUT,
        **given,
    }


NPS_GAP = gap(measure("nps", "signed_up", 131, -6.667, (-20.2, 9.3)), "target", 30.0, "lagging")
TOPICS: Rows = [
    {"response_id": response, "topic": topic, "feedback_type": "usability", "survey": survey,
     "score": score}
    for response, topic, survey, score in [
        ("r1", "ease_of_use", "csat", 5), ("r2", "ease_of_use", "csat", 4),
        # Two patterns of one topic in one answer are one answer.
        ("r2", "ease_of_use", "csat", 4), ("r3", "ease_of_use", "nps", 9),
        ("r1", HOSTILE, "csat", 5),
    ]
]  # fmt: skip
CONTACTS: Rows = [
    {
        "channel": channel,
        "opened_at": f"2024-02-{day:02} 09:00:00",
        "first_response_us": minutes * 60_000_000,
        "is_resolved_at_first_contact": resolved,
        "is_repeated": repeated,
        "reopenings": 0,
        "team_changes": day % 2,
    }
    for day, channel, minutes, resolved, repeated in [
        (1, "call", 1, True, False),
        (2, "call", 3, False, True),
        (3, "call", 2, None, False),
        (4, "email", 90, True, False),
        # Too young to be judged.
        (5, "email", 30, None, None),
    ]
]
MOVES: Rows = [
    {
        "journey_id": "leads",
        "is_handoff": is_handoff,
        "occurred_at": f"2024-0{month}-10 10:00:00",
        "duration_us": days * 86_400_000_000,
    }
    for month, is_handoff, days in [(1, True, 4), (2, True, 8), (1, False, 1), (3, False, 2),
                                    (2, False, 3)]
]  # fmt: skip
SECTIONS: dict[str, Rows] = {
    "dim_metrics": [CONVERSION, TIME, CSAT, CSAT_RATE, NPS, RESOLVED],
    "fct_measures": [
        *MEASURES,
        # Known sooner than conversions: a period of its own.
        {**measure("csat", "signed_up", 79, 0.78, (0.68, 0.86)), "period_end": date(2024, 4, 29)},
        measure("csat", "offer_sent", 12, 0.9, (0.6, 0.98)),
        measure("csat_response_rate", "signed_up", 160, 0.49, (0.42, 0.57)),
        measure("nps", "signed_up", 131, -6.667, (-20.2, 9.3)),
        measure("first_contact_resolution_rate", "signed_up", 176, 0.75, (0.68, 0.81)),
        _month(0, 22, 0.8),
        _month(1, 9, 0.9),
        _month(2, 35, 0.7),
        _month(3, 31, 0.75),
        _month(4, 12, 0.5, is_partial=True),
    ],
    "gap_ranking": [
        {
            **GAPS[1],
            "success_share": 0.05,
            "value_basis": "source",
            "currency": "EUR",
            "value_at_stake": 49_380.0,
            "top_reason": REASON,
            "last_action_id": "call",
            "last_action_sentence": READOUT,
        },
        *GAPS[2:5],
    ],
    "gap_drivers": [
        _driver(
            "segment",
            "channel partner",
            segment_dimension="channel",
            segment_value="early_partner",
            exposed_n=100,
            exposed_value=0.081,
            other_value=0.54,
            sentence=REASON,
        ),
        _driver("hand_off", "a to b", effect_kind="wait_days", exposed_value=7, other_value=2),
    ],
    "gap_suggestions": [
        {
            "gap_id": SIGNED_UP["stage_id"] + " conversion_rate industry",
            "journey_id": "leads",
            "metric_id": "conversion_rate",
            "stage_id": "signed_up",
            "segment_dimension": dimension,
            "segment_value": value,
            "benchmark_value": 0.6,
            "value": 0.4,
            "priority_rank": rank,
            "category": "long_term_project",
            "category_reason": "a touchpoint there has no owner",
            "touchpoints": "routing (40 %), sales_call (30 %), a (2 %), b (1 %)",
            "owner_teams": "(no owner), inside_sales, marketing",
        }
        for dimension, value, rank in [
            ("all", "all", 1),
            *(("size", HOSTILE, rank) for rank in range(1, 6)),
        ]
    ],
    "dim_touchpoints": [
        {"touchpoint_id": "routing", "name": "Lead routing"},
        {"touchpoint_id": "sales_call", "name": "Call", "owner_column": "resource"},
    ],
    "gap_touchpoints": [
        _hand_off("(no owner) → sales", "signed_up"),
        _hand_off(
            "product → sales", HOSTILE, median_wait_days=None, share=1.0, n=50, finding_rank=2
        ),
        _hand_off("a → b", "visited", warning="too_few_data", finding_rank=None, n=3),
        _hand_off(
            "x", "visited", finding_kind="back_moves_between_owners", sentence="Of 9 moves 3 back."
        ),
        *(
            {
                "finding_id": f"{kind} {number}",
                "finding_kind": kind,
                "n": 10,
                "n_affected": 5,
                "finding_rank": number,
                "sentence": f"{kind} finding {number}.",
            }
            for kind, findings in (("no_owner", 1), ("unmapped_event", 7), ("late", 1))
            for number in range(1, findings + 1)
        ),
    ],
    "gap_unclassified_phrases": [
        {"phrase_rank": rank, "phrase": phrase, "words": len(phrase.split()), "n": n}
        for rank, (phrase, n) in enumerate(
            [("fine so far", 9), ("so far", 9), ("far", 11), (HOSTILE, 4), ("call Ann Smith", 2)], 1
        )
    ],
    "fct_action_readouts": [
        _readout("call", "improved", 0.119),
        _readout("mail", "worse", -0.1, title=HOSTILE, ended_on=None, readout_on=None),
        _readout("page", "too_early", None, readout_kind="before_after", owner=None),
    ],
    "fct_stage_transitions": MOVES,
    "fct_survey_responses": [
        {
            "response_id": f"r{number}",
            "survey": "csat" if number < 5 else "nps",
            "asked_at": f"2024-01-{number + 1:02} 09:00:00",
            "answered_at": f"2024-01-{number + 2:02} 09:00:00" if number % 2 else None,
        }
        for number in range(8)
    ],
    "fct_feedback": [
        {
            "response_id": f"r{number}",
            "answered_at": f"2024-01-{number + 2:02} 09:00:00",
            "is_classified": number < 3,
        }
        for number in range(4)
    ],
    "fct_feedback_topics": TOPICS,
    "fct_support_contacts": CONTACTS,
    "fct_key_moments": [
        {
            "journey_id": "leads",
            "stage_id": stage,
            "key_moment": moment,
            "segment_dimension": "all",
            "segment_value": "all",
            "period_grain": "trailing_13_weeks",
            "period_start": date(2024, 1, 1),
            "period_end": date(2024, 4, 1),
            "n": 638,
            "reach": 0.43,
            "reach_ci_low": 0.39,
            "reach_ci_high": 0.47,
            "days_to_reach_p50": days,
            "days_note": note,
            "csat_n": 42,
            "csat": 0.74,
            "nps_note": "too few answers",
        }
        for stage, moment, days, note in [
            ("signed_up", "first_value", 4.0, None),
            ("offer_sent", "renewal", None, "fewer than half reached it"),
        ]
    ],
    "fct_journey_coverage": [
        {
            "journey_id": "leads",
            "stage_id": stage,
            "stage_order": order,
            "stage_kind": kind,
            "cases": 1000,
            "counted_cases": 900,
            "mature_cases": 700,
            "left_truncated_cases": 100,
            "anonymous_cases": 50,
            "lapsed_visits": 9,
            "orphan_events": 8,
            "excluded_entities": 7,
        }
        for order, (stage, kind) in enumerate([("signed_up", "progress"), ("won", "success")], 1)
    ],
    "fct_restatements": [
        {"cause": cause, "as_of": "2024-05-01 08:00:00"}
        for cause in ("late_data", "late_data", "map_changed")
    ],
}

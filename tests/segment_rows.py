"""Measures and gaps of segments for the publication made by hand: enough, few, and hostile."""

from typing import Any

from tests.sample_publication import GAPS, HOSTILE, MEASURES, SIGNED_UP, VISITED, WEEKS, Rows, gap

SMALL = "<b>small</b>"


def of_segment(row: dict[str, Any], dimension: str, segment: str, **given: Any) -> dict[str, Any]:
    """A measure or a gap of a segment instead of all cases."""
    return {**row, "segment_dimension": dimension, "segment_value": segment, **given}


FEW = of_segment(VISITED, "plan_size", HOSTILE, n=9, value=0.25, ci_low=0.05, ci_high=0.6)
SEGMENT_MEASURES: Rows = [
    of_segment(VISITED, "plan_size", SMALL, n=300, value=0.55, ci_low=0.5, ci_high=0.6),
    of_segment(SIGNED_UP, "plan_size", SMALL, n=80, value=0.15, ci_low=0.08, ci_high=0.24),
    FEW,
    # Neither divides cases.
    of_segment(VISITED, "plan_size & region", f"{SMALL} & north"),
    of_segment({**VISITED, "metric_id": "csat"}, "feedback_topic", "price"),
]
SEGMENT_GAPS: Rows = [
    {**gap(FEW, "own_past", 0.4, "too_few_data"), "gap_id": "few"},
    {**gap(FEW, "target", 0.9, "too_few_data"), "gap_id": "few target"},
]
# A metric whose weeks are mature sooner moves no other metric's period.
SOONER = {**VISITED, "metric_id": "csat", "period_end": "2024-04-29", "value": 0.9}
WITH_SEGMENTS: dict[str, Rows] = {
    "fct_measures": [*MEASURES, *WEEKS, *SEGMENT_MEASURES, SOONER],
    "gap_ranking": [*GAPS, *SEGMENT_GAPS],
}

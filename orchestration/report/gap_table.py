"""All comparisons in one Great Table."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import pandas as pd
from great_tables import GT, loc, style

from orchestration.report.charts.base import TEXT_COLOURS
from orchestration.report.reading import Gap, Metric
from orchestration.report.words import (
    BENCHMARK_KINDS,
    NBSP,
    count,
    counted,
    factor,
    in_words,
    interval,
    quantities,
    verdict_of,
)

_RANKED = "Ranked: the gap to close first on top"
_SEGMENTS = "Segments, ranked apart (they overlap: never add them up)"
_OTHERS = "Shown, not ranked"
# Rows of a group that are shown: what is ranked of segments can be many, and can be filtered.
_ROWS = {_RANKED: 40, _SEGMENTS: 10, _OTHERS: 40}

_HEADINGS = {
    "rank": "Rank",
    "verdict": "Verdict",
    "journey": "Journey",
    "stage": "Stage",
    "metric": "Metric",
    "value": "Actual",
    "interval": "95 % interval",
    "benchmark": "Benchmark",
    "lag": "Times behind",
    "n": "n",
    "worth": "Short by",
}


def gap_cells(
    gap: Gap,
    metric: Metric,
    journey_names: Mapping[str, str],
    stage_names: Mapping[tuple[str, str], str],
) -> dict[str, str]:
    """A row of the table: its texts by column, in order; a single journey is not named."""
    verdict = verdict_of(gap.verdict)
    cells = {
        "rank": "" if gap.priority_rank is None else str(gap.priority_rank),
        "verdict": f"{verdict.symbol}{NBSP}{verdict.word}",
        "journey": journey_names.get(gap.journey_id, gap.journey_id),
        "stage": _place(gap, stage_names),
        "metric": metric.label,
        **_figures(gap, metric),
    }
    return {column: cells[column] for column in _columns(journey_names)}


def _columns(journey_names: Mapping[str, str]) -> list[str]:
    return [column for column in _HEADINGS if column != "journey" or len(journey_names) > 1]


def gap_table(
    gaps: Sequence[Gap],
    metrics: Mapping[str, Metric],
    journey_names: Mapping[str, str],
    stage_names: Mapping[tuple[str, str], str],
) -> str:
    """The gaps to look at as HTML, escaped: all that is ranked, segments apart, since they
    overlap; then totals against a given benchmark, or behind their own past.
    """
    members = [(group, gap) for group, shown in gap_groups(gaps).items() for gap in shown]
    headings: dict[str, Any] = {column: _HEADINGS[column] for column in _columns(journey_names)}
    frame = pd.DataFrame(
        {
            "group": group,
            **gap_cells(gap, metrics[gap.metric_id], journey_names, stage_names),
        }
        for group, gap in members
    )
    verdicts = [gap.verdict for _, gap in members]
    table = (
        GT(frame, groupname_col="group", id="gaps-table")
        .cols_label(cases=headings)
        .cols_align(
            "right", columns=["rank", "value", "interval", "benchmark", "lag", "n", "worth"]
        )
        .cols_align("left", columns=["stage", "metric", "verdict"])
        .tab_options(
            table_width="100%",
            table_font_size="14px",
            table_font_color="#1f2933",
            row_group_font_weight="600",
            row_group_background_color="#f1f4f7",
            column_labels_font_weight="600",
            data_row_padding="6px",
        )
        .opt_table_font(font=["system-ui", "sans-serif"])
    )
    for known, colour in TEXT_COLOURS.items():
        if matches := [index for index, verdict in enumerate(verdicts) if verdict == known]:
            table = table.tab_style(
                style.text(color=colour, weight="bold"), loc.body("verdict", matches)
            )
    html: str = table.as_raw_html()
    return html


def rows_left_out(gaps: Sequence[Gap]) -> int:
    """How many gaps the table does not show."""
    return len(gaps) - sum(map(len, gap_groups(gaps).values()))


def gap_groups(gaps: Sequence[Gap], *, of_segment: bool = False) -> dict[str, list[Gap]]:
    """The gaps to show, by the title over them: see `gap_table`. `of_segment` shows those of a
    segment as it shows totals else.
    """
    limits = _ROWS | ({_SEGMENTS: _ROWS[_RANKED]} if of_segment else {})
    groups: dict[str, list[Gap]] = {}
    for gap in gaps:
        if gap.priority_rank is not None:
            title = _RANKED if gap.is_total else _SEGMENTS
        elif (gap.is_total or of_segment) and (gap.is_given or gap.verdict == "lagging"):
            title = _OTHERS
        else:
            continue
        groups.setdefault(title, []).append(gap)
    return {title: members[: limits[title]] for title, members in groups.items()}


def _place(gap: Gap, stage_names: Mapping[tuple[str, str], str]) -> str:
    parts = [stage_names.get((gap.journey_id, gap.stage_id), in_words(gap.stage_id))]
    if gap.touchpoint_id:
        parts.append(in_words(gap.touchpoint_id))
    if not gap.is_total:
        parts.append(f"{in_words(gap.segment_dimension)}: {gap.segment_value}")
    return " · ".join(parts)


def _figures(gap: Gap, metric: Metric) -> dict[str, str]:
    value, benchmark = quantities(metric, gap.value, gap.benchmark_value)
    kind = BENCHMARK_KINDS.get(gap.benchmark_kind, gap.benchmark_kind).removesuffix(" benchmark")
    is_behind = gap.verdict == "lagging"
    worth = ""
    if is_behind and gap.recoverable_cases:
        worth = counted(ceil(gap.recoverable_cases - 0.5), "case")
    elif is_behind and gap.excess_customer_days:
        worth = counted(ceil(gap.excess_customer_days - 0.5), "customer-day")
    return {
        "value": value,
        "interval": interval(gap.ci_low, gap.ci_high, metric),
        "benchmark": f"{benchmark} ({kind})",
        "lag": factor(gap.lag_factor) if is_behind and gap.lag_factor else "",
        "n": count(gap.n),
        "worth": worth,
    }

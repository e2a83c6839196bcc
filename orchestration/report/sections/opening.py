"""The answer first: the gaps to close, then every comparison with a benchmark."""

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from orchestration.report.gap_table import gap_table, rows_left_out
from orchestration.report.names import Names
from orchestration.report.parts import Opening
from orchestration.report.reading import Gap, Publication
from orchestration.report.sections.gap_card import Reasons, card
from orchestration.report.words import (
    MEDIAN_TIME,
    VERDICTS,
    counted,
    verdict_of,
    why_nothing_is_ranked,
)

TOP_GAPS = 3


def build(publication: Publication, called: Names, sections: dict[str, str]) -> Opening:
    """`sections` has the section of each journey by its id."""
    gaps = publication.gaps
    ranked = [gap for gap in gaps if gap.is_total and gap.priority_rank is not None]
    left_out = rows_left_out(gaps)
    verdicts = Counter(gap.verdict for gap in gaps)
    reasons = Reasons(publication)
    return Opening(
        cards=[
            card(gap, publication, called, sections.get(gap.journey_id, ""), reasons)
            for gap in ranked[:TOP_GAPS]
        ],
        nothing_ranked="" if ranked else why_nothing_is_ranked(gaps),
        more_ranked=_more_ranked(len(ranked) - TOP_GAPS),
        # Great Tables escapes what it is given.
        gap_table=Markup(  # noqa: S704
            gap_table(gaps, publication.metrics, called.journeys, called.stages)
        )
        if len(gaps) > left_out
        else None,
        gap_table_note=_gap_table_note(gaps, left_out),
        verdict_counts=[
            (verdict_of(verdict), verdicts[verdict])
            for verdict in sorted(verdicts, key=[*VERDICTS, *sorted(verdicts)].index)
        ],
    )


def _gap_table_note(gaps: Sequence[Gap], left_out: int) -> str:
    notes = []
    if left_out:
        verb = "is" if left_out == 1 else "are"
        notes.append(
            f"{counted(left_out, 'more comparison')}, of segments and with the own past, {verb} "
            "in gap_ranking; the counts below are of all."
        )
    if any(gap.metric_id == MEDIAN_TIME for gap in gaps):
        notes.append(
            "Time in a stage is shown, never ranked: a stage that rejects fast looks fast."
        )
    return " ".join(notes)


def _more_ranked(number: int) -> str:
    if number <= 0:
        return ""
    verb = "is" if number == 1 else "are"
    return f"{counted(number, 'more gap')} {verb} ranked in the table below."

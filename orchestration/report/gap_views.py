"""The table of gaps as the reader can filter it: which rows each choice shows, and its sentence."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

from orchestration.report.gap_table import gap_cells, gap_groups
from orchestration.report.names import Names
from orchestration.report.parts import Filters, GapView, GapViews
from orchestration.report.reading import Gap, Publication
from orchestration.report.segments import segment_of
from orchestration.report.words import counted

# What no choice is called.
ALL = ""


def build(publication: Publication, called: Names, filters: Filters) -> GapViews:
    """The views of every journey and segment of `filters`."""
    of_choice: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    sections = {journey.journey_id: journey.section for journey in filters.journeys}
    keys = {segment.key for segment in filters.segments}
    for gap in publication.gaps:
        section = sections.get(gap.journey_id, ALL)
        key = segment_of(gap).key
        for each in {section, ALL}:
            if key in keys:
                of_choice[each, key].append(gap)
            # A single journey is the whole table.
            if each != ALL and len(sections) > 1:
                of_choice[each, ALL].append(gap)
    numbers: dict[str, int] = {}
    found = GapViews()
    for choice in product([ALL, *sections.values()], [ALL, *sorted(keys)]):
        if choice == (ALL, ALL) or (choice[1] == ALL and len(sections) == 1):
            continue
        groups = gap_groups(of_choice[choice], of_segment=choice[1] != ALL)
        found.views[choice] = GapView(
            [
                (title, [_number(gap, publication, called, numbers, found) for gap in shown])
                for title, shown in groups.items()
            ],
            _note(of_choice[choice], sum(map(len, groups.values()))),
        )
    return found


def _number(
    gap: Gap, publication: Publication, called: Names, numbers: dict[str, int], found: GapViews
) -> int:
    """The number of a gap's row, which is added where no view has had it yet."""
    number = numbers.setdefault(gap.gap_id, len(found.rows))
    if number == len(found.rows):
        metric = publication.metrics[gap.metric_id]
        cells = gap_cells(gap, metric, called.journeys, called.stages)
        found.rows.append((gap.verdict, list(cells.values())))
    return number


def _note(gaps: Sequence[Gap], shown: int) -> str:
    if not gaps:
        return "No comparison is made for this choice: there is no benchmark and no own past yet."
    left_out = len(gaps) - shown
    if not shown:
        return f"Nothing lags here, and no benchmark is set: {_all_left_out(gaps)}"
    if not left_out:
        return ""
    verb = "is" if left_out == 1 else "are"
    return f"{counted(left_out, 'more comparison')} of this choice {verb} in gap_ranking."


def _all_left_out(gaps: Sequence[Gap]) -> str:
    if all(gap.verdict == "too_few_data" for gap in gaps):
        return f"{counted(len(gaps), 'comparison')} with the own past, all with too few data."
    return f"{counted(len(gaps), 'comparison')} with the own past, all in gap_ranking."

"""What the words on the page mean."""

from collections.abc import Iterable

from orchestration.report.parts import Glossary
from orchestration.report.reading import Metric

# Term and meaning.
_TERMS = [
    (
        "Benchmark",
        "The desired value of a metric: an industry figure, an internal target or the "
        "journey's own past. It is compared only with a measure of the same definition.",
    ),
    (
        "Times behind (lag factor)",
        "Desired ÷ actual where more is better, actual ÷ desired where less is: 40 % against "
        "60 % is 1.5 times behind.",
    ),
    (
        "95 % interval",
        "Where the true figure plausibly lies, given how many cases there are and that cases "
        "of one customer are alike. A verdict needs the whole interval on one side.",
    ),
    (
        "Mature",
        "A week counts once all cases that entered in it have had the full window to go on "
        "and every source is known to be complete up to there. Younger weeks are shown faded "
        "and never compared.",
    ),
    (
        "Rank",
        "By severity (how far behind, at the interval's end nearest the benchmark) times "
        "reach (which share of the journey's cases comes through the stage).",
    ),
    (
        "Short by",
        "Cases: the difference in shares times n. Customer-days: the difference in days times "
        "n. An upper bound of what closing the gap brings; never added up over stages.",
    ),
]


def build(metrics: Iterable[Metric]) -> Glossary:
    """The terms of the page, and every metric that has a description, by its label."""
    return Glossary(
        terms=_TERMS,
        metrics=sorted(
            (metric.label, metric.description) for metric in metrics if metric.description
        ),
    )

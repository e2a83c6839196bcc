"""Numbers and verdicts as a person says them. Spaces inside a figure do not break."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orchestration.report.reading import Gap, Metric

NBSP = "\u00a0"
UNKNOWN = "not known"
# A median that follow-up did not reach.
NOT_REACHED = "not reached"
CONVERSION = "conversion_rate"
MEDIAN_TIME = "time_in_stage_p50"


@dataclass(frozen=True)
class Verdict:
    """How a verdict is shown: a symbol beside the word, so that colour is never needed."""

    symbol: str
    word: str
    meaning: str


VERDICTS = {
    "lagging": Verdict(
        "▼",
        "lagging",
        "worse than the benchmark: the whole interval lies on the wrong side, also after "
        "adjusting for the many comparisons made",
    ),
    "ahead": Verdict(
        "▲",
        "ahead",
        "better than the benchmark: the whole interval lies on the right side, likewise adjusted",
    ),
    "at_par": Verdict(
        "=", "at par", "as good as the benchmark, within the margin set for the metric"
    ),
    "unclear": Verdict("?", "unclear", "none of these can be said yet; more data are needed"),
    "too_few_data": Verdict(
        "…", "too few data", "too few cases, or too few independent customers, for any verdict"
    ),
    "immature": Verdict(
        "…", "immature", "no whole week has had its full window yet, so outcomes are not known"
    ),
    "definition_mismatch": Verdict(
        "≠", "other definition", "the benchmark measures something else; shown, never compared"
    ),
}

# Not strftime: a locale must not change the page.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

BENCHMARK_KINDS = {"industry": "industry benchmark", "target": "target", "own_past": "own past"}


def verdict_of(verdict: str) -> Verdict:
    """How to show a verdict, also one that this page does not know."""
    return VERDICTS.get(verdict, Verdict("·", in_words(verdict).lower(), ""))


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def in_words(identifier: str) -> str:
    """`signed_up` is `Signed up`."""
    words = " ".join(identifier.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def team(name: str) -> str:
    """A name from the data: `customer_success` is `customer success`."""
    return " ".join(name.replace("_", " ").split())


def readable(sentence: str, stage_id: str, stage: str) -> str:
    """A mart's sentence with the stage's name instead of its id."""
    return sentence.replace(f" at {stage_id} ", f" at {stage} ")


def names(identifiers: Iterable[str]) -> dict[str, str]:
    """Each identifier in words; one that would read like another stays as it is."""
    words = {identifier: in_words(identifier) for identifier in identifiers}
    seen = Counter(words.values())
    return {
        identifier: word if seen[word] == 1 else identifier for identifier, word in words.items()
    }


def count(number: float) -> str:
    """1,234."""
    return f"{number:,.0f}"


def n_of(numbers: Iterable[int]) -> str:
    """`n = 1,620`, or from the least to the greatest: `n = 133 to 1,620`."""
    known = sorted(numbers)
    least, greatest = known[0], known[-1]
    return f"n = {count(least)}" + (f" to {count(greatest)}" if least < greatest else "")


def time_unit(longest: float) -> tuple[str, float]:
    """The unit of an axis of days up to `longest`, and how many of it are a day."""
    if longest < 3 / 24:
        return "minutes", 1440
    return ("hours", 24) if longest < 3 else ("days", 1)


def about(number: float) -> str:
    """An estimated count, rounded as far as it is one."""
    return "fewer than 1" if 0 < number < 1 else f"about {number:,.0f}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """1 case, 2 cases."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percents(*shares: float | None) -> list[str]:
    """Percentages: 41 %, 8.9 %, 0.52 %; one digit more where it tells two of them apart."""
    known = {share for share in shares if share is not None}
    plain, finer = (
        {share: _percent(share, min(2, _digits(share) + extra)) for share in known}
        for extra in (0, 1)
    )
    shown = finer if len({*finer.values()}) > len({*plain.values()}) else plain
    return [UNKNOWN if share is None else shown[share] for share in shares]


def percent(share: float | None) -> str:
    """41 %, 8.9 %, 0.52 %."""
    return percents(share)[0]


def _digits(share: float) -> int:
    size = abs(share)
    if size in (0, 1) or 0.0995 <= size <= 0.99:
        return 0
    return 1 if size >= 0.00995 else 2


def _percent(share: float, digits: int) -> str:
    return f"{share * 100:,.{digits}f}{NBSP}%"


def days(value: float | None) -> str:
    """7.1 days; below a day hours or minutes."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return f"0{NBSP}days"
    for size, unit in ((1.0, "day"), (1 / 24, "hour"), (1 / 1440, "minute")):
        if abs(value) >= size * 0.9995:
            number = f"{value / size:,.{0 if value / size >= 99.5 else 1}f}".removesuffix(".0")
            return f"{number}{NBSP}{unit}{'' if number == '1' else 's'}"
    return f"<1{NBSP}minute"


def quantity(value: float | None, metric: Metric) -> str:
    """A value of a metric in its unit."""
    return quantities(metric, value)[0]


def measured(value: float | None, metric: Metric) -> str:
    """A measure that has an n; a median may not have been reached by then."""
    return NOT_REACHED if value is None and metric.scale == "duration" else quantity(value, metric)


def quantities(metric: Metric, *values: float | None) -> list[str]:
    """Values of a metric that stand side by side."""
    if metric.unit == "share":
        return percents(*values)
    if metric.unit == "days":
        return [days(value) for value in values]
    return [
        UNKNOWN if value is None else f"{_score(value)} {metric.unit}".rstrip().replace(" ", NBSP)
        for value in values
    ]


def _score(value: float) -> str:
    """24, 5.53, -6.7: three figures at most, the decimals of a small one."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}".removesuffix(
        ".0"
    ).removesuffix(".00")


def interval(low: float | None, high: float | None, metric: Metric) -> str:
    """36 to 47 %; open at an end that is not known, empty without both."""
    if low is None and high is None:
        return ""
    if low is None or high is None:
        word, end = ("at most", high) if low is None else ("at least", low)
        return f"{word} {quantity(end, metric)}"
    first, last = quantities(metric, low, high)
    first_number, _, first_unit = first.partition(NBSP)
    last_number, _, last_unit = last.partition(NBSP)
    if first_unit.rstrip("s") == last_unit.rstrip("s"):
        return f"{first_number} to {last_number}{NBSP}{last_unit}"
    return f"{first} to {last}"


def day(value: date) -> str:
    """5 Mar 2026."""
    return f"{value.day}{NBSP}{_MONTHS[value.month - 1]}{NBSP}{value.year}"


def last_day(end: date) -> date:
    """The last day of a period that ends before `end`."""
    return end - timedelta(days=1)


def period(start: date | None, end: date | None) -> str:
    """First to last day; `end` is the day after the last."""
    if start is None or end is None:
        return "no mature period"
    last = last_day(end)
    first = day(start)
    if start.year == last.year:
        first = first.rpartition(NBSP)[0]
    return f"{first} to {day(last)}"


def moment(value: datetime | str | None) -> str:
    """A time in UTC, to the minute."""
    if value is None:
        return UNKNOWN
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    if time.tzinfo is not None:
        time = time.astimezone(UTC)
    return f"{day(time)}, {time:%H:%M}{NBSP}UTC"


def as_time(value: str) -> datetime:
    """A time with its zone; UTC where it names no zone."""
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def weeks(start: date | None, end: date | None) -> str:
    """How long a period is: `13 weeks`."""
    if start is None or end is None:
        return "period"
    return counted((end - start).days // 7, "week")


def behind(gap: Gap, metric: Metric) -> str:
    """How far behind the benchmark: a factor where it says something, else the difference."""
    if gap.lag_factor is not None and gap.lag_factor >= 1.095:
        return f"{factor(gap.lag_factor)} times behind"
    if gap.gap is None:
        return "behind by an unknown amount"
    return f"behind by {difference(abs(gap.gap), metric)}"


def factor(lag_factor: float) -> str:
    """1.5, 12."""
    return f"{lag_factor:,.{0 if lag_factor >= 9.95 else 1}f}"


def difference(size: float, metric: Metric) -> str:
    """The distance of two values: points of a share, else in the metric's unit."""
    if metric.unit == "share":
        return f"{size * 100:,.{0 if size >= 0.0995 else 1}f}{NBSP}points"
    return quantity(size, metric)


def benchmark_of(gap: Gap, metric: Metric) -> str:
    """`an industry benchmark of 60 %`."""
    article = {
        "industry": "an industry benchmark",
        "target": "a target",
        "own_past": "its own past",
    }
    kind = article.get(gap.benchmark_kind, f"a benchmark ({in_words(gap.benchmark_kind).lower()})")
    return f"{kind} of {quantities(metric, gap.benchmark_value, gap.value)[0]}"


def headline(gap: Gap, metric: Metric, window_days: int | None) -> str:
    """What happens, against what should: the row's numbers in one sentence."""
    value = quantities(metric, gap.value, gap.benchmark_value)[0]
    if gap.metric_id == CONVERSION:
        within = f" within {counted(window_days, 'day')}" if window_days else ""
        fact = f"{value} go on{within}"
    elif metric.scale == "duration" and metric.metric_id.endswith("_p50"):
        fact = f"the {_inside(metric.label)} is {value}"
    else:
        fact = f"{_inside(metric.label)} at {value}"
    return f"{fact}, against {benchmark_of(gap, metric)}: {behind(gap, metric)}."


def evidence(gap: Gap, metric: Metric) -> str:
    """The interval, n, the period and the reach behind a sentence."""
    unit = "visits" if metric.scale == "duration" else "cases"
    parts = [f"n = {count(gap.n)} {unit}"]
    if limits := interval(gap.ci_low, gap.ci_high, metric):
        parts.insert(0, f"95{NBSP}% interval {limits}")
    parts.append(period(gap.period_start, gap.period_end))
    if gap.reach is not None:
        parts.append(f"{percent(gap.reach)} of the journey's cases come through here")
    return " · ".join(parts)


def _inside(label: str) -> str:
    """A label within a sentence; abbreviations such as NPS stay as they are."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def why_nothing_is_ranked(gaps: Iterable[Gap]) -> str:
    """Say which verdicts the comparisons of totals have, since none of them is ranked."""
    totals = [gap for gap in gaps if gap.is_total]
    texts = [
        f"Of {counted(verdicts.total(), 'comparison')} with {what}: "
        + ", ".join(
            f"{number:,} {verdict_of(word).word}" for word, number in verdicts.most_common()
        )
        + "."
        for what, is_given in (("a benchmark", True), ("the own past", False))
        if (verdicts := Counter(gap.verdict for gap in totals if gap.is_given == is_given))
    ]
    if not any(gap.is_given for gap in totals):
        texts.insert(
            0,
            "No benchmark is set for any stage, so there is nothing to compare with"
            + (" but the own past" if totals else "")
            + ": add lines to benchmarks.csv in the journey map.",
        )
    if any(gap.verdict == "lagging" for gap in totals):
        texts.append(
            "What lags is shown below but not ranked: time in a stage counts every way of "
            "leaving it, so a stage that rejects fast looks fast."
        )
    return " ".join(texts)

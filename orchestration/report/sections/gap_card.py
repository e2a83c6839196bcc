"""One gap to close: its sentence, its picture, its worth, its reason, who owns it."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from orchestration.report.charts import opening as charts
from orchestration.report.charts.opening import Part
from orchestration.report.names import Names
from orchestration.report.parts import Card, Figure, Table
from orchestration.report.reading import Gap, Metric, Publication
from orchestration.report.words import (
    BENCHMARK_KINDS,
    CONVERSION,
    NBSP,
    count,
    counted,
    days,
    evidence,
    headline,
    in_words,
    interval,
    listed,
    quantities,
    readable,
    team,
    weeks,
)

NO_OWNER = "(no owner)"
# Of drivers that are not judged; of too few cases nothing is said.
WARNINGS = {
    "simpson_reversal": "the parts point one way, the whole the other",
    "early_outcomes": "most outcomes came early, so it tells of who was left",
    "unknown_value": "the value becomes known for those who go on",
}
VALUE_BASES = {
    "source": "at the mean value of the successes in the data",
    "default": "at least in part at the journey's default value",
    "missing_rate": "without successes in a currency that has no rate",
}


@dataclass(frozen=True)
class Details:
    """What gap_ranking says of a ranked total beyond the comparison itself."""

    gap_id: str
    success_share: float | None
    value_basis: str | None
    currency: str | None
    value_at_stake: float | None
    top_reason: str | None
    last_action_id: str | None
    last_action_sentence: str | None


@dataclass(frozen=True)
class Driver:
    """One row of gap_drivers: what goes with a gap, and how it fares against the others."""

    gap_id: str
    driver_kind: str
    driver: str
    segment_dimension: str | None
    segment_value: str | None
    compared_with: str
    effect_kind: str
    n: int
    exposed_n: int | None
    exposed_value: float | None
    other_value: float | None
    is_unfavourable: bool | None
    warning: str | None
    sentence: str


@dataclass(frozen=True)
class Suggestion:
    """Who has a part in a gap that nobody works on; touchpoints as `id (share), …`."""

    gap_id: str
    touchpoints: str | None
    owner_teams: str | None


@dataclass(frozen=True)
class Touchpoint:
    """A touchpoint's name, and its owner where the map names one."""

    touchpoint_id: str
    name: str | None
    owner_team: str | None
    owner_column: str | None


@dataclass(frozen=True)
class Action:
    """Whose an action is."""

    action_id: str
    owner: str | None
    title: str | None


class Reasons:
    """What the cards need beyond the gaps themselves, by gap."""

    def __init__(self, publication: Publication) -> None:
        """Read it all at once: ranked totals are few."""
        self.details = {row.gap_id: row for row in publication.rows(Details, _DETAILS)}
        self.drivers = defaultdict(list)
        for driver in publication.rows(Driver, _DRIVERS):
            self.drivers[driver.gap_id].append(driver)
        self.suggestions = {
            row.gap_id: row for row in publication.rows(Suggestion, "from gap_suggestions")
        }
        self.touchpoints = {
            row.touchpoint_id: row for row in publication.rows(Touchpoint, "from dim_touchpoints")
        }
        self.actions = {
            row.action_id: row
            for row in publication.rows(
                Action, "from fct_action_readouts order by action_id, readout_id desc"
            )
        }


def card(gap: Gap, publication: Publication, called: Names, section: str, reasons: Reasons) -> Card:
    """Everything about one gap; `section` is where its journey is on the page."""
    metric = publication.metrics[gap.metric_id]
    stages = {(stage.journey_id, stage.stage_id): stage for stage in publication.stages}
    stage = stages.get((gap.journey_id, gap.stage_id))
    details = reasons.details[gap.gap_id]
    drivers = reasons.drivers[gap.gap_id]
    ends = [
        called.stage(end.journey_id, end.stage_id)
        for end in publication.stages
        if end.journey_id == gap.journey_id and end.stage_kind == "success"
    ]
    return Card(
        rank=gap.priority_rank or 0,
        place=called.stage(gap.journey_id, gap.stage_id),
        journey=called.journey(gap.journey_id),
        section=section,
        sentence=headline(gap, metric, stage.conversion_window_days if stage else None),
        figure=_picture(gap, metric, called, _judged(details, drivers)),
        worth=worth(gap, metric, details, ends),
        reason=reason(metric, details, drivers),
        owner=owner(
            details, reasons.suggestions.get(gap.gap_id), reasons.touchpoints, reasons.actions
        ),
        last_action=readable(
            details.last_action_sentence or "",
            gap.stage_id,
            called.stage(gap.journey_id, gap.stage_id),
        ),
        evidence=evidence(gap, metric),
    )


def worth(gap: Gap, metric: Metric, details: Details, ends: Sequence[str]) -> str:
    """What closing the gap would bring at most: cases, days, money."""
    length = weeks(gap.period_start, gap.period_end)
    if gap.recoverable_cases:
        cases = _up_to(gap.recoverable_cases)
        noun = "case" if gap.recoverable_cases <= 1 else "cases"
        if gap.metric_id != CONVERSION:
            return f"{in_words(cases)} of {count(gap.n)} {noun} in these {length}."
        is_last = details.success_share == 1 and ends
        does = f"reached {_quoted(ends)}" if is_last else "gone on"
        text = f"{in_words(cases)} more {noun} would have {does} in these {length}"
        if details.value_at_stake is None or details.currency is None:
            return (
                f"{text}. Not known in money: no value of a success is set "
                "(default_success_value in journeys.csv)."
            )
        if not is_last and details.success_share and ends:
            reached = _up_to(gap.recoverable_cases * details.success_share)
            text += f", {reached} of them to {_quoted(ends)}"
        basis = VALUE_BASES.get(details.value_basis or "", in_words(details.value_basis or ""))
        return f"{text}: up to {_money(details.value_at_stake, details.currency)}, {basis}."
    if gap.excess_customer_days and gap.gap:
        return (
            f"{in_words(_up_to(gap.excess_customer_days))} customer-days in these {length}: "
            f"{days(abs(gap.gap))} too long, times {counted(gap.n, 'visit')}."
        )
    if metric.scale == "proportion" and gap.gap:
        cases = _up_to(abs(gap.gap) * gap.n)
        return f"{in_words(cases)} of {count(gap.n)} in these {length}; not put into money."
    return "Not put into cases, days or money: only rates and times are."


def reason(metric: Metric, details: Details, drivers: Sequence[Driver]) -> str:
    """What goes with the gap, as an association, with its warning where it has one."""
    if details.top_reason:
        return f"{_sentence(details.top_reason)} An association, not a cause."
    if not drivers:
        return (
            "None is known: there is nothing to tell the cases apart by (segment_dimensions.csv)."
            if metric.scale == "proportion"
            else "None is known: reasons are looked for in rates only."
        )
    doubtful = next(
        (row for row in drivers if row.is_unfavourable and row.warning in WARNINGS and _axis(row)),
        None,
    )
    text = "None that chance does not explain as well."
    if doubtful is not None:
        text += (
            f" Not to be relied on, since {WARNINGS[doubtful.warning or '']}: "
            f"{_sentence(doubtful.sentence)}"
        )
    return text


def owner(
    details: Details,
    suggestion: Suggestion | None,
    touchpoints: Mapping[str, Touchpoint],
    actions: Mapping[str, Action],
) -> str:
    """Who can close it: the owner of what was done last, else the teams that have a part."""
    texts = []
    action = actions.get(details.last_action_id or "")
    if action is not None and action.owner:
        texts.append(f"{team(action.owner)}, who had the last action on it.")
    met = _met(suggestion)
    teams = [
        name for name in re.split(r",\s*", (suggestion and suggestion.owner_teams) or "") if name
    ]
    known = [team(name) for name in teams if name != NO_OWNER]
    if known:
        texts.append(f"{listed(known)} {'has' if len(known) == 1 else 'have'} a part in it.")
    if NO_OWNER in teams:
        unowned = [
            f"{found.name or in_words(touchpoint)} ({share})"
            for touchpoint, share in met.items()
            if (found := touchpoints.get(touchpoint)) is not None
            and not found.owner_team
            and not found.owner_column
        ]
        which = listed(unowned) if unowned else "a touchpoint there"
        texts.insert(0, f"Nobody owns {which}: set its owner_team in touchpoints.csv.")
    if not texts:
        return (
            "Not named: no touchpoint is tied to it. Give touchpoints an owner_team in "
            "touchpoints.csv, or name an owner with an action in actions.csv."
        )
    return " ".join(text[:1].upper() + text[1:] for text in texts)


def _met(suggestion: Suggestion | None) -> dict[str, str]:
    """Touchpoint -> the share of the cases that met it, of `a (40 %), b (7 %)`."""
    listed_there = (suggestion and suggestion.touchpoints) or ""
    return {
        name: share.replace(" ", NBSP)
        for name, share in re.findall(r"(?:^|, )(.+?) \(([^()]*%)\)", listed_there)
    }


def _judged(details: Details, drivers: Sequence[Driver]) -> Driver | None:
    """The reason that was found, where its values lie on the metric's axis."""
    return next((row for row in drivers if row.sentence == details.top_reason and _axis(row)), None)


def _axis(driver: Driver) -> bool:
    """Whether it has values of the gap's metric, not of days that were waited."""
    return (
        driver.effect_kind != "wait_days"
        and driver.exposed_value is not None
        and driver.other_value is not None
    )


def _picture(gap: Gap, metric: Metric, called: Names, driver: Driver | None) -> Figure:
    kind = BENCHMARK_KINDS.get(gap.benchmark_kind, in_words(gap.benchmark_kind).lower())
    place = called.stage(gap.journey_id, gap.stage_id)
    title = f"{metric.label} of {place}, against the {kind}".replace("the own", "its own")
    chart_id = f"gap-{gap.priority_rank}"
    if gap.value is None:
        return Figure(
            chart_id, title, empty="No picture: the value was not reached within the time seen."
        )
    rows: list[tuple[str, float, int, float | None, float | None]] = [
        ("All cases", gap.value, gap.n, gap.ci_low, gap.ci_high)
    ]
    if driver is not None and driver.exposed_value is not None and driver.other_value is not None:
        exposed = driver.exposed_n or 0
        rows += [
            (_name(driver), driver.exposed_value, exposed, None, None),
            (_others(driver), driver.other_value, driver.n - exposed, None, None),
        ]
    texts = quantities(metric, gap.benchmark_value, *(row[1] for row in rows))
    sign = 1 if metric.direction == "higher_is_better" else -1
    desired = f"{kind} {texts[0]}"
    spoken = "; ".join(
        f"{name}: {text} of {count(n)}"
        + (f" (95{NBSP}% interval {interval(low, high, metric)})" if low is not None else "")
        for (name, _, n, low, high), text in zip(rows, texts[1:], strict=True)
    )
    return Figure(
        chart_id,
        title,
        caption=_caption(gap, metric, driver),
        label=f"{title}, {called.journey(gap.journey_id)}: {desired}; {spoken}.",
        table=Table(
            ["Cases", metric.label, f"95{NBSP}% interval", "n", kind[:1].upper() + kind[1:]],
            [
                [name, text, interval(low, high, metric), count(n), texts[0]]
                for (name, _, n, low, high), text in zip(rows, texts[1:], strict=True)
            ],
        ),
        spec=charts.shortfall(
            [
                Part(
                    label=f"{name}\n{text} · n = {count(n)}",
                    value=value,
                    text=text,
                    is_behind=(gap.benchmark_value - value) * sign > 0,
                    low=low,
                    high=high,
                )
                for (name, value, n, low, high), text in zip(rows, texts[1:], strict=True)
            ],
            gap.benchmark_value,
            gap.benchmark_kind,
            desired,
            metric.unit,
        ),
    )


def _caption(gap: Gap, metric: Metric, driver: Driver | None) -> str:
    text = f"{evidence(gap, metric)}. Line: the interval; pale bar: what is missing."
    if driver is not None and driver.n > gap.n:
        text += f" The reason: n = {count(driver.n)}, all mature weeks."
    return f"{text} Source: gap_ranking{', gap_drivers' if driver else ''}."


def _name(driver: Driver) -> str:
    if driver.segment_dimension and driver.segment_value:
        return f"{in_words(driver.segment_dimension)}: {team(driver.segment_value)}"
    return in_words(driver.driver)


def _others(driver: Driver) -> str:
    if driver.compared_with in ("other segments", "entries"):
        return "All others"
    if driver.compared_with == "at landmark":
        return "Others still in the stage"
    return f"Others, {in_words(driver.compared_with).lower()}"


def _up_to(number: float) -> str:
    """An upper bound as a whole number."""
    return "up to 1" if number < 1 else f"up to {count(ceil(number - 0.5))}"


def _money(amount: float, currency: str) -> str:
    """Two figures that count: an estimate is not more exact."""
    if amount < 10:
        return f"{amount:,.2f}{NBSP}{currency}"
    unit = 10 ** (floor(log10(amount)) - 1)
    return f"{round(amount / unit) * unit:,.0f}{NBSP}{currency}"


def _quoted(names: Sequence[str]) -> str:
    return " or ".join(f"“{name}”" for name in names)


def _sentence(text: str) -> str:
    """From a capital to a full stop."""
    words = text.strip()
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


_RANKED = "segment_dimension = 'all' and priority_rank is not null"

_DETAILS = f"from gap_ranking where {_RANKED} order by gap_id"

# In the order in which gap_ranking prefers them.
_DRIVERS = f"""
    from gap_drivers
    where gap_id in (select gap_id {_DETAILS})
    order by
        gap_id,
        list_position(
            ['segment', 'hand_off', 'experience', 'behaviour', 'upstream', 'mix_and_rate'],
            driver_kind
        ),
        driver_rank,
        sentence
"""

"""Who had to come back to support, and how customers felt at the key moments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from orchestration.report.names import Names
from orchestration.report.parts import Block, Key, Table
from orchestration.report.reading import TRAILING, Publication
from orchestration.report.sections.scores import ENOUGH, mark_keys, score_figure
from orchestration.report.words import (
    NBSP,
    UNKNOWN,
    count,
    counted,
    day,
    days,
    in_words,
    last_day,
    percent,
    quantity,
)

RESOLUTION = "first_contact_resolution_rate"
SOURCE = "Source: fct_support_contacts."


@dataclass(frozen=True)
class Channel:
    """Contacts of one channel; those that are judged have had time for another one."""

    channel: str
    contacts: int
    judged: int
    repeated: int
    episodes: int
    resolved: int
    reopened: int
    handed_on: int
    median_days: float | None
    first: datetime
    last: datetime


@dataclass(frozen=True)
class KeyMoment:
    """A key moment over the last 13 weeks that count."""

    journey_id: str
    stage_id: str
    key_moment: str
    period_end: date
    n: int
    reach: float | None
    reach_ci_low: float | None
    reach_ci_high: float | None
    days_to_reach_p50: float | None
    days_note: str | None
    csat_n: int | None
    csat: float | None
    csat_note: str | None
    nps_n: int | None
    nps: float | None
    nps_note: str | None


def contacts(publication: Publication, called: Names) -> Block:
    """Contacts by channel, and how many are resolved at the first one, stage by stage."""
    title = "Who had to come back to support"
    channels = publication.rows(Channel, _CHANNELS)
    if not channels:
        return Block(
            title=title,
            empty="No support contact landed: put support_contacts.csv into the landing folder.",
        )
    figure = score_figure(
        publication,
        called,
        RESOLUTION,
        "Resolved at the first contact",
        "voice-resolution",
        "Share of first contacts that need no further one.",
    )
    judged, repeated = (
        sum(getattr(row, name) for row in channels) for name in ("judged", "repeated")
    )
    total = sum(row.contacts for row in channels)
    sentence = (
        f"{counted(total, 'contact')}, {day(min(row.first for row in channels))} to "
        f"{day(max(row.last for row in channels))}"
    )
    if judged:
        sentence += (
            f"; after {count(repeated)} of {count(judged)} ({percent(repeated / judged)}) the "
            "customer came back on the same topic within a day, half a day after an e-mail"
        )
    return Block(
        title=title,
        sentences=[f"{sentence}. {SOURCE}"],
        keys=[
            Key("dot_plain", f"share with 95{NBSP}% interval"),
            Key("dot_open", f"fewer than {ENOUGH} contacts: not judged"),
            *mark_keys(publication, [RESOLUTION]),
        ]
        if figure
        else [],
        figures=[figure] if figure else [],
        tables=[_channels(channels)],
    )


def key_moments(publication: Publication, called: Names) -> Block:
    """How many reach each key moment, how soon, and how they answer after it."""
    title = "Key moments"
    moments = publication.rows(KeyMoment, _KEY_MOMENTS)
    if not moments:
        return Block(
            title=title,
            empty="No stage is a key moment with whole weeks yet: name first_impression, "
            "first_value, extended_value or renewal in the column key_moment of stages.csv.",
        )
    csat, nps = publication.metrics.get("csat"), publication.metrics.get("nps")
    rows = []
    for row in moments:
        rows.append(
            [
                in_words(row.key_moment),
                f"{called.stage(row.journey_id, row.stage_id)} ({called.journey(row.journey_id)})",
                days(row.days_to_reach_p50)
                if row.days_to_reach_p50 is not None
                else row.days_note or UNKNOWN,
                percent(row.reach) + _share_interval(row.reach_ci_low, row.reach_ci_high),
                count(row.n),
                _answer(
                    row.csat,
                    row.csat_n,
                    row.csat_note,
                    lambda value: quantity(value, csat) if csat else percent(value),
                ),
                _answer(
                    row.nps,
                    row.nps_n,
                    row.nps_note,
                    lambda value: quantity(value, nps) if nps else f"{value:.0f}",
                ),
                day(last_day(row.period_end)),
            ]
        )
    return Block(
        title=title,
        note="Cases that reach the stage within the journey's window, and what customers answer "
        "within 14 days after it, over the last 13 weeks that count. Source: fct_key_moments.",
        tables=[
            Table(
                [
                    "Key moment",
                    "Stage",
                    "Half within",
                    f"Reach it (95{NBSP}% interval)",
                    "Cases",
                    "Satisfied",
                    "NPS",
                    "Up to",
                ],
                rows,
                texts=3,
            )
        ],
    )


def _channels(channels: Sequence[Channel]) -> Table:
    return Table(
        [
            "Channel",
            "Contacts",
            "Came back",
            "of",
            "Resolved at first",
            "of",
            "Reopened",
            "Handed on",
            "Median first answer",
        ],
        [
            [
                row.channel,
                count(row.contacts),
                percent(row.repeated / row.judged) if row.judged else UNKNOWN,
                count(row.judged),
                percent(row.resolved / row.episodes) if row.episodes else UNKNOWN,
                count(row.episodes),
                count(row.reopened),
                count(row.handed_on),
                days(row.median_days),
            ]
            for row in channels
        ],
        name="Contacts by channel",
    )


def _answer(
    value: float | None, n: int | None, note: str | None, said: Callable[[float], str]
) -> str:
    if value is None:
        return (note or UNKNOWN).removesuffix(" answers")
    return f"{said(value)} (n = {count(n or 0)})"


def _share_interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f" ({percent(low).removesuffix(NBSP + '%')} to {percent(high)})"


_CHANNELS = """
    from (
        select
            coalesce(channel, '(unknown)') as channel,
            count(*) as contacts,
            count(is_repeated) as judged,
            count(*) filter (is_repeated) as repeated,
            count(is_resolved_at_first_contact) as episodes,
            count(*) filter (is_resolved_at_first_contact) as resolved,
            count(*) filter (reopenings > 0) as reopened,
            count(*) filter (team_changes > 0) as handed_on,
            median(first_response_us) / 86400000000.0 as median_days,
            min(opened_at) as first,
            max(opened_at) as last
        from fct_support_contacts
        group by channel
    )
    order by contacts desc, channel
"""

_KEY_MOMENTS = f"""
    from fct_key_moments
    where segment_dimension = 'all' and segment_value = 'all' and period_grain = '{TRAILING}'
    qualify period_end = max(period_end) over (partition by journey_id, stage_id)
    order by journey_id, stage_id
"""

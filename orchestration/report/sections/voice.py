"""What customers say: scores, topics, contacts, and how they felt at the key moments."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from orchestration.report.charts import bars, dots
from orchestration.report.charts.bars import Bar
from orchestration.report.charts.dots import Dot
from orchestration.report.names import Names
from orchestration.report.parts import Block, Figure, Key, Section, Table
from orchestration.report.reading import Measure, Metric, Publication
from orchestration.report.sections.scores import (
    ENOUGH,
    ROWS,
    mark_keys,
    place,
    score_figure,
    span,
)
from orchestration.report.sections.support import contacts, key_moments
from orchestration.report.words import (
    NBSP,
    count,
    counted,
    day,
    in_words,
    interval,
    n_of,
    percent,
    period,
    quantity,
)

# Survey -> what its picture is called.
SURVEYS = {
    "nps": "Who would recommend us",
    "csat": "Who is satisfied",
    "ces": "How easy we make it",
}
# Answers of a month that is shown, and months that make a trend.
MONTH_ANSWERS = 10
MONTHS = 3
# A phrase of fewer could tell who said it.
PHRASE_ANSWERS = 3
PHRASES = 10


@dataclass(frozen=True)
class Survey:
    """How often one survey was asked and answered."""

    survey: str
    asked: int
    answered: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Topic:
    """Answers of one survey on one topic; the score on the scale of the answers."""

    topic: str
    feedback_type: str
    survey: str
    answers: int
    score: float | None


@dataclass(frozen=True)
class Worded:
    """Answers with words, and those that no topic of the taxonomy covers."""

    answers: int
    unclassified: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Phrase:
    """A phrase of answers that no topic covers."""

    phrase: str
    n: int


def build(publication: Publication, called: Names) -> Section:
    """Scores, topics, contacts and key moments over all journeys."""
    surveys = publication.rows(Survey, _SURVEYS)
    [worded] = publication.rows(Worded, _WORDED)
    return Section(
        "voice",
        "Voice of the customer",
        _summary(surveys),
        [
            _scores(publication, called, surveys),
            *_months(publication, called),
            _topics(publication, worded),
            *_phrases(publication),
            contacts(publication, called),
            key_moments(publication, called),
        ],
    )


def _summary(surveys: Sequence[Survey]) -> str:
    if not surveys:
        return ""
    asked, answered = sum(row.asked for row in surveys), sum(row.answered for row in surveys)
    return (
        f"{counted(asked, 'question')} since {day(min(row.first for row in surveys))}, "
        f"{count(answered)} answered ({percent(answered / asked)}). "
        + "; ".join(
            f"{row.survey}: {count(row.answered)} of {count(row.asked)} "
            f"({percent(row.answered / row.asked)})"
            for row in surveys
        )
        + "."
    )


def _scores(publication: Publication, called: Names, surveys: Sequence[Survey]) -> Block:
    title = "Scores by stage"
    if not surveys:
        return Block(
            title=title,
            empty="No survey landed: put survey_responses.csv into the landing folder.",
        )
    figures = [
        figure
        for survey, name in SURVEYS.items()
        if (
            figure := score_figure(
                publication,
                called,
                survey,
                name,
                f"voice-{survey}",
                _described(publication.metrics.get(survey)),
            )
        )
    ]
    if not figures:
        return Block(
            title=title,
            empty="No answer fell into a stage of a journey in a whole week: surveys count by the "
            "stage that their customer was in (customer_id in survey_responses.csv).",
        )
    return Block(
        title=title,
        note="An answer counts in the stage that its customer was in; one per customer and period.",
        keys=[
            Key("dot_plain", f"score with 95{NBSP}% interval"),
            Key("dot_open", f"fewer than {ENOUGH} answers: not judged"),
            *mark_keys(publication, SURVEYS),
        ],
        figures=figures,
        tables=_response_rates(publication, called),
    )


def _described(metric: Metric | None) -> str:
    text = (metric.description if metric else None) or ""
    return f"{text.rstrip('.')}." if text else ""


def _response_rates(publication: Publication, called: Names) -> list[Table]:
    rows = []
    for survey in SURVEYS:
        metric = publication.metrics.get(f"{survey}_response_rate")
        if metric is None:
            continue
        rates = [
            row
            for row in publication.trailing
            if row.metric_id == metric.metric_id and row.n >= ENOUGH
        ]
        rows += [
            [
                survey,
                place(row, called),
                quantity(row.value, metric),
                interval(row.ci_low, row.ci_high, metric),
                count(row.n),
                period(row.period_start, row.period_end),
            ]
            for row in sorted(rates, key=lambda row: (-row.n, row.stage_id))[:ROWS]
        ]
    if not rows:
        return []
    columns = ["Survey", "Stage", "Answered in 14 days", f"95{NBSP}% interval", "Asked", "Period"]
    return [Table(columns, rows, texts=2, name="Response rates by survey and stage")]


def _months(publication: Publication, called: Names) -> list[Block]:
    """Month by month where one stage has enough answers for it."""
    by_metric = defaultdict(list)
    for month in publication.rows(Measure, _MONTHS):
        by_metric[month.metric_id].append(month)
    figures = [
        figure
        for survey in SURVEYS
        if (metric := publication.metrics.get(survey))
        and (figure := _month_figure(by_metric[survey], metric, called))
    ]
    if not figures:
        return []
    return [
        Block(
            title="Scores month by month",
            note=f"Of each survey the stage with the most answers, in months with at least "
            f"{MONTH_ANSWERS}.",
            figures=figures,
            is_grid=True,
        )
    ]


def _month_figure(months: Sequence[Measure], metric: Metric, called: Names) -> Figure | None:
    by_stage = defaultdict(list)
    for month in months:
        if month.n >= MONTH_ANSWERS and month.value is not None:
            by_stage[month.journey_id, month.stage_id].append(month)
    if not by_stage:
        return None
    most = max(by_stage.values(), key=lambda rows: sum(row.n for row in rows))
    if len(most) < MONTHS:
        return None
    title = f"{metric.label}: {place(most[0], called)}"
    rows = [
        Dot(
            label=f"{row.period_start.year}-{row.period_start.month:02}",
            value=row.value,
            text=f"{quantity(row.value, metric)}, n = {count(row.n)}",
            low=row.ci_low,
            high=row.ci_high,
            look="plain" if row.n >= ENOUGH else "open",
        )
        for row in most
    ]
    ends = [end for row in most for end in (row.value, row.ci_low, row.ci_high)]
    return Figure(
        f"voice-{metric.metric_id}-months",
        title,
        caption=f"Dot and line: score and 95{NBSP}% interval; hollow: fewer than {ENOUGH}. "
        f"{n_of(row.n for row in most)} a month, "
        f"{span(most)}. Source: fct_measures.",
        label=f"{title} by month: "
        + "; ".join(
            f"{_month(row.period_start)}: {dot.text}" for row, dot in zip(most, rows, strict=True)
        )
        + ".",
        table=Table(
            ["Month", metric.label, f"95{NBSP}% interval", "n"],
            [
                [
                    _month(row.period_start),
                    quantity(row.value, metric),
                    interval(row.ci_low, row.ci_high, metric),
                    count(row.n),
                ]
                for row in most
            ],
        ),
        spec=dots.months(rows, dots.ruler(metric.unit, ends)),
    )


def _topics(publication: Publication, worded: Worded) -> Block:
    title = "What they write about"
    if not worded.answers:
        return Block(
            title=title,
            empty="No answer has words: fill the column verbatim of survey_responses.csv.",
        )
    by_topic = defaultdict(list)
    for topic in publication.rows(Topic, _TOPICS):
        by_topic[topic.topic].append(topic)
    if not by_topic:
        return Block(
            title=title,
            empty=f"{counted(worded.answers, 'answer')} with words, none on a known topic: add "
            "patterns to feedback_topics.csv in the journey map.",
        )
    topics = sorted(
        by_topic.values(), key=lambda rows: (-sum(row.answers for row in rows), rows[0].topic)
    )
    shown = topics[: 2 * ROWS]
    names = [in_words(rows[0].topic) for rows in shown]
    sizes = [sum(row.answers for row in rows) for rows in shown]
    scores = ["; ".join(_mean(row) for row in rows if row.score is not None) for rows in shown]
    more = (
        f"; {counted(len(topics) - len(shown), 'topic')} left out" if topics[len(shown) :] else ""
    )
    figure = Figure(
        "voice-topics",
        "How many answers are on which topic",
        caption=f"Answers by topic, with the mean score of each survey on its own scale. n = "
        f"{count(worded.answers)} answers with words, {_dates(worded)}; an answer may be on "
        f"several{more}. Source: fct_feedback_topics, fct_feedback.",
        label="How many answers are on which topic: "
        + "; ".join(
            f"{name}: {count(size)}{f', {score}' if score else ''}"
            for name, size, score in zip(names, sizes, scores, strict=True)
        )
        + ".",
        table=Table(
            ["Topic", "Type", "Answers", "Share", "Mean score"],
            [
                [name, in_words(rows[0].feedback_type), count(size), share, score]
                for name, rows, size, score in zip(names, shown, sizes, scores, strict=True)
                for share in (percent(size / worded.answers),)
            ],
            texts=2,
        ),
        spec=bars.bars(
            [
                Bar(name, size, count(size) + (f" · {score}" if score else ""))
                for name, size, score in zip(names, sizes, scores, strict=True)
            ]
        ),
    )
    verb = "is" if worded.unclassified == 1 else "are"
    sentence = (
        f"{counted(worded.unclassified, 'answer')} of {count(worded.answers)} with words "
        f"({percent(worded.unclassified / worded.answers)}) {verb} on no topic of "
        "feedback_topics.csv."
    )
    return Block(title=title, sentences=[sentence], figures=[figure])


def _mean(topic: Topic) -> str:
    return f"{topic.survey} {topic.score:.1f}"


def _phrases(publication: Publication) -> list[Block]:
    """The longest phrases that no topic knows, of enough answers to name nobody."""
    found: list[Phrase] = []
    for phrase in publication.rows(Phrase, _PHRASES):
        within = any(
            f" {phrase.phrase} " in f" {longer.phrase} " and longer.n == phrase.n
            for longer in found
        )
        if phrase.n >= PHRASE_ANSWERS and not within:
            found.append(phrase)
    if not found:
        return []
    rows = [[f"“{phrase.phrase}”", count(phrase.n)] for phrase in found[:PHRASES]]
    return [
        Block(
            title="Phrases that no topic knows yet",
            note="Add patterns for them to feedback_topics.csv. Personal data are masked; only "
            f"phrases of at least {PHRASE_ANSWERS} answers are shown. Source: "
            "gap_unclassified_phrases.",
            tables=[Table(["Phrase", "Answers"], rows)],
        )
    ]


def _month(start: date) -> str:
    return day(start).partition(NBSP)[2]


def _dates(worded: Worded) -> str:
    if worded.first is None or worded.last is None:
        return "undated"
    return f"{day(worded.first)} to {day(worded.last)}"


_SURVEYS = """
    from (
        select
            survey,
            count(*) as asked,
            count(answered_at) as answered,
            min(coalesce(asked_at, answered_at)) as first,
            max(coalesce(asked_at, answered_at)) as last
        from fct_survey_responses
        group by survey
    )
    order by survey
"""

_MONTHS = f"""
    from fct_measures
    where segment_dimension = 'all' and segment_value = 'all' and touchpoint_id is null
        and period_grain = 'month' and is_mature and not is_partial
        and metric_id in ({", ".join(f"'{survey}'" for survey in SURVEYS)})
    order by journey_id, metric_id, stage_id, period_start
"""

_TOPICS = """
    from (
        select
            topic,
            min(feedback_type) as feedback_type,
            survey,
            count(distinct response_id) as answers,
            avg(score) as score
        from fct_feedback_topics
        group by topic, survey
    )
    order by topic, survey
"""

_WORDED = """
    from (
        select
            count(*) as answers,
            count(*) filter (not is_classified) as unclassified,
            min(answered_at) as first,
            max(answered_at) as last
        from fct_feedback
    )
"""

_PHRASES = "from gap_unclassified_phrases order by n desc, words desc, phrase_rank"

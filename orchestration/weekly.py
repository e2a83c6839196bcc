"""The weekly report: what is worst, what changed in a week, which readouts came due.

Made of two publications, the current one and the newest that is a week older, and nothing else.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration.alerts import Alert, Kind, settle
from orchestration.alerts.book import open_alerts
from orchestration.errors import JourneyGapsError
from orchestration.files import write_whole
from orchestration.publish.publication import DATABASE, MANIFEST, current
from orchestration.settings import Settings

WEEK = timedelta(days=7)
# The publication of a week ago is some minutes younger where last week's run took longer.
SLACK = timedelta(hours=12)
TOP = 5
LAGGING = "lagging"


@dataclass(frozen=True)
class Digest:
    """What the report says, as sentences. Without an older publication, `since` is null."""

    week_ending: date
    published_at: datetime
    since: datetime | None
    top: tuple[str, ...]
    newly_lagging: tuple[str, ...]
    no_longer_lagging: tuple[str, ...]
    worsening: tuple[str, ...]
    readouts: tuple[str, ...]
    open_alerts: tuple[str, ...]

    @property
    def summary(self) -> tuple[str, ...]:
        """The same in a few lines, for a message."""
        counts = {
            "newly lagging": self.newly_lagging,
            "no longer lagging": self.no_longer_lagging,
            "worsening": self.worsening,
            "readouts that came due": self.readouts,
            "alerts open": self.open_alerts,
        }
        first = ", ".join(f"{len(lines):,} {name}" for name, lines in counts.items())
        return (
            f"{first[0].upper()}{first[1:]}.",
            *(f"{rank}. {sentence}" for rank, sentence in enumerate(self.top[:3], start=1)),
        )


def send_weekly_report(settings: Settings, now: datetime | None = None) -> Path:
    """Write `HOME/reports/weekly-<date>.html`, tell the webhook in short; return the page.

    Raises JourneyGapsError where nothing is published.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    digest = build_digest(settings, moment)
    page = settings.home / "reports" / f"weekly-{digest.week_ending}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_whole(page, render(digest))
    told = Alert(
        Kind.WEEKLY_REPORT,
        digest.week_ending.isoformat(),
        f"Week to {digest.week_ending}: the journey gaps",
        (*digest.summary, f"The whole report: {page}"),
    )
    settle(settings, [told], now=moment)
    return page


def build_digest(settings: Settings, now: datetime) -> Digest:
    """Compare the current publication with that of a week before `now` (aware)."""
    folder = current(settings.published_dir)
    if folder is None:
        raise JourneyGapsError(f"nothing is published in {settings.published_dir} yet")
    older = _a_week_older(settings.published_dir, folder, now)
    gaps = _query(folder, GAPS)
    since = None if older is None else _published_at(older)
    before = {} if older is None else {gap["gap_id"]: gap["verdict"] for gap in _query(older, GAPS)}
    changed = [gap for gap in gaps if before.get(gap["gap_id"], gap["verdict"]) != gap["verdict"]]
    due = now.date() - WEEK
    return Digest(
        week_ending=now.date(),
        published_at=_published_at(folder),
        since=since,
        top=_sentences(gap for gap in gaps if gap["priority_rank"] is not None)[:TOP],
        newly_lagging=_sentences(gap for gap in changed if gap["verdict"] == LAGGING),
        no_longer_lagging=_sentences(gap for gap in changed if before[gap["gap_id"]] == LAGGING),
        worsening=_sentences(_query(folder, WORSENING)),
        readouts=_sentences(
            readout
            for readout in _query(folder, READOUTS)
            if readout["readout_on"] is not None and due < readout["readout_on"] <= now.date()
        ),
        open_alerts=tuple(
            f"{entry.title} (since {entry.first_seen:%Y-%m-%d %H:%M} UTC)"
            for entry in open_alerts(settings.home)
        ),
    )


GAPS = """
select gap_id, verdict, priority_rank, sentence
from gap_ranking
where segment_dimension = 'all' and benchmark_kind <> 'own_past'
order by priority_rank nulls last, lag_factor desc nulls last, gap_id
"""
WORSENING = """
select distinct on (journey_id, metric_id, stage_id, period_grain) sentence
from gap_trends
where is_alert and segment_dimension = 'all'
order by journey_id, metric_id, stage_id, period_grain, sentence
"""
READOUTS = """
select readout_on, title || ': ' || sentence as sentence
from fct_action_readouts
order by readout_on, readout_id
"""


def render(digest: Digest) -> str:
    """The page, in HTML that needs no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("orchestration.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("weekly.html.j2").render(digest=digest)


def _a_week_older(published_dir: Path, folder: Path, now: datetime) -> Path | None:
    """The newest publication of a week before `now`, else the oldest there is beside `folder`."""
    others = [
        (_published_at(manifest.parent), manifest.parent)
        for manifest in (published_dir / "runs").glob(f"*/{MANIFEST}")
        if manifest.parent.resolve() != folder
    ]
    others = sorted(each for each in others if each[0] < _published_at(folder))
    if not others:
        return None
    old_enough = [each for each in others if each[0] <= now - WEEK + SLACK]
    return (old_enough[-1] if old_enough else others[0])[1]


def _published_at(folder: Path) -> datetime:
    manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return datetime.fromisoformat(manifest["published_at"])


def _query(folder: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of a publication; none where an older version published it without the columns."""
    with duckdb.connect(folder / DATABASE, read_only=True) as connection:
        try:
            result = connection.execute(sql)
        except (duckdb.CatalogException, duckdb.BinderException):
            return []
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _sentences(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(row["sentence"] for row in rows if row["sentence"])

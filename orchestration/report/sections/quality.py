"""What went in, what did not, and how far the data reach."""

from collections.abc import Sequence
from typing import Any

from orchestration.report.names import Names
from orchestration.report.parts import Block, Section, Table
from orchestration.report.reading import Publication
from orchestration.report.sections import coverage
from orchestration.report.words import (
    CONVERSION,
    UNKNOWN,
    as_time,
    count,
    counted,
    day,
    last_day,
    moment,
    percent,
)


def build(publication: Publication, called: Names) -> Section:
    """Rows that landed, why some are in quarantine, the checks of the run."""
    manifest = publication.manifest
    quality = manifest.get("data_quality") or {}
    tables = publication.source_tables
    rejected = quality.get("rejected_files") or manifest.get("rejected_files") or []
    reasons = _reasons(tables)
    blocks = [
        Block(sentences=_checks(quality.get("checks") or {})),
        Block(
            title="How far the data reach",
            tables=[_reach_of_data(publication, called)] if publication.journeys else [],
            empty="" if publication.journeys else "No journey is in the map.",
        ),
    ]
    if tables:
        landed = _loaded(tables, manifest.get("published_at"))
        blocks.append(Block(title="Rows that landed", tables=[landed]))
    if reasons:
        blocks.append(Block(title="Why rows are in quarantine", tables=[reasons]))
    blocks += coverage.build(publication, called)
    blocks.append(
        Block(
            title="Rejected files",
            tables=[_rejected(rejected)] if rejected else [],
            empty="" if rejected else "None: every file could be read.",
        )
    )
    if not quality:
        missing = "This publication does not carry the counts of its load; its run's log has them."
        blocks.insert(0, Block(empty=missing))
    return Section("quality", "Data quality", _totals(tables), blocks)


def _checks(checks: dict[str, Any]) -> list[str]:
    counts = ", ".join(
        f"{count(checks[kind])} {kind}"
        for kind in ("passed", "warned", "failed")
        if checks.get(kind) is not None
    )
    messages = [str(message) for message in checks.get("messages") or []]
    return ([f"Checks of this run: {counts}."] if counts else []) + messages


def _reasons(tables: Sequence[dict[str, Any]]) -> Table | None:
    reasons = sorted(
        (
            (str(table["table"]), reason, rows)
            for table in tables
            for reason, rows in (table.get("quarantine_reasons") or {}).items()
        ),
        key=lambda reason: (-reason[2], reason[:2]),
    )
    rows = [[table, reason, count(rows)] for table, reason, rows in reasons]
    return Table(["Table", "Reason", "Rows"], rows, texts=2) if rows else None


def _rejected(files: Sequence[dict[str, Any]]) -> Table:
    rows = [[str(file.get(key) or "") for key in ("file", "table", "message")] for file in files]
    return Table(["File", "Table", "Why"], rows, texts=3)


def _totals(tables: Sequence[dict[str, Any]]) -> str:
    """Rows in = kept + quarantined + duplicates, over all tables."""
    if not tables:
        return ""
    rows = {
        kind: sum(table.get(f"rows_{kind}") or 0 for table in tables)
        for kind in ("in", "kept", "quarantined", "duplicate")
    }
    share = f" ({percent(rows['quarantined'] / rows['in'])})" if rows["quarantined"] else ""
    return (
        f"{counted(rows['in'], 'row')} came in: {count(rows['kept'])} kept, "
        f"{count(rows['quarantined'])} quarantined{share}, "
        f"{counted(rows['duplicate'], 'exact duplicate')}."
    )


def _loaded(tables: Sequence[dict[str, Any]], published_at: str | None) -> Table:
    rows = []
    for table in tables:
        newest = table.get("newest")
        age = ""
        if newest and published_at:
            age = _age(as_time(published_at) - as_time(newest))
        rows.append(
            [
                str(table["table"]),
                *(
                    count(table.get(f"rows_{kind}") or 0)
                    for kind in ("in", "kept", "quarantined", "duplicate")
                ),
                moment(newest) if newest else _undated(table),
                age,
            ]
        )
    return Table(
        ["Table", "Rows in", "Kept", "Quarantined", "Duplicates", "Newest", "Before publication"],
        rows,
    )


def _undated(table: dict[str, Any]) -> str:
    return "no dates" if table.get("rows_kept") else "no data"


def _age(age: Any) -> str:
    hours = age.total_seconds() / 3600
    return counted(round(hours / 24), "day") if hours >= 48 else counted(round(hours), "hour")


def _reach_of_data(publication: Publication, called: Names) -> Table:
    """Per journey how far its data reach, and what is left out of its rates."""
    rows = []
    for journey in publication.journeys:
        observed = [
            stage.observed_through
            for stage in publication.stages
            if stage.journey_id == journey.journey_id
            and stage.stage_kind == "progress"
            and stage.observed_through is not None
        ]
        ends = {
            measure.period_end
            for measure in publication.trailing
            if measure.journey_id == journey.journey_id and measure.metric_id == CONVERSION
        }
        rows.append(
            [
                called.journey(journey.journey_id),
                moment(journey.as_of),
                moment(min(observed)) if observed else UNKNOWN,
                day(last_day(min(ends))) if ends else "nothing mature yet",
                count(journey.cases),
                count(journey.open_visits),
                count(journey.left_truncated_cases),
            ]
        )
    return Table(
        [
            "Journey",
            "Data as of",
            "Outcomes known up to",
            "Mature up to",
            "Cases",
            "Still in a stage",
            "Left out: began before the data",
        ],
        rows,
    )

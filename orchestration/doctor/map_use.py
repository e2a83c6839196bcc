"""The journey map against the data, by the models of the newest build."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import date

from orchestration.doctor.dead_rules import DeadRule, dead_rules
from orchestration.doctor.findings import Finding, Level, some
from orchestration.quoting import literal
from orchestration.warehouse import Connection
from orchestration.warehouse.base import tables

AREA = "journey map"
# From this share of a source's events and this many on, what no rule reads may well be a stage.
LARGE_SHARE, LARGE_COUNT = 0.05, 30
# Below this share of linked events the link's column is likely the wrong one.
FEW_LINKED = 0.5
UNKNOWN = "(unknown)"
NEEDED = {
    "intermediate": {
        "int_unmapped_events",
        "int_journey_rules",
        "int_source_events",
        "int_mapped_events",
        "int_journey_events",
        "int_segment_values",
    },
    "marts": {"dim_journeys", "fct_journey_coverage", "fct_measures", "fct_action_readouts"},
    "journey_map": {"entity_links", "metrics", "segment_dimensions"},
}


def map_use(connection: Connection, today: date) -> Iterator[Finding]:
    """Yield what of the map the data do not meet, and the other way round.

    Of a warehouse in which the models were built; one finding says so where they were not.
    """
    for schema, needed in NEEDED.items():
        if not needed <= set(tables(connection, schema)):
            message = "nothing is built yet to hold it against"
            yield Finding(AREA, Level.INFO, message, "journey-gaps run")
            return
    unreached, idle = _coverage(connection)
    yield from _idle_journeys(idle)
    yield from _unmapped_events(connection)
    dead = dead_rules(connection)
    yield from _dead_rules(dead)
    # Where a rule is dead, or the journey has no case, that has been said.
    explained = {(rule.journey_id or "", rule.target) for rule in dead if rule.meaning == "stage"}
    yield from _unreached_stages({stage for stage in unreached - explained if stage[0] not in idle})
    yield from _entity_links(connection)
    yield from _dimensions(connection)
    yield from _metrics(connection)
    yield from _actions(connection, today)


def _coverage(connection: Connection) -> tuple[set[tuple[str, str]], set[str]]:
    """Stages that no case reached, and journeys without a case."""
    rows = connection.execute(
        "select journey_id, stage_id, cases from marts.fct_journey_coverage"
    ).fetchall()
    journeys = connection.execute("select journey_id from marts.dim_journeys").fetchall()
    lively = {journey for journey, _, cases in rows if cases}
    idle = {journey for (journey,) in journeys} - lively
    return {(journey, stage) for journey, stage, cases in rows if not cases}, idle


def _idle_journeys(idle: Collection[str]) -> Iterator[Finding]:
    if idle:
        yield Finding(
            AREA,
            Level.ERROR,
            f"journeys without a single case: {some(sorted(idle))}",
            "stage_rules.csv and entity_links.csv: do the names and columns of their sources "
            "occur in the data? See the lines below",
        )


def _unmapped_events(connection: Connection) -> Iterator[Finding]:
    rows = connection.execute(
        "select source, event_name, events, source_events"
        " from intermediate.int_unmapped_events order by source, events desc, event_name"
    ).fetchall()
    by_source = defaultdict(list)
    for source, *row in rows:
        by_source[source].append(row)
    for source, names in by_source.items():
        unread = sum(events for _, events, _ in names)
        share = unread / names[0][2]
        shown = some(f"{name} ({events:,})" for name, events, _ in names)
        yield Finding(
            AREA,
            Level.WARNING if share >= LARGE_SHARE and unread >= LARGE_COUNT else Level.INFO,
            f"{source}: {share:.1%} of the rows have names that no rule reads: {shown}",
            "stage_rules.csv or touchpoint_rules.csv, if they matter to the journey",
        )


def _dead_rules(dead: Collection[DeadRule]) -> Iterator[Finding]:
    by_file = defaultdict(list)
    for rule in dead:
        by_file[rule.file].append(rule)
    for file, rules in by_file.items():
        noun = "rule that no event meets" if len(rules) == 1 else "rules that no event meets"
        yield Finding(
            AREA,
            # Without stages the journey is another one.
            Level.WARNING if rules[0].meaning == "stage" else Level.INFO,
            f"{len(rules)} {noun}: {some(map(str, rules))}",
            f"{file}: correct the name or the condition, or delete the row",
        )


def _unreached_stages(stages: Collection[tuple[str, str]]) -> Iterator[Finding]:
    if stages:
        yield Finding(
            AREA,
            Level.WARNING,
            f"stages that no case reached: {some(f'{j}/{s}' for j, s in sorted(stages))}",
            "stages.csv and stage_rules.csv: are they of this journey, and is entity_links.csv "
            "right for their source?",
        )


def _entity_links(connection: Connection) -> Iterator[Finding]:
    rows = connection.execute(
        """
        with

        mapped as (
            select journey_id, source, count(distinct source_row_id) as events
            from intermediate.int_mapped_events
            where meaning = 'stage'
            group by journey_id, source
        ),

        linked as (
            select journey_id, source, count(distinct source_row_id) as events
            from intermediate.int_journey_events
            where meaning = 'stage'
            group by journey_id, source
        )

        select
            links.journey_id, links.source, links.entity_column, mapped.events,
            coalesce(linked.events, 0) as linked_events
        from journey_map.entity_links as links
        inner join mapped
            on links.journey_id = mapped.journey_id and links.source = mapped.source
        left join linked
            on links.journey_id = linked.journey_id and links.source = linked.source
        order by links.journey_id, links.source
        """
    ).fetchall()
    for journey, source, column, events, linked in rows:
        if linked / events < FEW_LINKED:
            share = f"{linked:,} of {events:,}"
            yield Finding(
                AREA,
                Level.WARNING if linked else Level.ERROR,
                f"{journey}: {share} events of {source} lead to a case by {column}",
                f"entity_links.csv, {journey} {source}: a column that the rows have filled",
            )


def _dimensions(connection: Connection) -> Iterator[Finding]:
    rows = connection.execute(
        f"""
        select dimensions.journey_id, dimensions.dimension, dimensions.source
        from journey_map.segment_dimensions as dimensions
        left join intermediate.int_segment_values as segments
            on dimensions.journey_id = segments.journey_id
            and dimensions.dimension = segments.segment_dimension
            and segments.segment_value <> {literal(UNKNOWN)}
        group by dimensions.journey_id, dimensions.dimension, dimensions.source
        having count(segments.segment_value) = 0
        order by dimensions.journey_id, dimensions.dimension
        """  # noqa: S608 (a constant)
    ).fetchall()
    if rows:
        names = some(f"{journey}/{dimension} (of {source})" for journey, dimension, source in rows)
        yield Finding(
            AREA,
            Level.WARNING,
            f"dimensions without a known value: {names}",
            "segment_dimensions.csv: another column, or land its source",
        )


def _metrics(connection: Connection) -> Iterator[Finding]:
    rows = connection.execute(
        """
        select metrics.metric_id
        from journey_map.metrics as metrics
        left join marts.fct_measures as measures
            on metrics.metric_id = measures.metric_id
        group by metrics.metric_id
        having count(measures.value) = 0
        order by metrics.metric_id
        """
    ).fetchall()
    [(all_metrics,)] = connection.execute("select count(*) from journey_map.metrics").fetchall()
    if rows:
        yield Finding(
            AREA,
            Level.INFO,
            f"{len(rows)} of {all_metrics} metrics have no value: {some(name for (name,) in rows)}",
            "nothing, where you have no such data; else land their source (surveys, support "
            "contacts, due times), or name them in metric_rules.csv",
        )


def _actions(connection: Connection, today: date) -> Iterator[Finding]:
    rows = connection.execute(
        "select action_id, readout_on, reason from marts.fct_action_readouts"
        " where verdict = 'too_early' and readout_on is not null order by action_id"
    ).fetchall()
    for action, readout_on, reason in rows:
        if readout_on < today:
            yield Finding(
                AREA,
                Level.WARNING,
                f"action {action} was to be read on {readout_on}: {reason or 'too early'}",
                "land newer data and run, or move readout_on in actions.csv",
            )

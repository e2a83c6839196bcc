"""Rules of the map that no event meets."""

import difflib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from orchestration.warehouse import Connection

# meaning of a rule -> the table that it stands in
FILES = {
    "stage": "stage_rules.csv",
    "touchpoint": "touchpoint_rules.csv",
    "response": "touchpoints.csv, response_event",
    "funnel_step": "funnel_steps.csv",
    "exclusion": "exclusions.csv",
}
# These are of no journey: they are dead where they are in every one.
OF_NO_JOURNEY = ("touchpoint", "response", "exclusion")

_RULES = """
with

targets as (
    select
        journey_id, meaning, source,
        coalesce(
            stage_id, touchpoint_id, funnel_id || ', step ' || step_order::varchar, meaning
        ) as target
    from intermediate.int_mapped_events
),

matches as (
    select journey_id, meaning, source, target, count(*) as events
    from targets
    group by journey_id, meaning, source, target
),

rules as (
    select
        *,
        coalesce(
            stage_id, touchpoint_id, funnel_id || ', step ' || step_order::varchar, meaning
        ) as target
    from intermediate.int_journey_rules
)

select
    rules.journey_id, rules.meaning, rules.target, rules.source, rules.event_name,
    rules.property_name, rules.property_operator, rules.property_value,
    coalesce(matches.events, 0) as matched_events
from rules
left join matches
    on rules.journey_id = matches.journey_id and rules.meaning = matches.meaning
    and rules.source = matches.source and rules.target = matches.target
"""


@dataclass(frozen=True)
class DeadRule:
    """A rule, and why no event meets it; `journey_id` is None where it is of no journey."""

    journey_id: str | None
    meaning: str
    target: str
    source: str
    reason: str

    @property
    def file(self) -> str:
        """The table of the map that it stands in."""
        return FILES[self.meaning]

    def __str__(self) -> str:
        """For a message: journey/target and why."""
        place = f"{self.journey_id}/{self.target}" if self.journey_id else self.target
        return f"{place} ({self.reason})"


def dead_rules(connection: Connection) -> list[DeadRule]:
    """Return the rules that no event meets, by file and target.

    A rule whose name occurs is judged with the others of its target and source: which of them
    an event met is not kept.
    """
    rules = defaultdict(list)
    for journey, meaning, target, *rule, matched in connection.execute(_RULES).fetchall():
        of_journey = None if meaning in OF_NO_JOURNEY else journey
        rules[(of_journey, meaning, target, *rule)].append(matched)
    known: dict[str, dict[str, str]] = defaultdict(dict)
    for source, name in connection.execute(
        "select distinct source, event_name from intermediate.int_source_events"
        " where event_name is not null"
    ).fetchall():
        known[source][name] = name.lower()
    dead = []
    for (journey, meaning, target, source, event_name, *condition), matches in rules.items():
        if event_name is not None and event_name not in known[source]:
            hint = _meant(event_name, known[source])
            reason = f"{source} has no '{event_name}'{hint}"
        elif not any(matches):
            said = " ".join(part for part in condition if part)
            reason = f"{said} is never met" if said else "other rules take its events"
        else:
            continue
        dead.append(DeadRule(journey, meaning, target, source, reason))
    return sorted(dead, key=lambda rule: (rule.file, str(rule)))


def _meant(event_name: str, known: Mapping[str, str]) -> str:
    """The name of the data that comes close, whatever its case."""
    close = difflib.get_close_matches(event_name.lower(), known.values(), n=1, cutoff=0.8)
    names = [name for name, lower in known.items() if lower in close]
    return f", did you mean '{names[0]}'?" if names else ""

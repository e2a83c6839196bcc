"""Reality's dirt: none of it changes a planted figure."""

import numpy as np

from orchestration.demo.plan import DAYS
from orchestration.demo.records import Records, Row, text
from orchestration.demo.verbatims import PERSONAL

ROBOTS, STAFF, SHARED_DEVICES, PERSONAL_VERBATIMS = 40, 10, 15, 8

# Older versions of records say something else here.
_ONCE_WRONG = {
    "crm_contacts": ("acquisition_channel", "organic"),
    "crm_opportunities": ("amount", "1.00"),
    "support_contacts": ("topic", "other"),
}
# Rows for quarantine: copies of good rows with a fault.
_BROKEN: tuple[tuple[str, Row], ...] = (
    ("events", {"event_id": ""}),
    ("events", {"event_id": "broken1", "occurred_at": "yesterday"}),
    ("events", {"event_id": "broken2", "occurred_at": ""}),
    ("events", {"event_id": "broken3", "occurred_at": "2099-01-01T00:00:00Z"}),
    ("events", {"event_id": "broken4", "properties": "{page: /pricing"}),
    ("events", {"event_id": "twice"}),
    ("events", {"event_id": "twice", "channel": "app"}),
    ("crm_stage_changes", {"change_id": "broken5", "stage_name": ""}),
    ("crm_opportunities", {"opportunity_id": "broken6", "amount": "a lot"}),
    ("support_contacts", {"support_contact_id": "broken7", "channel": "fax"}),
    ("survey_responses", {"response_id": "broken8", "survey": "happiness"}),
)


def soil(records: Records, rng: np.random.Generator) -> None:
    """Add the dirt to clean records, and count it in their `dirt`."""
    _late_events(records, rng)
    _robots_and_staff(records, rng)
    _shared_devices(records, rng)
    _corrections(records, rng)
    _personal_data(records, rng)
    _broken_rows(records)
    _duplicates(records, rng)


def _late_events(records: Records, rng: np.random.Generator) -> None:
    """Phones that were offline: the rows stand where they arrived, not where they belong."""
    events = records.rows["events"]
    for index in rng.choice(len(events), len(events) // 50, replace=False):
        at, row = events[index]
        received = at + 0.1 + rng.random() * 2.5
        if received < DAYS:
            events[index] = received, row | {"received_at": text(received)}
            records.dirt["late_events"] += 1


def _robots_and_staff(records: Records, rng: np.random.Generator) -> None:
    """Only the first event of each is marked; the map excludes all they do."""
    for number in range(ROBOTS):
        at, robot = rng.random() * (DAYS - 1), f"robot{number + 1}"
        records.event("first_visit", at, device=robot, traffic="bot")
        for page in range(3):
            records.event("page_view", at + (page + 1) * 0.002, device=robot, page="/pricing")
    for number in range(STAFF):
        at, member = rng.random() * (DAYS - 1), f"staff{number + 1}"
        records.event("signed_up", at, member, traffic="internal")
        for step, name in enumerate(("workspace_created", "plan_selected")):
            records.event(name, at + (step + 1) * 0.01, member)
    records.dirt.update(robots=ROBOTS, staff=STAFF)


def _shared_devices(records: Records, rng: np.random.Generator) -> None:
    """A colleague logs in on the same device."""
    signed_up = [row for _, row in records.rows["events"] if row["event_name"] == "signed_up"]
    owners = [row for row in signed_up if row["anonymous_id"] and row["account_id"]]
    for index in rng.choice(len(owners) - 1, SHARED_DEVICES, replace=False):
        owner, colleague = owners[index], owners[index + 1]
        at = DAYS - 1 - rng.random() * 30
        records.event("logged_in", at, colleague["customer_id"], owner["anonymous_id"])
    records.dirt["shared_devices"] = SHARED_DEVICES


def _corrections(records: Records, rng: np.random.Generator) -> None:
    """Older versions of records, some of which arrive after the newer ones."""
    for table, (column, value) in _ONCE_WRONG.items():
        rows = records.rows[table]
        for index in rng.choice(len(rows), len(rows) // 40, replace=False):
            at, row = rows[index]
            later = at + 1 + rng.random() * 5
            if later + 0.5 < DAYS:
                rows[index] = later, row | {"source_updated_at": text(later)}
                arrived = at if rng.random() < 0.8 else later + 0.5
                records.add(table, arrived, row | {column: value})
                records.dirt[f"corrected_{table}"] += 1


def _personal_data(records: Records, rng: np.random.Generator) -> None:
    verbatims = [row for _, row in records.rows["survey_responses"] if row.get("verbatim")]
    for number, index in enumerate(rng.choice(len(verbatims), PERSONAL_VERBATIMS, replace=False)):
        verbatims[index]["verbatim"] += PERSONAL[number % len(PERSONAL)]
    records.dirt["verbatims_with_personal_data"] = PERSONAL_VERBATIMS


def _broken_rows(records: Records) -> None:
    for table, fault in _BROKEN:
        # Of the page views, so that no stage is lost with the two that contradict each other.
        rows = [
            item
            for item in records.rows[table]
            if table != "events" or item[1]["event_name"] == "page_view"
        ]
        at, row = rows[len(rows) // 2]
        records.add(table, at, row | fault)
    records.dirt["rows_for_quarantine"] = len(_BROKEN)


def _duplicates(records: Records, rng: np.random.Generator) -> None:
    for rows in records.rows.values():
        for index in rng.choice(len(rows), len(rows) // 250, replace=False):
            at, row = rows[index]
            rows.append((at, dict(row)))
            records.dirt["exact_duplicates"] += 1

"""Touchpoints, hand-offs and work items, computed again by pandas from the raw rows."""

import json
from collections import defaultdict, deque

import pandas as pd
import pm4py
import pytest

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

TRUTH = json.loads((PROJECT_DIR / "seeds" / "demo_truth.json").read_text())
WORK = ("SCHEDULE", "START", "COMPLETE")


def entries(demo: Workbench, stage_id: str) -> pd.DataFrame:
    """First visits of a stage, as the measures count them."""
    return demo.frame(
        f"""
        select entries.entity_id, entries.attempt_number, entries.visit_number,
            entries.entered_at, entries.advanced_at, entries.is_converted,
            entries.entered_at + to_days(stages.conversion_window_days)
                <= stages.observed_through as is_complete
        from intermediate.int_cohort_entries as entries
        join marts.dim_stages as stages using (journey_id, stage_id)
        where entries.journey_id = 'lead_to_customer' and entries.stage_id = '{stage_id}'
        """
    )


def test_the_chat_is_answered_as_its_rows_say(demo: Workbench) -> None:
    rows = demo.frame(
        """
        select event_id, event_name, occurred_at, coalesce(customer_id, anonymous_id) as who
        from raw.events where event_name in ('chat_started', 'chat_answered')
        order by occurred_at, event_id
        """
    )
    answers = rows[rows["event_name"] == "chat_answered"].groupby("who")["occurred_at"].apply(list)
    asked = rows[rows["event_name"] == "chat_started"]
    first = {
        row.event_id: next((at for at in answers.get(row.who, []) if at >= row.occurred_at), None)
        for row in asked.itertuples()
    }
    # Robots and staff have no chats, and no chat of the demo is after its as_of.
    events = demo.frame(
        """
        select source_row_id, responded_at, is_late, response_us
        from marts.fct_touchpoint_events
        where touchpoint_id = 'chat' and journey_id = 'lead_to_customer'
        """
    )
    seen = {
        row.source_row_id: None if pd.isna(row.responded_at) else row.responded_at
        for row in events.itertuples()
    }
    assert seen == first
    in_time = events["response_us"] <= 5 * 60_000_000
    assert (events["is_late"].astype(bool) == ~in_time).all()

    [(n, reached)] = demo.query(
        """
        select count(*), count(*) filter (units.is_reached)
        from intermediate.int_touchpoint_rate_units as units
        join intermediate.int_touchpoint_unit_dimensions as dimensions using (unit_id)
        where units.metric_id = 'touchpoint_response_rate' and dimensions.segment_value = 'chat'
            and dimensions.segment_dimension = 'touchpoint'
            and units.journey_id = 'lead_to_customer'
        """
    )
    assert (n, reached) == (len(asked), int(in_time.sum()))
    findings = demo.frame("select * from marts.gap_touchpoints").set_index("finding_id")
    assert findings.loc["unanswered:chat", "n_affected"] == sum(at is None for at in seen.values())
    late = events["response_us"] > 5 * 60_000_000
    assert findings.loc["late:chat", "n_affected"] == late.sum()
    assert findings.loc["late:chat", "median_wait_days"] == pytest.approx(
        events["response_us"].median() / 86_400e6, rel=1e-12
    )


def test_nobody_owns_the_queue_and_it_is_the_first_hand_off(demo: Workbench) -> None:
    findings = demo.frame("select * from marts.gap_touchpoints")
    [owned] = findings[findings["finding_kind"] == "no_owner"].itertuples()
    assert (owned.touchpoint_id, owned.share, owned.finding_rank) == (
        TRUTH["unowned_touchpoint"],
        1,
        1,
    )
    [(queued,)] = demo.query("select count(*) from raw.events where event_name = 'lead_queued'")
    assert owned.n == owned.n_affected == queued

    hand_offs = findings[findings["finding_kind"] == "hand_off"]
    [first] = hand_offs[hand_offs["finding_rank"] == 1].itertuples()
    assert (first.stage_id, first.pair, first.touchpoint_id) == (
        "signed_up",
        "(no owner) → sales",
        TRUTH["unowned_touchpoint"],
    )
    assert first.median_wait_days == pytest.approx(TRUTH["queue_days"], abs=1.5)
    assert first.other_median_wait_days == pytest.approx(TRUTH["direct_days"], abs=0.3)
    assert 0 < first.median_working_wait_days < first.median_wait_days
    assert first.share > first.other_share + 0.3
    # A promoted touchpoint that nobody meets is promoted in vain.
    assert findings.set_index("finding_id").loc["no_events:webinar", "finding_rank"] == 1


def test_the_wait_in_the_queue_is_that_of_the_raw_rows(demo: Workbench) -> None:
    """By hand: the first other owner in the stage, from then on; lost after 30 days."""
    stage = entries(demo, "signed_up")
    events = demo.frame(
        """
        select entity_id, attempt_number, visit_number, touchpoint_id, occurred_at, source_row_id,
            coalesce(owner_team, '(no owner)') as owner
        from marts.fct_touchpoint_events
        where journey_id = 'lead_to_customer' and stage_id = 'signed_up'
        """
    )
    via = demo.frame(
        """
        select visits.entity_id, visits.attempt_number, visits.visit_number,
            coalesce(touchpoints.owner_team, '(no owner)') as entry_owner
        from marts.fct_stage_visits as visits
        join marts.dim_touchpoints as touchpoints
            on visits.entered_via_touchpoint_id = touchpoints.touchpoint_id
        where visits.journey_id = 'lead_to_customer' and visits.stage_id = 'signed_up'
        """
    )
    keys = ["entity_id", "attempt_number", "visit_number"]
    met = events.merge(via, on=keys, how="left")
    met = met[met["owner"] != met["entry_owner"]]
    met = met.sort_values(["occurred_at", "source_row_id"]).drop_duplicates(keys)
    at_entry = stage.merge(via, on=keys).assign(began_at=lambda all_: all_["entered_at"])
    later = stage.merge(met, on=keys).assign(began_at=lambda all_: all_["occurred_at"])
    held = pd.concat(
        [
            at_entry.rename(columns={"entry_owner": "held_by"}),
            later.rename(columns={"owner": "held_by"}),
        ]
    )
    held = held[held["held_by"] != "sales"]
    [(through,)] = demo.query(
        "select observed_through from marts.dim_stages where stage_id = 'signed_up'"
    )
    window = pd.Timedelta(days=30)
    judged = held[held["began_at"] + window <= pd.Timestamp(through)]
    lost = ~(judged["advanced_at"] - judged["began_at"] <= window)
    expected = {
        owner: (len(group), int(group["lost"].sum()))
        for owner, group in judged.assign(lost=lost).groupby("held_by")
    }
    rows = demo.query(
        """
        select split_part(pair, ' → ', 1), n, n_affected
        from marts.gap_touchpoints
        where finding_kind = 'hand_off' and stage_id = 'signed_up'
        """
    )
    assert {owner: (n, n_lost) for owner, n, n_lost in rows} == expected
    queue = judged[judged["held_by"] == "(no owner)"].dropna(subset=["advanced_at"])
    [(median,)] = demo.query(
        "select median_wait_days from marts.gap_touchpoints where finding_rank = 1"
        " and finding_kind = 'hand_off'"
    )
    waits = (queue["advanced_at"] - queue["began_at"]) / pd.Timedelta(days=1)
    assert median == pytest.approx(waits.median(), rel=1e-9)


def test_paths_are_counted_case_by_case(demo: Workbench) -> None:
    stage = entries(demo, "contacted")
    stage = stage[stage["is_complete"]]
    left = demo.frame(
        """
        select entity_id, attempt_number, visit_number, exited_at, entered_via_touchpoint_id
        from marts.fct_stage_visits where journey_id = 'lead_to_customer'
        """
    )
    keys = ["entity_id", "attempt_number", "visit_number"]
    stage = stage.merge(left, on=keys)
    landmark = stage["entered_at"] + pd.Timedelta(days=6)
    stage = stage[~(stage["exited_at"] <= landmark)].assign(landmark=landmark)
    events = demo.frame(
        """
        select entity_id, attempt_number, visit_number, touchpoint_id, occurred_at
        from marts.fct_touchpoint_events
        where journey_id = 'lead_to_customer' and stage_id = 'contacted'
        """
    )
    met = stage.merge(events, on=keys)
    met = met[met["occurred_at"] <= met["landmark"]]
    meetings = {(row.entity_id, row.attempt_number, row.touchpoint_id) for row in met.itertuples()}
    meetings |= {
        (row.entity_id, row.attempt_number, row.entered_via_touchpoint_id)
        for row in stage.itertuples()
        if row.entered_via_touchpoint_id is not None
    }
    converted = {
        (row.entity_id, row.attempt_number): bool(row.is_converted) for row in stage.itertuples()
    }
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entity, attempt, touchpoint in meetings:
        expected[touchpoint][0] += 1
        expected[touchpoint][1] += converted[entity, attempt]
    rows = demo.query(
        """
        select touchpoint_id, cases_with, converters_with, n, converters
        from marts.gap_touchpoint_paths
        where journey_id = 'lead_to_customer' and stage_id = 'contacted'
        """
    )
    assert {row[0]: list(row[1:3]) for row in rows} == expected
    assert {row[3:] for row in rows} == {(len(stage), sum(converted.values()))}


def test_every_number_of_a_sentence_is_in_its_row(demo: Workbench) -> None:
    rows = demo.query(
        """
        select sentence, n, share from marts.gap_touchpoints
        where finding_kind not in ('no_events', 'unmapped_event', 'overlapping_rules') and n > 0
        """
    )
    for sentence, n, share in rows:
        assert f"{n:,} " in sentence, sentence
        tenths = int(share * 1000 + 0.5)
        written = f"{tenths // 10}" + (f".{tenths % 10}" if tenths % 10 else "")
        assert f"{written} %" in sentence or share == 1, sentence


# The loan log: SCHEDULE, START and COMPLETE of work that people do.


def work_rows(loan: Workbench) -> pd.DataFrame:
    return loan.frame(
        """
        select source_case_id, activity, lifecycle, resource, occurred_at, event_seq
        from raw.event_log where activity like 'W\\_%' escape '\\'
        order by source_case_id, occurred_at, event_seq
        """
    )


def matched(rows: pd.DataFrame) -> list[tuple[object, ...]]:
    """Work items by queues, row after row: another way than the mart's balances."""
    items: list[dict[str, object]] = []
    for (case, activity), group in rows.groupby(["source_case_id", "activity"]):
        waiting: deque[dict[str, object]] = deque()
        running: deque[dict[str, object]] = deque()
        for row in group.itertuples():
            if row.lifecycle == "SCHEDULE":
                item = {"case": case, "activity": activity, "SCHEDULE": row.occurred_at}
                waiting.append(item)
                items.append(item)
            elif row.lifecycle == "START":
                item = waiting.popleft() if waiting else {"case": case, "activity": activity}
                if "SCHEDULE" not in item:
                    items.append(item)
                item |= {"START": row.occurred_at, "by": row.resource}
                running.append(item)
            else:
                item = running.popleft() if running else {"case": case, "activity": activity}
                if "START" not in item:
                    items.append(item)
                item |= {"COMPLETE": row.occurred_at}
    return [
        (item["case"], item["activity"], *(item.get(lifecycle) for lifecycle in WORK))
        for item in items
    ]


def test_work_items_are_those_of_queues(loan: Workbench) -> None:
    rows = work_rows(loan)
    items = loan.query(
        """
        select entity_id, activity, scheduled_at, started_at, completed_at
        from marts.fct_work_items
        """
    )
    assert len(items) == 72495
    assert sorted(map(str, items)) == sorted(
        str(tuple(at.to_pydatetime() if isinstance(at, pd.Timestamp) else at for at in item))
        for item in matched(rows)
    )
    # No row of the log is lost, and none is counted twice.
    [(log_rows, strays)] = loan.query(
        "select sum(log_rows), count(*) filter (item_state = 'stray') from marts.fct_work_items"
    )
    assert (log_rows, strays) == (len(rows), 0) == (170107, 0)


def test_service_time_is_what_pm4py_measures(loan: Workbench) -> None:
    """pm4py pairs starts and completes to intervals, first in, first out, as well."""
    rows = work_rows(loan)
    log = pd.DataFrame(
        {
            "case:concept:name": rows["source_case_id"],
            "concept:name": rows["activity"],
            "lifecycle:transition": rows["lifecycle"].str.lower(),
            "time:timestamp": pd.to_datetime(rows["occurred_at"], utc=True),
            "order": rows["event_seq"],
        }
    )
    log = log[log["lifecycle:transition"] != "schedule"]
    log = log.sort_values(["case:concept:name", "time:timestamp", "order"], ignore_index=True)
    intervals = pm4py.objects.log.util.interval_lifecycle.to_interval(
        pm4py.convert_to_event_log(log)
    )
    times: dict[str, list[float]] = defaultdict(list)
    for trace in intervals:
        for event in trace:
            took = event["time:timestamp"] - event["start_timestamp"]
            times[event["concept:name"]].append(took.total_seconds())
    measured = loan.query(
        """
        select activity, service_us / 1e6 from marts.fct_work_items
        where item_state = 'completed'
        """
    )
    ours: dict[str, list[float]] = defaultdict(list)
    for activity, seconds in measured:
        ours[str(activity)].append(float(str(seconds)))
    assert len(ours) == 6
    for activity, seconds in ours.items():
        assert sum(seconds) == pytest.approx(sum(times[activity]), rel=1e-6), activity


def test_one_application_by_hand(loan: Workbench) -> None:
    """173688: scheduled at night, taken up in the morning; called three times about the offer."""
    rows = loan.query(
        """
        select activity, item_number, item_state, started_by, queue_us, service_us, is_rework,
            is_handoff, idle_us
        from marts.fct_work_items where entity_id = '173688'
        order by activity, item_number
        """
    )
    calls = "W_Nabellen offertes"
    assert rows == [
        (
            "W_Completeren aanvraag",
            1,
            "completed",
            None,
            39427562000,
            507480000,
            False,
            False,
            None,
        ),
        (calls, 1, "completed", None, 1829736000, 87634000, False, False, 1827373000),
        (calls, 2, "completed", "10913", None, 303166000, True, False, 619788796000),
        (calls, 3, "completed", "11049", None, 43296000, True, True, 154821609000),
        (
            "W_Valideren aanvraag",
            1,
            "completed",
            "10629",
            253942365000,
            1930101000,
            False,
            True,
            253941134000,
        ),
    ]


def test_rework_queues_and_hand_overs_of_the_log(loan: Workbench) -> None:
    """The figures of the example's README."""
    rows = loan.query(
        """
        select activity, count(*) filter (item_state = 'completed'),
            round(median(queue_us) / 3600e6, 1), round(median(service_us) / 60e6, 1),
            round(100 * avg(is_rework::integer) filter (item_state = 'completed'))::integer,
            round(100 * avg(is_handoff::integer)
                filter (started_by is not null and previous_by is not null))::integer
        from marts.fct_work_items group by activity order by activity
        """
    )
    assert rows == [
        ("W_Afhandelen leads", 5897, 0.7, 1.9, 19, 38),
        ("W_Beoordelen fraude", 270, 10.2, 0.1, 60, 38),
        ("W_Completeren aanvraag", 23512, 1.8, 2.7, 69, 74),
        ("W_Nabellen incomplete dossiers", 11400, 0.7, 2.1, 86, 71),
        ("W_Nabellen offertes", 22405, 0.0, 1.7, 78, 70),
        ("W_Valideren aanvraag", 7889, 25.8, 12.0, 59, 72),
        ("W_Wijzigen contractgegevens", 0, None, None, None, None),
    ]


def test_touchpoints_of_the_log_are_owned_by_who_does_the_work(loan: Workbench) -> None:
    rows = work_rows(loan)
    starts = rows[(rows["lifecycle"] == "START")]
    expected = {
        activity: (len(group), int(group["resource"].isna().sum()))
        for activity, group in starts.groupby("activity")
    }
    events = loan.query(
        """
        select log.activity, count(*), count(*) filter (events.owner_team is null)
        from marts.fct_touchpoint_events as events
        join raw.event_log as log on events.source_row_id = log.event_id
        group by log.activity
        """
    )
    assert {activity: (n, unowned) for activity, n, unowned in events} == expected
    unmapped = loan.query(
        """
        select event_name, n_affected from marts.gap_touchpoints
        where finding_kind = 'unmapped_event' order by finding_rank limit 3
        """
    )
    assert unmapped == [("A_PARTLYSUBMITTED", 13087), ("O_CREATED", 7030), ("O_SELECTED", 7030)]

"""The demo data: the same bytes every time, and the gaps that were planted, counted here."""

from pathlib import Path

import pandas as pd
import pytest

from orchestration.demo import write_demo
from orchestration.journey_map import StageRule, load_journey_map
from orchestration.settings import PROJECT_DIR

DEMO = PROJECT_DIR / "seeds" / "demo"
END = pd.Timestamp("2026-07-01", tz="UTC")
WINDOW = pd.Timedelta(days=30)


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(DEMO / f"{name}.csv", dtype=str).drop_duplicates()


@pytest.fixture(scope="module")
def stages() -> pd.DataFrame:
    """Time of the first entry per customer (row) and stage (column)."""
    events, changes = table("events"), table("crm_stage_changes")
    customers = (
        table("crm_opportunities")
        .merge(table("crm_contacts"), on="contact_id")
        .set_index("opportunity_id")["customer_id"]
    )
    entries = pd.concat(
        [
            events[events["event_name"] == "signed_up"].rename(
                columns={"event_name": "stage_name", "occurred_at": "changed_at"}
            ),
            changes.assign(customer_id=changes["opportunity_id"].map(customers)),
        ]
    )
    first = entries.groupby(["customer_id", "stage_name"])["changed_at"].min().unstack()
    return first.apply(pd.to_datetime)


@pytest.mark.parametrize(
    ("entered", "reached", "planted"),
    [
        ("signed_up", "Contacted", 0.40),
        ("Contacted", "Meeting booked", 0.60),
        ("Meeting booked", "Offer sent", 0.70),
        ("Offer sent", "Won", 0.10),
    ],
)
@pytest.mark.parametrize("begin", ["2025-10-01", "2026-03-01"])
def test_planted_rates_hold(
    stages: pd.DataFrame, entered: str, reached: str, planted: float, begin: str
) -> None:
    """Over the whole time and over the last quarter that can be judged."""
    begin_at = pd.Timestamp(begin, tz="UTC")
    judged = stages[(stages[entered] >= begin_at) & (stages[entered] + WINDOW <= END)]
    converted = judged[reached] - judged[entered] <= WINDOW

    assert len(judged) >= 30
    assert converted.mean() == pytest.approx(planted, abs=0.03)


def test_the_stage_after_the_meeting_is_slow(stages: pd.DataFrame) -> None:
    left = stages[["Offer sent", "Lost"]].min(axis="columns") - stages["Meeting booked"]
    assert left[stages["Meeting booked"] < END - WINDOW].median() / pd.Timedelta(
        days=1
    ) == pytest.approx(6, abs=1)


def test_time_lies_in_the_nine_months(stages: pd.DataFrame) -> None:
    assert stages.min(axis=None) >= pd.Timestamp("2025-10-01", tz="UTC")
    assert END - pd.Timedelta(days=1) <= stages.max(axis=None) < END


def test_visitors_log_in_on_the_device_they_came_with() -> None:
    events = table("events")
    by_device = events[events["anonymous_id"].notna()].groupby("anonymous_id")["customer_id"]
    assert by_device.nunique().max() == 1
    identified = by_device.nunique() == 1
    # Before the login there were visits; some visitors never log in.
    assert by_device.apply(lambda ids: ids.isna().sum())[identified].min() >= 1
    assert 0.5 < identified.mean() < 0.9


def test_the_dirt_is_there() -> None:
    events = pd.read_csv(DEMO / "events.csv", dtype=str)
    changes = pd.read_csv(DEMO / "crm_stage_changes.csv", dtype=str)

    assert (events.duplicated().sum(), changes.duplicated().sum()) == (3, 2)
    unreadable = pd.to_datetime(events["occurred_at"], errors="coerce").isna()
    assert (events["event_id"].isna() | unreadable).sum() == 2
    contents = events.drop_duplicates().groupby("event_id").size()
    assert contents[contents > 1].to_dict() == {"event_with_two_contents": 2}
    clean = changes.drop_duplicates()
    assert clean.duplicated(["opportunity_id", "stage_name"]).sum() >= 10


def test_every_rule_of_the_default_map_finds_rows() -> None:
    names = {
        "events": set(table("events")["event_name"]),
        "crm_stage_changes": set(table("crm_stage_changes")["stage_name"]),
    }
    for rule in load_journey_map(PROJECT_DIR / "seeds" / "journey_map").rows(StageRule):
        assert rule.event_name in names[rule.source]


def test_writing_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    write_demo(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in DEMO.iterdir()
    }
    assert sum(path.stat().st_size for path in DEMO.iterdir()) <= 1_000_000


def test_seed_and_size_matter(tmp_path: Path) -> None:
    for folder, seed, leads in (("a", 7, 40), ("b", 8, 40), ("c", 7, 80)):
        write_demo(tmp_path / folder, seed=seed, leads=leads)
    texts = {name: (tmp_path / name / "crm_accounts.csv").read_text() for name in "abc"}
    assert texts["a"] != texts["b"]
    assert [texts[name].count("\n") for name in "abc"] == [21, 21, 41]

"""A small B2B software company, invented: raw CSV files with gaps planted in them.

Planted against the benchmarks of the default map (seeds/journey_map): 40 % of the sign-ups
are contacted (industry 60 %), 10 % of the offers are won (industry 30 %), and a meeting
leads on after six days (industry two). `python -m orchestration.demo` rewrites seeds/demo.
"""

import csv
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from orchestration.landing.contract import CONTRACT
from orchestration.settings import PROJECT_DIR

BEGIN = datetime(2025, 10, 1)
DAYS = 273  # up to and with 2026-06-30

# stage of the CRM, share that goes on, share that is lost, median days until either
PIPELINE = (
    ("Contacted", 0.60, 0.30, 3.0),
    ("Meeting booked", 0.70, 0.25, 6.0),
    ("Offer sent", 0.10, 0.60, 8.0),
    ("Won", 0.0, 0.0, 0.0),
)
SIGN_UP_RATE, CONTACT_RATE, DAYS_TO_CONTACT = 0.85, 0.40, 1.5
UNTRACKED_RATE = 0.05  # ad blockers: the first event known is the sign-up
GOLDEN_RATIO = (5**0.5 - 1) / 2

_TABLES = ("events", "crm_accounts", "crm_contacts", "crm_opportunities", "crm_stage_changes")


def write_demo(folder: Path, seed: int = 7, leads: int = 1200) -> None:
    """Write the raw tables as `<folder>/<table>.csv`, the same bytes for the same arguments.

    `leads` people arrive evenly over nine months, two to an account, and a quarter as many
    visitors stay anonymous. Some of reality's dirt is included: exact duplicates, repeated
    CRM stages, two rows for quarantine and one id with two contents.
    """
    company = _Company(np.random.default_rng(seed))
    for number, arrival in enumerate(sorted(company.rng.random(leads) * DAYS)):
        company.lead(number, arrival)
    for number in range(leads // 4):
        company.visit(f"anonymous_{number}", company.rng.random() * DAYS)
    company.soil()
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in company.rows.items():
        columns = [column.name for column in CONTRACT[table].landed_columns]
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


class _Company:
    """What the company's systems recorded. Times are days since BEGIN until written."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rows: dict[str, list[dict[str, str]]] = {table: [] for table in _TABLES}
        self.draws: Counter[str] = Counter()

    def pick(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def share(self, of: str) -> float:
        """Numbers in [0, 1), so even (a Weyl sequence) that planted shares hold in any quarter."""
        self.draws[of] += 1
        return self.draws[of] * GOLDEN_RATIO % 1

    def wait(self, median: float) -> float:
        """Log-normal, and inside every window of the map."""
        return float(np.clip(median * np.exp(0.6 * self.rng.standard_normal()), 0.1, 25))

    def event(self, name: str, at: float, device: str, **more: str) -> None:
        number = len(self.rows["events"])
        if at < DAYS:
            self.rows["events"].append(
                {
                    "event_id": f"event_{number}",
                    "anonymous_id": device,
                    "session_id": f"session_{number}",
                    "event_name": name,
                    "occurred_at": _text(at),
                    "received_at": _text(at),
                    "channel": "web",
                    **more,
                }
            )

    def visit(self, device: str, at: float) -> float:
        """One to three page views; returns the time of the last."""
        for number in range(int(self.rng.integers(1, 4))):
            at += self.wait(0.5) if number else 0
            page = json.dumps({"page": self.pick("/", "/pricing")})
            self.event("page_viewed", at, device, properties=page)
        return at

    def lead(self, number: int, arrival: float) -> None:
        """From the first visit to the sign-up, and to a contact by sales."""
        ids = {"customer_id": f"customer_{number}", "account_id": f"account_{number // 2}"}
        if number % 2 == 0:
            self.account(ids["account_id"], arrival)
        device = "" if self.share("untracked") < UNTRACKED_RATE else f"device_{number}"
        at = self.visit(device, arrival) + self.wait(0.5) if device else arrival
        # A colleague who was invited logs in and never signs up.
        signs_up = not device or self.share("signs up") < SIGN_UP_RATE
        self.event("signed_up" if signs_up else "logged_in", at, device, **ids)
        if at < DAYS:
            self.contact(number, ids, at)
        contacted = at + self.wait(DAYS_TO_CONTACT)
        if signs_up and self.share("is contacted") < CONTACT_RATE and contacted < DAYS:
            self.opportunity(number, ids["account_id"], contacted)

    def account(self, account: str, at: float) -> None:
        self.rows["crm_accounts"].append(
            {
                "account_id": account,
                "name": account.replace("account_", "Company "),
                "industry": self.pick("software", "retail", "logistics"),
                "employee_count": str(self.rng.integers(5, 900)),
                "region": self.pick("north", "south"),
                "plan": self.pick("free", "team"),
                **dict.fromkeys(("created_at", "source_updated_at"), _text(at)),
            }
        )

    def contact(self, number: int, ids: dict[str, str], at: float) -> None:
        self.rows["crm_contacts"].append(
            {
                "contact_id": f"contact_{number}",
                **ids,
                "persona": self.pick("buyer", "user"),
                "acquisition_channel": self.pick("organic", "ads", "referral"),
                **dict.fromkeys(("created_at", "source_updated_at"), _text(at)),
            }
        )

    def opportunity(self, number: int, account: str, contacted: float) -> None:
        """From the contact to the last stage that was reached by the end."""
        opportunity = f"opportunity_{number}"
        owner = f"rep_{self.rng.integers(1, 6)}"
        at, last, changed_at = contacted, "", contacted
        for step, (stage, share_on, share_lost, median) in enumerate(PIPELINE):
            last, changed_at = stage, at
            self.change(f"change_{number}_{step}", opportunity, stage, at, owner)
            if self.share("again") < 0.05 and median and at + 0.05 < DAYS:
                # The CRM says it again when an amount is edited.
                self.change(f"change_{number}_{step}_again", opportunity, stage, at + 0.05, owner)
            at += self.wait(median) if median else 0
            drawn = self.share(stage)
            if drawn >= share_on or at >= DAYS:
                if share_on <= drawn < share_on + share_lost and at < DAYS:
                    last, changed_at = "Lost", at
                    self.change(f"change_{number}_lost", opportunity, last, at, owner)
                break
        is_closed = last in ("Won", "Lost")
        self.rows["crm_opportunities"].append(
            {
                "opportunity_id": opportunity,
                "account_id": account,
                "contact_id": f"contact_{number}",
                "pipeline": "new_business",
                "amount": f"{round(8000 * np.exp(0.5 * self.rng.standard_normal()), -2):.2f}",
                "currency": "EUR",
                "owner": owner,
                "created_at": _text(contacted),
                "closed_at": _text(changed_at) if is_closed else "",
                "is_won": str(last == "Won").lower() if is_closed else "",
                "source_updated_at": _text(changed_at),
            }
        )

    def change(self, change_id: str, opportunity: str, stage: str, at: float, by: str) -> None:
        columns = ("change_id", "opportunity_id", "stage_name", "changed_at", "changed_by")
        cells = (change_id, opportunity, stage, _text(at), by)
        self.rows["crm_stage_changes"].append(dict(zip(columns, cells, strict=True)))

    def soil(self) -> None:
        """Dirt that the contract step must take away: none of it changes a planted rate."""
        events, changes = self.rows["events"], self.rows["crm_stage_changes"]
        view = {**events[-1], "event_name": "page_viewed"}
        events += [dict(row) for row in events[:3]]
        changes += [dict(row) for row in changes[:2]]
        events.append({**view, "event_id": "event_without_time", "occurred_at": "yesterday"})
        events.append({**view, "event_id": ""})
        events.append({**view, "event_id": "event_with_two_contents"})
        events.append({**view, "event_id": "event_with_two_contents", "channel": "app"})


def _text(at: float) -> str:
    return f"{BEGIN + timedelta(seconds=int(at * 86_400)):%Y-%m-%dT%H:%M:%SZ}"


if __name__ == "__main__":
    write_demo(PROJECT_DIR / "seeds" / "demo")

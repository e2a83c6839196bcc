"""The company's year: what its customers do, and what its systems make of it.

Customers are numbered from 0 in the order of their sign-ups; times are days since the first
midnight, local.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from orchestration.demo.dirt import soil
from orchestration.demo.draws import Draws, Flags, Floats, Indices
from orchestration.demo.plan import (
    BEGIN,
    CREATES_WORKSPACE,
    DAYS,
    SELECTS_PLAN,
    UNTRACKED,
    Experiment,
    Plan,
)
from orchestration.demo.records import Records, Row, text
from orchestration.demo.verbatims import AFTER_REPEAT, SENTENCES

# The CRM's name of a stage, ours, days until half have left it where the plan does not say.
PIPELINE = (
    ("Contacted", "contacted", 3.0),
    ("Meeting booked", "meeting_booked", 0.0),
    ("First conversation", "first_conversation", 4.0),
    ("Offer sent", "offer_sent", 8.0),
)
# Who does not come to a meeting is lost; of the others who do not go on, some stay open.
LOST_SHARES: Mapping[str, float] = {"meeting_booked": 1.0}
# Likewise the event that means a stage of the onboarding.
ONBOARDING = (
    ("workspace_created", "workspace_created", 1.0),
    ("data_connected", "data_connected", 0.0),
    ("report_created", "first_report", 2.0),
    ("report_shared", "", 0.0),
)
TOPICS = ("billing", "login", "integration", "reports", "speed")
SUPPORT_CHANNELS: Mapping[str, float] = {"call": 0.5, "email": 0.25, "chat": 0.25}
# When the quarterly surveys go out, in days.
WAVES = (76.4, 167.4, 258.4, 349.4)


def write_demo(
    folder: Path, seed: int = 10, leads: int | None = None, plan: Plan | None = None
) -> dict[str, Any]:
    """Write the raw tables as `<folder>/<table>.csv`, the same bytes for the same arguments.

    `leads` people sign up evenly over twelve months (default: the plan's 3,000). Returns the
    truth: what was planted, what the ranking must say, and how much dirt there is.
    """
    plan = plan or Plan()
    if leads is not None:
        plan = replace(plan, leads=leads)
    rng, records = np.random.default_rng(seed), Records()
    _Company(plan, rng, records).live()
    soil(records, rng)
    records.write(folder)
    return {"seed": seed, **plan.truth(), "dirt": dict(records.dirt)}


class _Cases(NamedTuple):
    """Customers, each with the time at which they came so far."""

    who: Indices
    at: Floats

    def only(self, flags: Flags) -> "_Cases":
        return _Cases(self.who[flags], self.at[flags])

    def seen(self) -> "_Cases":
        return self.only(self.at < DAYS)

    def each(self) -> "zip[tuple[int, float]]":
        return zip(self.who.tolist(), self.at.tolist(), strict=True)


class _Company:
    def __init__(self, plan: Plan, rng: np.random.Generator, records: Records) -> None:
        self.plan, self.rng, self.records = plan, rng, records
        self.draws = Draws(rng)

    def live(self) -> None:
        """Everything that happens, in an order in which each part knows what it needs."""
        signed_up = self.visitors()
        self.customers(signed_up)
        won, last_seen_at = self.sales(signed_up)
        won_later = self.second_attempts(signed_up, last_seen_at)
        self.second_devices(signed_up)
        used, reported = self.onboarding(signed_up)
        buys_from_sales = np.isin(reported.who, np.concatenate([won.who, won_later.who]))
        paid = self.checkout(reported.only(~buys_from_sales))
        contracts = (paid, won, won_later)
        subscribed = _Cases(
            np.concatenate([contract.who for contract in contracts]),
            np.concatenate([contract.at for contract in contracts]),
        )
        self.subscriptions(subscribed)
        self.support(used)
        self.promoter_surveys(subscribed)
        self.rates_of_exchange()

    # --- awareness and consideration ------------------------------------------------------

    def visitors(self) -> _Cases:
        """First visits, mostly of people who never sign up, and the sign-ups."""
        plan, draws = self.plan, self.draws
        tracked = round(plan.leads * (1 - UNTRACKED))
        arrivals = np.sort(self.rng.random(round(tracked / plan.rates["visited"]))) * DAYS
        visited_at = self.thin_weekends(arrivals)
        signs_up = draws.decide(visited_at, plan.rates["visited"])
        signed_up_at = visited_at + draws.wait(visited_at, 0.3, longest=20)
        for number, at in enumerate(visited_at):
            self.records.event("first_visit", at, device=f"d{number}")
        for number in draws.some(visited_at, 0.3):
            at = visited_at[number] + 0.01
            if not signs_up[number] or at < signed_up_at[number] - 0.005:
                self.records.event("page_view", at, device=f"d{number}", page="/pricing")
        for number in draws.some(visited_at, 0.06):
            at = visited_at[number] + 0.004
            self.records.event("chat_started", at, device=f"d{number}")
            if self.rng.random() < 0.8:
                answered_at = at + self.rng.exponential(0.012)
                self.records.event("chat_answered", answered_at, device=f"d{number}")
        unseen_at = self.thin_weekends(self.rng.random(plan.leads - tracked) * DAYS)
        times = np.concatenate([signed_up_at[signs_up], unseen_at])
        devices = [*(f"d{number}" for number in np.flatnonzero(signs_up)), *[""] * len(unseen_at)]
        order = np.argsort(times, kind="stable")
        order = order[times[order] < DAYS]
        self.devices = [devices[index] for index in order]
        return _Cases(np.arange(len(order)), times[order])

    def thin_weekends(self, at: Floats) -> Floats:
        """Three of four who would come on a weekend come on another day of that week."""
        weekday = (np.floor(at) + BEGIN.weekday()) % 7
        moves = (weekday >= 5) & (self.rng.random(len(at)) < 0.75)
        moved = at - np.where(moves, weekday - self.rng.integers(0, 5, len(at)), 0)
        return np.where(moved >= 0, moved, at)

    def customers(self, signed_up: _Cases) -> None:
        """Who signs up, in accounts of one to three people, and their CRM records."""
        draws, dimensions = self.draws, self.plan.dimensions
        size, at = len(signed_up.who), signed_up.at
        members = self.rng.choice([1, 2, 3], size=size, p=[0.5, 0.3, 0.2])
        accounts = np.repeat(np.arange(size), members)[:size]
        founded_at = at[np.unique(accounts, return_index=True)[1]]
        of_account = {
            dimension: draws.kinds(founded_at, dimensions[dimension])
            for dimension in ("region", "industry")
        }
        channels = draws.kinds(at, dimensions["acquisition_channel"])
        segment = self.plan.segment
        attributes = {
            "acquisition_channel": channels,
            **{name: values[accounts] for name, values in of_account.items()},
        }
        self.in_segment: Flags = attributes[segment.dimension] == segment.value
        self.device_types = draws.kinds(at, {"web": 0.7, "mobile": 0.3}).tolist()
        self.customer_ids = [f"c{number + 1}" for number in range(size)]
        self.account_ids = [f"a{number + 1}" for number in accounts]
        self.account_rows: dict[str, Row] = {}
        for number, moment in enumerate(founded_at):
            row = {
                "account_id": f"a{number + 1}",
                "name": f"Company {number + 1}",
                "industry": of_account["industry"][number],
                "employee_count": str(round(np.exp(self.rng.normal(4, 1)))),
                "region": of_account["region"][number],
                "plan": "free",
                **dict.fromkeys(("created_at", "source_updated_at"), text(moment)),
            }
            self.account_rows[row["account_id"]] = row
            self.records.add("crm_accounts", moment, row)
        for customer, moment in signed_up.each():
            self.sign_up(customer, moment, self.devices[customer])
            row = {
                "contact_id": f"k{customer + 1}",
                "account_id": self.account_ids[customer],
                "customer_id": self.customer_ids[customer],
                "persona": draws.pick(("buyer", "user", "admin")),
                "acquisition_channel": channels[customer],
                **dict.fromkeys(("created_at", "source_updated_at"), text(moment)),
            }
            self.records.add("crm_contacts", moment, row)

    def sign_up(self, customer: int, at: float, device: str) -> None:
        ids = self.customer_ids[customer], device, self.account_ids[customer]
        self.records.event("signed_up", at, *ids)

    def event(self, name: str, at: float, customer: int, **more: str) -> None:
        self.records.event(name, at, self.customer_ids[customer], **more)

    def shares(self, stage_id: str, who: Indices) -> Floats:
        """The planted rate of each customer at a stage."""
        plan, segment = self.plan, self.plan.segment
        if stage_id != segment.stage_id:
            return np.full(len(who), plan.rates[stage_id])
        return np.where(self.in_segment[who], segment.rate, plan.rate_outside)

    # --- purchase through sales -----------------------------------------------------------

    def sales(self, signed_up: _Cases) -> tuple[_Cases, Floats]:
        """From the sign-up through the CRM: who was won when, and when each was last seen.

        Last seen is infinite for those who were won.
        """
        plan, draws = self.plan, self.draws
        who, at = signed_up
        # Leads of the segment, and some others, go to a queue that nobody owns.
        is_queued = self.in_segment[who] | draws.decide(at, 0.15)
        for customer, moment in signed_up.only(is_queued).each():
            self.event("lead_queued", moment + 0.01, customer)
        for index in draws.some(at, 0.15):
            self.event("email_sent", at[index] + 0.02, who[index])
            if self.rng.random() < 0.4:
                opened_at = at[index] + 0.02 + self.rng.exponential(0.5)
                self.event("email_opened", opened_at, who[index])
        # Cases without a first visit are left out of rates, so the others must keep them alone.
        is_tracked = np.array([bool(self.devices[customer]) for customer in who], dtype=int)
        is_contacted = draws.decide(at, self.shares("signed_up", who), is_tracked)
        days = np.where(is_queued, plan.queue_days, plan.direct_days)
        contacted_at = _office_day(at + draws.wait(at, days, longest=26), at)
        last_seen_at = at.copy()
        # From here on a case is a position in `signed_up`.
        cases = _Cases(np.flatnonzero(is_contacted), contacted_at[is_contacted]).seen()
        deals = {index: _Deal(who[index]) for index in cases.who.tolist()}
        for name, stage, median in PIPELINE:
            for index, moment in cases.each():
                deals[index].enter(name, moment)
            last_seen_at[cases.who] = cases.at
            shares = self.shares(stage, who[cases.who])
            goes_on = draws.decide(cases.at, shares, is_tracked[cases.who])
            is_lost = ~goes_on & draws.decide(cases.at, LOST_SHARES.get(stage, 0.6), goes_on)
            wait = draws.wait(cases.at, plan.days.get(stage, median), stratum=goes_on)
            after = _Cases(cases.who, _office_day(cases.at + wait, cases.at))
            for index, moment in after.only(is_lost).seen().each():
                deals[index].enter("Lost", moment)
                last_seen_at[index] = moment
            cases = after.only(goes_on).seen()
        for index, moment in cases.each():
            deals[index].enter("Won", moment)
            last_seen_at[index] = np.inf
        for deal in deals.values():
            self.record(deal)
        return _Cases(who[cases.who], cases.at), last_seen_at

    def record(self, deal: "_Deal") -> None:
        """An opportunity and its stages as the CRM has them."""
        rng, records = self.rng, self.records
        opportunity, owner = records.new_id("o"), f"rep_{rng.integers(1, 7)}"
        last, last_at = deal.stages[-1]
        moves = list(deal.stages)
        for (stage, at), (_, until) in pairwise([*deal.stages, ("", last_at + 4)]):
            stays = min(until, DAYS) - at
            if stage in ("Won", "Lost"):
                continue
            if stays > 0.3 and rng.random() < 0.05:
                # The CRM says it again when an amount is edited.
                moves.append((stage, at + 0.1))
                records.dirt["repeated_stages"] += 1
            elif stage == "Offer sent" and stays > 1 and rng.random() < 0.08:
                moves += [("First conversation", at + stays * 0.3), (stage, at + stays * 0.5)]
                records.dirt["back_moves"] += 1
        for stage, at in moves:
            change = {
                "change_id": records.new_id("h"),
                "opportunity_id": opportunity,
                "stage_name": stage,
                "changed_at": text(at),
                "changed_by": owner,
            }
            records.add("crm_stage_changes", at, change)
        is_closed = last in ("Won", "Lost")
        row = {
            "opportunity_id": opportunity,
            "account_id": self.account_ids[deal.customer],
            "contact_id": f"k{deal.customer + 1}",
            "pipeline": "new_business",
            "amount": f"{round(8000 * np.exp(0.5 * rng.standard_normal()), -2):.2f}",
            "currency": str(rng.choice(["EUR", "CHF", "GBP"], p=[0.85, 0.1, 0.05])),
            "owner": owner,
            "created_at": text(deal.stages[0][1]),
            "closed_at": text(last_at) if is_closed else "",
            "is_won": str(last == "Won").lower() if is_closed else "",
            "source_updated_at": text(last_at),
        }
        records.add("crm_opportunities", last_at, row)

    def second_attempts(self, signed_up: _Cases, last_seen_at: Floats) -> _Cases:
        """Some come back after months, on another device, and try again; who was won then."""
        returns = (last_seen_at < 240) & self.draws.decide(signed_up.at, 0.08)
        who = signed_up.who[returns]
        visited_at = last_seen_at[returns] + 65 + self.rng.random(len(who)) * 50
        again_at = visited_at + self.draws.wait(visited_at, 0.3, longest=20)
        again = _Cases(who, again_at)
        for (customer, at), before in zip(again.each(), visited_at, strict=True):
            if at < DAYS:
                device = self.records.new_id("laptop")
                self.records.event("first_visit", before, device=device)
                self.sign_up(customer, at, device)
                self.records.dirt["second_attempts"] += 1
        return self.sales(again.seen())[0]

    def second_devices(self, signed_up: _Cases) -> None:
        """A first visit on the phone, after the sign-up: the case goes back, for a while."""
        for index in self.draws.some(signed_up.at, 0.02):
            device, at = self.records.new_id("phone"), signed_up.at[index] + 0.008
            self.records.event("first_visit", at, device=device)
            self.event("logged_in", at + 0.001, signed_up.who[index], device=device)
            self.records.dirt["first_visits_on_a_second_device"] += 1

    # --- onboarding -----------------------------------------------------------------------

    def onboarding(self, signed_up: _Cases) -> tuple[_Cases, _Cases]:
        """From the workspace to its activation; who has a workspace, who a report."""
        plan, draws = self.plan, self.draws
        invited = signed_up.only(draws.decide(signed_up.at, CREATES_WORKSPACE))
        created_at = invited.at + draws.wait(invited.at, 0.05, longest=2)
        created = _Cases(invited.who, created_at)
        gains = {stage: np.zeros(len(created_at)) for stage in plan.rates}
        arms = {stage: np.zeros(len(created_at), dtype=int) for stage in plan.rates}
        for experiment in plan.experiments:
            # Just before the workspace is there: both arms enter all its stages afterwards.
            assigned = _Cases(created.who, created_at - 0.001)
            end = _day(experiment.end) + 1
            takes_part = (assigned.at >= _day(experiment.begin)) & (assigned.at < end)
            is_treated = takes_part & draws.decide(assigned.at, 0.5, takes_part)
            self.assign(experiment, assigned.only(takes_part), is_treated[takes_part])
            # What works is kept for all after the experiment.
            gains[experiment.stage_id][is_treated | (assigned.at >= end)] = experiment.effect
            arms[experiment.stage_id] = takes_part + 2 * is_treated
        # From here on a case is a position in `created`.
        cases, reported = _Cases(np.arange(len(created_at)), created_at), created
        for event, stage, median in ONBOARDING:
            cases = cases.seen()
            who = created.who[cases.who]
            for customer, at in _Cases(who, cases.at).each():
                self.event(event, at, customer)
            if not stage:
                break
            if stage == "first_report":
                reported = _Cases(who, cases.at)
            shares = np.round(self.shares(stage, who) + gains[stage][cases.who], 4)
            goes_on = draws.decide(cases.at, shares, arms[stage][cases.who])
            wait = draws.wait(cases.at, plan.days.get(stage, median), shares, 13, goes_on)
            cases = _Cases(cases.who, cases.at + wait).only(goes_on)
        return created.seen(), reported

    def assign(self, experiment: Experiment, assigned: _Cases, is_treated: Flags) -> None:
        for (customer, at), treated in zip(assigned.each(), is_treated, strict=True):
            row = {
                "experiment_id": experiment.experiment_id,
                "customer_id": self.customer_ids[customer],
                "arm": experiment.treated_arm if treated else "control",
                "assigned_at": text(at),
            }
            self.records.add("experiment_assignments", at, row)

    # --- purchase by oneself --------------------------------------------------------------

    def checkout(self, reported: _Cases) -> _Cases:
        """The self-service purchase; mobile customers went round in circles for four weeks."""
        plan, draws = self.plan, self.draws
        first_at = reported.at + draws.wait(reported.at, 3.0)
        cases = _Cases(reported.who, first_at).only(draws.decide(reported.at, SELECTS_PLAN))
        for event in ("plan_selected", "payment_details", "order_review"):
            cases = cases.seen()
            for customer, at in cases.each():
                self.event(event, at, customer, channel=self.device_types[customer])
            shares, loops = self.shares(event, cases.who), np.zeros(len(cases.who), dtype=bool)
            if event == "payment_details":
                is_mobile = np.array([self.device_types[who] == "mobile" for who in cases.who])
                day = np.floor(cases.at)
                loops = is_mobile & (day >= _day(plan.loop_begin)) & (day <= _day(plan.loop_end))
                shares = np.where(loops, plan.loop_rate, shares)
                for customer, at in cases.only(loops).each():
                    for turn in range(int(self.rng.integers(2, 4))):
                        back_at, again_at = at + turn * 0.008 + 0.004, at + turn * 0.008 + 0.008
                        self.event("plan_selected", back_at, customer, channel="mobile")
                        self.event(event, again_at, customer, channel="mobile")
            goes_on = draws.decide(cases.at, shares)
            wait = draws.wait(cases.at, 0.02, longest=5) + np.where(loops, 0.03, 0)
            cases = _Cases(cases.who, cases.at + wait).only(goes_on)
        cases = cases.seen()
        for customer, at in cases.each():
            amount = draws.pick(("588", "1188", "2388"))
            channel = self.device_types[customer]
            self.event("plan_paid", at, customer, channel=channel, amount=amount)
        return cases

    # --- loyalty and advocacy -------------------------------------------------------------

    def subscriptions(self, subscribed: _Cases) -> None:
        """Use, referrals, renewals and cancellations; the accounts' plans follow."""
        plan, draws, rng = self.plan, self.draws, self.rng
        stays = draws.decide(subscribed.at, plan.retention)
        leaves = ~stays & draws.decide(subscribed.at, plan.churn / (1 - plan.retention), stays)
        refers = draws.decide(subscribed.at, plan.referral)
        for index, (customer, at) in enumerate(subscribed.each()):
            if rng.random() < 0.75:
                self.event("kickoff_held", at + 1 + rng.random() * 3, customer)
            self.event("app_used", at + rng.random() * 10, customer)
            if stays[index]:
                for month in range(1, 12):
                    self.event("app_used", at + month * 30 + rng.random() * 28, customer)
                self.event("plan_renewed", at + 90.1 + rng.random() * 2, customer)
            if leaves[index]:
                self.event("plan_cancelled", at + 25 + rng.random() * 60, customer)
            if refers[index]:
                self.event("referral_sent", at + 12 + rng.random() * 70, customer)
            # Today's plan says who bought: as a segment it would "convert" at 100 %.
            account = self.account_rows[self.account_ids[customer]]
            if account["plan"] == "free" and at + 0.02 < DAYS:
                account.update(plan="team", source_updated_at=text(at + 0.02))

    # --- support and surveys --------------------------------------------------------------

    def support(self, used: _Cases) -> None:
        """Episodes of support, calls that come back within a day, and what is said of them."""
        plan, draws, rng = self.plan, self.draws, self.rng
        begun = _Cases(used.who, used.at + rng.random(len(used.who)) * 40)
        begun = begun.only(draws.decide(begun.at, 0.40))
        later = begun.only(draws.decide(begun.at, 0.12))
        later_at = later.at + 100 + rng.random(len(later.who)) * 60
        begun = _Cases(np.concatenate([begun.who, later.who]), np.concatenate([begun.at, later_at]))
        begun = begun.only(begun.at < DAYS - 4)
        channels = draws.kinds(begun.at, SUPPORT_CHANNELS)
        is_call = channels == "call"
        repeat_share = plan.repeat_share / SUPPORT_CHANNELS["call"]
        repeats = is_call & draws.decide(begun.at, repeat_share, is_call)
        answers = draws.decide(begun.at, 0.5, repeats)
        likely = np.where(repeats, plan.csat_after_repeat, plan.csat_otherwise)
        is_happy = draws.decide(begun.at, likely, answers)
        for index, (customer, at) in enumerate(begun.each()):
            channel, topic = str(channels[index]), draws.pick(TOPICS)
            last_at = self.contact(customer, channel, topic, at)
            if repeats[index]:
                again_at = at + 0.15 + rng.random() * 0.8
                last_at = max(last_at, self.contact(customer, channel, topic, again_at))
            low, high = (4, 5) if is_happy[index] else (1, 3)
            score = int(rng.integers(low, high + 1)) if answers[index] else None
            words = self.words(bool(is_happy[index]), bool(repeats[index]))
            self.survey("csat", customer, last_at + 0.1, score, (1, 5), words)
            if index % 3 == 0:
                effort = int(np.clip(np.round(rng.normal(plan.mean_effort, 1.2)), 1, 7))
                given = effort if rng.random() < 0.4 else None
                self.survey("ces", customer, last_at + 0.101, given, (1, 7), "")

    def contact(self, customer: int, channel: str, topic: str, at: float) -> float:
        """One contact with the support desk; the time of its end."""
        days = {"call": 0.003, "chat": 0.004, "email": 0.3}[channel]
        answered_at = at + self.rng.exponential(days)
        resolved_at = answered_at + 0.01 + min(self.rng.exponential(days * 3), 2)
        contact_id, team = self.records.new_id("s"), "first_line"
        for kind, share, moved_at, takes_over in (
            ("team_changed", 0.15, answered_at + 0.005, "second_line"),
            ("reopened", 0.05, resolved_at + 0.3, "first_line"),
        ):
            if self.rng.random() < share:
                team = takes_over
                event = {
                    "support_event_id": self.records.new_id("t"),
                    "support_contact_id": contact_id,
                    "kind": kind,
                    "agent_team": team,
                    "occurred_at": text(moved_at),
                }
                self.records.add("support_events", moved_at, event)
        row = {
            "support_contact_id": contact_id,
            "customer_id": self.customer_ids[customer],
            "channel": channel,
            "topic": topic,
            "opened_at": text(at),
            "first_response_at": text(answered_at),
            "resolved_at": text(resolved_at),
            "agent_team": team,
            "source_updated_at": text(resolved_at),
        }
        self.records.add("support_contacts", resolved_at, row)
        return resolved_at

    def promoter_surveys(self, subscribed: _Cases) -> None:
        """Four times a year: would you recommend us?"""
        plan, draws = self.plan, self.draws
        shares = {
            "promoter": plan.promoters,
            "passive": 1 - plan.promoters - plan.detractors,
            "detractor": plan.detractors,
        }
        scores = {"promoter": (9, 10), "passive": (7, 8), "detractor": (0, 6)}
        for wave in WAVES:
            who = subscribed.who[subscribed.at < wave]
            asked = _Cases(who, wave + self.rng.random(len(who)) * 0.2)
            answers = draws.decide(asked.at, 0.45)
            kinds = np.full(len(who), "unknown", dtype=object)
            kinds[answers] = draws.kinds(asked.at[answers], shares)
            for (customer, at), kind in zip(asked.each(), kinds, strict=True):
                low, high = scores.get(kind, (0, 0))
                score = int(self.rng.integers(low, high + 1)) if kind in scores else None
                words = self.words(kind != "detractor")
                self.survey("nps", customer, at, score, (0, 10), words)

    def survey(
        self,
        survey: str,
        customer: int,
        asked_at: float,
        score: int | None,
        scale: tuple[int, int],
        words: str,
    ) -> None:
        """A question, and its answer where there is one; some of the unhappy are called back."""
        low, high = scale
        row = {
            "response_id": self.records.new_id("r"),
            "customer_id": self.customer_ids[customer],
            "survey": survey,
            "scale_min": str(low),
            "scale_max": str(high),
            "is_higher_better": "true",
            "touchpoint_id": "" if survey == "nps" else "support_desk",
            "asked_at": text(asked_at),
            "source_updated_at": text(asked_at),
        }
        updated_at = asked_at
        answered_at = asked_at + 0.005 + self.rng.exponential(0.4)
        if score is not None and answered_at < DAYS:
            row |= {"score": str(score), "verbatim": words, "answered_at": text(answered_at)}
            updated_at = answered_at
            called_at = answered_at + 1 + self.rng.random() * 3
            is_low = score - low < (high - low) * 0.6
            if is_low and self.rng.random() < 0.3 and called_at < DAYS:
                row["followed_up_at"] = text(called_at)
                updated_at = called_at
            row["source_updated_at"] = text(updated_at)
        self.records.add("survey_responses", updated_at, row)

    def words(self, is_happy: bool, is_repeat: bool = False) -> str:
        """What somebody writes, if anything."""
        if self.rng.random() < 0.5:
            return ""
        language = "de" if self.rng.random() < 0.25 else "en"
        if is_repeat and self.rng.random() < 0.6:
            return self.draws.pick(AFTER_REPEAT[language])
        return self.draws.pick(SENTENCES[is_happy, language])

    def rates_of_exchange(self) -> None:
        for week in range(0, DAYS, 7):
            for currency, rate in (("CHF", 1.06), ("GBP", 1.16)):
                row = {
                    "currency": currency,
                    "rate_date": str(BEGIN + timedelta(days=week)),
                    "rate_to_reporting_currency": f"{rate + self.rng.normal(0, 0.01):.4f}",
                    "source_updated_at": text(week + 0.5),
                }
                self.records.add("fx_rates", week, row)


class _Deal:
    """The stages that one customer's opportunity enters."""

    def __init__(self, customer: int) -> None:
        self.customer = int(customer)
        self.stages: list[tuple[str, float]] = []

    def enter(self, stage: str, at: float) -> None:
        self.stages.append((stage, at))


def _office_day(at: Floats, after: Floats) -> Floats:
    """Nobody sells on weekends: Saturday's work is done on Friday, Sunday's on Monday."""
    weekday = (np.floor(at) + BEGIN.weekday()) % 7
    moved: Floats = at + np.select([weekday == 5, weekday == 6], [-1, 1], 0)
    later: Floats = np.maximum(moved, after + 0.02)
    return later


def _day(day: date) -> int:
    return (day - BEGIN).days

"""The GX layer against small warehouses: what it finds, what it says, what it leaves behind."""

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from orchestration.errors import InputError, JourneyGapsError
from orchestration.landing.contract import CONTRACT, create_tables_sql
from orchestration.settings import PROJECT_DIR
from orchestration.validation.suites import ExpectationOutcome, read_suites, run_suites
from orchestration.warehouse import DuckDBWarehouse

EXPECTATIONS = PROJECT_DIR / "expectations"


def contracts() -> dict[str, dict[str, str]]:
    """The columns and types that dbt enforces on every mart that has a suite."""
    checked = {file.stem.removeprefix("marts__") for file in EXPECTATIONS.glob("marts__*.json")}
    models = [
        model
        for file in (PROJECT_DIR / "models" / "marts").rglob("*.yml")
        for model in yaml.safe_load(file.read_text()).get("models", [])
    ]
    return {
        model["name"]: {column["name"]: column["data_type"] for column in model["columns"]}
        for model in models
        if model["name"] in checked
    }


MARTS = contracts()
LINE = {
    "content_hash": "h",
    "load_id": 1,
    "loaded_at": "2024-06-01 00:00:00",
    "source_file": "file.csv",
    "source_line": 2,
}
TOTAL = {
    "journey_id": "loan",
    "metric_id": "conversion_rate",
    "stage_id": "submitted",
    "segment_dimension": "all",
    "segment_value": "all",
    "period_start": "2024-01-01",
    "n": 100,
    "value": 0.4,
    "ci_low": 0.3,
    "ci_high": 0.5,
}
GAP = TOTAL | {
    "gap_id": "g1",
    "benchmark_id": "b1",
    "benchmark_kind": "target",
    "benchmark_value": 0.6,
    "gap": -0.2,
    "lag_factor": 1.5,
    "p_value": 0.001,
    "adjusted_p_value": 0.002,
    "verdict": "lagging",
    "severity": 0.4,
    "reach": 1.0,
    "recoverable_cases": 20.0,
    "benchmark_segment_dimension": "all",
    "benchmark_segment_value": "all",
    "is_fallback": False,
    "success_share": 0.5,
    "mean_success_value": 8000.0,
    "value_basis": "source",
    "currency": "EUR",
    "value_at_stake": 80000.0,
    "priority_rank": 1,
    "lag_rank": 1,
    "value_rank": 1,
    "sentence": "It is 40 % against 60 % (target): 1.5 times behind.",
}
READOUT = {
    "readout_id": "a1:t",
    "action_id": "a1",
    "journey_id": "loan",
    "metric_id": "conversion_rate",
    "stage_id": "submitted",
    "readout_kind": "experiment",
    "n": 100,
    "split_p_value": 0.5,
    "before_value": 0.4,
    "after_value": 0.6,
    "difference": 0.2,
    "effect": 0.2,
    "effect_ci_low": 0.1,
    "effect_ci_high": 0.3,
    "p_value": 0.01,
    "adjusted_p_value": 0.02,
    "verdict": "improved",
    "sentence": "It did.",
}
UNREAD = {
    **dict.fromkeys(("before_value", "after_value", "difference", "effect")),
    **dict.fromkeys(("effect_ci_low", "effect_ci_high", "p_value", "adjusted_p_value")),
    "reason": "It is read later.",
}
VISIT = {
    "visit_id": "v1",
    "case_id": "c1",
    "journey_id": "loan",
    "entity_id": "e1",
    "attempt_number": 1,
    "visit_number": 1,
    "stage_id": "submitted",
    "entered_at": "2024-01-01 00:00:00",
    "exited_at": "2024-01-02 00:00:00",
    "is_open": False,
    "is_left_truncated": False,
    "time_in_stage_us": 86_400_000_000,
    "next_stage_id": "approved",
    "exit_kind": "success",
}
# One sound row a table.
SOUND: dict[str, dict[str, Any]] = {
    "raw.crm_accounts": LINE
    | {"account_id": "a1", "created_at": "2020-01-01", "source_updated_at": "2024-01-01"},
    "raw.crm_contacts": LINE
    | {
        "contact_id": "k1",
        "account_id": "a1",
        "created_at": "2024-01-01",
        "source_updated_at": "2024-01-01",
    },
    "raw.crm_opportunities": LINE
    | {
        "opportunity_id": "o1",
        "amount": 100,
        "currency": "EUR",
        "created_at": "2024-01-01",
        "closed_at": "2024-01-01",
        "is_won": True,
        "source_updated_at": "2024-01-01",
    },
    "raw.support_contacts": LINE
    | {
        "support_contact_id": "s1",
        "channel": "call",
        "opened_at": "2024-01-01",
        "first_response_at": "2024-01-01",
        "source_updated_at": "2024-01-01",
    },
    "raw.survey_responses": LINE
    | {
        "response_id": "r1",
        "survey": "nps",
        "score": 10,
        "scale_min": 0,
        "scale_max": 10,
        "asked_at": "2024-01-01",
        "answered_at": "2024-01-02",
        "source_updated_at": "2024-01-02",
    },
    "raw.fx_rates": LINE
    | {"currency": "USD", "rate_date": "2024-01-01", "rate_to_reporting_currency": 0.9},
    "raw.events": LINE
    | {
        "event_id": "e1",
        "customer_id": "c1",
        "event_name": "signup",
        "occurred_at": "2024-01-01",
        "received_at": "2024-01-01",
    },
    "raw.crm_stage_changes": LINE
    | {
        "change_id": "x1",
        "opportunity_id": "o1",
        "stage_name": "Won",
        "changed_at": "2024-01-01",
    },
    "raw.support_events": LINE
    | {
        "support_event_id": "x1",
        "support_contact_id": "s1",
        "kind": "reopened",
        "occurred_at": "2024-01-01",
    },
    "raw.experiment_assignments": LINE
    | {"experiment_id": "x1", "customer_id": "c1", "arm": "a", "assigned_at": "2024-01-01"},
    "raw.event_log": LINE
    | {
        "event_id": "e1",
        "source_case_id": "173688",
        "event_seq": 0,
        "activity": "A_SUBMITTED",
        "lifecycle": "COMPLETE",
        "occurred_at": "2011-10-01 00:38:44.546",
    },
    "marts.fct_measures": TOTAL
    | {
        "period_grain": "week",
        "period_end": "2024-01-08",
        "n_clusters": 90,
        "numerator": 40.0,
        "is_mature": True,
        "is_partial": False,
    },
    "marts.gap_ranking": GAP,
    "marts.fct_stage_flows": {
        "journey_id": "loan",
        "period_start": "2024-01-01",
        "period_end": "2024-04-01",
        "from_stage_id": "submitted",
        "from_stage_order": 1,
        "to_stage_id": "accepted",
        "to_stage_order": 2,
        "is_success": False,
        "entries": 100,
        "inflow": 80,
        "inflow_successes": 20,
        "moves": 50,
        "share": 0.5,
        "mean_days": 2.5,
    },
    "marts.fct_transition_counts": {
        "journey_id": "loan",
        "from_stage_id": "submitted",
        "from_stage_order": 1,
        "to_stage_id": "accepted",
        "to_stage_order": 2,
        "transition_kind": "forward",
        "transitions": 50,
        "cases": 40,
    },
    "marts.gap_scenarios": {
        "scenario_id": "loan:as_is",
        "journey_id": "loan",
        "scenario_kind": "as_is",
        "period_start": "2024-01-01",
        "period_end": "2024-04-01",
        "inflow": 1000,
        "observed_successes": 100,
        "successes": 90.0,
        "added_successes": 0.0,
        "cautious_added_successes": 0.0,
        "sum_of_single_effects": 0.0,
        "mean_success_value": 10.0,
        "value": 900.0,
        "added_value": 0.0,
        "currency": "EUR",
        "mean_days_to_success": 12.5,
        "saved_days": 0.0,
        "sentence": "As it is.",
    },
    "marts.gap_trends": {key: value for key, value in GAP.items() if key in MARTS["gap_trends"]}
    | {
        "is_mature": True,
        "is_partial": False,
        "change": -0.1,
        "change_ci_low": -0.2,
        "change_ci_high": -0.05,
        "trend": "worsening",
        "period_grain": "week",
        "is_alert": True,
    },
    "marts.fct_action_readouts": READOUT,
    "marts.gap_suggestions": {
        key: value for key, value in GAP.items() if key in MARTS["gap_suggestions"]
    }
    | {
        "category": "long_term_project",
        "touchpoints_involved": 1,
        "touchpoints": "queue (50 %)",
        "owner_teams": "(no owner)",
        "sentence": "Nothing runs.",
    },
    "marts.gap_drivers": {
        "gap_id": "g1",
        "journey_id": "loan",
        "metric_id": "conversion_rate",
        "stage_id": "submitted",
        "driver_kind": "behaviour",
        "driver": "chat_started",
        "compared_with": "at landmark",
        "effect_kind": "odds_ratio",
        "effect": 0.5,
        "ci_low": 0.3,
        "ci_high": 0.8,
        "p_value": 0.001,
        "adjusted_p_value": 0.002,
        "n": 200,
        "exposed_n": 50,
        "is_unfavourable": True,
        "evidence": "association",
        "driver_rank": 1,
        "sentence": "chat_started goes with 20 % against 40 % of the others.",
    },
    "marts.fct_stage_visits": VISIT,
    "marts.fct_touchpoint_events": {
        "touchpoint_event_id": "loan:events:e1",
        "journey_id": "loan",
        "entity_id": "c1",
        "touchpoint_id": "chat",
        "occurred_at": "2024-01-01 00:00:00",
        "responded_at": "2024-01-01 00:01:00",
        "response_us": 60_000_000,
        "case_id": "loan:c1:1",
        "visit_id": "loan:c1:1:1",
        "stage_id": "submitted",
    },
    "marts.fct_work_items": {
        "work_item_id": "loan:c1:check:1",
        "journey_id": "loan",
        "entity_id": "c1",
        "activity": "check",
        "item_number": 1,
        "item_state": "completed",
        "scheduled_at": "2024-01-01 00:00:00",
        "started_at": "2024-01-01 01:00:00",
        "completed_at": "2024-01-01 02:00:00",
        "queue_us": 3_600_000_000,
        "service_us": 3_600_000_000,
        "idle_us": 0,
        "log_rows": 3,
    },
    "marts.gap_touchpoints": {
        "finding_id": "hand_off:loan:submitted:a → b",
        "finding_kind": "hand_off",
        "journey_id": "loan",
        "stage_id": "submitted",
        "pair": "a → b",
        "n": 100,
        "n_affected": 20,
        "share": 0.2,
        "median_wait_days": 6.0,
        "median_working_wait_days": 1.5,
        "excess_days": 500.0,
        "finding_rank": 1,
        "sentence": "a → b at submitted (Loan): of 100 cases 20 % did not go on.",
    },
    "marts.gap_touchpoint_paths": {
        "journey_id": "loan",
        "stage_id": "submitted",
        "touchpoint_id": "chat",
        "n": 100,
        "converters": 40,
        "leavers": 60,
        "cases_with": 50,
        "converters_with": 30,
        "leavers_with": 20,
        "cases_without": 50,
        "converters_without": 10,
        "converter_share": 0.75,
        "leaver_share": 0.33,
        "rate_with": 0.6,
        "rate_without": 0.2,
        "note": "association",
        "sentence": "Chat at submitted (Loan): of 50 cases 60 % went on. An association.",
    },
    "marts.fct_visit_segments": {
        "visit_id": "v1",
        "segment_dimension": "region",
        "segment_value": "uk",
        "entered_at": "2024-01-01 00:00:00",
    },
    "marts.fct_survey_responses": {
        "response_id": "r1",
        "customer_id": "c1",
        "survey": "nps",
        "score": 9,
        "scale_min": 0,
        "scale_max": 10,
        "is_higher_better": True,
        "score_on_scale": 9,
        "nps_class": "promoter",
        "is_scored": True,
        "asked_at": "2024-01-01 00:00:00",
        "answered_at": "2024-01-02 00:00:00",
    },
    "marts.fct_stage_transitions": {
        "transition_id": "t1",
        "case_id": "c1",
        "journey_id": "loan",
        "from_visit_id": "v1",
        "to_visit_id": "v2",
        "from_stage_id": "submitted",
        "to_stage_id": "approved",
        "transition_kind": "success",
        "occurred_at": "2024-01-02 00:00:00",
        "duration_us": 86_400_000_000,
        "from_owner_team": "web",
        "to_owner_team": "risk",
        "is_handoff": True,
    },
    "marts.fct_support_contacts": {
        "support_contact_id": "s1",
        "customer_id": "c1",
        "channel": "call",
        "topic": "billing",
        "opened_at": "2024-01-01 00:00:00",
        "first_response_us": 60_000_000,
        "resolution_us": 3_600_000_000,
        "episode_id": "s1",
        "is_first_of_episode": True,
        "is_resolved_at_first_contact": True,
        "is_repeated": False,
        "is_repeated_on_channel": False,
        "is_repeated_on_other_channel": False,
        "next_contact_at": "2024-01-03 00:00:00",
        "reopenings": 0,
        "team_changes": 1,
    },
    "marts.fct_moment_stages": {
        "moment_kind": "support_contact",
        "moment_id": "s1",
        "journey_id": "loan",
        "stage_id": "submitted",
        "visit_id": "v1",
        "case_id": "c1",
        "moment_at": "2024-01-01 00:00:00",
    },
    "marts.fct_funnel_attempts": {
        "attempt_id": "signup:c1:1",
        "funnel_id": "signup",
        "journey_id": "loan",
        "entity_id": "c1",
        "attempt_number": 1,
        "started_at": "2024-01-01 00:00:00",
        "furthest_step": 2,
        "step_count": 3,
        "furthest_step_at": "2024-01-02 00:00:00",
        "is_converted": False,
        "outcome": "expired",
        "window_ends_at": "2024-01-08 00:00:00",
        "is_mature": True,
    },
    "marts.fct_funnel_steps": {
        "attempt_id": "signup:c1:1",
        "funnel_id": "signup",
        "journey_id": "loan",
        "entity_id": "c1",
        "attempt_number": 1,
        "step_number": 1,
        "step_name": "Form opened",
        "steps_reached": 1,
        "reached_at": "2024-01-01 00:00:00",
        "since_start_us": 0,
        "is_mature": True,
    },
    "marts.fct_survival_curves": {
        "journey_id": "loan",
        "stage_id": "submitted",
        "curve_kind": "leaving",
        "period_grain": "all",
        "period_start": "2024-01-01",
        "duration_us": 60_000_000,
        "at_risk": 80,
        "events": 20,
        "survival": 0.8,
        "survival_low": 0.7,
        "survival_high": 0.9,
        "naive_survival": 0.75,
    },
    "marts.fct_key_moments": {
        "journey_id": "loan",
        "stage_id": "approved",
        "key_moment": "first_value",
        "segment_dimension": "all",
        "segment_value": "all",
        "period_grain": "all",
        "period_start": "2024-01-01",
        "window_days": 30,
        "n": 100,
        "reached": 60,
        "reach": 0.6,
        "reach_ci_low": 0.5,
        "reach_ci_high": 0.7,
        "days_to_reach_p50": 6.5,
        "days_to_reach_ci_low": 5.5,
        "days_to_reach_ci_high": 7.5,
        "csat_n": 40,
        "csat": 0.8,
        "csat_ci_low": 0.65,
        "csat_ci_high": 0.9,
        "nps_n": 12,
        "nps_note": "too few answers",
    },
    "marts.fct_journey_coverage": {
        "journey_id": "loan",
        "stage_id": "submitted",
        "stage_kind": "progress",
        "as_of": "2024-02-01 00:00:00",
        "observed_through": "2024-01-31 00:00:00",
        "first_mature_week": "2024-01-01",
        "last_mature_week": "2024-01-15",
        "mature_weeks": 3,
        "cases": 120,
        "counted_cases": 110,
        "mature_cases": 100,
        "left_truncated_cases": 10,
        "anonymous_cases": 5,
        "visits": 130,
        "orphan_events": 0,
        "excluded_entities": 2,
        "journey_entities": 110,
        "journey_excluded_entities": 2,
    },
    "marts.fct_feedback": {
        "response_id": "r1",
        "survey": "nps",
        "verbatim": "Slow. Please write to [email].",
        "is_truncated": False,
        "answered_at": "2024-01-01 00:00:00",
        "followed_up_at": "2024-01-01 00:01:00",
        "topics": 1,
        "is_classified": True,
        "follow_up_us": 60_000_000,
        "is_loop_closed": True,
    },
    "marts.fct_feedback_topics": {
        "response_id": "r1",
        "topic": "speed",
        "feedback_type": "reliability",
        "pattern": "slow*",
        "language": "en",
        "survey": "nps",
        "score": 3,
        "answered_at": "2024-01-01 00:00:00",
        "nps_class": "detractor",
    },
    "marts.gap_unclassified_phrases": {
        "phrase_rank": 1,
        "phrase": "dark mode",
        "words": 2,
        "n": 3,
        "example_response_id": "r2",
    },
    "marts.fct_restatements": {key: value for key, value in TOTAL.items() if "ci_" not in key}
    | {
        "run_number": 2,
        "period_grain": "week",
        "period_end": "2024-01-08",
        "cause": "late_data",
        "previous_n": 90,
        "numerator": 40.0,
        "previous_numerator": 36.0,
        "previous_value": 0.4,
        "previous_as_of": "2024-02-01 00:00:00",
        "as_of": "2024-02-02 00:00:00",
        "previous_through_load_id": 1,
        "through_load_id": 2,
    },
}

# Table, what is wrong in one row, and the expectations that must notice, no other.
SCENARIO = {
    "scenario_kind": "one",
    "gap_ids": "offers:all:all",
    "stage_ids": "offer_sent",
    "added_successes": 10.0,
    "cautious_added_successes": 5.0,
}
COUNTS_OF_A_STAGE = {"counts_of_a_stage_agree"}
BREACHES = [
    ("raw.crm_accounts", {"account_id": None}, {"account_id_is_known"}),
    ("raw.crm_accounts", {"source_updated_at": None}, {"source_updated_at_is_known"}),
    ("raw.crm_accounts", {"created_at": "0001-01-01"}, {"created_at_is_after_1990"}),
    ("raw.crm_accounts", {"employee_count": -1}, {"employee_count_is_not_negative"}),
    ("raw.crm_contacts", {"account_id": None}, {"contact_leads_somewhere"}),
    ("raw.crm_opportunities", {"amount": -1}, {"amount_is_not_negative"}),
    ("raw.crm_opportunities", {"currency": "Euro"}, {"currency_is_a_code"}),
    ("raw.crm_opportunities", {"currency": None}, {"amount_has_a_currency"}),
    ("raw.crm_opportunities", {"closed_at": None}, {"won_deals_are_closed"}),
    (
        "raw.crm_opportunities",
        {"closed_at": "2023-12-31"},
        {"closed_at_is_not_before_created_at"},
    ),
    ("raw.support_contacts", {"channel": "fax"}, {"channel_is_a_known_kind"}),
    (
        "raw.support_contacts",
        {"first_response_at": "2023-12-31"},
        {"first_response_at_is_not_before_opened_at"},
    ),
    (
        "raw.support_contacts",
        {"resolved_at": "2023-12-31"},
        {"resolved_at_is_not_before_opened_at"},
    ),
    ("raw.survey_responses", {"asked_at": None}, {"asked_at_is_known"}),
    ("raw.survey_responses", {"survey": "pmf"}, {"survey_is_a_known_kind"}),
    ("raw.survey_responses", {"score": 11}, {"score_is_within_its_scale"}),
    ("raw.survey_responses", {"answered_at": None}, {"answers_have_a_time"}),
    ("raw.survey_responses", {"asked_at": "2024-01-03"}, {"answered_at_is_not_before_asked_at"}),
    ("raw.fx_rates", {"rate_to_reporting_currency": 0}, {"rate_is_positive"}),
    ("raw.events", {"load_id": None}, {"load_id_is_known"}),
    ("raw.events", {"customer_id": None}, {"somebody_did_it"}),
    ("raw.events", {"received_at": "2023-12-31"}, {"received_at_is_not_before_occurred_at"}),
    ("raw.crm_stage_changes", {"stage_name": None}, {"stage_name_is_known"}),
    ("raw.support_events", {"kind": None}, {"kind_is_known"}),
    (
        "raw.experiment_assignments",
        {"assigned_at": "2024-06-01 00:05:01"},
        {"assigned_at_is_not_in_the_future"},
    ),
    ("raw.event_log", {"occurred_at": None}, {"occurred_at_is_known"}),
    (
        "raw.event_log",
        {"occurred_at": "2024-06-01 00:05:01"},
        {"occurred_at_is_not_in_the_future"},
    ),
    ("raw.event_log", {"event_seq": -1}, {"event_seq_is_not_negative"}),
    (
        "marts.fct_measures",
        {"value": 1.2, "ci_high": 1.3},
        {"proportions_are_between_0_and_1"},
    ),
    ("marts.fct_measures", {"ci_low": 0.45}, {"value_lies_in_its_interval"}),
    (
        "marts.fct_measures",
        {"value": None, "ci_low": 0.6},
        {"value_lies_in_its_interval"},
    ),
    (
        "marts.fct_measures",
        {"metric_id": "time_in_stage_p50", "ci_high": float("inf")},
        {"figures_are_finite"},
    ),
    ("marts.fct_measures", {"n_clusters": 101}, {"n_covers_its_clusters"}),
    ("marts.fct_measures", {"period_end": "2024-01-01"}, {"period_end_is_after_period_start"}),
    ("marts.fct_measures", {"segment_dimension": "plan"}, {"total_is_all_of_all"}),
    ("marts.fct_measures", {"period_grain": "day"}, {"period_grain_is_a_known_kind"}),
    ("marts.gap_ranking", {"benchmark_value": None}, {"benchmark_value_is_known"}),
    ("marts.gap_ranking", {"benchmark_kind": "dream"}, {"benchmark_kind_is_a_known_kind"}),
    ("marts.gap_ranking", {"gap": 0.2}, {"gap_agrees_with_verdict"}),
    ("marts.gap_ranking", {"verdict": "unclear"}, {"only_lagging_rows_are_ranked"}),
    (
        "marts.gap_ranking",
        {"verdict": "bad"},
        {"verdict_is_a_known_kind"} | {"only_lagging_rows_are_ranked"},
    ),
    ("marts.gap_ranking", {"priority_rank": 0}, {"priority_rank_starts_at_1"}),
    ("marts.gap_ranking", {"lag_rank": 0}, {"lag_rank_starts_at_1"}),
    ("marts.gap_ranking", {"adjusted_p_value": 0.0005}, {"adjusting_never_lowers_p"}),
    ("marts.gap_ranking", {"adjusted_p_value": 1.5}, {"adjusted_p_value_is_a_probability"}),
    ("marts.gap_ranking", {"p_value": -1}, {"p_value_is_a_probability"}),
    ("marts.gap_ranking", {"severity": -0.1}, {"severity_is_not_negative"}),
    ("marts.gap_ranking", {"reach": 1.1}, {"reach_is_a_share"}),
    ("marts.gap_ranking", {"lag_factor": 0}, {"lag_factor_is_positive"}),
    ("marts.gap_ranking", {"recoverable_cases": -1}, {"recoverable_cases_is_not_negative"}),
    ("marts.gap_ranking", {"excess_customer_days": -1}, {"excess_customer_days_is_not_negative"}),
    ("marts.fct_stage_flows", {"journey_id": "a", "is_success": None}, {"is_success_is_known"}),
    ("marts.fct_stage_flows", {"journey_id": "b", "to_stage_order": 1}, {"moves_lead_forward"}),
    (
        "marts.fct_stage_flows",
        {"journey_id": "c", "moves": 110, "share": 1.1},
        {"no_more_leave_than_entered", "share_is_a_share"},
    ),
    (
        "marts.fct_stage_flows",
        {"journey_id": "d", "inflow": 101},
        {"parts_are_no_more_than_the_whole"},
    ),
    (
        "marts.fct_stage_flows",
        {"journey_id": "e", "inflow_successes": 81},
        {"parts_are_no_more_than_the_whole"},
    ),
    ("marts.fct_stage_flows", {"moves": 25, "share": 0.25, "inflow": 70}, COUNTS_OF_A_STAGE),
    (
        "marts.fct_stage_flows",
        {"from_stage_id": "sent", "period_end": "2024-04-08"},
        {"a_journey_has_one_period"},
    ),
    ("marts.fct_stage_flows", {"journey_id": "f", "share": 0.4}, {"share_is_moves_of_entries"}),
    ("marts.fct_stage_flows", {"journey_id": "g", "share": None}, {"share_is_moves_of_entries"}),
    ("marts.fct_stage_flows", {"journey_id": "h", "mean_days": -1}, {"mean_days_is_not_negative"}),
    (
        "marts.fct_stage_flows",
        {"journey_id": "i", "mean_days": float("inf")},
        {"figures_are_finite"},
    ),
    ("marts.fct_transition_counts", {"to_stage_id": None}, {"to_stage_id_is_known"}),
    ("marts.fct_transition_counts", {"cases": None}, {"cases_is_known"}),
    (
        "marts.fct_transition_counts",
        {"transition_kind": "jump"},
        {"transition_kind_is_a_known_kind"},
    ),
    ("marts.fct_transition_counts", {"to_stage_id": "submitted"}, {"steps_change_the_stage"}),
    ("marts.fct_transition_counts", {"cases": 51}, {"steps_are_those_of_cases"}),
    ("marts.fct_transition_counts", {"cases": 0}, {"steps_are_those_of_cases"}),
    ("marts.gap_scenarios", SCENARIO | {"sentence": None}, {"sentence_is_known"}),
    (
        "marts.gap_scenarios",
        SCENARIO | {"scenario_kind": "three"},
        {"scenario_kind_is_a_known_kind"},
    ),
    ("marts.gap_scenarios", {}, {"a_journey_is_once_as_it_is"}),
    ("marts.gap_scenarios", SCENARIO | {"gap_ids": None}, {"closed_gaps_are_named"}),
    ("marts.gap_scenarios", SCENARIO | {"stage_ids": None}, {"closed_gaps_are_named"}),
    (
        "marts.gap_scenarios",
        SCENARIO | {"successes": 1100, "value": 11000},
        {"successes_are_of_the_inflow"},
    ),
    ("marts.gap_scenarios", SCENARIO | {"added_successes": -1}, {"closing_gaps_loses_nothing"}),
    (
        "marts.gap_scenarios",
        SCENARIO | {"cautious_added_successes": 11},
        {"closing_gaps_loses_nothing"},
    ),
    ("marts.gap_scenarios", SCENARIO | {"value": 90}, {"value_is_that_of_the_successes"}),
    (
        "marts.gap_scenarios",
        SCENARIO | {"mean_days_to_success": -1},
        {"mean_days_to_success_is_not_negative"},
    ),
    (
        "marts.gap_scenarios",
        {"journey_id": "a", "successes": 60, "value": 600},
        {"chain_agrees_with_what_was_seen"},
    ),
    (
        "marts.gap_scenarios",
        SCENARIO | {"saved_days": float("inf")},
        {"figures_are_finite"},
    ),
    ("marts.gap_ranking", {"value_rank": 0}, {"value_rank_starts_at_1"}),
    ("marts.gap_ranking", {"sentence": None}, {"sentence_is_known"}),
    ("marts.gap_ranking", {"is_fallback": True}, {"fallback_is_the_totals"}),
    (
        "marts.gap_ranking",
        {"benchmark_segment_dimension": "region", "benchmark_segment_value": "north"},
        {"fallback_is_the_totals"},
    ),
    ("marts.gap_ranking", {"success_share": 1.1}, {"success_share_is_a_share"}),
    ("marts.gap_ranking", {"value_at_stake": -1}, {"value_at_stake_is_not_negative"}),
    ("marts.gap_ranking", {"value_basis": "guess"}, {"value_basis_is_a_known_kind"}),
    ("marts.gap_ranking", {"value_basis": "missing"}, {"value_has_a_basis_and_a_currency"}),
    ("marts.gap_ranking", {"currency": None}, {"value_has_a_basis_and_a_currency"}),
    ("marts.gap_trends", {"is_mature": False}, {"immature_weeks_have_no_trend"}),
    ("marts.gap_trends", {"sentence": None}, {"sentence_is_known"}),
    ("marts.gap_trends", {"period_grain": "month"}, {"period_grain_is_a_known_kind"}),
    ("marts.gap_trends", {"benchmark_id": None}, {"gap_has_a_benchmark"}),
    ("marts.gap_trends", {"p_value": -1}, {"p_value_is_a_probability"}),
    ("marts.gap_trends", {"adjusted_p_value": 1.5}, {"adjusted_p_value_is_a_probability"}),
    ("marts.gap_trends", {"adjusted_p_value": 0.0005}, {"adjusting_never_lowers_p"}),
    ("marts.gap_trends", {"adjusted_p_value": None}, {"trend_is_more_than_chance"}),
    ("marts.gap_trends", {"change_ci_high": -0.15}, {"change_lies_in_its_interval"}),
    (
        "marts.gap_trends",
        {"change": None},
        {"trend_needs_a_change"},
    ),
    ("marts.fct_action_readouts", {"action_id": None}, {"action_id_is_known"}),
    ("marts.fct_action_readouts", {"sentence": None}, {"sentence_is_known"}),
    ("marts.fct_action_readouts", {"readout_kind": "guess"}, {"readout_kind_is_a_known_kind"}),
    ("marts.fct_action_readouts", {"verdict": "fine", "reason": "r"}, {"verdict_is_a_known_kind"}),
    ("marts.fct_action_readouts", {"adjusted_p_value": 0.06}, {"verdicts_have_evidence"}),
    ("marts.fct_action_readouts", {"effect_ci_low": -0.1}, {"verdicts_have_evidence"}),
    ("marts.fct_action_readouts", {"verdict": "worse"}, {"verdicts_have_evidence"}),
    (
        "marts.fct_action_readouts",
        {"readout_kind": "before_after"},
        {"no_claim_without_a_control"},
    ),
    (
        "marts.fct_action_readouts",
        UNREAD | {"verdict": "too_early", "after_value": 0.6},
        {"nothing_to_peek_at"},
    ),
    ("marts.fct_action_readouts", {"reason": "r"}, {"silence_has_a_reason"}),
    (
        "marts.fct_action_readouts",
        UNREAD | {"verdict": "void", "reason": None},
        {"silence_has_a_reason"},
    ),
    ("marts.fct_action_readouts", {"split_p_value": 0.0009}, {"uneven_experiments_are_void"}),
    ("marts.fct_action_readouts", {"before_value": 1.1}, {"before_value_is_a_share"}),
    ("marts.fct_action_readouts", {"after_value": -0.1}, {"after_value_is_a_share"}),
    ("marts.fct_action_readouts", {"p_value": -1}, {"p_value_is_a_probability"}),
    (
        "marts.fct_action_readouts",
        {"adjusted_p_value": 1.5, "verdict": "no_evidence", "reason": "r"},
        {"adjusted_p_value_is_a_probability"},
    ),
    ("marts.fct_action_readouts", {"adjusted_p_value": 0.005}, {"adjusting_never_lowers_p"}),
    ("marts.fct_action_readouts", {"effect_ci_high": 0.15}, {"effect_lies_in_its_interval"}),
    ("marts.fct_action_readouts", {"realised_value": float("inf")}, {"figures_are_finite"}),
    ("marts.gap_suggestions", {"stage_id": None}, {"stage_id_is_known"}),
    (
        "marts.gap_suggestions",
        {"owner_teams": "sales", "category": "big"},
        {"category_is_a_known_kind"},
    ),
    ("marts.gap_suggestions", {"priority_rank": 11}, {"priority_rank_is_of_the_top_ten"}),
    ("marts.gap_suggestions", {"gap": 0.1}, {"gap_is_a_shortfall"}),
    ("marts.gap_suggestions", {"touchpoints": None}, {"unowned_touchpoints_are_named"}),
    ("marts.gap_suggestions", {"category": "process_tweak"}, {"unowned_touchpoints_are_named"}),
    ("marts.gap_trends", {"trend": "up"}, {"trend_is_a_known_kind", "alert_is_worsening"}),
    ("marts.gap_drivers", {"gap_id": None}, {"gap_id_is_known"}),
    ("marts.gap_drivers", {"driver": None}, {"driver_is_known"}),
    ("marts.gap_drivers", {"driver_kind": None}, {"driver_kind_is_known"}),
    ("marts.gap_drivers", {"sentence": None}, {"sentence_is_known"}),
    ("marts.gap_drivers", {"driver_kind": "weather"}, {"driver_kind_is_a_known_kind"}),
    ("marts.gap_drivers", {"effect_kind": "force"}, {"effect_kind_is_a_known_kind"}),
    ("marts.gap_drivers", {"warning": "beware"}, {"warning_is_a_known_kind"}),
    ("marts.gap_drivers", {"evidence": "cause"}, {"drivers_are_associations"}),
    (
        "marts.gap_drivers",
        {"driver_kind": "mix_and_rate", "contribution": 0.1, "contribution_total": 0.2},
        {"contributions_add_up"},
    ),
    ("marts.gap_drivers", {"ci_low": 0.6}, {"effect_lies_in_its_interval"}),
    ("marts.gap_drivers", {"p_value": -1}, {"p_value_is_a_probability"}),
    ("marts.gap_drivers", {"adjusted_p_value": 1.5}, {"adjusted_p_value_is_a_probability"}),
    ("marts.gap_drivers", {"adjusted_p_value": 0.0005}, {"adjusting_never_lowers_p"}),
    (
        "marts.gap_drivers",
        {"driver_kind": "segment", "share_of_gap": 1.1},
        {"shares_of_segments_are_shares"},
    ),
    ("marts.gap_drivers", {"exposed_n": 201}, {"exposed_are_some_of_all"}),
    ("marts.gap_drivers", {"driver_rank": 0}, {"driver_rank_starts_at_1"}),
    (
        "marts.gap_drivers",
        {"effect": float("inf"), "ci_high": None},
        {"figures_are_finite"},
    ),
    ("marts.fct_stage_visits", {"case_id": None}, {"case_id_is_known"}),
    ("marts.fct_stage_visits", {"exited_at": "2023-12-31"}, {"exited_at_is_not_before_entered_at"}),
    ("marts.fct_stage_visits", {"exit_kind": "gone"}, {"exit_kind_is_a_known_kind"}),
    ("marts.fct_stage_visits", {"is_open": True}, {"open_visits_have_no_end"}),
    ("marts.fct_stage_visits", {"next_stage_id": None}, {"left_visits_have_a_next_stage"}),
    ("marts.fct_stage_visits", {"exit_kind": "lapsed"}, {"left_visits_have_a_next_stage"}),
    (
        "marts.fct_stage_visits",
        {"time_in_stage_us": -1},
        {"time_in_stage_is_not_negative"},
    ),
    ("marts.fct_visit_segments", {"visit_id": None}, {"visit_id_is_known"}),
    ("marts.fct_visit_segments", {"segment_dimension": None}, {"segment_dimension_is_known"}),
    ("marts.fct_visit_segments", {"segment_value": None}, {"segment_value_is_known"}),
    ("marts.fct_visit_segments", {"segment_value": ""}, {"segment_value_is_not_empty"}),
    ("marts.fct_visit_segments", {"segment_dimension": "all"}, {"no_dimension_is_the_total"}),
    (
        "marts.fct_visit_segments",
        {"segment_dimension": "plan", "segment_value": "(unknown)"},
        {"dimensions_are_known_of_some_visits"},
    ),
    ("marts.fct_survey_responses", {"response_id": None}, {"response_id_is_known"}),
    (
        "marts.fct_survey_responses",
        {"survey": None, "nps_class": None},
        {"survey_is_known"},
    ),
    ("marts.fct_survey_responses", {"is_scored": None}, {"is_scored_is_known"}),
    ("marts.fct_survey_responses", {"asked_at": None}, {"asked_at_is_known"}),
    (
        "marts.fct_survey_responses",
        {"survey": "smiles", "nps_class": None},
        {"survey_is_a_known_kind"},
    ),
    (
        "marts.fct_survey_responses",
        {"unscored_reason": "off_scale"},
        {"what_is_not_scored_says_why"},
    ),
    ("marts.fct_survey_responses", {"is_top_box": True}, {"classes_are_of_their_survey"}),
    ("marts.fct_survey_responses", {"nps_class": "passive"}, {"classes_are_those_of_the_score"}),
    (
        "marts.fct_survey_responses",
        {"score_on_scale": 11},
        {"scores_are_on_their_scale"},
    ),
    ("marts.fct_survey_responses", {"answered_at": None}, {"scores_have_a_time"}),
    (
        "marts.fct_survey_responses",
        {
            "survey": "ces",
            "nps_class": None,
            "is_scored": False,
            "score_on_scale": None,
            "unscored_reason": "no_range",
        },
        {"each_survey_has_a_score"},
    ),
    ("marts.fct_stage_transitions", {"duration_us": -1}, {"duration_is_not_negative"}),
    ("marts.fct_stage_transitions", {"to_stage_id": "submitted"}, {"steps_change_the_stage"}),
    ("marts.fct_stage_transitions", {"to_owner_team": "web"}, {"handoffs_change_the_owner"}),
    (
        "marts.fct_stage_transitions",
        {"transition_kind": "lapsed"},
        {"transition_kind_is_a_known_kind"},
    ),
    (
        "marts.fct_support_contacts",
        {"support_contact_id": None, "episode_id": "s0", "is_first_of_episode": None}
        | {"is_resolved_at_first_contact": None},
        {"support_contact_id_is_known", "episodes_are_named_after_their_first_contact"},
    ),
    ("marts.fct_support_contacts", {"opened_at": None}, {"opened_at_is_known"}),
    ("marts.fct_support_contacts", {"channel": "fax"}, {"channel_is_a_known_kind"}),
    ("marts.fct_support_contacts", {"first_response_us": -1}, {"first_response_is_not_negative"}),
    ("marts.fct_support_contacts", {"resolution_us": -1}, {"resolution_is_not_negative"}),
    ("marts.fct_support_contacts", {"reopenings": -1}, {"reopenings_is_not_negative"}),
    ("marts.fct_support_contacts", {"team_changes": -1}, {"team_changes_is_not_negative"}),
    (
        "marts.fct_support_contacts",
        {"next_contact_at": "2023-12-31"},
        {"next_contact_at_is_not_before_opened_at"},
    ),
    (
        "marts.fct_support_contacts",
        {"episode_id": "s0"},
        {"episodes_are_named_after_their_first_contact"},
    ),
    (
        "marts.fct_support_contacts",
        {"is_repeated": True},
        {"first_contacts_are_resolved_or_repeated"},
    ),
    (
        "marts.fct_support_contacts",
        {"is_repeated": None, "is_repeated_on_channel": None},
        {"first_contacts_are_resolved_or_repeated"},
    ),
    (
        "marts.fct_support_contacts",
        {"is_repeated_on_other_channel": True},
        {"repeats_on_a_channel_are_repeats"},
    ),
    ("marts.fct_moment_stages", {"moment_id": None}, {"moment_id_is_known"}),
    ("marts.fct_moment_stages", {"moment_id": "s2", "stage_id": None}, {"stage_id_is_known"}),
    ("marts.fct_moment_stages", {"moment_id": "s3", "visit_id": None}, {"visit_id_is_known"}),
    ("marts.fct_moment_stages", {"moment_id": "s4", "moment_at": None}, {"moment_at_is_known"}),
    ("marts.fct_moment_stages", {"journey_id": None}, {"journey_id_is_known"}),
    ("marts.fct_moment_stages", {"moment_kind": "visit"}, {"moment_kind_is_a_known_kind"}),
    ("marts.fct_moment_stages", {"stage_id": "approved"}, {"moments_are_in_one_stage"}),
    (
        "marts.fct_touchpoint_events",
        {"touchpoint_event_id": None},
        {"touchpoint_event_id_is_known"},
    ),
    ("marts.fct_touchpoint_events", {"journey_id": None}, {"journey_id_is_known"}),
    ("marts.fct_touchpoint_events", {"entity_id": None}, {"entity_id_is_known"}),
    ("marts.fct_touchpoint_events", {"touchpoint_id": None}, {"touchpoint_id_is_known"}),
    ("marts.fct_touchpoint_events", {"occurred_at": None}, {"occurred_at_is_known"}),
    (
        "marts.fct_touchpoint_events",
        {"responded_at": "2023-12-31 00:00:00"},
        {"answers_follow_questions"},
    ),
    ("marts.fct_touchpoint_events", {"response_us": -1}, {"answers_follow_questions"}),
    ("marts.fct_touchpoint_events", {"responded_at": None}, {"answers_follow_questions"}),
    ("marts.fct_touchpoint_events", {"case_id": None}, {"visits_have_cases_and_stages"}),
    ("marts.fct_touchpoint_events", {"stage_id": None}, {"visits_have_cases_and_stages"}),
    ("marts.fct_work_items", {"work_item_id": None}, {"work_item_id_is_known"}),
    ("marts.fct_work_items", {"journey_id": None}, {"journey_id_is_known"}),
    ("marts.fct_work_items", {"entity_id": None}, {"entity_id_is_known"}),
    ("marts.fct_work_items", {"activity": None}, {"activity_is_known"}),
    (
        "marts.fct_work_items",
        {"item_state": "done"},
        {"item_state_is_a_known_one", "states_follow_from_times"},
    ),
    ("marts.fct_work_items", {"queue_us": -1}, {"work_takes_time"}),
    ("marts.fct_work_items", {"service_us": -1}, {"work_takes_time"}),
    ("marts.fct_work_items", {"idle_us": -1}, {"work_takes_time"}),
    ("marts.fct_work_items", {"item_state": "in_work"}, {"states_follow_from_times"}),
    ("marts.fct_work_items", {"scheduled_at": "2024-01-01 01:00:01"}, {"states_follow_from_times"}),
    ("marts.fct_work_items", {"completed_at": "2024-01-01 00:59:59"}, {"states_follow_from_times"}),
    ("marts.fct_work_items", {"log_rows": 0}, {"items_are_made_of_rows"}),
    ("marts.gap_touchpoints", {"finding_id": None}, {"finding_id_is_known"}),
    ("marts.gap_touchpoints", {"sentence": None}, {"sentence_is_known"}),
    ("marts.gap_touchpoints", {"finding_kind": "rumour"}, {"finding_kind_is_a_known_kind"}),
    (
        "marts.gap_touchpoints",
        {"warning": "beware", "finding_rank": None},
        {"warning_is_a_known_kind"},
    ),
    ("marts.gap_touchpoints", {"share": 1.5}, {"share_is_a_share"}),
    ("marts.gap_touchpoints", {"finding_rank": 0}, {"finding_rank_starts_at_1"}),
    ("marts.gap_touchpoints", {"warning": "begins_late"}, {"warned_findings_are_not_ranked"}),
    ("marts.gap_touchpoints", {"finding_rank": None}, {"warned_findings_are_not_ranked"}),
    ("marts.gap_touchpoints", {"n_affected": 101}, {"affected_are_some_of_all"}),
    ("marts.gap_touchpoints", {"share": None}, {"affected_are_some_of_all"}),
    ("marts.gap_touchpoints", {"journey_id": None}, {"hand_offs_have_a_journey_and_a_pair"}),
    ("marts.gap_touchpoints", {"pair": None}, {"hand_offs_have_a_journey_and_a_pair"}),
    ("marts.gap_touchpoints", {"median_wait_days": -1}, {"waits_are_finite_and_not_negative"}),
    ("marts.gap_touchpoints", {"excess_days": float("inf")}, {"waits_are_finite_and_not_negative"}),
    ("marts.gap_touchpoint_paths", {"journey_id": None}, {"journey_id_is_known"}),
    ("marts.gap_touchpoint_paths", {"stage_id": None}, {"stage_id_is_known"}),
    ("marts.gap_touchpoint_paths", {"touchpoint_id": None}, {"touchpoint_id_is_known"}),
    ("marts.gap_touchpoint_paths", {"sentence": None}, {"sentence_is_known"}),
    ("marts.gap_touchpoint_paths", {"warning": "beware"}, {"warning_is_a_known_kind"}),
    ("marts.gap_touchpoint_paths", {"note": "cause"}, {"paths_are_associations"}),
    ("marts.gap_touchpoint_paths", {"cases_without": 51}, {"groups_add_up"}),
    ("marts.gap_touchpoint_paths", {"leavers_with": 21}, {"groups_add_up"}),
    ("marts.gap_touchpoint_paths", {"rate_with": 1.2}, {"rates_are_shares"}),
    ("marts.gap_touchpoint_paths", {"leaver_share": -0.1}, {"rates_are_shares"}),
    ("marts.fct_funnel_attempts", {"outcome": None}, {"outcome_is_known"}),
    ("marts.fct_funnel_attempts", {"outcome": "lost"}, {"outcome_is_a_known_kind"}),
    ("marts.fct_funnel_attempts", {"attempt_number": 0}, {"attempt_number_starts_at_1"}),
    ("marts.fct_funnel_attempts", {"furthest_step": 0}, {"furthest_step_starts_at_1"}),
    ("marts.fct_funnel_attempts", {"furthest_step": 4}, {"furthest_step_is_a_step_of_the_funnel"}),
    (
        "marts.fct_funnel_attempts",
        {
            "furthest_step": 1,
            "step_count": 1,
            "outcome": "converted",
            "is_converted": True,
            "converted_at": "2024-01-02",
        },
        {"funnels_have_two_steps"},
    ),
    (
        "marts.fct_funnel_attempts",
        {"furthest_step": 3},
        {"converted_attempts_reached_the_last_step"},
    ),
    (
        "marts.fct_funnel_attempts",
        {"outcome": "converted"},
        {"converted_attempts_reached_the_last_step"},
    ),
    (
        "marts.fct_funnel_attempts",
        {"converted_at": "2024-01-02"},
        {"converted_attempts_reached_the_last_step"},
    ),
    (
        "marts.fct_funnel_attempts",
        {"furthest_step_at": "2023-12-31"},
        {"furthest_step_at_is_not_before_started_at"},
    ),
    (
        "marts.fct_funnel_attempts",
        {"furthest_step_at": "2024-01-09"},
        {"furthest_step_at_is_within_the_window"},
    ),
    (
        "marts.fct_funnel_attempts",
        {"outcome": "excluded", "excluded_at": "2024-01-01"},
        {"excluded_at_is_not_before_furthest_step_at"},
    ),
    ("marts.fct_funnel_attempts", {"outcome": "superseded"}, {"ended_attempts_say_when"}),
    ("marts.fct_funnel_attempts", {"excluded_at": "2024-01-03"}, {"ended_attempts_say_when"}),
    ("marts.fct_funnel_attempts", {"is_mature": False}, {"only_mature_attempts_expire"}),
    ("marts.fct_funnel_attempts", {"outcome": "open"}, {"only_mature_attempts_expire"}),
    ("marts.fct_funnel_steps", {"step_name": None}, {"step_name_is_known"}),
    ("marts.fct_funnel_steps", {"attempt_number": 0}, {"attempt_number_starts_at_1"}),
    ("marts.fct_funnel_steps", {"step_number": 0}, {"step_number_starts_at_1"}),
    ("marts.fct_funnel_steps", {"steps_reached": 0}, {"steps_reached_starts_at_1"}),
    (
        "marts.fct_funnel_steps",
        {"steps_reached": 2, "since_start_us": -1},
        {"since_start_is_not_negative"},
    ),
    ("marts.fct_funnel_steps", {"since_start_us": 1}, {"attempts_begin_with_their_first_step"}),
    (
        "marts.fct_funnel_steps",
        {"funnel_id": "checkout", "steps_reached": 2},
        {"no_step_has_more_attempts_than_began"},
    ),
    ("marts.fct_key_moments", {"n": None}, {"n_is_known"}),
    ("marts.fct_key_moments", {"stage_id": "a", "reach": None}, {"reach_is_known"}),
    (
        "marts.fct_key_moments",
        {"stage_id": "b", "key_moment": "last_value"},
        {"key_moment_is_a_known_kind"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "c", "period_grain": "week"},
        {"period_grain_is_a_known_kind"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "d", "reached": 101, "reach": 1.01},
        {"reached_are_some_of_n", "reach_lies_in_its_interval"},
    ),
    ("marts.fct_key_moments", {"stage_id": "e", "reach": 0.65}, {"reach_is_reached_of_n"}),
    (
        "marts.fct_key_moments",
        {"stage_id": "f", "reach_ci_low": 0.61},
        {"reach_lies_in_its_interval"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "g", "reach_ci_high": None},
        {"reach_lies_in_its_interval"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "h", "days_to_reach_ci_high": 30.5},
        {"days_are_within_the_window"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "i", "days_to_reach_ci_low": 6.6},
        {"days_are_within_the_window"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "j", "days_to_reach_p50": None},
        {"a_missing_median_has_a_reason"},
    ),
    (
        "marts.fct_key_moments",
        {"stage_id": "k", "days_note": "dates only"},
        {"a_missing_median_has_a_reason"},
    ),
    ("marts.fct_key_moments", {"stage_id": "l", "csat": 80}, {"scores_are_shares_and_points"}),
    (
        "marts.fct_key_moments",
        {"stage_id": "ci", "csat_ci_low": 0.81},
        {"scores_are_shares_and_points"},
    ),
    ("marts.fct_key_moments", {"stage_id": "m", "csat": None}, {"a_missing_score_has_a_reason"}),
    (
        "marts.fct_key_moments",
        {"stage_id": "n", "nps_note": None},
        {"a_missing_score_has_a_reason"},
    ),
    ("marts.fct_key_moments", {"stage_id": "o", "window_days": None}, {"window_days_is_known"}),
    ("marts.fct_survival_curves", {"stage_id": "known", "survival": None}, {"survival_is_known"}),
    ("marts.fct_survival_curves", {"curve_kind": "staying"}, {"curve_kind_is_a_known_kind"}),
    ("marts.fct_survival_curves", {"period_grain": "week"}, {"period_grain_is_a_known_kind"}),
    (
        "marts.fct_survival_curves",
        {"stage_id": "a", "duration_us": -1},
        {"duration_is_not_negative"},
    ),
    ("marts.fct_survival_curves", {"stage_id": "b", "at_risk": -1}, {"at_risk_is_not_negative"}),
    ("marts.fct_survival_curves", {"stage_id": "c", "events": 0}, {"points_have_an_event"}),
    (
        "marts.fct_survival_curves",
        {"stage_id": "d", "survival": 1.1, "survival_high": None},
        {"curves_end_when_nobody_is_left", "survival_is_a_share"},
    ),
    (
        "marts.fct_survival_curves",
        {"stage_id": "e", "naive_survival": -0.1},
        {"naive_survival_is_a_share"},
    ),
    (
        "marts.fct_survival_curves",
        {"stage_id": "f", "survival_low": 0.85},
        {"survival_lies_in_its_band"},
    ),
    (
        "marts.fct_survival_curves",
        {"stage_id": "g", "survival_high": 1.1},
        {"survival_lies_in_its_band"},
    ),
    (
        "marts.fct_survival_curves",
        {"stage_id": "h", "survival": 0, "survival_low": 0, "naive_survival": 0},
        {"curves_end_when_nobody_is_left"},
    ),
    (
        "marts.fct_survival_curves",
        {"duration_us": 70_000_000, "at_risk": 50, "survival": 0.85},
        {"curves_never_rise"},
    ),
    (
        "marts.fct_survival_curves",
        {"duration_us": 80_000_000, "at_risk": 40},
        {"curves_never_rise"},
    ),
    (
        "marts.fct_survival_curves",
        {"stage_id": "i", "naive_survival": 0.81},
        {"naive_survival_is_never_above_survival"},
    ),
    (
        "marts.fct_journey_coverage",
        {
            "stage_kind": "middle",
            "mature_weeks": 0,
            "mature_cases": 0,
            "first_mature_week": None,
            "last_mature_week": None,
        },
        {"stage_kind_is_a_known_kind"},
    ),
    (
        "marts.fct_journey_coverage",
        {"unknown_time_visits": -1},
        {"unknown_time_visits_is_not_negative"},
    ),
    ("marts.fct_journey_coverage", {"orphan_events": -1}, {"orphan_events_is_not_negative"}),
    (
        "marts.fct_journey_coverage",
        {"observed_through": "2024-02-02"},
        {"observed_through_is_not_after_as_of"},
    ),
    ("marts.fct_journey_coverage", {"mature_weeks": 2}, {"mature_weeks_span_first_to_last"}),
    (
        "marts.fct_journey_coverage",
        {"mature_weeks": 0, "first_mature_week": None, "last_mature_week": None},
        {"mature_weeks_span_first_to_last"},
    ),
    ("marts.fct_journey_coverage", {"stage_kind": "exit"}, {"terminal_stages_have_no_rates"}),
    (
        "marts.fct_journey_coverage",
        {"journey_id": "a", "cases": 100},
        {"stages_cover_the_journeys_entities"},
    ),
    (
        "marts.fct_journey_coverage",
        {"journey_id": "b", "excluded_entities": 3},
        {"stages_cover_the_journeys_entities"},
    ),
    (
        "marts.fct_journey_coverage",
        {
            "journey_id": "c",
            "mature_weeks": 0,
            "mature_cases": 0,
            "first_mature_week": None,
            "last_mature_week": None,
        },
        {"some_week_is_mature"},
    ),
    ("marts.fct_journey_coverage", {"left_truncated_cases": 61}, {"most_cases_are_counted"}),
    ("marts.fct_restatements", {"metric_id": None}, {"metric_id_is_known"}),
    ("marts.fct_restatements", {"run_number": 0}, {"run_number_starts_at_1"}),
    ("marts.fct_restatements", {"cause": "chance"}, {"cause_is_a_known_kind"}),
    ("marts.fct_restatements", {"period_grain": "day"}, {"period_grain_is_a_known_kind"}),
    ("marts.fct_restatements", {"segment_value": "pro"}, {"total_is_all_of_all"}),
    ("marts.fct_restatements", {"period_end": "2024-01-01"}, {"period_end_is_after_period_start"}),
    ("marts.fct_restatements", {"previous_n": -1}, {"previous_n_is_not_negative"}),
    ("marts.fct_restatements", {"n": -1}, {"n_is_not_negative"}),
    ("marts.fct_restatements", {"previous_n": 0}, {"no_figure_rests_on_no_case"}),
    (
        "marts.fct_restatements",
        {"previous_n": 100, "previous_numerator": 40.0},
        {"before_and_after_differ"},
    ),
    ("marts.fct_restatements", {"as_of": "2024-01-31"}, {"as_of_does_not_go_back"}),
    ("marts.fct_restatements", {"through_load_id": 1}, {"late_data_came_with_a_load"}),
    ("marts.fct_feedback", {"response_id": None}, {"response_id_is_known"}),
    ("marts.fct_feedback", {"verbatim": None}, {"verbatim_is_known"}),
    ("marts.fct_feedback", {"verbatim": ""}, {"verbatim_is_short_enough"}),
    ("marts.fct_feedback", {"verbatim": "x" * 4001}, {"verbatim_is_short_enough"}),
    ("marts.fct_feedback", {"verbatim": "to b@example.com"}, {"no_e_mail_address_is_published"}),
    ("marts.fct_feedback", {"survey": "mood"}, {"survey_is_of_the_contract"}),
    ("marts.fct_feedback", {"answered_at": None}, {"answered_at_is_known"}),
    ("marts.fct_feedback", {"follow_up_us": -1}, {"follow_up_is_not_negative"}),
    ("marts.fct_feedback", {"is_loop_closed": False}, {"closed_loops_have_a_follow_up"}),
    ("marts.fct_feedback", {"follow_up_us": None}, {"closed_loops_have_a_follow_up"}),
    ("marts.fct_feedback", {"topics": 0}, {"classified_feedback_has_topics"}),
    ("marts.fct_feedback_topics", {"response_id": None}, {"response_id_is_known"}),
    ("marts.fct_feedback_topics", {"topic": None}, {"topic_is_known"}),
    ("marts.fct_feedback_topics", {"feedback_type": "mood"}, {"feedback_type_is_of_the_map"}),
    ("marts.fct_feedback_topics", {"pattern": None}, {"pattern_is_known"}),
    ("marts.fct_feedback_topics", {"nps_class": "fan"}, {"nps_class_is_one_of_three"}),
    ("marts.fct_feedback_topics", {"survey": "csat"}, {"only_an_nps_has_a_class"}),
    ("marts.gap_unclassified_phrases", {"phrase": None}, {"phrase_is_known"}),
    ("marts.gap_unclassified_phrases", {"phrase_rank": 101}, {"first_hundred_phrases_are_kept"}),
    ("marts.gap_unclassified_phrases", {"words": 4}, {"phrase_has_three_words_at_most"}),
    ("marts.gap_unclassified_phrases", {"n": 2}, {"phrase_is_of_several_responses"}),
    ("marts.gap_unclassified_phrases", {"example_response_id": None}, {"example_is_known"}),
]


def insert(connection: duckdb.DuckDBPyConnection, table: str, *records: dict[str, Any]) -> None:
    for record in records:
        marks = ", ".join("?" * len(record))
        connection.execute(
            f"insert into {table} ({', '.join(record)}) from (values ({marks}))",
            list(record.values()),
        )


@contextmanager
def new_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse with every table of the contract, every checked mart and the registry, empty."""
    with duckdb.connect(path) as connection:
        for statement in create_tables_sql():
            connection.execute(statement)
        connection.execute("create schema marts; create schema journey_map")
        for mart, types in MARTS.items():
            listed = ", ".join(f"{column} {kind}" for column, kind in types.items())
            connection.execute(f"create table marts.{mart} ({listed})")
        connection.execute(
            "create table journey_map.metrics as from (values ('conversion_rate', 'proportion'), "
            "('time_in_stage_p50', 'duration')) as registry (metric_id, scale)"
        )
        yield connection


def failed(outcomes: Iterable[ExpectationOutcome]) -> set[str]:
    return {outcome.name for outcome in outcomes if not outcome.success}


@pytest.mark.parametrize("table", SOUND)
def test_every_breach_is_noticed_and_nothing_else(tmp_path, table):
    breaches = [(change, names) for where, change, names in BREACHES if where == table]
    with new_warehouse(tmp_path / "w.duckdb") as connection:
        insert(connection, table, SOUND[table], *(SOUND[table] | change for change, _ in breaches))
    schema, name = table.split(".")
    outcomes = run_suites(DuckDBWarehouse(tmp_path / "w.duckdb"), schema, [name], EXPECTATIONS)

    # "2 of 9 rows", "2 rows"
    rows = {o.name: int(o.observed.split()[0]) for o in outcomes if not o.success}
    assert rows == Counter(name for _, names in breaches for name in names)
    assert {outcome.exception for outcome in outcomes} == {None}


def test_feedback_that_mostly_has_no_topic_is_a_warning(tmp_path):
    unclassified = SOUND["marts.fct_feedback"] | {"topics": 0, "is_classified": False}
    with new_warehouse(tmp_path / "w.duckdb") as connection:
        insert(connection, "marts.fct_feedback", SOUND["marts.fct_feedback"], *[unclassified] * 28)
    arguments = (DuckDBWarehouse(tmp_path / "w.duckdb"), "marts", ["fct_feedback"])
    assert failed(run_suites(*arguments, EXPECTATIONS)) == set()

    with duckdb.connect(tmp_path / "w.duckdb") as connection:
        insert(connection, "marts.fct_feedback", unclassified)
    outcomes = run_suites(*arguments, EXPECTATIONS)
    assert failed(outcomes) == {"most_feedback_is_classified"}
    assert not any(outcome.blocks for outcome in outcomes)


def test_a_funnel_whose_attempts_all_stop_at_the_first_step_is_a_warning(tmp_path):
    stopped = SOUND["marts.fct_funnel_attempts"] | {"furthest_step": 1}
    with new_warehouse(tmp_path / "w.duckdb") as connection:
        insert(connection, "marts.fct_funnel_attempts", *[stopped] * 99)
    arguments = (DuckDBWarehouse(tmp_path / "w.duckdb"), "marts", ["fct_funnel_attempts"])
    assert failed(run_suites(*arguments, EXPECTATIONS)) == set()

    with duckdb.connect(tmp_path / "w.duckdb") as connection:
        insert(connection, "marts.fct_funnel_attempts", stopped)
    outcomes = run_suites(*arguments, EXPECTATIONS)
    assert failed(outcomes) == {"some_attempts_pass_the_first_step"}
    assert not any(outcome.blocks for outcome in outcomes)


def test_a_desk_that_seldom_says_who_asked_what_is_a_warning(tmp_path):
    sound = SOUND["marts.fct_support_contacts"]
    keyless = dict.fromkeys(("topic", "episode_id", "is_first_of_episode", "is_repeated"))
    keyless |= dict.fromkeys(("is_resolved_at_first_contact", "is_repeated_on_channel"))
    with new_warehouse(tmp_path / "w.duckdb") as connection:
        rows = [sound] * 49 + [sound | keyless] * 50
        insert(connection, "marts.fct_support_contacts", *rows)
    arguments = (DuckDBWarehouse(tmp_path / "w.duckdb"), "marts", ["fct_support_contacts"])
    assert failed(run_suites(*arguments, EXPECTATIONS)) == set()

    with duckdb.connect(tmp_path / "w.duckdb") as connection:
        insert(connection, "marts.fct_support_contacts", sound | keyless)
    outcomes = run_suites(*arguments, EXPECTATIONS)
    assert failed(outcomes) == {"most_contacts_have_a_customer_and_a_topic"}
    assert not any(outcome.blocks for outcome in outcomes)


@pytest.mark.parametrize("schema", ["raw", "marts"])
def test_sound_rows_and_empty_tables_pass(tmp_path, schema):
    tables = [table for table in SOUND if table.startswith(schema)]
    names = [table.removeprefix(f"{schema}.") for table in tables]
    with new_warehouse(tmp_path / "w.duckdb"):
        pass
    empty = run_suites(DuckDBWarehouse(tmp_path / "w.duckdb"), schema, names, EXPECTATIONS)
    with duckdb.connect(tmp_path / "w.duckdb") as connection:
        for table in tables:
            insert(connection, table, SOUND[table])
    sound = run_suites(DuckDBWarehouse(tmp_path / "w.duckdb"), schema, names, EXPECTATIONS)

    assert failed(sound) == set()
    assert failed(empty) == ({"there_are_visits"} if schema == "marts" else set())
    assert not any(outcome.blocks for outcome in empty)
    assert [outcome.table for outcome in sound] == sorted(
        (outcome.table for outcome in sound), key=names.index
    )


def test_every_table_of_the_contract_has_a_suite_that_gx_itself_reads():
    from great_expectations.core import ExpectationSuite

    for schema, tables in {"raw": CONTRACT, "marts": MARTS}.items():
        for table, suite in read_suites(EXPECTATIONS, schema, list(tables)).items():
            content = json.loads((EXPECTATIONS / f"{schema}__{table}.json").read_text())
            assert suite.name == f"{schema}__{table}"
            assert len(ExpectationSuite(**content).expectations) == len(suite.expectations)
            assert "critical" in {declared.severity for declared in suite.expectations}


# Suites of the tests' own, on one table.


def declare(name: str, kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    declared = {
        "type": kind,
        "kwargs": kwargs,
        "severity": severity,
        "meta": {"name": name, "why": "To be tested."},
    }
    if kind == "unexpected_rows_expectation":
        declared["description"] = "n is at most 9."
    return declared


def write_suite(folder: Path, *expectations: dict[str, Any], table: str = "numbers") -> Path:
    suite = {"name": f"raw__{table}", "expectations": list(expectations)}
    file = folder / f"raw__{table}.json"
    file.write_text(json.dumps(suite, indent=2))
    return file


@pytest.fixture
def numbers(tmp_path) -> Path:
    """A warehouse whose raw.numbers holds 2,000 rows: n from 0, an odd one out, some nulls."""
    warehouse = tmp_path / "w.duckdb"
    with new_warehouse(warehouse) as connection:
        connection.execute(
            "create table raw.numbers as "
            "select i as n, i - i % 2 as even, nullif(i % 4, 0) as some, 'x' || i as label "
            "from range(2000) as r (i)"
        )
    return warehouse


NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
SQL = "unexpected_rows_expectation"


def test_outcomes_say_what_was_expected_and_seen(numbers, tmp_path):
    write_suite(
        tmp_path,
        declare("rows", "expect_table_row_count_to_equal", "info", value=3),
        declare("n_known", NOT_NULL, column="n"),
        declare("some_known", NOT_NULL, "warning", column="some"),
        declare("n_small", BETWEEN, column="n", max_value=9),
        declare(
            "pair",
            "expect_column_pair_values_to_be_equal",
            column_A="n",
            column_B="even",
        ),
        declare("by_sql", SQL, unexpected_rows_query="select n, label from {batch} where n > 9"),
    )
    outcomes = run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)

    assert [(o.name, o.severity, o.column, o.success, o.observed, o.blocks) for o in outcomes] == [
        ("rows", "info", None, False, "2000", False),
        ("n_known", "critical", "n", True, "", False),
        ("some_known", "warning", "some", False, "500 of 2,000 rows", False),
        ("n_small", "critical", "n", False, "1,990 of 2,000 rows", True),
        ("pair", "critical", None, False, "1,000 of 2,000 rows", True),
        ("by_sql", "critical", None, False, "1,990 rows", True),
    ]
    assert {outcome.exception for outcome in outcomes} == {None}
    assert {outcome.table for outcome in outcomes} == {"numbers"}
    assert [outcome.message for outcome in outcomes] == [
        "raw.numbers: Must have exactly 3 rows; found 2000",
        "raw.numbers: n values must never be null; holds",
        "raw.numbers: some values must never be null; broken by 500 of 2,000 rows",
        "raw.numbers: n values must be less than or equal to 9; "
        "broken by 1,990 of 2,000 rows, such as 10; 11; 12",
        "raw.numbers: Values in n and even must always be equal; "
        "broken by 1,000 of 2,000 rows, such as 1 and 0; 3 and 2; 5 and 4",
        "raw.numbers: n is at most 9; broken by 1,990 rows, "
        "such as n 10, label x10; n 11, label x11; n 12, label x12",
    ]


def test_an_expectation_that_cannot_be_evaluated_fails_alone(numbers, tmp_path):
    write_suite(
        tmp_path,
        declare("n_known", NOT_NULL, column="n"),
        declare("gone", NOT_NULL, "warning", column="gone"),
        declare("text_as_number", BETWEEN, "info", column="label", min_value=3),
        declare("bad_sql", SQL, unexpected_rows_query="select * from {batch} where gone > 9"),
        declare("even_known", NOT_NULL, column="even"),
    )
    outcomes = {
        o.name: o for o in run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    }

    assert failed(outcomes.values()) == {"gone", "text_as_number", "bad_sql"}
    for name in ("gone", "text_as_number", "bad_sql"):
        assert outcomes[name].exception
        assert outcomes[name].blocks
        assert "cannot be evaluated" in outcomes[name].message
    assert '"gone"' in outcomes["gone"].exception
    assert '"gone"' in outcomes["bad_sql"].exception


def test_no_more_rows_are_read_than_gx_looks_at(numbers, tmp_path, monkeypatch):
    from orchestration.validation import engine

    sizes = []

    def spy(metadata, rows):
        rows = list(rows)
        sizes.append(len(rows))
        return real(metadata, iter(rows))

    real = engine.IteratorResult
    monkeypatch.setattr(engine, "IteratorResult", spy)
    write_suite(
        tmp_path,
        declare("n_small", BETWEEN, column="n", max_value=9),
        declare("by_sql", SQL, unexpected_rows_query="select n, label from {batch} where n > 9"),
    )
    outcomes = run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    assert [outcome.observed for outcome in outcomes] == ["1,990 of 2,000 rows", "1,990 rows"]
    assert max(sizes) == 200


def test_types_have_duckdb_names_and_patterns_are_refused(numbers, tmp_path):
    of_type = "expect_column_values_to_be_of_type"
    write_suite(
        tmp_path,
        declare("n_type", of_type, column="n", type_="BIGINT"),
        declare("label_type", of_type, column="label", type_="VARCHAR"),
        declare("n_not_text", of_type, column="n", type_="VARCHAR"),
        # PostgreSQL would find it anywhere in the text, DuckDB only as the whole text.
        declare("pattern", "expect_column_values_to_match_regex", column="label", regex="x"),
    )
    outcomes = {
        o.name: o for o in run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    }
    assert failed(outcomes.values()) == {"n_not_text", "pattern"}
    assert outcomes["n_not_text"].exception is None
    assert outcomes["pattern"].exception


def test_a_namesake_in_another_schema_is_left_alone(numbers, tmp_path):
    with duckdb.connect(numbers) as connection:
        connection.execute(
            "create schema staging; create table staging.numbers as select null as n"
        )
        connection.execute("create table main.numbers as select null as n")
    write_suite(
        tmp_path, declare("even", NOT_NULL, column="even"), declare("n", NOT_NULL, column="n")
    )
    assert failed(run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)) == set()


def test_the_warehouse_is_opened_read_only(numbers, tmp_path):
    query = "select n from {batch} where lower(current_setting('access_mode')) <> 'read_only'"
    write_suite(tmp_path, declare("read_only", SQL, unexpected_rows_query=query))
    assert failed(run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)) == set()


CONNECT = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('create table t (i int)')"


def test_a_writer_can_connect_afterwards(numbers, tmp_path):
    write_suite(
        tmp_path,
        declare("n", NOT_NULL, column="n"),
        declare("gone", NOT_NULL, column="gone"),
        declare("bad_sql", SQL, unexpected_rows_query="select * from {batch} where gone > 9"),
    )
    before = numbers.read_bytes()
    outcomes = run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    assert numbers.read_bytes() == before
    elsewhere = subprocess.run([sys.executable, "-c", CONNECT, str(numbers)], capture_output=True)
    assert elsewhere.returncode == 0, elsewhere.stderr.decode()
    with duckdb.connect(numbers) as connection:
        connection.execute("insert into t values (1)")
    assert len(outcomes) == 3


def test_the_warehouse_is_let_go_after_a_crash(numbers, tmp_path, monkeypatch):
    from orchestration.validation import suites

    def crash(*_):
        raise RuntimeError("crash")

    write_suite(tmp_path, declare("n", NOT_NULL, "info", column="some"))
    monkeypatch.setattr(suites, "_seen", crash)
    with pytest.raises(RuntimeError, match="crash"):
        run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    duckdb.connect(numbers).close()


def test_nothing_is_sent_and_nothing_written(numbers, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    suites = tmp_path / "suites"
    elsewhere = tmp_path / "elsewhere"
    suites.mkdir()
    elsewhere.mkdir()
    write_suite(suites, declare("n", NOT_NULL, column="n"), declare("s", NOT_NULL, column="some"))
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(elsewhere))
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = sorted(tmp_path.rglob("*"))
    assert failed(run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], suites)) == {"s"}
    assert sorted(tmp_path.rglob("*")) == before


def test_any_path_will_do(numbers, tmp_path):
    odd = tmp_path / "it's a $HOME ${c}%20#é.duckdb"
    numbers.rename(odd)
    write_suite(tmp_path, declare("n", NOT_NULL, column="n"))
    assert failed(run_suites(DuckDBWarehouse(odd), "raw", ["numbers"], tmp_path)) == set()


def test_reading_suites_does_not_import_gx():
    code = (
        "import sys; from pathlib import Path; from orchestration.validation.suites import *; "
        "assert read_suites(Path(sys.argv[1]), 'raw', ['events'])['events'].expectations; "
        "assert 'great_expectations' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(EXPECTATIONS)], check=True)


# What is refused.


def without(declared: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in declared.items() if key not in keys}


SOUND_N = declare("n", NOT_NULL, column="n")
FLAWS = {
    "mistyped type": (
        declare("n", "expect_column_values_to_not_be_nul", column="n"),
        "expectation 2 (n), expect_column_values_to_not_be_nul: "
        "expect_column_values_to_not_be_nul not found",
    ),
    "mistyped argument": (declare("n", NOT_NULL, colum="n"), "colum extra fields not permitted"),
    "no argument": (declare("n", NOT_NULL), "column field required"),
    "mistyped field": (SOUND_N | {"kwarg": {}}, "expectation 2 (n).kwarg: Extra inputs"),
    "no reason": (SOUND_N | {"meta": {"name": "n"}}, "expectation 2 (n).meta.why: Field required"),
    "empty reason": (SOUND_N | {"meta": {"name": "n", "why": " "}}, "expectation 2 (n).meta.why"),
    "no name": (
        SOUND_N | {"meta": {"why": "Because."}},
        f"expectation 2 ({NOT_NULL}).meta.name: Field required",
    ),
    "no check name": (
        SOUND_N | {"meta": {"name": "n is known", "why": "Because."}},
        "expectation 2 (n is known).meta.name",
    ),
    "no severity": (without(SOUND_N, "severity"), "expectation 2 (n).severity: Field required"),
    "wrong severity": (SOUND_N | {"severity": "fatal"}, "expectation 2 (n).severity: Input should"),
    "no object": ("n", "expectation 2 (unnamed): Input should be"),
    "name twice": (declare("first", NOT_NULL, column="n"), "several expectations are named first"),
    "undescribed SQL": (
        without(declare("n", SQL, unexpected_rows_query="select * from {batch}"), "description"),
        "expectation 2 (n): Value error, an expectation in SQL needs a description",
    ),
}


@pytest.mark.parametrize(("flawed", "message"), FLAWS.values(), ids=FLAWS)
def test_a_flawed_suite_is_refused_by_file_and_expectation(numbers, tmp_path, flawed, message):
    file = write_suite(tmp_path, declare("first", NOT_NULL, column="n"), flawed)
    with pytest.raises(InputError) as refusal:
        run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    (problem,) = refusal.value.problems
    assert problem.file == str(file)
    assert message in problem.message


def test_all_flaws_are_named_at_once(numbers, tmp_path):
    (tmp_path / "raw__a.json").write_text('{"name": "a",\n "expectations": [}')
    (tmp_path / "raw__b.json").write_bytes(b'{"name": "\xff"}')
    write_suite(tmp_path, without(SOUND_N, "meta"), without(SOUND_N, "type"))
    with pytest.raises(InputError) as refusal:
        run_suites(DuckDBWarehouse(numbers), "raw", ["a", "b", "numbers", "c"], tmp_path)
    assert [
        (Path(problem.file).name, problem.row, problem.message.partition(":")[0])
        for problem in refusal.value.problems
    ] == [
        ("raw__a.json", 2, "no JSON"),
        ("raw__b.json", None, "not in UTF-8"),
        ("raw__numbers.json", None, f"expectation 1 ({NOT_NULL}).meta"),
        ("raw__numbers.json", None, "expectation 2 (n).type"),
        ("raw__c.json", None, "raw.c has no suite"),
    ]


def test_a_suite_without_a_table_is_refused(numbers, tmp_path):
    write_suite(tmp_path, SOUND_N)
    orphan = write_suite(tmp_path, SOUND_N, table="nombers")
    with pytest.raises(InputError, match=r"no table raw\.nombers") as refusal:
        run_suites(DuckDBWarehouse(numbers), "raw", ["numbers"], tmp_path)
    assert [problem.file for problem in refusal.value.problems] == [str(orphan)]


def test_a_warehouse_that_cannot_be_opened_is_named(tmp_path):
    write_suite(tmp_path, SOUND_N)
    with pytest.raises(JourneyGapsError, match=r"absent\.duckdb"):
        run_suites(DuckDBWarehouse(tmp_path / "absent.duckdb"), "raw", ["numbers"], tmp_path)
    assert not (tmp_path / "absent.duckdb").exists()

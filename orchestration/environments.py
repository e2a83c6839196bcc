"""The environments as a declared map: what runs by itself in each, and who is told.

A schedule or sensor that an environment does not name is off there until somebody switches it
on in the UI. Importing this module imports neither Dagster nor settings of a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestration.errors import JourneyGapsError
from orchestration.settings import Environment

# Schedules and sensors, by the names that Dagster knows them by.
DAILY_REFRESH = "refresh_gap_marts_daily"
WEEKLY_REPORT = "weekly_report_mondays"
NEW_JOURNEY_MAP = "new_journey_map"
NEW_FILES = "new_files"
FRESHNESS = "freshness"
RUN_FAILURES = "run_failures"


class UnknownEnvironmentError(JourneyGapsError):
    """An environment that nobody declared; the message lists those that are."""

    def __init__(self, name: object) -> None:
        """`name` is what was asked for."""
        known = ", ".join(environment.value for environment in ENVIRONMENTS)
        super().__init__(f"no environment is called {str(name)!r}: JOURNEY_GAPS_ENV is {known}")


@dataclass(frozen=True)
class Declaration:
    """What differs between environments.

    `running` names the schedules and sensors that are on from the start; `alerts` says whether
    the webhook is told, where JOURNEY_GAPS_ALERTS does not say otherwise.
    """

    running: frozenset[str]
    alerts: bool

    def runs(self, name: str) -> bool:
        """Whether this schedule or sensor is on from the start."""
        return name in self.running


ENVIRONMENTS: Mapping[Environment, Declaration] = {
    Environment.DEV: Declaration(running=frozenset(), alerts=False),
    Environment.CI: Declaration(running=frozenset(), alerts=False),
    Environment.PROD: Declaration(
        running=frozenset(
            {DAILY_REFRESH, WEEKLY_REPORT, NEW_JOURNEY_MAP, NEW_FILES, FRESHNESS, RUN_FAILURES}
        ),
        alerts=True,
    ),
}


def declared(environment: str) -> Declaration:
    """The declaration of an environment; raises UnknownEnvironmentError where there is none."""
    try:
        return ENVIRONMENTS[Environment(environment)]
    except (KeyError, ValueError):
        raise UnknownEnvironmentError(environment) from None

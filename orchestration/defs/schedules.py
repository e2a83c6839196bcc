"""The one job and when it runs by itself."""

from collections.abc import Mapping

import dagster as dg

from orchestration.settings import Environment

REFRESH_CRON = "0 5 * * *"

SCHEDULE_STATUS: Mapping[Environment, dg.DefaultScheduleStatus] = {
    Environment.DEV: dg.DefaultScheduleStatus.STOPPED,
    Environment.CI: dg.DefaultScheduleStatus.STOPPED,
    Environment.PROD: dg.DefaultScheduleStatus.RUNNING,
}

refresh_job = dg.define_asset_job(
    "refresh_gap_marts",
    selection=dg.AssetSelection.all(),
    description="Land, build, check and publish, from the journey map to the gap ranking.",
)


def refresh_schedule(environment: Environment) -> dg.ScheduleDefinition:
    """Every day at 05:00 UTC; switched on by itself only where SCHEDULE_STATUS says so.

    Raises KeyError for an environment that is not declared there.
    """
    status = SCHEDULE_STATUS[environment]
    starts = "on" if status is dg.DefaultScheduleStatus.RUNNING else "off until switched on"
    return dg.ScheduleDefinition(
        name="refresh_gap_marts_daily",
        description=f"The whole chain, every day at 05:00 UTC; {starts} in {environment.value}.",
        job=refresh_job,
        cron_schedule=REFRESH_CRON,
        execution_timezone="UTC",
        default_status=status,
    )

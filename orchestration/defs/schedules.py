"""The jobs and when they run by themselves; `environments.py` says where they do."""

import dagster as dg

from orchestration.defs.overlap import run_in_progress
from orchestration.environments import DAILY_REFRESH, WEEKLY_REPORT, declared
from orchestration.settings import Environment, Settings
from orchestration.weekly import send_weekly_report

REFRESH_CRON = "0 5 * * *"
WEEKLY_CRON = "0 6 * * 1"

refresh_job = dg.define_asset_job(
    "refresh_gap_marts",
    selection=dg.AssetSelection.all(),
    description="Land, build, check and publish, from the journey map to the gap ranking.",
)


@dg.op
def write_weekly_report(settings: dg.ResourceParam[Settings]) -> None:
    """What changed since the publication of a week before, as a page and a message."""
    send_weekly_report(settings)


# It reads publications only: no lock, no other process.
@dg.job(
    name="weekly_report",
    executor_def=dg.in_process_executor,
    description="The gaps to close first, what worsened and improved since a week before, and "
    "the readouts that came due: HOME/reports/weekly-<date>.html and a message.",
)
def weekly_report_job() -> None:
    """One step."""
    write_weekly_report()


def refresh_schedule(environment: Environment) -> dg.ScheduleDefinition:
    """Every day at 05:00 UTC, unless a run of the job is in progress.

    Raises UnknownEnvironmentError for an environment that is not declared.
    """

    @dg.schedule(
        name=DAILY_REFRESH,
        description=f"The whole chain, every day at 05:00 UTC; {starts(environment)}.",
        job=refresh_job,
        cron_schedule=REFRESH_CRON,
        execution_timezone="UTC",
        default_status=schedule_status(environment, DAILY_REFRESH),
    )
    def daily(
        context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.RunRequest | dg.SkipReason:
        busy = run_in_progress(context.instance, settings, refresh_job.name)
        return dg.SkipReason(busy) if busy else dg.RunRequest()

    return daily


def weekly_report_schedule(environment: Environment) -> dg.ScheduleDefinition:
    """Every Monday at 06:00 UTC, after the night's refresh; raises as `refresh_schedule`."""
    return dg.ScheduleDefinition(
        name=WEEKLY_REPORT,
        description="The weekly report, every Monday at 06:00 UTC; "
        f"{starts(environment, WEEKLY_REPORT)}.",
        job=weekly_report_job,
        cron_schedule=WEEKLY_CRON,
        execution_timezone="UTC",
        default_status=schedule_status(environment, WEEKLY_REPORT),
    )


def schedule_status(environment: Environment, name: str) -> dg.DefaultScheduleStatus:
    """Whether a schedule is on from the start in an environment, as it declares."""
    is_on = declared(environment).runs(name)
    return dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED


def sensor_status(environment: Environment, name: str) -> dg.DefaultSensorStatus:
    """Whether a sensor is on from the start in an environment, as it declares."""
    is_on = declared(environment).runs(name)
    return dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED


def starts(environment: Environment, name: str = DAILY_REFRESH) -> str:
    """The same in words, for a description."""
    is_on = declared(environment).runs(name)
    return f"{'on' if is_on else 'off until switched on'} in {environment.value}"

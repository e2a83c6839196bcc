"""Execute the job in this process, as the command line does.

Importing this module imports Dagster (seconds): import it late.
"""

from collections.abc import Callable

import dagster as dg
from dagster._core.execution.api import execute_run_iterator

from orchestration.definitions import refresh_gap_marts
from orchestration.defs.models.assets import DBT_STEP
from orchestration.outcome import Report
from orchestration.resources import dbt_manifest, open_instance
from orchestration.settings import Settings


def refresh(
    settings: Settings,
    *,
    full_refresh: bool,
    observe: Callable[[Report, dg.DagsterEvent], None],
) -> Report:
    """Run `refresh_gap_marts` on the instance of this HOME, calling `observe` at each event.

    The environment must already say what the settings say: step processes read it. Raises
    JourneyGapsError where the run cannot even be planned; what goes wrong later is in the
    report.
    """
    instance = open_instance(settings)
    dbt_manifest(settings)
    job = dg.reconstructable(refresh_gap_marts)
    run = instance.create_run_for_job(
        job.get_definition(),
        run_config={"ops": {DBT_STEP: {"config": {"full_refresh": full_refresh}}}},
        job_code_origin=job.get_python_origin(),
    )
    planned = instance.all_logs(
        run.run_id,
        of_type={
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        },
    )
    report = Report(run_id=run.run_id, planned=len(planned))
    for event in execute_run_iterator(job, run, instance):
        report.add(event)
        observe(report, event)
    return report

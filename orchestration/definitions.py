"""Assembly only: everything that Dagster's UI, its schedule and the command line run."""

import json

import dagster as dg

from orchestration.defs.journey_map.assets import journey_map
from orchestration.defs.landing.assets import build_landing
from orchestration.defs.landing.checks import build_raw_gate
from orchestration.defs.landing.days import build_land_day
from orchestration.defs.landing.sensors import new_files_sensor
from orchestration.defs.models.assets import build_models, published_marts, source_descriptions
from orchestration.defs.publication.assets import build_publication
from orchestration.defs.publication.checks import build_marts_gate
from orchestration.defs.schedules import (
    refresh_job,
    refresh_schedule,
    weekly_report_job,
    weekly_report_schedule,
)
from orchestration.defs.sensors import failure_sensor, freshness_sensor, map_sensor
from orchestration.executor import warehouse_executor
from orchestration.publish.contracts import sort_orders
from orchestration.resources import dbt_manifest, dbt_resource
from orchestration.settings import Settings


@dg.definitions
def defs() -> dg.Definitions:
    """The code location that `dagster dev` serves."""
    settings = Settings()
    manifest = json.loads(dbt_manifest(settings).read_text())
    marts = published_marts(manifest)
    chain = [journey_map, build_landing(source_descriptions(manifest)), build_models(manifest)]
    gates = [build_raw_gate(settings.expectations), build_marts_gate(settings.expectations)]
    required: set[dg.AssetKey | dg.AssetCheckKey] = set()
    for part in (*chain, *gates):
        required |= {*part.keys, *part.check_keys}
    return dg.Definitions(
        assets=[*chain, build_publication(marts, required, sort_orders(manifest))],
        asset_checks=gates,
        jobs=[refresh_job, weekly_report_job, build_land_day(settings.landing_first_day)],
        schedules=[refresh_schedule(settings.env), weekly_report_schedule(settings.env)],
        sensors=[
            new_files_sensor(settings.env),
            map_sensor(settings.env),
            freshness_sensor(settings.env),
            failure_sensor(settings.env),
        ],
        resources={"settings": settings, "dbt": dbt_resource(settings)},
        executor=warehouse_executor,
    )


def refresh_gap_marts() -> dg.JobDefinition:
    """The job, found again by name in each step's own process."""
    return defs().resolve_job_def(refresh_job.name)

"""Landing by day: a range of days lands again from the UI's backfill."""

from datetime import date
from functools import partial

import dagster as dg

from orchestration.landing.days import names_day
from orchestration.landing.inputs import land_inputs
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import Settings
from orchestration.warehouse import warehouse_of


def build_land_day(first_day: date) -> dg.JobDefinition:
    """The job `land_day`, with a partition for each day (UTC) from `first_day` on."""

    @dg.op(
        name="land_files_of_day",
        description="Land the files whose path names the day; nothing is built or published.",
        pool=WAREHOUSE_POOL,
        out=dg.Out(dg.Nothing),
    )
    def land_files_of_day(
        context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> None:
        day = date.fromisoformat(context.partition_key)
        result = land_inputs(settings, only=partial(names_day, day=day))
        warehouse_of(settings).receive(settings.warehouse)
        for file in result.rejected:
            context.log.warning(file.message)
        context.add_output_metadata(
            {
                "load_id": result.load_id,
                "files": {file.file: file.status.value for file in result.files},
                **{
                    f"rows_{kind}": sum(getattr(counts, f"rows_{kind}") for counts in result.totals)
                    for kind in ("in", "kept", "quarantined", "duplicate")
                },
            }
        )

    @dg.job(
        name="land_day",
        description="Land the raw files of one day, by the day in their path. The next run of "
        "refresh_gap_marts builds with them.",
        partitions_def=dg.DailyPartitionsDefinition(start_date=first_day.isoformat()),
    )
    def land_day() -> None:
        land_files_of_day()

    return land_day

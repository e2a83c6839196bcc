"""The journey map, validated before dbt sees it."""

import dagster as dg

from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.settings import Settings


@dg.asset(group_name="journey_map", owners=["team:analytics"], kinds={"csv"})
def journey_map(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """The folder of small tables an analyst edits, validated and copied to dbt's seeds."""
    loaded = load_journey_map(settings.map)
    write_seeds(loaded, settings.seed_dir)
    return dg.MaterializeResult(
        metadata={
            "folder": dg.MetadataValue.path(settings.map),
            "sha256": loaded.sha256,
            "rows": {table: len(rows) for table, rows in loaded.tables.items()},
        }
    )

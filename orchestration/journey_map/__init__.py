"""The journey map: small tables an analyst edits, validated before dbt sees them.

A map is a folder of CSV files, one a table, as a text editor or a spreadsheet saves them.
`load_journey_map` reads and checks them all, `write_seeds` writes the canonical CSVs that
dbt seeds. Meaning of every table and column: models/staging/journey_map.
"""

from orchestration.journey_map.load import JourneyMap, load_journey_map, write_seeds
from orchestration.journey_map.rows import (
    TABLES,
    Benchmark,
    Calendar,
    FeedbackTopic,
    Journey,
    MetricRule,
    Stage,
    StageRule,
)

__all__ = [
    "TABLES",
    "Benchmark",
    "Calendar",
    "FeedbackTopic",
    "Journey",
    "JourneyMap",
    "MetricRule",
    "Stage",
    "StageRule",
    "load_journey_map",
    "write_seeds",
]

"""Landing: raw files into the warehouse, row by row accounted for (domain.md §4, §12)."""

from orchestration.landing.load import (
    FileResult,
    LandingResult,
    Status,
    TableCounts,
    land,
    missing_tables,
    reconcile,
)

__all__ = [
    "FileResult",
    "LandingResult",
    "Status",
    "TableCounts",
    "land",
    "missing_tables",
    "reconcile",
]

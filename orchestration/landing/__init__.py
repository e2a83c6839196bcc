"""Landing: raw files into the warehouse, row by row accounted for (domain.md §4, §12)."""

from orchestration.landing.load import land, missing_tables, reconcile
from orchestration.landing.result import FileResult, LandingResult, Status, TableCounts

__all__ = [
    "FileResult",
    "LandingResult",
    "Status",
    "TableCounts",
    "land",
    "missing_tables",
    "reconcile",
]

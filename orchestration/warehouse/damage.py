"""What DuckDB's errors about a file mean for whoever runs this, and what helps."""

import re
import shutil
from pathlib import Path

import duckdb

from orchestration.errors import JourneyGapsError

REBUILD = (
    "`journey-gaps run --rebuild` (with the same --home, --map and --landing) sets the file aside, "
    "lands all files again and builds everything anew; what is published stays"
)
DISK_IS_FULL = (
    "make room there (`journey-gaps prune` removes what exceeds the limits, `journey-gaps prune "
    "--compact` also shrinks the warehouse) and run again; what is published stays"
)
_DAMAGED = re.compile(
    r"not a valid DuckDB database|Corrupt (database|WAL) file|replaying WAL"
    r"|read enough bytes|(does not|don't) match stored checksum"
    r"|INTERNAL Error|Serialization Error|FATAL Error.*(deserializ|corrupt)",
    re.IGNORECASE,
)
_FULL = re.compile(
    # Of the system, of quotas, of SQLite: Dagster's books are in HOME too.
    r"No space left on device|Disk quota exceeded|database or disk is full",
    re.IGNORECASE,
)
# A disk with less room than this fails whatever writes next.
_LITTLE_BYTES = 1_000_000
_OWN = re.compile(re.escape(REBUILD[:24]) + "|" + re.escape(DISK_IS_FULL[:15]))


class DamagedWarehouseError(JourneyGapsError):
    """The DuckDB file cannot be read as one."""


def cannot_open(file: Path, error: Exception) -> JourneyGapsError:
    """The error for a DuckDB file that does not open: in use, full, damaged, or as DuckDB says."""
    said = str(error).splitlines()[0].rstrip(".!")
    if (user := user_of(error)) is not None:
        return JourneyGapsError(f"{file} cannot be opened: {user} has it open")
    if _FULL.search(said):
        return JourneyGapsError(
            f"{file} cannot be opened, the disk is full: {said}; {DISK_IS_FULL}"
        )
    if isinstance(error, duckdb.Error) and _DAMAGED.search(said):
        return DamagedWarehouseError(f"{file} is damaged: {said}. {REBUILD}.")
    return JourneyGapsError(f"{file} cannot be opened: {said}")


def user_of(error: Exception) -> str | None:
    """Who has the file open where that is why it does not open; None for other errors."""
    if "Could not set lock" not in str(error):
        return None
    holder = re.search(r"held in (.+?) \(PID (\d+)\)", str(error))
    return f"another program ({holder[1]}, pid {holder[2]})" if holder else "another program"


def advised(message: str, folder: Path | None = None) -> str:
    """A failure's message, with what helps where a full disk or a damaged file caused it.

    SQLite may call a full disk an I/O error: `folder` is one on the disk in question.
    """
    if _OWN.search(message):
        return message
    has_no_room = folder is not None and shutil.disk_usage(folder).free < _LITTLE_BYTES
    if has_no_room or _FULL.search(message):
        return f"{message}\nThe disk is full: {DISK_IS_FULL}."
    if re.search(
        r"Corrupt (database|WAL) file|match stored checksum|read enough bytes from file", message
    ):
        return f"{message}\nThe warehouse is damaged: {REBUILD}."
    return message
